/*
 * tls/validity.h — until when the files that TLS works with hold, and how near that end is.
 *
 * A server certificate, each certificate that is sent with it, a client CA: when one ends,
 * connections fail. A revocation list whose nextUpdate has passed refuses every client, and an OCSP
 * response is not stapled any more. One list has them all.
 *
 * The steps are those at which somebody should be told: 30, 7 and 1 days before the end, and the
 * end. For certificates they always hold. Lists and responses are made anew every few days, some
 * every few hours: for these a step holds only if it is less than half of their whole life, else
 * they would be "near their end" from the day they were made.
 *
 * Pure but for memory: the time is an argument. Threads: a list that nobody changes any more may be
 * read by any.
 */
#ifndef TLS_VALIDITY_H
#define TLS_VALIDITY_H

#include "certpost/error.h"

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

enum tls_validity_kind {
    TLS_VALIDITY_SERVER_CERTIFICATE,
    TLS_VALIDITY_CHAIN_CERTIFICATE, /* what a client is sent after the server's own */
    TLS_VALIDITY_CLIENT_CA,
    TLS_VALIDITY_CRL,           /* to its nextUpdate; a list without one has no end */
    TLS_VALIDITY_OCSP_RESPONSE, /* to its nextUpdate */
};

enum tls_validity_step {
    TLS_VALIDITY_OK,
    TLS_VALIDITY_30_DAYS, /* 30 days or less are left */
    TLS_VALIDITY_7_DAYS,
    TLS_VALIDITY_1_DAY,
    TLS_VALIDITY_ENDED, /* the moment of its end has come, or is past */
};

enum { TLS_VALIDITY_DAY_S = 24 * 60 * 60 };

struct tls_validity {
    enum tls_validity_kind kind;
    size_t position; /* in its file, from 1: kind, file and position are never twice in a list */
    char *file;      /* as the option has it: not escaped */
    char *name;      /* escaped and bounded (TLS_DN_TEXT_BYTES), never empty: a server certificate's
                        first DNS name where it has one, else its subject; a CA's subject, a list's
                        issuer; of a response, what it is about */
    int64_t not_before_s; /* since 1970, UTC */
    int64_t not_after_s;
};

/*
 * Those that end first come first. A file of client CAs may have thousands of certificates: of all
 * in the list, the TLS_VALIDITIES_MAX that end first are kept.
 */
enum { TLS_VALIDITIES_MAX = 1000 };

struct tls_validities {
    struct tls_validity *items;
    size_t count;
    size_t capacity;
};

/* "server_certificate", "chain_certificate", "client_ca", "crl", "ocsp_response". Static. */
const char *tls_validity_kind_name(enum tls_validity_kind kind);

/* "ok", "30 days", "7 days", "1 day", "ended". Static. */
const char *tls_validity_step_name(enum tls_validity_step step);

enum tls_validity_step tls_validity_step(const struct tls_validity *validity, int64_t now_s);

/* Whole days, rounded down: 0 on the last day, negative from the end on. */
int64_t tls_validity_days_left(const struct tls_validity *validity, int64_t now_s);

/*
 * Adding to a list, which {0} begins; `file` and names are copied. What has no end (a list without
 * nextUpdate, a certificate until 99991231235959Z, RFC 5280, section 4.1.2.5) or one that cannot be
 * read is left out. Errors: NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_validities_add_certificate(struct tls_validities *list,
                                                    enum tls_validity_kind kind, const char *file,
                                                    size_t position, X509 *certificate,
                                                    struct certpost_error *error);
CERTPOST_MUST_CHECK
enum certpost_status tls_validities_add_crl(struct tls_validities *list, const char *file,
                                            size_t position, const X509_CRL *crl,
                                            struct certpost_error *error);
CERTPOST_MUST_CHECK
enum certpost_status tls_validities_add_ocsp(struct tls_validities *list, const char *file,
                                             int64_t this_update_s, int64_t next_update_s,
                                             X509 *leaf, struct certpost_error *error);

/* The list is complete: puts it in order, and drops what is in it twice. */
void tls_validities_sort(struct tls_validities *list);

/* {0} again. */
void tls_validities_free(struct tls_validities *list);

#endif
