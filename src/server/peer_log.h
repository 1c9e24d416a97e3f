/* server/peer_log.h — who a connection's peer was, in the line of its end. */
#ifndef SERVER_PEER_LOG_H
#define SERVER_PEER_LOG_H

#include "base/log.h"

#include <openssl/ssl.h>

/*
 * Adds `identity` where clients are verified ("anonymous" for one that gave no certificate, which
 * no identity can be: each begins with its kind and a colon); for one whose certificate was
 * refused, its `subject`, `issuer` and `serial` instead. `handshake_done` as the connection says.
 */
void peer_log_identity(struct log_line *line, const SSL *ssl, bool handshake_done);

#endif
