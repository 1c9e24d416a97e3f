/*
 * signer.c — signs receipts with a server's own keys (receipt/signer.h).
 *
 * A signer is tried once when it is made: it signs the longest statement there can be, and checks
 * the result as a stranger would. Whatever OpenSSL cannot do with a key shows then, and not when
 * the first client asks. (OpenSSL 3.0 has no CMS for Ed25519.)
 *
 * Uses: wire/statement, tls/material, signature, OpenSSL's CMS.  Used by: server.
 * Never: knows a connection, or decides what is true: whoever calls has a store's word for it.
 */
#include "receipt/signer.h"

#include "base/error.h"
#include "receipt/signature.h"
#include "tls/explain.h"
#include "tls/material.h"
#include "wire/frame.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Two lengths of 16 bits stand before the fields of RECEIPT (docs/protocol.md, 4.9). */
enum { SIGNER_SIGNATURE_MAX_BYTES = FRAME_RECEIPT_MAX_BYTES - STATEMENT_TEXT_MAX_BYTES - 4 };

enum { SIGNER_FLAGS = CMS_BINARY | CMS_DETACHED | CMS_NOSMIMECAP };

struct receipt_signer {
    struct tls_credential credential;
    STACK_OF(X509) * above; /* of the chain, what a verifier needs: all but roots; borrowed */
    const EVP_MD *digest;   /* NULL: the key brings its own */
};

struct receipt_signers {
    size_t count;
    struct receipt_signer **signers; /* one for each pair; NULL: it cannot sign */
};

/* ------------------------------------------------------------------------------ one signature */

/* The statement's time, for readers that know nothing of statements. */
static bool signer_set_time(CMS_SignerInfo *info, int64_t time_ms)
{
    ASN1_TIME *time = ASN1_TIME_set(NULL, (time_t)(time_ms / 1000));
    bool done = time != NULL &&
                CMS_signed_add1_attr_by_NID(info, NID_pkcs9_signingTime, time->type, time, -1) == 1;
    ASN1_TIME_free(time);
    return done;
}

static CMS_ContentInfo *signer_begin(const struct receipt_signer *signer, int64_t time_ms)
{
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, signer->above, NULL, SIGNER_FLAGS | CMS_PARTIAL);
    if (cms == NULL)
        return NULL;
    unsigned flags = SIGNER_FLAGS | CMS_PARTIAL;
    /* Without it, a key that is for RSA-PSS alone signs with a padding that it may not have. */
    if (EVP_PKEY_is_a(signer->credential.key, "RSA-PSS") == 1)
        flags |= CMS_KEY_PARAM;
    CMS_SignerInfo *info = CMS_add1_signer(cms, signer->credential.leaf, signer->credential.key,
                                           signer->digest, flags);
    if (info != NULL && signer_set_time(info, time_ms))
        return cms;
    CMS_ContentInfo_free(cms);
    return NULL;
}

static bool signer_finish(CMS_ContentInfo *cms, const struct buffer *text, size_t start)
{
    BIO *content = BIO_new_mem_buf(buffer_bytes(text) + start, (int)(text->length - start));
    bool done = content != NULL && CMS_final(cms, content, NULL, SIGNER_FLAGS) == 1;
    BIO_free(content);
    return done;
}

static enum certpost_status signer_encode(CMS_ContentInfo *cms, struct buffer *signature)
{
    int length = i2d_CMS_ContentInfo(cms, NULL);
    if (length <= 0)
        return CERTPOST_NO_MEMORY;
    unsigned char *tail = NULL;
    enum certpost_status status = buffer_reserve(signature, (size_t)length, &tail);
    if (status != CERTPOST_OK)
        return status;
    if (i2d_CMS_ContentInfo(cms, &tail) != length)
        return CERTPOST_NO_MEMORY;
    buffer_commit(signature, (size_t)length);
    return CERTPOST_OK;
}

/*
 * Every receipt is checked before it leaves: out of memory, OpenSSL has been seen to report success
 * for a signature that is none, and a faulty RSA signature can give the key away.
 */
