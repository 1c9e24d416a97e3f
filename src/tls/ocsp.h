/*
 * tls/ocsp.h — OCSP responses out of files, to be stapled (RFC 6960; RFC 6066, section 8).
 *
 * A response is matched to the certificate that it is about by serial number and issuer's name. It
 * has to say "good", and until when: one that says neither is refused when it is loaded. One whose
 * time has run out is not refused, then or later, it is just not sent: time passing must not keep a
 * server from starting. The responder's signature is the client's to check: the issuer's
 * certificate is not always at hand here, and the file is the operator's own.
 */
#ifndef TLS_OCSP_H
#define TLS_OCSP_H

#include "base/buffer.h"

#include "certpost/error.h"

#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tls_ocsp {
    char *path; /* for messages */
    struct buffer der;
    int64_t this_update_s; /* of the wall clock, since 1970 */
    int64_t next_update_s;
    atomic_bool expiry_noted;
};

/* A response is a few hundred bytes, a few thousand with certificates in it. */
enum { TLS_OCSP_MAX_BYTES = 64 * 1024 };

/* A clock of a responder that runs ahead of ours by so much is not held against it. */
enum { TLS_OCSP_CLOCK_SKEW_S = 300 };

/*
 * Reads a response in DER and checks it. `*ret_index` says which of `leaves` it is about. Errors:
 * OWN_CERTIFICATE with words that name the file, NO_MEMORY. Free with tls_ocsp_free.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_ocsp_load(const char *path, X509 *const *leaves, size_t leaf_count,
                                   int64_t now_s, struct tls_ocsp **ret_ocsp, size_t *ret_index,
                                   struct certpost_error *error);
void tls_ocsp_free(struct tls_ocsp *ocsp);

/* True while the response may be sent. */
bool tls_ocsp_is_current(const struct tls_ocsp *ocsp, int64_t now_s);

/* True once: the first caller that has seen the response's time run out says so. Any thread. */
bool tls_ocsp_note_expiry(struct tls_ocsp *ocsp);

#endif
