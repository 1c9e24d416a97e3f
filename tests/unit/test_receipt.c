/*
 * test_receipt.c — receipts signed by a server's key, and what a reader must refuse.
 */
#include "receipt/file.h"
#include "receipt/signature.h"
#include "receipt/signer.h"
#include "support/server_files.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/material.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { HOUR_S = 3600, THREADS = 4, RECEIPTS_OF_A_THREAD = 8 };

/* One signed receipt, with what made it. */
struct scene {
    struct test_pki pki;
    struct server_files files;
    struct tls_pair *pair;
    struct receipt_signer *signer;
    X509_STORE *store;
    struct statement statement;
    struct buffer text;
    struct buffer signature;
    struct buffer file;
};

static struct statement some_statement(void)
{
    struct statement statement = {.seq = 3, .time_ms = (int64_t)time(NULL) * 1000};
    memcpy(statement.server, "post", 4);
    statement.server_length = 4;
    memcpy(statement.stream, "log", 3);
    statement.stream_length = 3;
    memset(statement.digest, 0xd1, sizeof statement.digest);
    return statement;
}

static void sign(struct scene *scene)
{
    buffer_clear(&scene->text);
    buffer_clear(&scene->signature);
    buffer_clear(&scene->file);
    assert_ok(receipt_signer_sign(scene->signer, &scene->statement, &scene->text, &scene->signature,
                                  NULL));
    assert_ok(receipt_file_append(&scene->file, buffer_bytes(&scene->text), scene->text.length,
                                  buffer_bytes(&scene->signature), scene->signature.length,
                                  "sha-256"));
}

static struct scene *scene_new(struct test_leaf leaf)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->pki = test_pki_make(leaf);
    server_files_write(&scene->files, &scene->pki);
    buffer_init(&scene->text, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(&scene->signature, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(&scene->file, RECEIPT_FILE_MAX_BYTES);
    assert_ok(tls_pair_load(scene->files.certificate, scene->files.key, &scene->pair, NULL));
    assert_ok(receipt_signer_new(scene->pair, &scene->signer, NULL));
    scene->store = X509_STORE_new();
    assert_non_null(scene->store);
    assert_int_equal(X509_STORE_add_cert(scene->store, scene->pki.ca), 1);
    scene->statement = some_statement();
    sign(scene);
    return scene;
}

static void scene_free(struct scene *scene)
{
    buffer_free(&scene->file);
    buffer_free(&scene->signature);
    buffer_free(&scene->text);
    X509_STORE_free(scene->store);
    receipt_signer_free(scene->signer);
    tls_pair_free(scene->pair);
    server_files_remove(&scene->files);
    test_pki_free(&scene->pki);
    free(scene);
}

static int set_up(void **state)
{
    *state = scene_new((struct test_leaf){0});
    return 0;
}

static int tear_down(void **state)
{
    scene_free(*state);
    return 0;
}

static void read_scene(const struct scene *scene, struct receipt *ret_receipt)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    if (receipt_from_fields(buffer_bytes(&scene->text), scene->text.length,
                            buffer_bytes(&scene->signature), scene->signature.length, ret_receipt,
                            &error) != CERTPOST_OK)
        fail_msg("%s", error.text);
}

/* Checks the signer with this trust; the words of a refusal must contain `words`. */
static void assert_signer(const struct scene *scene, struct receipt_trust trust,
                          enum certpost_status expected, const char *words)
{
    struct receipt receipt;
    struct certpost_error error;
    certpost_error_clear(&error);
    read_scene(scene, &receipt);
    if (trust.store == NULL)
        trust.store = scene->store;
    if (trust.time_ms == 0)
        trust.time_ms = receipt.statement.time_ms;
    assert_status(receipt_signature_check_signer(receipt.signature, &trust, &error), expected);
    if (strstr(error.text, words) == NULL)
        fail_msg("%s", error.text);
    receipt_free(&receipt);
}

