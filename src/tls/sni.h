/*
 * tls/sni.h — which of a server's certificate pairs are for a name that a client asks for.
 *
 * Pairs are numbered in the order of their options, and a choice is a set of them: at most one of
 * each key type, so that the client's signature algorithms can choose among the set.
 *
 *   a name that pairs have    of each key type, the first pair that has the name exactly; where
 *                             there is none, the first that has it by a wildcard
 *   any other name, or none   the first pair, and of each other key type the first that has all
 *                             the names and addresses of the first pair
 *
 * Names are the DNS names among the subject alternative names (RFC 9525: a common name is none),
 * compared without regard to case (RFC 4343). A wildcard is a whole first label, `*.`, and stands
 * for exactly one label.
 */
#ifndef TLS_SNI_H
#define TLS_SNI_H

#include "certpost/error.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdint.h>

/* As many as a set has bits. */
enum { TLS_PAIRS_MAX = 64 };

struct tls_sni_pair {
    GENERAL_NAMES *names; /* NULL: none */
    int key_type;         /* EVP_PKEY_RSA, EVP_PKEY_EC, … */
    const char *path;     /* of the certificate, for error messages; borrowed */
};

struct tls_sni {
    struct tls_sni_pair pairs[TLS_PAIRS_MAX];
    size_t count;
};

/*
 * Adds the next pair. OWN_CERTIFICATE, with words that name both files, when an earlier pair has
 * the same key type and the same names, so that this one could never be chosen; or when there are
 * too many. Start with {0}; free with tls_sni_free. Afterwards any thread may read.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_sni_add(struct tls_sni *sni, const X509 *leaf, const char *path,
                                 struct certpost_error *error);
void tls_sni_free(struct tls_sni *sni);

/* The set for a client that asks for nothing that is known. */
uint64_t tls_sni_default(const struct tls_sni *sni);

/* The set for `name`; 0 when no pair has it. */
uint64_t tls_sni_find(const struct tls_sni *sni, const char *name);

#endif
