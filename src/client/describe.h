/* client/describe.h — what `certpost send -v` says of a TLS connection. */
#ifndef CLIENT_DESCRIBE_H
#define CLIENT_DESCRIBE_H

#include <openssl/ssl.h>

/* A note with the server certificate's subject, names, issuer and end; nothing without one. */
void describe_certificate(const SSL *ssl);

#endif