/* ------------------------------------------------------------------------------ signing */

static void test_receipt_is_accepted(void **state)
{
    struct scene *scene = *state;
    assert_signer(scene, (struct receipt_trust){0}, CERTPOST_OK, "");
    assert_signer(scene, (struct receipt_trust){.server_name = "localhost"}, CERTPOST_OK, "");
    assert_signer(scene, (struct receipt_trust){.server_name = "::1"}, CERTPOST_OK, "");
}

/* OpenSSL alone, with none of our code. */
static void test_openssl_accepts_text_and_signature(void **state)
{
    struct scene *scene = *state;
    const unsigned char *der = buffer_bytes(&scene->signature);
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &der, (long)scene->signature.length);
    assert_non_null(cms);
    BIO *text = BIO_new_mem_buf(buffer_bytes(&scene->text), (int)scene->text.length);
    assert_non_null(text);
    assert_int_equal(X509_STORE_set_purpose(scene->store, X509_PURPOSE_SSL_SERVER), 1);
    assert_int_equal(CMS_verify(cms, NULL, scene->store, text, NULL, CMS_BINARY), 1);
    BIO_free(text);
    CMS_ContentInfo_free(cms);
}

static void test_openssl_reads_the_file(void **state)
{
    struct scene *scene = *state;
    BIO *file = BIO_new_mem_buf(buffer_bytes(&scene->file), (int)scene->file.length);
    BIO *content = NULL;
    CMS_ContentInfo *cms = SMIME_read_CMS(file, &content);
    assert_non_null(cms);
    assert_non_null(content);
    assert_int_equal(X509_STORE_set_purpose(scene->store, X509_PURPOSE_SSL_SERVER), 1);
    BIO *out = BIO_new(BIO_s_mem());
    assert_int_equal(CMS_verify(cms, NULL, scene->store, content, out, 0), 1);
    char *bytes = NULL;
    long length = BIO_get_mem_data(out, &bytes);
    assert_int_equal(length, scene->text.length);
    assert_memory_equal(bytes, buffer_bytes(&scene->text), scene->text.length);
    BIO_free(out);
    BIO_free(content);
    BIO_free(file);
    CMS_ContentInfo_free(cms);
}

static void test_signing_time_is_the_time_of_the_statement(void **state)
{
    struct scene *scene = *state;
    scene->statement.time_ms = INT64_C(1795353677123);
    sign(scene);
    const unsigned char *der = buffer_bytes(&scene->signature);
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &der, (long)scene->signature.length);
    CMS_SignerInfo *info = sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(cms), 0);
    int at = CMS_signed_get_attr_by_NID(info, NID_pkcs9_signingTime, -1);
    assert_true(at >= 0);
    ASN1_TYPE *value = X509_ATTRIBUTE_get0_type(CMS_signed_get_attr(info, at), 0);
    assert_int_equal(ASN1_TIME_cmp_time_t(value->value.asn1_string, 1795353677), 0);
    CMS_ContentInfo_free(cms);
}

