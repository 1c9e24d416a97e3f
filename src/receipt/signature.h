/*
 * receipt/signature.h — the signature of a receipt: what it is over, who made it, and whether that
 * one is to be believed.
 *
 * A signature is CMS SignedData (RFC 5652) in DER: detached, one signer, the signer's certificate
 * and the intermediate ones in it, a digest of SHA-2. The checks are separate, because they need
 * different things: a client that has just received a receipt knows whose it must be and needs no
 * CA; whoever reads it years later has a CA and the text.
 *
 * Threads: one at a time per object.
 */
#ifndef RECEIPT_SIGNATURE_H
#define RECEIPT_SIGNATURE_H

#include "certpost/error.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct receipt_signature;

/*
 * Reads a signature; any bytes may be given. PEER_CERTIFICATE with words when it is none, or none
 * of this kind; NO_MEMORY. Free with receipt_signature_free (NULL does nothing).
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_signature_parse(const void *der, size_t length,
                                             struct receipt_signature **ret_signature,
                                             struct certpost_error *error);
void receipt_signature_free(struct receipt_signature *signature);

/* The certificate that the signature says it was made with; lives as long as the signature. */
X509 *receipt_signature_signer(const struct receipt_signature *signature);

/* The name of its digest in a MIME header (RFC 8551, section 3.5.3.2): "sha-256". Static. */
const char *receipt_signature_micalg(const struct receipt_signature *signature);

/*
 * Whether the key of the signer's certificate has signed exactly these bytes. Says nothing about
 * who that is. PEER_CERTIFICATE when not.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_signature_check(const struct receipt_signature *signature,
                                             const void *text, size_t length,
                                             struct certpost_error *error);

/* Whom to believe. */
struct receipt_trust {
    X509_STORE *store;       /* the CAs, and with check_revocation their lists; not changed */
    const char *server_name; /* a DNS name or address that the signer must have; NULL: any */
    int64_t time_ms;         /* when all certificates must have been valid, since 1970 */
    bool check_revocation;   /* refuse a signer that a list names, whenever that was: a stolen */
                             /* key can write any time. The list must be current */
};

/*
 * Whether the signer's certificate is a server's, of a CA that is trusted, strictly checked
 * (X509_V_FLAG_X509_STRICT, purpose of a TLS server, keys and digests of 112 bits or more), valid
 * at that moment, and for that name, as a TLS client would check it. PEER_CERTIFICATE with words
 * that say which check failed; USAGE for a server name that is none; NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_signature_check_signer(const struct receipt_signature *signature,
                                                    const struct receipt_trust *trust,
                                                    struct certpost_error *error);

#endif
