/*
 * net/proxy.h — the PROXY protocol: who a connection that came through a load balancer is from.
 *
 * Versions 1 (a line of text) and 2 (binary) of "The PROXY protocol", haproxy.org. The header
 * stands before everything else on the connection, TLS included. Pure: bytes in, value out.
 *
 *   v1   "PROXY" SP ("TCP4"|"TCP6") SP source SP destination SP source-port SP destination-port
 * CRLF, or "PROXY UNKNOWN" … CRLF; at most 107 bytes with its CRLF. v2   12 bytes of signature,
 * version and command (1), family and protocol (1), length (2), then that many bytes: addresses,
 * ports, and extensions, which are skipped.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "certpost/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Longer headers are refused: load balancers send some hundred bytes of extensions at most. */
enum { PROXY_HEADER_MAX_BYTES = 4096 };

struct proxy_header {
    bool has_source; /* false: the balancer speaks for itself (a health check), or does not know */
    struct sockaddr_storage source;
};

/*
 * Reads a header from the beginning of `bytes`. CERTPOST_OK: `*ret_consumed` bytes were the header.
 * WANT_READ: so far it may become one. PROTOCOL: it is none, or one longer than
 * PROXY_HEADER_MAX_BYTES.
 */
CERTPOST_MUST_CHECK
enum certpost_status proxy_header_parse(const void *bytes, size_t length,
                                        struct proxy_header *ret_header, size_t *ret_consumed);

#endif
