/*
 * test_tls_ocsp.c — an OCSP response's life: from the future, current, expired while it is served.
 *
 * The wall clock is the test's (linked with --wrap=clock_wall_ms).
 */
#include "base/clock.h"
#include "support/server_files.h"
#include "support/unit.h"
#include "tls/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

enum { DAY_S = 86400, VALID_S = DAY_S };

/* 2026-01-01; the certificates' own times are the real clock's, and are not looked at here. */
static const int64_t begin_s = 1767225600;

static int64_t wall_ms;

int64_t __wrap_clock_wall_ms(void);

int64_t __wrap_clock_wall_ms(void)
{
    return wall_ms;
}

static int warnings;
static char last_warning[TLS_WARNING_BYTES];

static void take_warning(const char *words)
{
    warnings++;
    (void)snprintf(last_warning, sizeof last_warning, "%s", words);
}

/* ------------------------------------------------------------------------------ stage */

struct stage {
    struct test_pki pki;
    struct server_files files;
    struct certpost_error error;
};

/* A response that is good from begin_s on, for VALID_S. */
static void write_response(const struct stage *stage, const X509 *issuer, const EVP_MD *digest)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(digest, stage->pki.leaf, issuer);
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)begin_s);
    ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)(begin_s + VALID_S));
    assert_non_null(
        OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, from, until));
    assert_int_equal(
        OCSP_basic_sign(basic, stage->pki.ca, stage->pki.ca_key, EVP_sha256(), NULL, 0), 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    FILE *file = fopen(stage->files.ocsp, "wb");
    assert_non_null(file);
    unsigned char *der = NULL;
    int length = i2d_OCSP_RESPONSE(response, &der);
    assert_true(length > 0);
    assert_int_equal(fwrite(der, 1, (size_t)length, file), (size_t)length);
    fclose(file);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
}

static void stage_set(struct stage *stage)
{
    *stage = (struct stage){0};
    stage->pki = test_pki_make((struct test_leaf){0});
    server_files_write(&stage->files, &stage->pki);
    stage->files.setup.ocsp.count = 1;
    stage->files.setup.warn = take_warning;
    write_response(stage, stage->pki.ca, EVP_sha1());
    wall_ms = (begin_s + 1) * 1000;
    warnings = 0;
}

static void stage_clear(struct stage *stage)
{
    server_files_remove(&stage->files);
    test_pki_free(&stage->pki);
}

static enum certpost_status stage_load(struct stage *stage, struct tls_server_material **material)
{
    certpost_error_clear(&stage->error);
    return tls_server_material_load(&stage->files.setup, material, &stage->error);
}

/* The length of what a client of `version` was given when it asked; -1 for nothing. */
static long stapled_bytes(const struct stage *stage, SSL_CTX *server, int version)
{
    const unsigned char *stapled = NULL;
    SSL_CTX *client = test_pki_client_context(&stage->pki, version);
    assert_int_equal(SSL_CTX_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp), 1);
    struct meeting meeting = meeting_new(server, client);
    assert_true(meeting_handshake(&meeting));
    long length = SSL_get_tlsext_status_ocsp_resp(meeting.client, &stapled);
    meeting_free(&meeting);
    SSL_CTX_free(client);
    return length;
}

/* ------------------------------------------------------------------------------ cases */

static void test_it_is_stapled_until_it_expires(void **state)
{
    (void)state;
    struct stage stage;
    struct tls_server_material *material = NULL;
    SSL_CTX *workers[2] = {NULL, NULL};
    stage_set(&stage);
    assert_ok(stage_load(&stage, &material));
    for (int i = 0; i < 2; i++)
        assert_ok(tls_context_server(material, &workers[i], NULL));
    wall_ms = (begin_s + VALID_S) * 1000 - 1;
    assert_true(stapled_bytes(&stage, workers[0], TLS1_2_VERSION) > 0);
    assert_true(stapled_bytes(&stage, workers[1], TLS1_3_VERSION) > 0);
    assert_int_equal(warnings, 0);
    wall_ms++;
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            stapled_bytes(&stage, workers[i % 2], i < 2 ? TLS1_2_VERSION : TLS1_3_VERSION), -1);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, stage.files.ocsp));
    assert_non_null(strstr(last_warning, "has expired and is not stapled any more"));
    SSL_CTX_free(workers[0]);
    SSL_CTX_free(workers[1]);
    tls_server_material_free(material);
    stage_clear(&stage);
}

