/*
 * peer_log.c — who a connection's peer was (server/peer_log.h).
 *
 * Uses: base/log, tls/peer.  Used by: plain_peer.c.
 * Never: shows a name of a certificate that was refused as an identity.
 */
#include "server/peer_log.h"

#include "tls/explain.h"
#include "tls/peer.h"

#include <openssl/bn.h>
#include <openssl/x509.h>

static void peer_log_refused(struct log_line *line, X509 *certificate)
{
    char subject[TLS_DN_TEXT_BYTES];
    char issuer[TLS_DN_TEXT_BYTES];
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *serial = number == NULL ? NULL : BN_bn2hex(number);
    tls_name_text(X509_get_subject_name(certificate), subject);
    tls_name_text(X509_get_issuer_name(certificate), issuer);
    log_text(line, "subject", subject);
    log_text(line, "issuer", issuer);
    log_text(line, "serial", serial);
    OPENSSL_free(serial);
    BN_free(number);
}

void peer_log_identity(struct log_line *line, const SSL *ssl, bool handshake_done)
{
    X509 *refused = tls_peer_refused_certificate(ssl);
    const struct tls_identity *identity = tls_peer_identity(ssl);
    if (!line->wanted)
        return;
    if (refused != NULL)
        peer_log_refused(line, refused);
    else if (identity->kind != TLS_IDENTITY_NONE)
        log_bytes(line, "identity", identity->bytes, identity->length);
    else if (handshake_done && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0)
        log_text(line, "identity", "anonymous");
}