/* A pair whose certificate file holds these certificates, and its signer. */
static enum certpost_status try_signer(const struct scene *scene, EVP_PKEY *key, X509 **chain,
                                       size_t count, struct receipt_signer **ret_signer,
                                       struct certpost_error *error)
{
    FILE *file = fopen(scene->files.certificate, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(PEM_write_X509(file, chain[i]), 1);
    assert_int_equal(fclose(file), 0);
    test_pki_write_key(key, scene->files.key);
    struct tls_pair *pair = NULL;
    assert_ok(tls_pair_load(scene->files.certificate, scene->files.key, &pair, error));
    enum certpost_status status = receipt_signer_new(pair, ret_signer, error);
    tls_pair_free(pair);
    return status;
}

/* The scene's leaf, with another key in it. */
static X509 *leaf_with_key(const struct scene *scene, EVP_PKEY *key)
{
    X509 *leaf = X509_dup(scene->pki.leaf);
    assert_non_null(leaf);
    assert_int_equal(X509_set_pubkey(leaf, key), 1);
    assert_true(X509_sign(leaf, scene->pki.ca_key, EVP_sha256()) > 0);
    return leaf;
}

static void assert_key_signs(struct scene *scene, EVP_PKEY *key)
{
    assert_non_null(key);
    struct certpost_error error;
    certpost_error_clear(&error);
    X509 *leaf = leaf_with_key(scene, key);
    receipt_signer_free(scene->signer);
    scene->signer = NULL;
    if (try_signer(scene, key, &leaf, 1, &scene->signer, &error) != CERTPOST_OK)
        fail_msg("%s", error.text);
    sign(scene);
    assert_signer(scene, (struct receipt_trust){.server_name = "localhost"}, CERTPOST_OK, "");
    X509_free(leaf);
    EVP_PKEY_free(key);
}

static void test_rsa_key_signs(void **state)
{
    assert_key_signs(*state, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048));
}

static void test_p384_key_signs(void **state)
{
    assert_key_signs(*state, EVP_EC_gen("P-384"));
}

static void test_rsa_pss_key_signs(void **state)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_keygen(context, &key), 1);
    EVP_PKEY_CTX_free(context);
    assert_key_signs(*state, key);
}

/* Newer versions of OpenSSL can; where this one cannot, the words say so. */
static void test_ed25519_key_signs_or_says_that_it_cannot(void **state)
{
    struct scene *scene = *state;
    struct certpost_error error;
    struct receipt_signer *signer = NULL;
    certpost_error_clear(&error);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_non_null(key);
    X509 *leaf = leaf_with_key(scene, key);
    enum certpost_status status = try_signer(scene, key, &leaf, 1, &signer, &error);
    if (status == CERTPOST_OK) {
        receipt_signer_free(signer);
    } else {
        assert_status(status, CERTPOST_OWN_CERTIFICATE);
        assert_non_null(strstr(error.text, "no receipts with certificate"));
        assert_non_null(strstr(error.text, "ED25519"));
    }
    X509_free(leaf);
    EVP_PKEY_free(key);
}

static void test_root_is_left_out_of_the_signature(void **state)
{
    struct scene *scene = *state;
    X509 *chain[] = {scene->pki.leaf, scene->pki.ca};
    size_t length_before = scene->signature.length;
    receipt_signer_free(scene->signer);
    scene->signer = NULL;
    assert_ok(try_signer(scene, scene->pki.leaf_key, chain, 2, &scene->signer, NULL));
    sign(scene);
    /* The length of a signature varies by some bytes; a certificate has hundreds. */
    assert_true(scene->signature.length < length_before + 16);
}

static void test_chain_that_does_not_fit_a_frame_is_refused(void **state)
{
    struct scene *scene = *state;
    enum { LINKS = 40 };
    X509 *chain[LINKS];
    struct certpost_error error;
    struct receipt_signer *signer = NULL;
    certpost_error_clear(&error);
    /* They only have to take room, and be different. */
    for (size_t i = 0; i < LINKS; i++) {
        chain[i] = X509_dup(scene->pki.leaf);
        assert_non_null(chain[i]);
        assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(chain[i]), (long)i + 1), 1);
        assert_true(X509_sign(chain[i], scene->pki.ca_key, EVP_sha256()) > 0);
    }
    assert_status(try_signer(scene, scene->pki.leaf_key, chain, LINKS, &signer, &error),
                  CERTPOST_OWN_CERTIFICATE);
    assert_non_null(strstr(error.text, "more than"));
    for (size_t i = 0; i < LINKS; i++)
        X509_free(chain[i]);
}

