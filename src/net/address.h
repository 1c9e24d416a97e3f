/*
 * net/address.h — addresses of sockets as text.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include "base/text.h"

#include <sys/socket.h>

/*
 * "127.0.0.1:8080" or "[::1]:8080"; "unknown" for another family. An IPv4 address that came in
 * through an IPv6 socket is written as IPv4.
 */
void net_address_format(const struct sockaddr *address, char ret_text[TEXT_ENDPOINT_BYTES]);

/*
 * Makes an IPv4 address of one that came in through an IPv6 socket (::ffff:a.b.c.d), in place;
 * leaves any other as it is. Limits, networks and logs then see the peer that it is.
 */
void net_address_unmap(struct sockaddr *address);

/* The port of an IPv4 or IPv6 address; 0 for another family. */
uint16_t net_address_port(const struct sockaddr *address);
void net_address_set_port(struct sockaddr *address, uint16_t port);

#endif
