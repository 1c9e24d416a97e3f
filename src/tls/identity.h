/*
 * tls/identity.h — who a peer is: the one name of its verified certificate that everything else
 * goes by (docs/protocol.md: a stream belongs to an identity).
 *
 *     uri: and the first URI among the subject alternative names, else
 *     dns: and the first DNS name among them, else
 *     cn:  and the subject's common name;
 *     empty without a certificate.
 *
 * It is length-counted bytes, compared byte for byte, kind included: a URI never equals a DNS name
 * or a common name. Letters keep the case that the CA gave them. No identity has a NUL byte in it,
 * or a control character, or is longer than TLS_IDENTITY_MAX_BYTES; which certificates are refused
 * for their names is told in tls/names.h.
 */
#ifndef TLS_IDENTITY_H
#define TLS_IDENTITY_H

#include "tls/names.h"

#include "certpost/error.h"

#include <stddef.h>

enum { TLS_IDENTITY_MAX_BYTES = 1024 };

enum tls_identity_kind {
    TLS_IDENTITY_NONE, /* nobody: no certificate was asked for, or none was given */
    TLS_IDENTITY_URI,
    TLS_IDENTITY_DNS,
    TLS_IDENTITY_CN,
};

struct tls_identity {
    enum tls_identity_kind kind;
    unsigned char *bytes; /* with the mark of the kind in front; NULL for NONE */
    size_t length;
};

/*
 * The identity that a certificate carries. Whether the certificate is good is not asked here: call
 * this after it was verified. Errors: PEER_CERTIFICATE, with words that go on from "refused:" ("its
 * DNS name …", "it has no name …"); NO_MEMORY. Free with tls_identity_free.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_identity_from(const struct tls_names *names,
                                       struct tls_identity *ret_identity,
                                       struct certpost_error *error);
void tls_identity_free(struct tls_identity *identity);

#endif