static void test_certificate_that_is_twice_in_its_file_is_sent_once(void **state)
{
    struct scene *scene = *state;
    X509 *chain[] = {scene->pki.leaf, scene->pki.leaf};
    receipt_signer_free(scene->signer);
    scene->signer = NULL;
    assert_ok(try_signer(scene, scene->pki.leaf_key, chain, 2, &scene->signer, NULL));
    sign(scene);
    assert_signer(scene, (struct receipt_trust){0}, CERTPOST_OK, "");
}

static void *sign_often(void *argument)
{
    struct scene *scene = argument;
    for (uint64_t seq = 0; seq < RECEIPTS_OF_A_THREAD; seq++) {
        struct statement statement = scene->statement;
        struct receipt receipt;
        struct buffer text;
        struct buffer signature;
        statement.seq = seq;
        buffer_init(&text, FRAME_RECEIPT_MAX_BYTES);
        buffer_init(&signature, FRAME_RECEIPT_MAX_BYTES);
        enum certpost_status status =
            receipt_signer_sign(scene->signer, &statement, &text, &signature, NULL);
        if (status == CERTPOST_OK)
            status = receipt_from_fields(buffer_bytes(&text), text.length, buffer_bytes(&signature),
                                         signature.length, &receipt, NULL);
        if (status != CERTPOST_OK)
            return scene;
        receipt_free(&receipt);
        buffer_free(&text);
        buffer_free(&signature);
    }
    return NULL;
}

static void test_threads_share_a_signer(void **state)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_often, *state), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static void test_signer_is_found_by_the_connection(void **state)
{
    struct scene *scene = *state;
    struct tls_server_material *material = NULL;
    struct receipt_signers *signers = NULL;
    SSL_CTX *context = NULL;
    assert_ok(tls_server_material_load(&scene->files.setup, &material, NULL));
    assert_ok(tls_context_server(material, &context, NULL));
    assert_ok(receipt_signers_new(material, NULL, &signers, NULL));
    SSL *ssl = SSL_new(context);
    const struct receipt_signer *signer = receipt_signers_find(signers, ssl);
    assert_non_null(signer);
    SSL_CTX *other = test_pki_client_context(&scene->pki, TLS1_3_VERSION);
    SSL *without = SSL_new(other);
    assert_null(receipt_signers_find(signers, without));
    SSL_free(without);
    SSL_CTX_free(other);
    SSL_free(ssl);
    SSL_CTX_free(context);
    tls_server_material_free(material);
    /* The signers outlive what they were made from. */
    buffer_clear(&scene->text);
    buffer_clear(&scene->signature);
    assert_ok(
        receipt_signer_sign(signer, &scene->statement, &scene->text, &scene->signature, NULL));
    assert_signer(scene, (struct receipt_trust){0}, CERTPOST_OK, "");
    receipt_signers_free(signers);
}

static void test_statement_out_of_bounds_is_not_signed(void **state)
{
    struct scene *scene = *state;
    scene->statement.time_ms = -1;
    assert_status(receipt_signer_sign(scene->signer, &scene->statement, &scene->text,
                                      &scene->signature, NULL),
                  CERTPOST_USAGE);
}

/* ------------------------------------------------------------------------------ refusing */

static void test_other_ca_is_refused(void **state)
{
    struct scene *scene = *state;
    struct test_pki other = test_pki_make((struct test_leaf){0});
    X509_STORE *store = X509_STORE_new();
    assert_int_equal(X509_STORE_add_cert(store, other.ca), 1);
    /* That CA has the same name and another key. */
    assert_signer(scene, (struct receipt_trust){.store = store}, CERTPOST_PEER_CERTIFICATE,
                  "is from an unknown CA");
    X509_STORE_free(store);
    store = X509_STORE_new();
    assert_signer(scene, (struct receipt_trust){.store = store}, CERTPOST_PEER_CERTIFICATE,
                  "is from an unknown CA (its issuer is CN=certpost test CA)");
    X509_STORE_free(store);
    test_pki_free(&other);
}

