/*
 * address.c — addresses of sockets as text (net/address.h).
 *
 * Uses: text.  Used by: listener, conn, server.
 * Never: looks a name up.
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static void net_address_format_v6(const struct sockaddr_in6 *address,
                                  char ret_text[TEXT_ENDPOINT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "unknown";
    if (IN6_IS_ADDR_V4MAPPED(&address->sin6_addr))
        (void)inet_ntop(AF_INET, &address->sin6_addr.s6_addr[12], host, sizeof host);
    else
        (void)inet_ntop(AF_INET6, &address->sin6_addr, host, sizeof host);
    text_format_endpoint(host, ntohs(address->sin6_port), ret_text);
}

void net_address_format(const struct sockaddr *address, char ret_text[TEXT_ENDPOINT_BYTES])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        char host[INET_ADDRSTRLEN] = "unknown";
        (void)inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        text_format_endpoint(host, ntohs(v4.sin_port), ret_text);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        net_address_format_v6(&v6, ret_text);
    } else {
        snprintf(ret_text, TEXT_ENDPOINT_BYTES, "unknown");
    }
}

uint16_t net_address_port(const struct sockaddr *address)
{
    struct sockaddr_storage copy = {0};
    if (address->sa_family == AF_INET) {
        memcpy(&copy, address, sizeof(struct sockaddr_in));
        return ntohs(((struct sockaddr_in *)&copy)->sin_port);
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&copy, address, sizeof(struct sockaddr_in6));
        return ntohs(((struct sockaddr_in6 *)&copy)->sin6_port);
    }
    return 0;
}

void net_address_set_port(struct sockaddr *address, uint16_t port)
{
    if (address->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    else if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
}

void net_address_unmap(struct sockaddr *address)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    if (address->sa_family != AF_INET6)
        return;
    memcpy(&v6, address, sizeof v6);
    if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    v4.sin_port = v6.sin6_port;
    memcpy(&v4.sin_addr, &v6.sin6_addr.s6_addr[12], sizeof v4.sin_addr);
    memcpy(address, &v4, sizeof v4);
}
