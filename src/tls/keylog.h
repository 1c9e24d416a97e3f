/* tls/keylog.h — the secrets of sessions in a file, for debugging with a packet dump. */
#ifndef TLS_KEYLOG_H
#define TLS_KEYLOG_H

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stdio.h>

/*
 * Appends the secrets of `context`'s sessions to the file at `path` (made with mode 0600), in the
 * format of NSS. The file is the caller's: fclose, after the context has ended. Errors: LOCAL_IO.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_keylog_open(SSL_CTX *context, const char *path, FILE **ret_file,
                                     struct certpost_error *error);

#endif