static void test_other_name_is_refused(void **state)
{
    assert_signer(*state, (struct receipt_trust){.server_name = "elsewhere.example"},
                  CERTPOST_PEER_CERTIFICATE,
                  "is for other names: expected elsewhere.example, it has localhost");
    assert_signer(*state, (struct receipt_trust){.server_name = "127.0.0.2"},
                  CERTPOST_PEER_CERTIFICATE, "is for other names");
    assert_signer(*state, (struct receipt_trust){.server_name = ""}, CERTPOST_USAGE, "name");
    assert_signer(*state, (struct receipt_trust){.server_name = ".example"}, CERTPOST_USAGE,
                  "name");
}

static void test_time_outside_the_certificate_is_refused(void **state)
{
    struct scene *scene = *state;
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    assert_signer(scene, (struct receipt_trust){.time_ms = now_ms - 90 * 60 * 1000},
                  CERTPOST_PEER_CERTIFICATE,
                  "the certificate that signed the receipt is not valid");
    assert_signer(
        scene, (struct receipt_trust){.time_ms = now_ms + INT64_C(2) * 24 * HOUR_S * 1000},
        CERTPOST_PEER_CERTIFICATE, "the certificate that signed the receipt is not valid");
    assert_signer(scene,
                  (struct receipt_trust){.time_ms = now_ms + INT64_C(20) * 24 * HOUR_S * 1000},
                  CERTPOST_PEER_CERTIFICATE, "is not valid at");
}

static void test_certificate_of_a_client_is_refused(void **state)
{
    (void)state;
    struct scene *scene = scene_new((struct test_leaf){.purpose = "clientAuth"});
    assert_signer(scene, (struct receipt_trust){0}, CERTPOST_PEER_CERTIFICATE, "purpose");
    scene_free(scene);
}

static void test_expired_certificate_is_good_for_its_time(void **state)
{
    (void)state;
    struct scene *scene =
        scene_new((struct test_leaf){.starts_in_s = -HOUR_S, .ends_in_s = -HOUR_S / 2});
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    assert_signer(scene, (struct receipt_trust){.time_ms = now_ms - 45 * 60 * 1000}, CERTPOST_OK,
                  "");
    assert_signer(scene, (struct receipt_trust){.time_ms = now_ms}, CERTPOST_PEER_CERTIFICATE,
                  "is not valid at");
    scene_free(scene);
}

static void test_altered_text_is_refused(void **state)
{
    struct scene *scene = *state;
    struct receipt receipt;
    struct certpost_error error;
    certpost_error_clear(&error);
    scene->statement.seq++;
    struct buffer other;
    buffer_init(&other, STATEMENT_TEXT_MAX_BYTES);
    assert_ok(statement_append(&other, &scene->statement));
    assert_status(receipt_from_fields(buffer_bytes(&other), other.length,
                                      buffer_bytes(&scene->signature), scene->signature.length,
                                      &receipt, &error),
                  CERTPOST_PEER_CERTIFICATE);
    assert_non_null(strstr(error.text, "does not fit its text"));
    buffer_free(&other);
}

static void test_every_altered_byte_of_the_signature_is_refused_or_harmless(void **state)
{
    struct scene *scene = *state;
    unsigned char copy[FRAME_RECEIPT_MAX_BYTES];
    size_t length = scene->signature.length;
    struct receipt_trust trust = {.store = scene->store, .time_ms = scene->statement.time_ms};
    for (size_t at = 0; at < length; at++) {
        struct receipt receipt;
        memcpy(copy, buffer_bytes(&scene->signature), length);
        copy[at] ^= 0x04;
        if (receipt_from_fields(buffer_bytes(&scene->text), scene->text.length, copy, length,
                                &receipt, NULL) != CERTPOST_OK)
            continue;
        /* What is not signed (a tag, a copy of a digest's name) says nothing about the text. */
        if (receipt_signature_check_signer(receipt.signature, &trust, NULL) == CERTPOST_OK)
            assert_int_equal(X509_cmp(receipt_signature_signer(receipt.signature), scene->pki.leaf),
                             0);
        receipt_free(&receipt);
    }
}