static enum certpost_status signer_check(const struct buffer *text, size_t text_start,
                                         const struct buffer *signature, size_t signature_start,
                                         struct certpost_error *error)
{
    struct receipt_signature *parsed = NULL;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status =
        receipt_signature_parse(buffer_bytes(signature) + signature_start,
                                signature->length - signature_start, &parsed, &cause);
    if (status == CERTPOST_OK)
        status = receipt_signature_check(parsed, buffer_bytes(text) + text_start,
                                         text->length - text_start, &cause);
    receipt_signature_free(parsed);
    if (status == CERTPOST_OK || status == CERTPOST_NO_MEMORY)
        return status == CERTPOST_OK ? status : error_no_memory(error);
    return error_set(error, CERTPOST_OWN_CERTIFICATE,
                     "a receipt that was just signed is not good: %s",
                     certpost_error_text(&cause, status));
}

enum certpost_status receipt_signer_sign(const struct receipt_signer *signer,
                                         const struct statement *statement, struct buffer *text,
                                         struct buffer *signature, struct certpost_error *error)
{
    size_t start = text->length;
    size_t signature_start = signature->length;
    enum certpost_status status = statement_append(text, statement);
    if (status != CERTPOST_OK)
        return error_set(error, status, "the statement of a receipt cannot be made: %s",
                         certpost_status_sentence(status));
    ERR_clear_error();
    CMS_ContentInfo *cms = signer_begin(signer, statement->time_ms);
    if (cms == NULL || !signer_finish(cms, text, start)) {
        const char *words = NULL;
        status = tls_explain_no_memory(&words) ? error_no_memory(error)
                                               : error_set(error, CERTPOST_OWN_CERTIFICATE,
                                                           "a receipt cannot be signed: %s", words);
        goto done;
    }
    status = signer_encode(cms, signature);
    if (status != CERTPOST_OK)
        (void)error_set(error, status, "a receipt's signature cannot be kept: %s",
                        certpost_status_sentence(status));
    else
        status = signer_check(text, start, signature, signature_start, error);
done:
    CMS_ContentInfo_free(cms);
    return status;
}

/* ------------------------------------------------------------------------------ one signer */

/* The longest statement: every byte of every value becomes four. */
static struct statement signer_longest(void)
{
    struct statement longest = {
        .server_length = STATEMENT_SERVER_MAX_BYTES,
        .identity_length = STATEMENT_IDENTITY_MAX_BYTES,
        .stream_length = STATEMENT_STREAM_MAX_BYTES,
        .seq = INT64_MAX,
        .time_ms = 0,
    };
    return longest;
}

static enum certpost_status signer_try(const struct receipt_signer *signer, const char *path,
                                       struct certpost_error *error)
{
    struct statement longest = signer_longest();
    struct buffer text;
    struct buffer signature;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    buffer_init(&text, STATEMENT_TEXT_MAX_BYTES);
    buffer_init(&signature, SIGNER_SIGNATURE_MAX_BYTES);
    enum certpost_status status = receipt_signer_sign(signer, &longest, &text, &signature, &cause);
    if (status == CERTPOST_LIMIT)
        status = error_set(error, CERTPOST_OWN_CERTIFICATE,
                           "no receipts with certificate %s: with its chain, the signature has "
                           "more than %d bytes",
                           path, (int)SIGNER_SIGNATURE_MAX_BYTES);
    else if (status != CERTPOST_OK && status != CERTPOST_NO_MEMORY)
        status = error_set(error, CERTPOST_OWN_CERTIFICATE,
                           "no receipts with certificate %s: OpenSSL %s cannot sign them with a "
                           "key of type %s (%s)",
                           path, OpenSSL_version(OPENSSL_VERSION_STRING),
                           EVP_PKEY_get0_type_name(signer->credential.key),
                           certpost_error_text(&cause, status));
    buffer_free(&signature);
    buffer_free(&text);
    return status;
}

