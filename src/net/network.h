/*
 * net/network.h — networks of addresses, as in 10.0.0.0/8, 2001:db8::/32, or a single address.
 */
#ifndef NET_NETWORK_H
#define NET_NETWORK_H

#include "certpost/status.h"

#include <stdbool.h>
#include <sys/socket.h>

struct net_network {
    int family; /* AF_INET or AF_INET6 */
    unsigned char prefix[16];
    unsigned prefix_bits;
};

/* False when the text is no network, or has bits set behind its prefix. */
CERTPOST_MUST_CHECK
bool net_network_parse(const char *text, struct net_network *ret_network);

bool net_network_contains(const struct net_network *network, const struct sockaddr *address);

#endif
