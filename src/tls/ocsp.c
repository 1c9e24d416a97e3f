/*
 * ocsp.c — OCSP responses out of files (tls/ocsp.h).
 *
 * Uses: base, file, OpenSSL.  Used by: server_material.c, served.c.
 * Never: asks a responder, or reads the clock.
 */
#include "tls/ocsp.h"

#include "base/error.h"
#include "tls/file.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static enum certpost_status ocsp_refuse(const char *path, const char *words,
                                        struct certpost_error *error)
{
    ERR_clear_error();
    return error_set(error, CERTPOST_OWN_CERTIFICATE, "the OCSP response %s %s", path, words);
}

/* ------------------------------------------------------------------------------ parsing */

static enum certpost_status ocsp_parse(const struct tls_ocsp *ocsp, OCSP_BASICRESP **ret_basic,
                                       struct certpost_error *error)
{
    const unsigned char *der = buffer_bytes(&ocsp->der);
    const unsigned char *end = der + ocsp->der.length;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &der, (long)ocsp->der.length);
    if (response == NULL || der != end) {
        OCSP_RESPONSE_free(response);
        return ocsp_refuse(ocsp->path, "is no OCSP response in DER format", error);
    }
    enum certpost_status status = CERTPOST_OK;
    OCSP_BASICRESP *basic = NULL;
    if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        status = ocsp_refuse(ocsp->path, "reports a failure of the responder", error);
    else if ((basic = OCSP_response_get1_basic(response)) == NULL)
        status = ocsp_refuse(ocsp->path, "has no basic response in it", error);
    else
        *ret_basic = basic;
    OCSP_RESPONSE_free(response);
    return status;
}

static bool ocsp_is_about(const OCSP_SINGLERESP *single, const X509 *leaf)
{
    ASN1_OCTET_STRING *issuer_hash = NULL;
    ASN1_OBJECT *digest_name = NULL;
    ASN1_INTEGER *serial = NULL;
    unsigned char expected[EVP_MAX_MD_SIZE];
    unsigned int expected_bytes = 0;
    /* A copy, because OpenSSL asks for one that it could change. */
    OCSP_CERTID *id = OCSP_CERTID_dup(OCSP_SINGLERESP_get0_id(single));
    bool about = id != NULL &&
                 OCSP_id_get0_info(&issuer_hash, &digest_name, NULL, &serial, id) == 1 &&
                 ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;
    const EVP_MD *digest = about ? EVP_get_digestbyobj(digest_name) : NULL;
    about = about && digest != NULL &&
            X509_NAME_digest(X509_get_issuer_name(leaf), digest, expected, &expected_bytes) == 1 &&
            ASN1_STRING_length(issuer_hash) == (int)expected_bytes &&
            memcmp(ASN1_STRING_get0_data(issuer_hash), expected, expected_bytes) == 0;
    OCSP_CERTID_free(id);
    return about;
}

/* The first answer that is about one of the certificates; NULL when there is none. */
static OCSP_SINGLERESP *ocsp_find(OCSP_BASICRESP *basic, X509 *const *leaves, size_t leaf_count,
                                  size_t *ret_index)
{
    for (int at = 0; at < OCSP_resp_count(basic); at++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, at);
        for (size_t i = 0; i < leaf_count; i++) {
            if (ocsp_is_about(single, leaves[i])) {
                *ret_index = i;
                return single;
            }
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------ judging */

static bool ocsp_time(const ASN1_GENERALIZEDTIME *time, int64_t *ret_s)
{
    struct tm parts = {0};
    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
        return false;
    *ret_s = (int64_t)timegm(&parts);
    return true;
}

static enum certpost_status ocsp_judge(struct tls_ocsp *ocsp, OCSP_SINGLERESP *single,
                                       int64_t now_s, struct certpost_error *error)
{
    ASN1_GENERALIZEDTIME *this_update = NULL;
    ASN1_GENERALIZEDTIME *next_update = NULL;
    int verdict = OCSP_single_get0_status(single, NULL, NULL, &this_update, &next_update);
    if (verdict == V_OCSP_CERTSTATUS_REVOKED)
        return ocsp_refuse(ocsp->path, "says that the certificate is revoked; get another one",
                           error);
    if (verdict != V_OCSP_CERTSTATUS_GOOD)
        return ocsp_refuse(ocsp->path, "says that the responder does not know the certificate",
                           error);
    if (!ocsp_time(this_update, &ocsp->this_update_s))
        return ocsp_refuse(ocsp->path, "has a time in it that cannot be read", error);
    if (ocsp->this_update_s > now_s + TLS_OCSP_CLOCK_SKEW_S)
        return ocsp_refuse(ocsp->path, "is from the future; check the clocks", error);
    if (!ocsp_time(next_update, &ocsp->next_update_s))
        return ocsp_refuse(ocsp->path,
                           "does not say until when it holds (nextUpdate), so it cannot be stapled",
                           error);
    return CERTPOST_OK;
}

static enum certpost_status ocsp_check(struct tls_ocsp *ocsp, X509 *const *leaves,
                                       size_t leaf_count, int64_t now_s, size_t *ret_index,
                                       struct certpost_error *error)
{
    OCSP_BASICRESP *basic = NULL;
    enum certpost_status status = ocsp_parse(ocsp, &basic, error);
    if (status != CERTPOST_OK)
        return status;
    OCSP_SINGLERESP *single = ocsp_find(basic, leaves, leaf_count, ret_index);
    if (single == NULL)
        status = ocsp_refuse(ocsp->path, "is about none of the certificates", error);
    else
        status = ocsp_judge(ocsp, single, now_s, error);
    OCSP_BASICRESP_free(basic);
    ERR_clear_error();
    return status;
}

enum certpost_status tls_ocsp_load(const char *path, X509 *const *leaves, size_t leaf_count,
                                   int64_t now_s, struct tls_ocsp **ret_ocsp, size_t *ret_index,
                                   struct certpost_error *error)
{
    struct tls_ocsp *ocsp = calloc(1, sizeof *ocsp);
    if (ocsp == NULL)
        return error_no_memory(error);
    buffer_init(&ocsp->der, TLS_OCSP_MAX_BYTES);
    atomic_init(&ocsp->expiry_noted, false);
    ocsp->path = strdup(path);
    enum certpost_status status = CERTPOST_OK;
    if (ocsp->path == NULL)
        status = error_no_memory(error);
    if (status == CERTPOST_OK)
        status = tls_file_load(path, "OCSP response", CERTPOST_OWN_CERTIFICATE, &ocsp->der, error);
    if (status == CERTPOST_OK)
        status = ocsp_check(ocsp, leaves, leaf_count, now_s, ret_index, error);
    if (status == CERTPOST_OK)
        *ret_ocsp = ocsp;
    else
        tls_ocsp_free(ocsp);
    return status;
}

void tls_ocsp_free(struct tls_ocsp *ocsp)
{
    if (ocsp == NULL)
        return;
    buffer_free(&ocsp->der);
    free(ocsp->path);
    free(ocsp);
}

bool tls_ocsp_is_current(const struct tls_ocsp *ocsp, int64_t now_s)
{
    return now_s < ocsp->next_update_s;
}

bool tls_ocsp_note_expiry(struct tls_ocsp *ocsp)
{
    return !atomic_exchange(&ocsp->expiry_noted, true);
}
