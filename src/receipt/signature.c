/*
 * signature.c — parsing and checking the signature of a receipt (receipt/signature.h).
 *
 * OpenSSL's CMS_verify is asked for the mathematics only. It would look for a purpose that server
 * certificates do not have (S/MIME), at the present time, without a name; and its words do not say
 * which certificate of the chain is at fault. So the chain is verified here.
 *
 * Uses: base, tls/explain, OpenSSL's CMS.  Used by: signer, client; the fuzzers.
 * Never: judges dates by the clock; the caller says at which time. (Revocation is as of now.)
 */
#include "receipt/signature.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "tls/explain.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* OpenSSL's level for 112 bits, which is what a TLS client asks for by default on Debian. */
enum { SIGNATURE_SECURITY_LEVEL = 2 };

enum { SIGNATURE_NAME_MAX_BYTES = 253 };

struct receipt_signature {
    CMS_ContentInfo *cms;
    STACK_OF(X509) * certificates; /* all that came with it; owned */
    X509 *signer;                  /* one of them */
    const char *micalg;
};

/* ------------------------------------------------------------------------------ parse */

static enum certpost_status signature_refuse(struct certpost_error *error, const char *words)
{
    ERR_clear_error();
    return error_set(error, CERTPOST_PEER_CERTIFICATE, "the receipt's signature %s", words);
}

static const char *signature_micalg_of(CMS_SignerInfo *info)
{
    static const struct {
        int nid;
        const char *name;
    } digests[] = {
        {NID_sha256, "sha-256"},
        {NID_sha384, "sha-384"},
        {NID_sha512, "sha-512"},
    };
    X509_ALGOR *digest = NULL;
    const ASN1_OBJECT *object = NULL;
    CMS_SignerInfo_get0_algs(info, NULL, NULL, &digest, NULL);
    if (digest == NULL)
        return NULL;
    X509_ALGOR_get0(&object, NULL, NULL, digest);
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        if (OBJ_obj2nid(object) == digests[i].nid)
            return digests[i].name;
    }
    return NULL;
}

/* The certificate that the signer names, among those that came with the signature. */
static X509 *signature_find_signer(const struct receipt_signature *signature, CMS_SignerInfo *info)
{
    for (int i = 0; i < sk_X509_num(signature->certificates); i++) {
        X509 *candidate = sk_X509_value(signature->certificates, i);
        if (CMS_SignerInfo_cert_cmp(info, candidate) == 0)
            return candidate;
    }
    return NULL;
}

static enum certpost_status signature_read(struct receipt_signature *signature,
                                           struct certpost_error *error)
{
    if (OBJ_obj2nid(CMS_get0_type(signature->cms)) != NID_pkcs7_signed)
        return signature_refuse(error, "is a CMS object of another kind");
    if (CMS_is_detached(signature->cms) != 1)
        return signature_refuse(error, "has a text of its own");
    STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(signature->cms);
    if (infos == NULL || sk_CMS_SignerInfo_num(infos) != 1)
        return signature_refuse(error, "does not have exactly one signer");
    CMS_SignerInfo *info = sk_CMS_SignerInfo_value(infos, 0);
    signature->micalg = signature_micalg_of(info);
    if (signature->micalg == NULL)
        return signature_refuse(error, "uses a digest that is not SHA-256, SHA-384 or SHA-512");
    signature->certificates = CMS_get1_certs(signature->cms);
    signature->signer = signature_find_signer(signature, info);
    if (signature->signer == NULL)
        return signature_refuse(error, "does not bring its signer's certificate");
    return CERTPOST_OK;
}

enum certpost_status receipt_signature_parse(const void *der, size_t length,
                                             struct receipt_signature **ret_signature,
                                             struct certpost_error *error)
{
    struct receipt_signature *signature = calloc(1, sizeof *signature);
    if (signature == NULL)
        return error_no_memory(error);
    enum certpost_status status = CERTPOST_OK;
    const unsigned char *next = der;
    ERR_clear_error();
    if (length > 0 && length <= LONG_MAX)
        signature->cms = d2i_CMS_ContentInfo(NULL, &next, (long)length);
    if (signature->cms == NULL || next != (const unsigned char *)der + length)
        status = signature_refuse(error, "is damaged, or not a CMS signature at all");
    else
        status = signature_read(signature, error);
    ERR_clear_error();
    if (status == CERTPOST_OK)
        *ret_signature = signature;
    else
        receipt_signature_free(signature);
    return status;
}

void receipt_signature_free(struct receipt_signature *signature)
{
    if (signature == NULL)
        return;
    sk_X509_pop_free(signature->certificates, X509_free);
    CMS_ContentInfo_free(signature->cms);
    free(signature);
}

