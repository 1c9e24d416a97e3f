/*
 * failure.c — why handshakes fail, as a short list (tls/failure.h).
 *
 * Uses: OpenSSL.  Used by: explain.c, server/metrics_peer.c.
 * Never: allocates; the kind itself is what OpenSSL keeps in the SSL's slot.
 */
#include "tls/failure.h"

#include "tls/peer_internal.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdint.h>

struct failure_row {
    int code;
    enum tls_failure failure;
};

static const struct failure_row failure_reasons[] = {
    {SSL_R_HTTP_REQUEST, TLS_FAILURE_NOT_TLS},
    {SSL_R_HTTPS_PROXY_REQUEST, TLS_FAILURE_NOT_TLS},
    {SSL_R_WRONG_VERSION_NUMBER, TLS_FAILURE_NOT_TLS},
    {SSL_R_BAD_RECORD_TYPE, TLS_FAILURE_NOT_TLS},
    {SSL_R_PACKET_LENGTH_TOO_LONG, TLS_FAILURE_NOT_TLS},
    {SSL_R_UNSUPPORTED_PROTOCOL, TLS_FAILURE_VERSION},
    {SSL_R_VERSION_TOO_LOW, TLS_FAILURE_VERSION},
    {SSL_R_VERSION_TOO_HIGH, TLS_FAILURE_VERSION},
    {SSL_R_UNKNOWN_PROTOCOL, TLS_FAILURE_VERSION},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, TLS_FAILURE_VERSION},
    {SSL_R_NO_SHARED_CIPHER, TLS_FAILURE_CIPHER},
    {SSL_R_NO_SUITABLE_KEY_SHARE, TLS_FAILURE_GROUP},
    {SSL_R_NO_SUITABLE_GROUPS, TLS_FAILURE_GROUP},
    {SSL_R_NO_SHARED_GROUPS, TLS_FAILURE_GROUP},
    {SSL_R_WRONG_CURVE, TLS_FAILURE_GROUP},
    {SSL_R_BAD_KEY_SHARE, TLS_FAILURE_GROUP},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, TLS_FAILURE_SIGNATURE},
    {SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, TLS_FAILURE_SIGNATURE},
    {SSL_R_NO_APPLICATION_PROTOCOL, TLS_FAILURE_ALPN},
    {SSL_R_CALLBACK_FAILED, TLS_FAILURE_NAME},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TLS_FAILURE_NO_CERTIFICATE},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, TLS_FAILURE_REFUSED_BY_PEER},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, TLS_FAILURE_REFUSED_BY_PEER},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, TLS_FAILURE_REFUSED_BY_PEER},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, TLS_FAILURE_REFUSED_BY_PEER},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, TLS_FAILURE_REFUSED_BY_PEER},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, TLS_FAILURE_REFUSED_BY_PEER},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, TLS_FAILURE_REFUSED_BY_PEER},
};

static const struct failure_row failure_verdicts[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, TLS_FAILURE_CERTIFICATE_EXPIRED},
    {X509_V_ERR_CERT_NOT_YET_VALID, TLS_FAILURE_CERTIFICATE_EXPIRED},
    {X509_V_ERR_CERT_REVOKED, TLS_FAILURE_CERTIFICATE_REVOKED},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, TLS_FAILURE_CERTIFICATE_UNKNOWN_CA},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, TLS_FAILURE_CERTIFICATE_UNKNOWN_CA},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, TLS_FAILURE_CERTIFICATE_UNKNOWN_CA},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLS_FAILURE_CERTIFICATE_UNKNOWN_CA},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, TLS_FAILURE_CERTIFICATE_UNKNOWN_CA},
    /* What context_verify.c takes for a certificate that is on no allow list. */
    {X509_V_ERR_PERMITTED_VIOLATION, TLS_FAILURE_CERTIFICATE_NOT_ALLOWED},
};

static int failure_index = -1;
static pthread_once_t failure_index_once = PTHREAD_ONCE_INIT;

static void failure_make_index(void)
{
    failure_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static bool failure_has_index(void)
{
    (void)pthread_once(&failure_index_once, failure_make_index);
    return failure_index >= 0;
}

static enum tls_failure failure_find(const struct failure_row *rows, size_t count, long code,
                                     enum tls_failure rest)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].code == code)
            return rows[i].failure;
    }
    return rest;
}

static enum tls_failure failure_from(const SSL *ssl, unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return TLS_FAILURE_OTHER;
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return failure_find(failure_verdicts, sizeof failure_verdicts / sizeof failure_verdicts[0],
                            tls_peer_refusal_code(ssl), TLS_FAILURE_CERTIFICATE);
    return failure_find(failure_reasons, sizeof failure_reasons / sizeof failure_reasons[0], reason,
                        reason > SSL_AD_REASON_OFFSET ? TLS_FAILURE_ALERT : TLS_FAILURE_OTHER);
}

void tls_failure_note(SSL *ssl, unsigned long code)
{
    enum tls_failure failure = failure_from(ssl, code);
    if (failure_has_index() && tls_failure_of(ssl) == TLS_FAILURE_NONE)
        (void)SSL_set_ex_data(ssl, failure_index, (void *)(uintptr_t)failure);
}

enum tls_failure tls_failure_of(const SSL *ssl)
{
    return failure_has_index() ? (enum tls_failure)(uintptr_t)SSL_get_ex_data(ssl, failure_index)
                               : TLS_FAILURE_NONE;
}
