/*
 * fuzz_ocsp.c — OCSP responses out of files (tls/ocsp.h): whatever the file is, it is taken only
 * when it is about one of the certificates, and then it is known until when it holds.
 *
 * Script: u8 how. 0 to 63: the rest is the file. Else the file is a response made of the script: u8
 * allocation that fails, u8 status of the responder, then answers, each a u8 verdict, u8 serial
 * number, u8 flags, u16 hours since thisUpdate, u16 hours until nextUpdate; odd flags: a byte of
 * the file is changed.
 */
#include "fuzz/fuzz.h"
#include "tls/ocsp.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <string.h>

enum { NOW_S = 1800000000, LEAF_COUNT = 2, HOUR_S = 3600 };

static X509 *leaves[LEAF_COUNT];
static X509 *signer;
static EVP_PKEY *signer_key;
static bool answered[UINT8_MAX + 1]; /* serial numbers with an answer; all, when bytes changed */

/* Names and numbers are all that is looked at: the leaves are not signed. */
static void ocsp_make_leaves(void)
{
    static const unsigned char words[] = "issuer";
    for (int i = 0; i < LEAF_COUNT && leaves[i] == NULL; i++) {
        leaves[i] = X509_new();
        FUZZ_CHECK(leaves[i] != NULL);
        FUZZ_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(leaves[i]), i + 1) == 1);
        FUZZ_CHECK(X509_NAME_add_entry_by_NID(X509_get_issuer_name(leaves[i]), NID_commonName,
                                              MBSTRING_ASC, words, sizeof words - 1, -1, 0) == 1);
    }
}

/* A response without a signature cannot be encoded; whose it is makes no difference here. */
static void ocsp_make_signer(void)
{
    if (signer != NULL)
        return;
    signer_key = EVP_EC_gen("P-256");
    signer = X509_new();
    FUZZ_CHECK(signer_key != NULL && signer != NULL && X509_set_pubkey(signer, signer_key) == 1);
}

static OCSP_CERTID *ocsp_make_id(uint8_t serial_number, uint8_t flags)
{
    static const unsigned char key[] = "a key";
    const EVP_MD *digest = (flags & 2) != 0 ? EVP_sha256() : EVP_sha1();
    ASN1_BIT_STRING *key_bits = ASN1_BIT_STRING_new();
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    FUZZ_CHECK(key_bits != NULL && serial != NULL);
    FUZZ_CHECK(ASN1_BIT_STRING_set(key_bits, (unsigned char *)(uintptr_t)key, sizeof key) == 1);
    FUZZ_CHECK(ASN1_INTEGER_set(serial, serial_number) == 1);
    OCSP_CERTID *id = OCSP_cert_id_new(digest, X509_get_issuer_name(leaves[0]), key_bits, serial);
    FUZZ_CHECK(id != NULL);
    ASN1_BIT_STRING_free(key_bits);
    ASN1_INTEGER_free(serial);
    return id;
}

static void ocsp_add_answer(OCSP_BASICRESP *basic, struct cursor *script)
{
    uint8_t verdict = fuzz_u8(script);
    uint8_t serial = fuzz_u8(script);
    uint8_t flags = fuzz_u8(script);
    ASN1_TIME *this_update = ASN1_TIME_set(NULL, NOW_S - (long)fuzz_u16(script) * HOUR_S + 600);
    ASN1_TIME *next_update = NULL;
    uint16_t hours = fuzz_u16(script);
    if ((flags & 4) == 0)
        next_update = ASN1_TIME_set(NULL, NOW_S + (long)(int16_t)hours * HOUR_S);
    OCSP_CERTID *id = ocsp_make_id(serial, flags);
    answered[serial] = true;
    FUZZ_CHECK(this_update != NULL);
    (void)OCSP_basic_add1_status(basic, id, verdict % 3, 0,
                                 verdict % 3 == V_OCSP_CERTSTATUS_REVOKED ? this_update : NULL,
                                 this_update, next_update);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(this_update);
    ASN1_TIME_free(next_update);
}

/* The encoded response, changed where the script says so. */
static size_t ocsp_make(struct cursor *script, unsigned char **ret_der)
{
    uint8_t responder = fuzz_u8(script);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    FUZZ_CHECK(basic != NULL);
    uint8_t flags = 0;
    for (int count = 0; count < 16 && script->left_bytes >= 7; count++) {
        flags |= script->next[2];
        ocsp_add_answer(basic, script);
    }
    bool whole = responder % 8 != 7;
    FUZZ_CHECK(OCSP_basic_sign(basic, signer, signer_key, EVP_sha256(), NULL, OCSP_NOCERTS) == 1);
    OCSP_RESPONSE *response =
        OCSP_response_create(responder % 8 < 6 ? 0 : responder % 8, whole ? basic : NULL);
    /* An answer that cannot be encoded makes none. */
    int length = response != NULL ? i2d_OCSP_RESPONSE(response, ret_der) : 0;
    if (length > 0 && (flags & 1) != 0) {
        memset(answered, true, sizeof answered);
        (*ret_der)[fuzz_u16(script) % length] = fuzz_u8(script);
    }
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    ERR_clear_error();
    return length > 0 ? (size_t)length : 0;
}

static void ocsp_check(const void *der, size_t length, struct cursor *fault)
{
    struct tls_ocsp *ocsp = NULL;
    size_t index = LEAF_COUNT;
    struct certpost_error error;
    certpost_error_clear(&error);
    const char *path = fuzz_file(der, length);
    fuzz_arm_memory(fault);
    enum certpost_status status =
        tls_ocsp_load(path, leaves, LEAF_COUNT, NOW_S, &ocsp, &index, &error);
    bool struck = fuzz_heal_memory();
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_OWN_CERTIFICATE ||
               (status == CERTPOST_NO_MEMORY && struck));
    FUZZ_CHECK(ERR_peek_error() == 0);
    if (status != CERTPOST_OK)
        return;
    FUZZ_CHECK(index < LEAF_COUNT && answered[index + 1]);
    FUZZ_CHECK(!tls_ocsp_is_current(ocsp, INT64_MAX));
    FUZZ_CHECK(tls_ocsp_note_expiry(ocsp) && !tls_ocsp_note_expiry(ocsp));
    tls_ocsp_free(ocsp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    ocsp_make_leaves();
    ocsp_make_signer();
    bool raw = fuzz_u8(&script) < 64;
    struct cursor fault = script;
    memset(answered, raw, sizeof answered);
    if (raw) {
        fault.left_bytes = 0;
        ocsp_check(script.next, script.left_bytes, &fault);
    } else {
        unsigned char *der = NULL;
        (void)fuzz_u8(&script);
        size_t length = ocsp_make(&script, &der);
        ocsp_check(der, length, &fault);
        OPENSSL_free(der);
    }
    tls_ocsp_free(NULL);
    return 0;
}