X509 *receipt_signature_signer(const struct receipt_signature *signature)
{
    return signature->signer;
}

const char *receipt_signature_micalg(const struct receipt_signature *signature)
{
    return signature->micalg;
}

/* ------------------------------------------------------------------------------ text */

/* Why CMS_verify refused, as far as a reader can do something with it. */
static const char *signature_failure_words(void)
{
    unsigned long code = ERR_peek_error();
    while (code != 0) {
        int reason = ERR_GET_REASON(code);
        if (ERR_GET_LIB(code) == ERR_LIB_CMS &&
            (reason == CMS_R_VERIFICATION_FAILURE || reason == CMS_R_CONTENT_VERIFY_ERROR))
            break;
        (void)ERR_get_error();
        code = ERR_peek_error();
    }
    return code != 0 ? "does not fit its text: one of them was altered"
                     : "cannot be computed: it is damaged, or this OpenSSL lacks what it needs";
}

/*
 * The bytes, behind a filter that does nothing: CMS_verify makes a copy of a bare memory BIO, and
 * OpenSSL 3.0 leaks this copy where the signature names a digest that it cannot use.
 */
static BIO *signature_content(const void *text, size_t length)
{
    BIO *filter = BIO_new(BIO_f_null());
    BIO *content = BIO_new_mem_buf(text, (int)length);
    if (filter != NULL && content != NULL)
        return BIO_push(filter, content);
    BIO_free(filter);
    BIO_free(content);
    return NULL;
}

enum certpost_status receipt_signature_check(const struct receipt_signature *signature,
                                             const void *text, size_t length,
                                             struct certpost_error *error)
{
    if (length > INT_MAX)
        return signature_refuse(error, "does not fit its text: one of them was altered");
    BIO *content = signature_content(text, length);
    if (content == NULL)
        return error_no_memory(error);
    ERR_clear_error();
    int good = CMS_verify(signature->cms, NULL, NULL, content, NULL,
                          CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY);
    BIO_free_all(content);
    return good == 1 ? CERTPOST_OK : signature_refuse(error, signature_failure_words());
}

/* ------------------------------------------------------------------------------ signer */

static bool signature_name_is_address(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static enum certpost_status signature_expect_name(X509_VERIFY_PARAM *param, const char *name,
                                                  struct certpost_error *error)
{
    size_t length = strlen(name);
    /* OpenSSL takes a name with a dot in front for "any name below this one". */
    if (length == 0 || length > SIGNATURE_NAME_MAX_BYTES || name[0] == '.')
        return error_set(error, CERTPOST_USAGE,
                         "the server's name must have 1 to %d letters and not begin with a dot",
                         SIGNATURE_NAME_MAX_BYTES);
    int set = signature_name_is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
                                              : X509_VERIFY_PARAM_set1_host(param, name, length);
    return set == 1 ? CERTPOST_OK : error_no_memory(error);
}

/* The certificate at which verification stopped: the signer's own, or a CA's by its name. */
static void signature_culprit(X509_STORE_CTX *verifying, char ret_text[TLS_DN_TEXT_BYTES + 40])
{
    X509 *culprit = X509_STORE_CTX_get_current_cert(verifying);
    char name[TLS_DN_TEXT_BYTES];
    if (culprit == NULL || X509_STORE_CTX_get_error_depth(verifying) == 0) {
        snprintf(ret_text, TLS_DN_TEXT_BYTES + 40, "the certificate that signed the receipt");
        return;
    }
    tls_name_text(X509_get_subject_name(culprit), name);
    snprintf(ret_text, TLS_DN_TEXT_BYTES + 40, "the CA certificate %s", name);
}

static void signature_time_detail(X509_STORE_CTX *verifying, int64_t time_ms, char *ret_text,
                                  size_t capacity)
{
    X509 *culprit = X509_STORE_CTX_get_current_cert(verifying);
    char begins[TLS_TIME_TEXT_BYTES];
    char ends[TLS_TIME_TEXT_BYTES];
    char at[CLOCK_UTC_TEXT_BYTES];
    tls_time_text(culprit == NULL ? NULL : X509_get0_notBefore(culprit), begins);
    tls_time_text(culprit == NULL ? NULL : X509_get0_notAfter(culprit), ends);
    clock_format_utc(time_ms, at);
    snprintf(ret_text, capacity, "is not valid at %s, only from %s to %s", at, begins, ends);
}

static void signature_name_detail(X509 *signer, const char *expected, char *ret_text,
                                  size_t capacity)
{
    char names[TLS_NAMES_TEXT_BYTES];
    char safe[TEXT_ESCAPE_MAX * 48];
    tls_certificate_names(signer, names);
    text_escape(expected, strlen(expected), safe, sizeof safe);
    snprintf(ret_text, capacity, "is for other names: expected %s, it has %s", safe, names);
}

static void signature_issuer_detail(X509_STORE_CTX *verifying, int code, char *ret_text,
                                    size_t capacity)
{
    X509 *culprit = X509_STORE_CTX_get_current_cert(verifying);
    char issuer[TLS_DN_TEXT_BYTES];
    tls_name_text(culprit == NULL ? NULL : X509_get_issuer_name(culprit), issuer);
    snprintf(ret_text, capacity, "%s (its issuer is %s)", tls_certificate_fault(code), issuer);
}

static enum certpost_status signature_explain(X509_STORE_CTX *verifying,
                                              const struct receipt_trust *trust,
                                              const struct receipt_signature *signature,
                                              struct certpost_error *error)
{
    char culprit[TLS_DN_TEXT_BYTES + 40];
    char detail[TLS_NAMES_TEXT_BYTES + TLS_DN_TEXT_BYTES + 100];
    int code = X509_STORE_CTX_get_error(verifying);
    signature_culprit(verifying, culprit);
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        signature_time_detail(verifying, trust->time_ms, detail, sizeof detail);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        signature_name_detail(signature->signer, trust->server_name, detail, sizeof detail);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        signature_issuer_detail(verifying, code, detail, sizeof detail);
        break;
    default:
        snprintf(detail, sizeof detail, "%s", tls_certificate_fault(code));
        break;
    }
    ERR_clear_error();
    return error_set(error, CERTPOST_PEER_CERTIFICATE, "%s %s", culprit, detail);
}

