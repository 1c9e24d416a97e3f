/*
 * network.c — networks of addresses (net/network.h).
 *
 * Uses: text.  Used by: server/state.
 * Never: looks a name up.
 */
#include "net/network.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static bool net_bits_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || (a[bits / 8] >> (8 - rest)) == (b[bits / 8] >> (8 - rest));
}

/* 10.0.0.1/8 is refused: one of its two halves is a mistake, and we cannot know which. */
static bool net_rest_is_zero(const struct net_network *network, unsigned address_bits)
{
    for (unsigned bit = network->prefix_bits; bit < address_bits; bit++) {
        if ((network->prefix[bit / 8] >> (7 - bit % 8) & 1) != 0)
            return false;
    }
    return true;
}

bool net_network_parse(const char *text, struct net_network *ret_network)
{
    char host[INET6_ADDRSTRLEN] = "";
    struct net_network network = {.family = AF_INET};
    size_t host_length = strcspn(text, "/");
    if (host_length >= sizeof host)
        return false;
    memcpy(host, text, host_length);
    if (strchr(host, ':') != NULL)
        network.family = AF_INET6;
    unsigned address_bits = network.family == AF_INET ? 32 : 128;
    uint64_t bits = address_bits;
    if (inet_pton(network.family, host, network.prefix) != 1)
        return false;
    if (text[host_length] == '/' && !text_parse_u64(text + host_length + 1, address_bits, &bits))
        return false;
    network.prefix_bits = (unsigned)bits;
    if (!net_rest_is_zero(&network, address_bits))
        return false;
    *ret_network = network;
    return true;
}

bool net_network_contains(const struct net_network *network, const struct sockaddr *address)
{
    if (address->sa_family != network->family)
        return false;
    if (network->family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return net_bits_equal((const unsigned char *)&v4.sin_addr, network->prefix,
                              network->prefix_bits);
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    return net_bits_equal(v6.sin6_addr.s6_addr, network->prefix, network->prefix_bits);
}
