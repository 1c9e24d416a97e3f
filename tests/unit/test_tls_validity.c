/*
 * test_tls_validity.c — how near the end is, and what a server's files come to (tls/validity.h).
 */
#include "support/server_files.h"
#include "support/unit.h"
#include "tls/validity.h"

#include <stdlib.h>
#include <time.h>

enum { DAY_S = TLS_VALIDITY_DAY_S, HOUR_S = 3600 };

/* 2026-01-01, and an end that is far from it. */
static const int64_t begin_s = 1767225600;

static struct tls_validity lasting(enum tls_validity_kind kind, int64_t days)
{
    return (struct tls_validity){
        .kind = kind, .not_before_s = begin_s, .not_after_s = begin_s + days * DAY_S};
}

static struct tls_validity certificate(void)
{
    return lasting(TLS_VALIDITY_SERVER_CERTIFICATE, 365);
}

static const char *step(struct tls_validity validity, int64_t left_s)
{
    return tls_validity_step_name(tls_validity_step(&validity, validity.not_after_s - left_s));
}

static int64_t days(int64_t left_s)
{
    struct tls_validity validity = certificate();
    return tls_validity_days_left(&validity, validity.not_after_s - left_s);
}

static void test_each_step_begins_at_its_second(void **state)
{
    (void)state;
    assert_string_equal(step(certificate(), 30 * DAY_S + 1), "ok");
    assert_string_equal(step(certificate(), 30 * DAY_S), "30 days");
    assert_string_equal(step(certificate(), 7 * DAY_S + 1), "30 days");
    assert_string_equal(step(certificate(), 7 * DAY_S), "7 days");
    assert_string_equal(step(certificate(), DAY_S + 1), "7 days");
    assert_string_equal(step(certificate(), DAY_S), "1 day");
    assert_string_equal(step(certificate(), 1), "1 day");
    assert_string_equal(step(certificate(), 0), "ended");
    assert_string_equal(step(certificate(), -10000 * (int64_t)DAY_S), "ended");
}

static void test_days_are_rounded_down(void **state)
{
    (void)state;
    assert_int_equal(days(30 * DAY_S + 1), 30);
    assert_int_equal(days(30 * DAY_S), 30);
    assert_int_equal(days(30 * DAY_S - 1), 29);
    assert_int_equal(days(DAY_S - 1), 0);
    assert_int_equal(days(0), 0);
    assert_int_equal(days(-1), -1);
    assert_int_equal(days(-DAY_S), -1);
    assert_int_equal(days(-DAY_S - 1), -2);
}

/* The rule of thirty days is for certificates, however short they live. */
static void test_a_certificate_of_six_days_is_near_its_end_from_the_start(void **state)
{
    (void)state;
    struct tls_validity brief = lasting(TLS_VALIDITY_CLIENT_CA, 6);
    assert_string_equal(step(brief, 6 * DAY_S), "7 days");
    assert_string_equal(step(brief, DAY_S), "1 day");
}

static void test_lists_that_are_made_weekly_are_not_always_near_their_end(void **state)
{
    (void)state;
    const enum tls_validity_kind kinds[] = {TLS_VALIDITY_CRL, TLS_VALIDITY_OCSP_RESPONSE};
    for (size_t i = 0; i < 2; i++) {
        struct tls_validity weekly = lasting(kinds[i], 7);
        struct tls_validity hourly = lasting(kinds[i], 1);
        struct tls_validity yearly = lasting(kinds[i], 365);
        assert_string_equal(step(weekly, 7 * DAY_S), "ok");
        assert_string_equal(step(weekly, DAY_S + 1), "ok");
        assert_string_equal(step(weekly, DAY_S), "1 day");
        assert_string_equal(step(hourly, HOUR_S), "ok");
        assert_string_equal(step(hourly, 0), "ended");
        assert_string_equal(step(yearly, 30 * DAY_S), "30 days");
        /* Exactly twice the step is not more than twice. */
        assert_string_equal(step(lasting(kinds[i], 14), 7 * DAY_S), "ok");
        assert_string_equal(step(lasting(kinds[i], 15), 7 * DAY_S), "7 days");
    }
}

/* ------------------------------------------------------------------------------ lists */

static X509 *dated(const char *not_after)
{
    X509 *made = X509_new();
    assert_non_null(made);
    assert_int_equal(ASN1_TIME_set_string(X509_getm_notBefore(made), "20260101000000Z"), 1);
    assert_int_equal(ASN1_STRING_set(X509_getm_notAfter(made), not_after, -1), 1);
    X509_getm_notAfter(made)->type = V_ASN1_GENERALIZEDTIME;
    return made;
}

static void add(struct tls_validities *list, const char *not_after, const char *file,
                size_t position)
{
    X509 *made = dated(not_after);
    assert_ok(
        tls_validities_add_certificate(list, TLS_VALIDITY_CLIENT_CA, file, position, made, NULL));
    X509_free(made);
}

static void test_those_that_end_first_come_first(void **state)
{
    (void)state;
    struct tls_validities list = {0};
    add(&list, "20280101000000Z", "b", 1);
    add(&list, "20270101000000Z", "b", 2);
    add(&list, "20280101000000Z", "a", 2);
    add(&list, "20280101000000Z", "a", 1);
    tls_validities_sort(&list);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.items[0].not_after_s, 1798761600);
    assert_string_equal(list.items[0].file, "b");
    assert_string_equal(list.items[1].file, "a");
    assert_int_equal(list.items[1].position, 1);
    assert_int_equal(list.items[2].position, 2);
    assert_string_equal(list.items[3].file, "b");
    assert_string_equal(list.items[0].name, "without a name");
    tls_validities_free(&list);
    assert_null(list.items);
}