static enum certpost_status signature_set_rules(X509_STORE_CTX *verifying,
                                                const struct receipt_trust *trust,
                                                struct certpost_error *error)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(verifying);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_auth_level(param, SIGNATURE_SECURITY_LEVEL);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_STORE_CTX_set_purpose(verifying, X509_PURPOSE_SSL_SERVER) != 1)
        return error_no_memory(error);
    return trust->server_name == NULL ? CERTPOST_OK
                                      : signature_expect_name(param, trust->server_name, error);
}

/* The certificates' dates have been judged, at another time than the list's. */
static int signature_pass_dates(int good, X509_STORE_CTX *verifying)
{
    int code = X509_STORE_CTX_get_error(verifying);
    return good == 1 || code == X509_V_ERR_CERT_HAS_EXPIRED ||
           code == X509_V_ERR_CERT_NOT_YET_VALID;
}

/* What one pass is about: the dates of the certificates, or revocation as of now. */
enum signature_pass { SIGNATURE_PASS_DATES, SIGNATURE_PASS_REVOCATION };

static void signature_set_pass(X509_STORE_CTX *verifying, const struct receipt_trust *trust,
                               enum signature_pass pass)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(verifying);
    if (pass == SIGNATURE_PASS_DATES) {
        X509_VERIFY_PARAM_set_time(param, (time_t)(trust->time_ms / 1000));
    } else {
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK);
        X509_STORE_CTX_set_verify_cb(verifying, signature_pass_dates);
    }
}

static enum certpost_status signature_verify(const struct receipt_signature *signature,
                                             const struct receipt_trust *trust,
                                             enum signature_pass pass, struct certpost_error *error)
{
    X509_STORE_CTX *verifying = X509_STORE_CTX_new();
    enum certpost_status status = CERTPOST_OK;
    ERR_clear_error();
    if (verifying == NULL || X509_STORE_CTX_init(verifying, trust->store, signature->signer,
                                                 signature->certificates) != 1)
        status = error_no_memory(error);
    if (status == CERTPOST_OK)
        status = signature_set_rules(verifying, trust, error);
    if (status == CERTPOST_OK) {
        signature_set_pass(verifying, trust, pass);
        if (X509_verify_cert(verifying) != 1)
            status = signature_explain(verifying, trust, signature, error);
    }
    X509_STORE_CTX_free(verifying);
    return status;
}

enum certpost_status receipt_signature_check_signer(const struct receipt_signature *signature,
                                                    const struct receipt_trust *trust,
                                                    struct certpost_error *error)
{
    enum certpost_status status = signature_verify(signature, trust, SIGNATURE_PASS_DATES, error);
    if (status == CERTPOST_OK && trust->check_revocation)
        status = signature_verify(signature, trust, SIGNATURE_PASS_REVOCATION, error);
    return status;
}