static void test_nobody_has_to_listen_to_warnings(void **state)
{
    (void)state;
    struct stage stage;
    struct tls_server_material *material = NULL;
    SSL_CTX *worker = NULL;
    stage_set(&stage);
    stage.files.setup.warn = NULL;
    assert_ok(stage_load(&stage, &material));
    assert_ok(tls_context_server(material, &worker, NULL));
    wall_ms = (begin_s + VALID_S) * 1000;
    assert_int_equal(stapled_bytes(&stage, worker, TLS1_3_VERSION), -1);
    SSL_CTX_free(worker);
    tls_server_material_free(material);
    stage_clear(&stage);
}

static void test_one_that_has_expired_is_reported_once(void **state)
{
    (void)state;
    struct stage stage;
    struct tls_server_material *material = NULL;
    stage_set(&stage);
    wall_ms = (begin_s + VALID_S) * 1000;
    assert_ok(stage_load(&stage, &material));
    tls_server_material_report(material, take_warning);
    tls_server_material_report(material, take_warning);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "has expired and is not stapled"));
    tls_server_material_free(material);
    stage_clear(&stage);
}

static void test_one_from_the_future_is_refused(void **state)
{
    (void)state;
    struct stage stage;
    struct tls_server_material *material = NULL;
    stage_set(&stage);
    wall_ms = (begin_s - TLS_OCSP_CLOCK_SKEW_S) * 1000;
    assert_ok(stage_load(&stage, &material));
    tls_server_material_free(material);
    wall_ms -= 1000;
    assert_status(stage_load(&stage, &material), CERTPOST_OWN_CERTIFICATE);
    assert_non_null(strstr(stage.error.text, "is from the future"));
    assert_int_equal(ERR_peek_error(), 0);
    stage_clear(&stage);
}

/* The same serial number of another CA is another certificate. */
static void test_the_issuer_counts(void **state)
{
    (void)state;
    struct stage stage;
    struct tls_server_material *material = NULL;
    stage_set(&stage);
    X509 *other = X509_dup(stage.pki.ca);
    X509_NAME *name = X509_NAME_new();
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"another CA", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_subject_name(other, name), 1);
    X509 *leaf = stage.pki.leaf;
    stage.pki.leaf = X509_dup(leaf);
    assert_int_equal(X509_set_issuer_name(stage.pki.leaf, name), 1);
    write_response(&stage, other, EVP_sha1());
    X509_free(stage.pki.leaf);
    stage.pki.leaf = leaf;
    assert_status(stage_load(&stage, &material), CERTPOST_OWN_CERTIFICATE);
    assert_non_null(strstr(stage.error.text, "is about none of the certificates"));
    X509_NAME_free(name);
    X509_free(other);
    stage_clear(&stage);
}

static void test_a_certificate_id_by_sha256(void **state)
{
    (void)state;
    struct stage stage;
    struct tls_server_material *material = NULL;
    stage_set(&stage);
    write_response(&stage, stage.pki.ca, EVP_sha256());
    assert_ok(stage_load(&stage, &material));
    tls_server_material_free(material);
    stage_clear(&stage);
}

static void test_free_of_nothing(void **state)
{
    (void)state;
    tls_ocsp_free(NULL);
}

UNIT_MAIN(cmocka_unit_test(test_it_is_stapled_until_it_expires),
          cmocka_unit_test(test_nobody_has_to_listen_to_warnings),
          cmocka_unit_test(test_one_that_has_expired_is_reported_once),
          cmocka_unit_test(test_one_from_the_future_is_refused),
          cmocka_unit_test(test_the_issuer_counts),
          cmocka_unit_test(test_a_certificate_id_by_sha256), cmocka_unit_test(test_free_of_nothing))
