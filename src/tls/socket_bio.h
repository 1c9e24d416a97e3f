/*
 * tls/socket_bio.h — OpenSSL's view of a connected socket, without SIGPIPE.
 *
 * OpenSSL's own socket BIO writes with write(2), and a library has no business with the signal
 * dispositions of the program it is in. This one sends with MSG_NOSIGNAL.
 */
#ifndef TLS_SOCKET_BIO_H
#define TLS_SOCKET_BIO_H

#include <openssl/bio.h>

/*
 * A BIO over the connected socket `socket_fd`, which stays the caller's (BIO_NOCLOSE). It is of a
 * descriptor type, so SSL_get_fd finds the descriptor. EAGAIN and EINTR are retries. NULL when
 * there is no memory. Free it with BIO_free. Threads: may be called from any.
 */
BIO *tls_socket_bio_new(int socket_fd);

#endif
