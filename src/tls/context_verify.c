/*
 * context_verify.c — the verification of clients (tls/context_verify.h).
 *
 * OpenSSL chooses the alert of a failed verification by its X509_V_ERR_… code, from a table that
 * cannot be changed, and offers no other way to send one. So the code that this callback leaves
 * behind is the one with the right alert (RFC 8446, section 6.2), and the true one is kept in
 * tls/peer.h for the words. The alert access_denied, which RFC 8446 has for access control, is not
 * among those that a code leads to (docs/decisions.md).
 *
 * Uses: trust, allow, identity, peer.  Used by: context_server.c.
 * Never: lets a handshake go on that it has not judged; no way out of the callback without a
 * verdict is a good one.
 */
#include "tls/context_verify.h"

#include "base/error.h"
#include "tls/allow.h"
#include "tls/explain.h"
#include "tls/peer_internal.h"
#include "tls/trust.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Any chain of useful certificates; 2,000 clients in their handshake must not hold more. */
enum { VERIFY_CHAIN_MAX_BYTES = 64 * 1024 };

/* Codes that stand for an alert. That a code without a row of OpenSSL's leads to
 * certificate_unknown is tested, for it is nowhere promised. */
enum {
    VERIFY_ALERT_CERTIFICATE_UNKNOWN = X509_V_ERR_PERMITTED_VIOLATION,
    VERIFY_ALERT_BAD_CERTIFICATE = X509_V_ERR_CERT_REJECTED,
    VERIFY_ALERT_CERTIFICATE_EXPIRED = X509_V_ERR_CERT_HAS_EXPIRED,
    VERIFY_ALERT_INTERNAL_ERROR = X509_V_ERR_OUT_OF_MEM,
};

/* Where OpenSSL's alert would tell the client something that is not so. */
static const struct verify_row {
    int code;
    int alert_code;
} verify_rows[] = {
    /* "has expired or is not currently valid" */
    {X509_V_ERR_CERT_NOT_YET_VALID, VERIFY_ALERT_CERTIFICATE_EXPIRED},
    /* "contained signatures that did not verify correctly"; decrypt_error is the handshake's */
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, VERIFY_ALERT_BAD_CERTIFICATE},
    /* Our revocation list is at fault: neither has the client expired nor is its CA unknown. */
    {X509_V_ERR_UNABLE_TO_GET_CRL, VERIFY_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, VERIFY_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_CRL_HAS_EXPIRED, VERIFY_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_CRL_NOT_YET_VALID, VERIFY_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_CRL_SIGNATURE_FAILURE, VERIFY_ALERT_CERTIFICATE_UNKNOWN},
    /* The verification could not be begun; nothing is known about the certificate. */
    {X509_V_OK, VERIFY_ALERT_INTERNAL_ERROR},
};

static int verify_alert_code(int code)
{
    for (size_t i = 0; i < sizeof verify_rows / sizeof verify_rows[0]; i++) {
        if (verify_rows[i].code == code)
            return verify_rows[i].alert_code;
    }
    return code;
}

static int verify_refuse(X509_STORE_CTX *chain, SSL *ssl, int code, int alert_code,
                         const char *words)
{
    (void)tls_peer_refuse(ssl, X509_STORE_CTX_get0_cert(chain), code, words);
    X509_STORE_CTX_set_error(chain, alert_code);
    return 0;
}

/* Which list is out of date, and since when: only known while OpenSSL looks at it. */
static void verify_note_stale_list(X509_STORE_CTX *chain)
{
    enum { WORDS_BYTES = TLS_DN_TEXT_BYTES + TLS_TIME_TEXT_BYTES + 200 };
    const X509_CRL *list = X509_STORE_CTX_get0_current_crl(chain);
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    char issuer[TLS_DN_TEXT_BYTES];
    char ended[TLS_TIME_TEXT_BYTES];
    char words[WORDS_BYTES];
    if (list == NULL)
        return;
    tls_name_text(X509_CRL_get_issuer(list), issuer);
    tls_time_text(X509_CRL_get0_nextUpdate(list), ended);
    snprintf(words, sizeof words,
             "it cannot be checked: the revocation list of %s is out of date since %s; get a "
             "current one, give it with --crlfile and reload",
             issuer, ended);
    (void)tls_peer_refuse(ssl, X509_STORE_CTX_get0_cert(chain), X509_V_ERR_CRL_HAS_EXPIRED, words);
}

/*
 * Is asked about every fault that OpenSSL finds in a chain. A CA above the client's own may have no
 * revocation list here: its own certificate is the root's business, and is checked when there is
 * one. For everything else the fault stands.
 */
static int verify_on_fault(int good, X509_STORE_CTX *chain)
{
    if (good == 1)
        return 1;
    int fault = X509_STORE_CTX_get_error(chain);
    if (fault == X509_V_ERR_UNABLE_TO_GET_CRL && X509_STORE_CTX_get_error_depth(chain) > 0) {
        X509_STORE_CTX_set_error(chain, X509_V_OK);
        return 1;
    }
    if (fault == X509_V_ERR_CRL_HAS_EXPIRED)
        verify_note_stale_list(chain);
    return 0;
}