static void test_a_file_that_is_named_twice_is_listed_once(void **state)
{
    (void)state;
    struct tls_validities list = {0};
    for (size_t i = 0; i < 3; i++) {
        add(&list, "20270101000000Z", "a", 1);
        add(&list, "20270101000000Z", "a", 2);
    }
    add(&list, "20280101000000Z", "a", 3);
    tls_validities_sort(&list);
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(list.items[i].position, i + 1);
    tls_validities_free(&list);
}

static void test_what_has_no_end_is_left_out(void **state)
{
    (void)state;
    struct tls_validities list = {0};
    X509_CRL *endless = X509_CRL_new();
    ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)begin_s);
    add(&list, "99991231235959Z", "none", 1);
    add(&list, "20279999999999Z", "unreadable", 1);
    assert_int_equal(X509_CRL_set1_lastUpdate(endless, now), 1);
    assert_ok(tls_validities_add_crl(&list, "a list without nextUpdate", 1, endless, NULL));
    assert_int_equal(list.count, 0);
    add(&list, "99991231235958Z", "the longest", 1);
    assert_int_equal(list.count, 1);
    ASN1_TIME_free(now);
    X509_CRL_free(endless);
    tls_validities_free(&list);
}

/* 30 of them end in 2027, scattered among those that end later. */
static void test_of_too_many_those_that_end_first_are_kept(void **state)
{
    (void)state;
    struct tls_validities list = {0};
    for (size_t i = 1; i <= 3 * TLS_VALIDITIES_MAX; i++)
        add(&list, i % 100 == 0 ? "20270101000000Z" : "20280101000000Z", "many", i);
    assert_true(list.count <= 2 * TLS_VALIDITIES_MAX);
    tls_validities_sort(&list);
    assert_int_equal(list.count, TLS_VALIDITIES_MAX);
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(list.items[i].position, 100 * (i + 1));
    assert_true(list.items[30].not_after_s > list.items[29].not_after_s);
    tls_validities_free(&list);
}

/* ------------------------------------------------------------------------------ files */

/* The server's certificate is followed in its file by the CA's, which is also the client CA. */
static void test_every_certificate_of_the_chain_is_listed(void **state)
{
    (void)state;
    struct test_pki pki = test_pki_make(
        (struct test_leaf){.names = "IP:127.0.0.1,DNS:a\\b.test", .ends_in_s = 40 * (long)DAY_S});
    struct server_files files;
    struct tls_server_material *material = NULL;
    server_files_write(&files, &pki);
    FILE *chain = fopen(files.certificate, "ae");
    assert_non_null(chain);
    assert_int_equal(PEM_write_X509(chain, pki.ca), 1);
    fclose(chain);
    files.setup.client_verify = TLS_CLIENT_VERIFY_REQUIRE;
    files.setup.client_ca = files.ca;
    assert_ok(tls_server_material_load(&files.setup, &material, NULL));
    const struct tls_validities *list = tls_server_material_validities(material);
    const struct tls_validity *found[3] = {NULL, NULL, NULL};
    assert_int_equal(list->count, 3);
    for (size_t i = 0; i < 3; i++)
        found[list->items[i].kind] = &list->items[i];
    for (size_t i = 0; i < 3; i++)
        assert_non_null(found[i]);
    assert_string_equal(found[TLS_VALIDITY_SERVER_CERTIFICATE]->name, "a\\\\b.test");
    assert_string_equal(found[TLS_VALIDITY_SERVER_CERTIFICATE]->file, files.certificate);
    assert_int_equal(found[TLS_VALIDITY_SERVER_CERTIFICATE]->position, 1);
    assert_int_equal(
        tls_validity_days_left(found[TLS_VALIDITY_SERVER_CERTIFICATE], time(NULL) + 60), 39);
    assert_string_equal(found[TLS_VALIDITY_CHAIN_CERTIFICATE]->file, files.certificate);
    assert_int_equal(found[TLS_VALIDITY_CHAIN_CERTIFICATE]->position, 2);
    assert_string_equal(found[TLS_VALIDITY_CLIENT_CA]->file, files.ca);
    assert_int_equal(found[TLS_VALIDITY_CLIENT_CA]->position, 1);
    assert_string_equal(found[TLS_VALIDITY_CLIENT_CA]->name,
                        found[TLS_VALIDITY_CHAIN_CERTIFICATE]->name);
    tls_server_material_free(material);
    server_files_remove(&files);
    test_pki_free(&pki);
}

static void test_kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(tls_validity_kind_name(TLS_VALIDITY_SERVER_CERTIFICATE),
                        "server_certificate");
    assert_string_equal(tls_validity_kind_name(TLS_VALIDITY_OCSP_RESPONSE), "ocsp_response");
}

UNIT_MAIN(cmocka_unit_test(test_each_step_begins_at_its_second),
          cmocka_unit_test(test_days_are_rounded_down),
          cmocka_unit_test(test_a_certificate_of_six_days_is_near_its_end_from_the_start),
          cmocka_unit_test(test_lists_that_are_made_weekly_are_not_always_near_their_end),
          cmocka_unit_test(test_those_that_end_first_come_first),
          cmocka_unit_test(test_a_file_that_is_named_twice_is_listed_once),
          cmocka_unit_test(test_what_has_no_end_is_left_out),
          cmocka_unit_test(test_of_too_many_those_that_end_first_are_kept),
          cmocka_unit_test(test_every_certificate_of_the_chain_is_listed),
          cmocka_unit_test(test_kinds_have_names))