static void test_every_cut_of_the_signature_is_refused(void **state)
{
    struct scene *scene = *state;
    for (size_t length = 0; length < scene->signature.length; length++) {
        struct receipt_signature *signature = NULL;
        void *copy = malloc(length > 0 ? length : 1);
        assert_non_null(copy);
        memcpy(copy, buffer_bytes(&scene->signature), length);
        assert_status(receipt_signature_parse(copy, length, &signature, NULL),
                      CERTPOST_PEER_CERTIFICATE);
        free(copy);
    }
}

/* Signs the scene's text in another way, and expects the words of a refusal. */
static void assert_cms_refused(struct scene *scene, unsigned signers, const EVP_MD *digest,
                               unsigned flags, const char *words)
{
    struct certpost_error error;
    struct receipt_signature *signature = NULL;
    unsigned char *der = NULL;
    certpost_error_clear(&error);
    BIO *text = BIO_new_mem_buf(buffer_bytes(&scene->text), (int)scene->text.length);
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, text, flags | CMS_PARTIAL);
    assert_non_null(cms);
    for (unsigned i = 0; i < signers; i++)
        assert_non_null(CMS_add1_signer(cms, scene->pki.leaf, scene->pki.leaf_key, digest,
                                        i == 0 ? flags : flags | CMS_NOCERTS));
    assert_int_equal(CMS_final(cms, text, NULL, flags), 1);
    int length = i2d_CMS_ContentInfo(cms, &der);
    assert_true(length > 0);
    assert_status(receipt_signature_parse(der, (size_t)length, &signature, &error),
                  CERTPOST_PEER_CERTIFICATE);
    if (strstr(error.text, words) == NULL)
        fail_msg("%s", error.text);
    OPENSSL_free(der);
    CMS_ContentInfo_free(cms);
    BIO_free(text);
}

static void test_other_kinds_of_signature_are_refused(void **state)
{
    struct scene *scene = *state;
    unsigned detached = CMS_BINARY | CMS_DETACHED;
    assert_cms_refused(scene, 1, EVP_sha256(), CMS_BINARY, "has a text of its own");
    assert_cms_refused(scene, 1, EVP_sha1(), detached, "digest");
    assert_cms_refused(scene, 1, EVP_sha256(), detached | CMS_NOCERTS,
                       "does not bring its signer's certificate");
    assert_cms_refused(scene, 2, EVP_sha256(), detached, "exactly one signer");
}

/* A signature by this leaf, and the words that refuse its signer. */
static void assert_leaf_refused(struct scene *scene, X509 *leaf, EVP_PKEY *key, const char *words)
{
    unsigned flags = CMS_BINARY | CMS_DETACHED;
    unsigned char *der = NULL;
    BIO *text = BIO_new_mem_buf(buffer_bytes(&scene->text), (int)scene->text.length);
    CMS_ContentInfo *cms = CMS_sign(leaf, key, NULL, text, flags);
    assert_non_null(cms);
    int length = i2d_CMS_ContentInfo(cms, &der);
    assert_true(length > 0);
    buffer_clear(&scene->signature);
    assert_ok(buffer_append(&scene->signature, der, (size_t)length));
    assert_signer(scene, (struct receipt_trust){0}, CERTPOST_PEER_CERTIFICATE, words);
    OPENSSL_free(der);
    CMS_ContentInfo_free(cms);
    BIO_free(text);
}

static void test_short_key_is_refused(void **state)
{
    struct scene *scene = *state;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    assert_non_null(key);
    X509 *leaf = leaf_with_key(scene, key);
    assert_leaf_refused(scene, leaf, key, "has a key that is too short");
    X509_free(leaf);
    EVP_PKEY_free(key);
}

