/*
 * tls/passphrase.h — the passphrase of encrypted keys, out of a file.
 *
 * It is held while keys are loaded, and then wiped: the keys are kept decrypted
 * (tls/material.h), so that a worker or a reload of nothing but the limits needs no passphrase.
 */
#ifndef TLS_PASSPHRASE_H
#define TLS_PASSPHRASE_H

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>

/* What OpenSSL's PEM reader takes (PEM_BUFSIZE). */
enum { TLS_PASSPHRASE_MAX_BYTES = 1024 };

/* {0} is "none was given". */
struct tls_passphrase {
    const char *path; /* borrowed; NULL: none was given */
    size_t length;
    char bytes[TLS_PASSPHRASE_MAX_BYTES]; /* secret, not a C string */
};

/*
 * Reads the first line of `path`, without its end (\n or \r\n). Errors: OWN_CERTIFICATE with words
 * that name the file: it cannot be read, its first line is empty or longer than the maximum. Wipe
 * with tls_passphrase_wipe, also after a failure.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_passphrase_load(const char *path, struct tls_passphrase *ret_passphrase,
                                         struct certpost_error *error);
void tls_passphrase_wipe(struct tls_passphrase *passphrase);

/* What one reading of a PEM file needs to know, and learns. */
struct tls_passphrase_request {
    const struct tls_passphrase *passphrase; /* NULL or without a path: there is none */
    bool asked;                              /* what was read is encrypted */
};

/*
 * A pem_password_cb whose argument is a struct tls_passphrase_request. It stands in for OpenSSL's
 * default, which would ask on the terminal and so hang a service.
 */
int tls_passphrase_answer(char *ret_bytes, int capacity, int writing, void *argument);

#endif