/* Of a chain that is good: who is it, and is it admitted? */
static enum certpost_status verify_identity(const struct tls_allow *allow, X509 *certificate,
                                            struct tls_identity *ret_identity,
                                            struct certpost_error *error)
{
    struct tls_names names = {0};
    struct tls_identity identity = {0};
    enum certpost_status status = tls_names_read(certificate, &names, error);
    if (status == CERTPOST_OK)
        status = tls_identity_from(&names, &identity, error);
    if (status == CERTPOST_OK && !tls_allow_admits(allow, &names, certificate))
        status = error_set(error, CERTPOST_REFUSED, "it is on none of the allow lists");
    if (status == CERTPOST_OK)
        *ret_identity = identity;
    else
        tls_identity_free(&identity);
    tls_names_free(&names);
    return status;
}

static int verify_client(X509_STORE_CTX *chain, void *argument)
{
    const struct tls_server_material *material = argument;
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_identity identity = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    if (X509_verify_cert(chain) != 1) {
        int code = X509_STORE_CTX_get_error(chain);
        return verify_refuse(chain, ssl, code, verify_alert_code(code), NULL);
    }
    enum certpost_status status =
        verify_identity(material->allow, X509_STORE_CTX_get0_cert(chain), &identity, &error);
    if (status == CERTPOST_OK && !tls_peer_admit(ssl, &identity))
        status = error_no_memory(&error);
    tls_identity_free(&identity);
    if (status == CERTPOST_OK)
        return 1;
    int alert = status == CERTPOST_PEER_CERTIFICATE ? VERIFY_ALERT_BAD_CERTIFICATE
                : status == CERTPOST_REFUSED        ? VERIFY_ALERT_CERTIFICATE_UNKNOWN
                                                    : VERIFY_ALERT_INTERNAL_ERROR;
    return verify_refuse(chain, ssl, alert, alert, certpost_error_text(&error, status));
}

/* ------------------------------------------------------------------------------ set-up */

static bool verify_digest_bytes(EVP_MD_CTX *digest, const void *bytes, size_t length)
{
    unsigned char counted[sizeof length];
    memcpy(counted, &length, sizeof length);
    return EVP_DigestUpdate(digest, counted, sizeof counted) == 1 &&
           EVP_DigestUpdate(digest, bytes, length) == 1;
}

static bool verify_digest_list(EVP_MD_CTX *digest, const struct options_list *list)
{
    bool done = verify_digest_bytes(digest, &list->count, sizeof list->count);
    for (size_t i = 0; i < list->count && done; i++)
        done = verify_digest_bytes(digest, list->items[i], strlen(list->items[i]));
    return done;
}

/*
 * A resumed session is not verified again. So it can be resumed only where the rules are those that
 * it was verified under: the session's id context is a digest of all of them.
 */
static enum certpost_status verify_set_session_context(const struct tls_server_material *material,
                                                       SSL_CTX *context,
                                                       struct certpost_error *error)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    const struct tls_server_setup *setup = material->setup;
    const struct tls_trust *trust = material->trust;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool done = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                verify_digest_bytes(digest, &setup->client_verify, sizeof setup->client_verify) &&
                verify_digest_bytes(digest, buffer_bytes(&trust->ca_pem), trust->ca_pem.length) &&
                verify_digest_bytes(digest, buffer_bytes(&trust->crl_pem), trust->crl_pem.length) &&
                verify_digest_list(digest, &setup->allow_dns) &&
                verify_digest_list(digest, &setup->allow_uri) &&
                verify_digest_list(digest, &setup->allow_cn) &&
                verify_digest_list(digest, &setup->allow_spki) &&
                EVP_DigestFinal_ex(digest, bytes, &length) == 1 &&
                SSL_CTX_set_session_id_context(context, bytes, length) == 1;
    EVP_MD_CTX_free(digest);
    return done ? CERTPOST_OK : error_no_memory(error);
}

enum certpost_status tls_context_verify_clients(const struct tls_server_material *material,
                                                SSL_CTX *context, struct certpost_error *error)
{
    enum tls_client_verify verify = material->setup->client_verify;
    if (verify == TLS_CLIENT_VERIFY_NONE)
        return CERTPOST_OK;
    enum certpost_status status = tls_trust_install(material->trust, context, error);
    if (status == CERTPOST_OK)
        status = verify_set_session_context(material, context, error);
    if (status != CERTPOST_OK)
        return status;
    int mode = SSL_VERIFY_PEER;
    if (verify == TLS_CLIENT_VERIFY_REQUIRE)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, verify_on_fault);
    /* The callback only reads it. */
    SSL_CTX_set_cert_verify_callback(context, verify_client, (void *)(uintptr_t)material);
    SSL_CTX_set_max_cert_list(context, VERIFY_CHAIN_MAX_BYTES);
    return CERTPOST_OK;
}
