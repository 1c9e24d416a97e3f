/*
 * test_tls_sni.c — names of certificates, also hostile ones; which pairs a name gets.
 */
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/sni.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

static void add_certificate(struct tls_sni *sni, X509 *leaf, const char *path)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_ok(tls_sni_add(sni, leaf, path, &error));
}

static void add(struct tls_sni *sni, const char *names)
{
    struct test_pki pki = test_pki_make((struct test_leaf){.names = names});
    add_certificate(sni, pki.leaf, names);
    test_pki_free(&pki);
}

static void test_one_pair(void **state)
{
    (void)state;
    struct tls_sni sni = {0};
    add(&sni, "DNS:a.example,DNS:b.example,IP:127.0.0.1");
    assert_int_equal(tls_sni_default(&sni), 1);
    assert_int_equal(tls_sni_find(&sni, "a.example"), 1);
    assert_int_equal(tls_sni_find(&sni, "B.Example"), 1);
    assert_int_equal(tls_sni_find(&sni, "c.example"), 0);
    assert_int_equal(tls_sni_find(&sni, ""), 0);
    assert_int_equal(tls_sni_find(&sni, "127.0.0.1"), 0);
    tls_sni_free(&sni);
}

static void test_part_of_a_name_is_another_name(void **state)
{
    (void)state;
    struct tls_sni sni = {0};
    add(&sni, "DNS:a.example");
    assert_int_equal(tls_sni_find(&sni, "a.exampl"), 0);
    assert_int_equal(tls_sni_find(&sni, "a.example."), 0);
    assert_int_equal(tls_sni_find(&sni, "a.example.org"), 0);
    assert_int_equal(tls_sni_find(&sni, "xa.example"), 0);
    tls_sni_free(&sni);
}

static void test_wildcards(void **state)
{
    (void)state;
    struct tls_sni sni = {0};
    add(&sni, "DNS:*.a.example,DNS:f*.b.example,DNS:*x.b.example,DNS:c.*.example,DNS:*,DNS:**.d."
              "example,DNS:*.");
    assert_int_equal(tls_sni_find(&sni, "x.a.example"), 1);
    assert_int_equal(tls_sni_find(&sni, "X.A.EXAMPLE"), 1);
    assert_int_equal(tls_sni_find(&sni, "a.example"), 0);
    assert_int_equal(tls_sni_find(&sni, ".a.example"), 0);
    assert_int_equal(tls_sni_find(&sni, "x.y.a.example"), 0);
    assert_int_equal(tls_sni_find(&sni, "foo.b.example"), 0);
    assert_int_equal(tls_sni_find(&sni, "ax.b.example"), 0);
    assert_int_equal(tls_sni_find(&sni, "c.x.example"), 0);
    assert_int_equal(tls_sni_find(&sni, "x.d.example"), 0);
    assert_int_equal(tls_sni_find(&sni, "localhost"), 0);
    assert_int_equal(tls_sni_find(&sni, "x."), 0);
    tls_sni_free(&sni);
}

/* "a.example", a NUL byte, and more: whoever stops at the NUL reads another name. */
static void test_a_nul_byte_in_a_name(void **state)
{
    (void)state;
    static const unsigned char hostile[] = "a.example\0.evil.example";
    struct test_pki pki = test_pki_make((struct test_leaf){.names = "DNS:b.example"});
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    assert_int_equal(ASN1_STRING_set(value, hostile, sizeof hostile - 1), 1);
    GENERAL_NAME_set0_value(name, GEN_DNS, value);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
    assert_int_equal(
        X509_add1_ext_i2d(pki.leaf, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE), 1);
    struct tls_sni sni = {0};
    add_certificate(&sni, pki.leaf, "hostile.crt");
    assert_int_equal(sk_GENERAL_NAME_num(sni.pairs[0].names), 1);
    assert_int_equal(tls_sni_find(&sni, "a.example"), 0);
    assert_int_equal(tls_sni_find(&sni, "b.example"), 0);
    tls_sni_free(&sni);
    GENERAL_NAMES_free(names);
    test_pki_free(&pki);
}

/* A common name is no name here (RFC 9525). */
static void test_a_certificate_without_names(void **state)
{
    (void)state;
    struct test_pki pki = test_pki_make((struct test_leaf){.names = "email:a@b.example"});
    struct tls_sni sni = {0};
    add_certificate(&sni, pki.leaf, "one.crt");
    add_certificate(&sni, pki.leaf, "two.crt");
    assert_int_equal(tls_sni_default(&sni), 1);
    assert_int_equal(tls_sni_find(&sni, "certpost test leaf"), 0);
    assert_int_equal(tls_sni_find(&sni, "a@b.example"), 0);
    tls_sni_free(&sni);
    test_pki_free(&pki);
}

static void test_the_first_of_overlapping_pairs(void **state)
{
    (void)state;
    struct tls_sni sni = {0};
    add(&sni, "DNS:*.example");
    add(&sni, "DNS:a.example,DNS:c.other");
    add(&sni, "DNS:a.example,DNS:*.other");
    assert_int_equal(tls_sni_find(&sni, "a.example"), 1 << 1);
    assert_int_equal(tls_sni_find(&sni, "b.example"), 1 << 0);
    assert_int_equal(tls_sni_find(&sni, "c.other"), 1 << 1);
    assert_int_equal(tls_sni_find(&sni, "d.other"), 1 << 2);
    tls_sni_free(&sni);
}

static void test_twins_are_refused(void **state)
{
    (void)state;
    struct tls_sni sni = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    struct test_pki twin =
        test_pki_make((struct test_leaf){.names = "DNS:B.example,DNS:a.example"});
    add(&sni, "DNS:a.example,DNS:b.example");
    assert_status(tls_sni_add(&sni, twin.leaf, "twin.crt", &error), CERTPOST_OWN_CERTIFICATE);
    assert_non_null(strstr(error.text, "twin.crt have the same names"));
    tls_sni_free(&sni);
    test_pki_free(&twin);
}

static void test_as_many_as_a_set_holds(void **state)
{
    (void)state;
    static struct tls_sni sni;
    char names[32];
    for (int i = 0; i < TLS_PAIRS_MAX; i++) {
        (void)snprintf(names, sizeof names, "DNS:n%d.example", i);
        add(&sni, names);
    }
    assert_int_equal(tls_sni_find(&sni, "n0.example"), 1);
    assert_true(tls_sni_find(&sni, "n63.example") == UINT64_C(1) << 63);
    assert_int_equal(tls_sni_default(&sni), 1);
    struct test_pki more = test_pki_make((struct test_leaf){0});
    assert_status(tls_sni_add(&sni, more.leaf, "more.crt", NULL), CERTPOST_OWN_CERTIFICATE);
    tls_sni_free(&sni);
    test_pki_free(&more);
}

UNIT_MAIN(cmocka_unit_test(test_one_pair), cmocka_unit_test(test_part_of_a_name_is_another_name),
          cmocka_unit_test(test_wildcards), cmocka_unit_test(test_a_nul_byte_in_a_name),
          cmocka_unit_test(test_a_certificate_without_names),
          cmocka_unit_test(test_the_first_of_overlapping_pairs),
          cmocka_unit_test(test_twins_are_refused), cmocka_unit_test(test_as_many_as_a_set_holds))