static void test_certificate_against_the_rules_is_refused(void **state)
{
    struct scene *scene = *state;
    X509 *leaf = X509_dup(scene->pki.leaf);
    int at = X509_get_ext_by_NID(leaf, NID_authority_key_identifier, -1);
    assert_true(at >= 0);
    X509_EXTENSION_free(X509_delete_ext(leaf, at));
    assert_true(X509_sign(leaf, scene->pki.ca_key, EVP_sha256()) > 0);
    assert_leaf_refused(scene, leaf, scene->pki.leaf_key, "breaks a rule");
    X509_free(leaf);
}

static void test_signature_with_more_after_it_is_refused(void **state)
{
    struct scene *scene = *state;
    struct receipt_signature *signature = NULL;
    assert_ok(buffer_append(&scene->signature, "", 1));
    assert_status(receipt_signature_parse(buffer_bytes(&scene->signature), scene->signature.length,
                                          &signature, NULL),
                  CERTPOST_PEER_CERTIFICATE);
}

static void test_client_keeps_only_what_it_expected(void **state)
{
    struct scene *scene = *state;
    struct receipt receipt;
    struct test_pki other = test_pki_make((struct test_leaf){0});
    struct receipt_expectation good = {.server_certificate = scene->pki.leaf,
                                       .stream = "log",
                                       .stream_length = 3,
                                       .head = {.seq = 3}};
    memset(good.head.digest, 0xd1, sizeof good.head.digest);
    read_scene(scene, &receipt);
    assert_ok(receipt_check_expected(&receipt, &good, NULL));
    struct receipt_expectation bad = good;
    bad.server_certificate = other.leaf;
    assert_status(receipt_check_expected(&receipt, &bad, NULL), CERTPOST_PEER_CERTIFICATE);
    bad = good;
    bad.stream = "lug";
    assert_status(receipt_check_expected(&receipt, &bad, NULL), CERTPOST_PROTOCOL);
    bad = good;
    bad.stream_length = 2;
    assert_status(receipt_check_expected(&receipt, &bad, NULL), CERTPOST_PROTOCOL);
    bad = good;
    bad.head.seq = 4;
    assert_status(receipt_check_expected(&receipt, &bad, NULL), CERTPOST_PROTOCOL);
    bad = good;
    bad.head.digest[31] ^= 1;
    assert_status(receipt_check_expected(&receipt, &bad, NULL), CERTPOST_DIGEST);
    receipt_free(&receipt);
    test_pki_free(&other);
}

UNIT_MAIN(
    cmocka_unit_test_setup_teardown(test_receipt_is_accepted, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_openssl_accepts_text_and_signature, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_openssl_reads_the_file, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_signing_time_is_the_time_of_the_statement, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_rsa_key_signs, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_p384_key_signs, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_rsa_pss_key_signs, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_ed25519_key_signs_or_says_that_it_cannot, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_root_is_left_out_of_the_signature, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_chain_that_does_not_fit_a_frame_is_refused, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_certificate_that_is_twice_in_its_file_is_sent_once, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_threads_share_a_signer, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_signer_is_found_by_the_connection, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_statement_out_of_bounds_is_not_signed, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_other_ca_is_refused, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_other_name_is_refused, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_time_outside_the_certificate_is_refused, set_up,
                                    tear_down),
    cmocka_unit_test(test_certificate_of_a_client_is_refused),
    cmocka_unit_test(test_expired_certificate_is_good_for_its_time),
    cmocka_unit_test_setup_teardown(test_altered_text_is_refused, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_every_altered_byte_of_the_signature_is_refused_or_harmless,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_every_cut_of_the_signature_is_refused, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_other_kinds_of_signature_are_refused, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_short_key_is_refused, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_certificate_against_the_rules_is_refused, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_signature_with_more_after_it_is_refused, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_client_keeps_only_what_it_expected, set_up, tear_down))
