/*
 * tls/names.h — the names in a certificate that certpost looks at, checked before anybody compares
 * them: URI and DNS subject alternative names, and the subject's common name.
 *
 * A name here is length-counted bytes, never a C string. What is refused, and why:
 *
 *   any name     empty; longer than its bound; with a NUL byte (a reader that stops there sees
 *                another name); with a control character, or one that is invisible or turns the
 *                direction of text (it looks like another name)
 *   URI, DNS     a space, or anything that is not ASCII (RFC 5280, section 4.2.1.6: IA5String)
 *   common name  invalid UTF-8; a space at either end; more than one common name (which of them a
 *                reader takes is chance)
 *   the list     alternative names that do not parse, or that are there twice
 *
 * One bad name spoils the certificate: falling back to the next one would let whoever wrote the
 * names choose which of them counts.
 */
#ifndef TLS_NAMES_H
#define TLS_NAMES_H

#include "certpost/error.h"

#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    TLS_NAME_URI_MAX_BYTES = 1020, /* with its kind in front, 1 KiB: what a store's key holds */
    TLS_NAME_DNS_MAX_BYTES = 253,  /* RFC 1035, section 2.3.4, in text form */
    TLS_NAME_CN_MAX_BYTES = 256,   /* 64 characters of UTF-8 (RFC 5280, ub-common-name) */
};

enum tls_name_type {
    TLS_NAME_URI,
    TLS_NAME_DNS,
    TLS_NAME_CN,
};

struct tls_name {
    const unsigned char *bytes;
    size_t length;
};

struct tls_names {
    GENERAL_NAMES *alternative; /* NULL: none */
    unsigned char *common_name_bytes;
    struct tls_name common_name; /* of length 0 when there is none */
};

/*
 * Reads and checks all names. On failure PEER_CERTIFICATE with words that go on from "its"
 * ("its DNS name a\x00b has a NUL byte in it"), or NO_MEMORY. Free with tls_names_free, whose
 * argument may be {0}.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_names_read(const X509 *certificate, struct tls_names *ret_names,
                                    struct certpost_error *error);
void tls_names_free(struct tls_names *names);

/*
 * The next alternative name of `type` (URI or DNS) from position `*at` on, which moves past it;
 * false when there is none. The bytes live as long as `names`.
 */
CERTPOST_MUST_CHECK
bool tls_names_next(const struct tls_names *names, enum tls_name_type type, int *at,
                    struct tls_name *ret_name);

/* "URI", "DNS name", "common name". Static. */
const char *tls_name_type_words(enum tls_name_type type);

/*
 * What is wrong with the bytes of a name, as words that follow the name ("has a NUL byte in it"),
 * or NULL when nothing is. Static.
 */
const char *tls_name_fault(enum tls_name_type type, struct tls_name name);

/*
 * What keeps a name from being the one that a sender is known by, beyond tls_name_fault:
 *
 *   URI          has no scheme or nothing after it
 *   DNS          has a label that is empty, too long, begins or ends with a hyphen or has other
 *                characters than letters, digits, hyphen and underscore (so a wildcard, which names
 *                many, and a final dot, which is a second spelling, are out); or looks like an
 *                address (its last label has digits only)
 *   all          begins with the mark of a kind (uri:, dns:, cn:, in any case): shown without its
 *                own mark, it would pass for a name of that kind
 */
const char *tls_name_identity_fault(enum tls_name_type type, struct tls_name name);

#endif