/* A verifier has the root, or does not trust it; and CMS takes no certificate twice. */
static bool signer_needs(const struct receipt_signer *signer, X509 *link)
{
    if (X509_NAME_cmp(X509_get_subject_name(link), X509_get_issuer_name(link)) == 0 ||
        X509_cmp(signer->credential.leaf, link) == 0)
        return false;
    for (int i = 0; i < sk_X509_num(signer->above); i++) {
        if (X509_cmp(sk_X509_value(signer->above, i), link) == 0)
            return false;
    }
    return true;
}

static bool signer_keep_above(struct receipt_signer *signer)
{
    signer->above = sk_X509_new_null();
    if (signer->above == NULL)
        return false;
    for (int i = 0; i < sk_X509_num(signer->credential.chain); i++) {
        X509 *link = sk_X509_value(signer->credential.chain, i);
        if (signer_needs(signer, link) && sk_X509_push(signer->above, link) <= 0)
            return false;
    }
    return true;
}

void receipt_signer_free(struct receipt_signer *signer)
{
    if (signer == NULL)
        return;
    sk_X509_free(signer->above);
    tls_credential_free(&signer->credential);
    free(signer);
}

enum certpost_status receipt_signer_new(const struct tls_pair *pair,
                                        struct receipt_signer **ret_signer,
                                        struct certpost_error *error)
{
    struct receipt_signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL)
        return error_no_memory(error);
    enum certpost_status status = tls_credential_parse(pair, &signer->credential, error);
    if (status != CERTPOST_OK)
        goto done;
    const EVP_PKEY *key = signer->credential.key;
    bool takes_digest = EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "RSA-PSS") == 1 ||
                        EVP_PKEY_is_a(key, "EC") == 1;
    signer->digest = takes_digest ? EVP_sha256() : NULL;
    status = signer_keep_above(signer) ? signer_try(signer, pair->certificate_path, error)
                                       : error_no_memory(error);
done:
    if (status == CERTPOST_OK)
        *ret_signer = signer;
    else
        receipt_signer_free(signer);
    return status;
}

/* ------------------------------------------------------------------------------ all signers */

void receipt_signers_free(struct receipt_signers *signers)
{
    if (signers == NULL)
        return;
    for (size_t i = 0; i < signers->count; i++)
        receipt_signer_free(signers->signers[i]);
    free(signers->signers);
    free(signers);
}

static enum certpost_status signers_fill(struct receipt_signers *signers,
                                         const struct tls_server_material *material, tls_warn warn,
                                         struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < signers->count && status == CERTPOST_OK; i++) {
        struct certpost_error cause;
        certpost_error_clear(&cause);
        status =
            receipt_signer_new(tls_server_material_pair(material, i), &signers->signers[i], &cause);
        if (status == CERTPOST_OWN_CERTIFICATE) {
            if (warn != NULL)
                warn(certpost_error_text(&cause, status));
            status = CERTPOST_OK;
        } else if (status != CERTPOST_OK) {
            status = error_adopt(error, status, &cause);
        }
    }
    return status;
}

enum certpost_status receipt_signers_new(const struct tls_server_material *material, tls_warn warn,
                                         struct receipt_signers **ret_signers,
                                         struct certpost_error *error)
{
    struct receipt_signers *signers = calloc(1, sizeof *signers);
    if (signers == NULL)
        return error_no_memory(error);
    enum certpost_status status = CERTPOST_OK;
    size_t count = tls_server_material_pair_count(material);
    signers->signers = calloc(count > 0 ? count : 1, sizeof(struct receipt_signer *));
    if (signers->signers == NULL) {
        status = error_no_memory(error);
        goto done;
    }
    signers->count = count;
    status = signers_fill(signers, material, warn, error);
done:
    if (status == CERTPOST_OK)
        *ret_signers = signers;
    else
        receipt_signers_free(signers);
    return status;
}

const struct receipt_signer *receipt_signers_find(const struct receipt_signers *signers,
                                                  const SSL *ssl)
{
    const X509 *served = SSL_get_certificate(ssl);
    if (served == NULL)
        return NULL;
    for (size_t i = 0; i < signers->count; i++) {
        const struct receipt_signer *signer = signers->signers[i];
        if (signer != NULL && X509_cmp(signer->credential.leaf, served) == 0)
            return signer;
    }
    return NULL;
}
