/* test_tls_allow.c — allow lists: what they take, and whom they admit (tls/allow.h). */
#include "support/hostile_certificate.h"
#include "support/unit.h"
#include "tls/allow.h"
#include "tls/pin.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define END                                                                                        \
    {                                                                                              \
        .bytes = NULL                                                                              \
    }
#define URI(literal)    HOSTILE(GEN_URI, literal)
#define DNS(literal)    HOSTILE(GEN_DNS, literal)
#define CN(literal)     HOSTILE(GEN_DIRNAME, literal)
#define NAMES(...)      ((const struct hostile_name[]){__VA_ARGS__, END})
#define LIST(...)       list_of((const char *[]){__VA_ARGS__, NULL})
#define ALLOW_DNS(...)  ((struct tls_server_setup){.allow_dns = LIST(__VA_ARGS__)})
#define ALLOW_URI(...)  ((struct tls_server_setup){.allow_uri = LIST(__VA_ARGS__)})
#define ALLOW_CN(...)   ((struct tls_server_setup){.allow_cn = LIST(__VA_ARGS__)})
#define ALLOW_SPKI(...) ((struct tls_server_setup){.allow_spki = LIST(__VA_ARGS__)})

static struct options_list list_of(const char **items)
{
    struct options_list list = {.items = items};
    while (items[list.count] != NULL)
        list.count++;
    return list;
}

static bool admits(const struct tls_allow *allow, X509 *certificate)
{
    struct tls_names names = {0};
    assert_ok(tls_names_read(certificate, &names, NULL));
    bool admitted = tls_allow_admits(allow, &names, certificate);
    tls_names_free(&names);
    return admitted;
}

static bool lists_admit(struct tls_server_setup setup, const struct hostile_name *names)
{
    struct tls_allow *allow = NULL;
    assert_ok(tls_allow_load(&setup, &allow, NULL));
    X509 *certificate = hostile_certificate(names);
    bool admitted = admits(allow, certificate);
    X509_free(certificate);
    tls_allow_free(allow);
    return admitted;
}

static void check_usage(struct tls_server_setup setup, const char *words)
{
    struct tls_allow *allow = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(tls_allow_load(&setup, &allow, &error), CERTPOST_USAGE);
    assert_string_equal(error.text, words);
    assert_null(allow);
}

/* ------------------------------------------------------------------------------ whom */

static void test_empty_lists_admit_everybody(void **state)
{
    (void)state;
    assert_true(lists_admit((struct tls_server_setup){0}, NAMES(CN("who"))));
    tls_allow_free(NULL);
}

static void test_an_exact_dns_name(void **state)
{
    (void)state;
    assert_true(lists_admit(ALLOW_DNS("b.example", "a.example"), NAMES(DNS("a.example"))));
    assert_false(lists_admit(ALLOW_DNS("a.example"), NAMES(DNS("b.example"))));
    assert_false(lists_admit(ALLOW_DNS("a.example"), NAMES(DNS("x.a.example"))));
    assert_false(lists_admit(ALLOW_DNS("a.example"), NAMES(DNS("a.example.com"))));
    assert_false(lists_admit(ALLOW_DNS("a.example"), NAMES(DNS("xa.example"))));
}

static void test_dns_names_have_no_case(void **state)
{
    (void)state;
    assert_true(lists_admit(ALLOW_DNS("a.EXAMPLE"), NAMES(DNS("A.example"))));
    assert_true(lists_admit(ALLOW_DNS("*.Example.com"), NAMES(DNS("X.eXample.COM"))));
    /* Only letters: [ is { with another bit, and so on. */
    assert_false(lists_admit(ALLOW_DNS("a_.example"), NAMES(DNS("a\x7e.example"))));
}

static void test_any_dns_name_of_the_certificate_is_enough(void **state)
{
    (void)state;
    assert_true(lists_admit(ALLOW_DNS("c.example"),
                            NAMES(URI("urn:x"), DNS("b.example"), DNS("c.example"))));
}

static void test_a_wildcard_fits_exactly_one_label(void **state)
{
    (void)state;
    struct tls_server_setup setup = ALLOW_DNS("*.fleet.example");
    assert_true(lists_admit(setup, NAMES(DNS("sensor7.fleet.example"))));
    assert_false(lists_admit(setup, NAMES(DNS("fleet.example"))));
    assert_false(lists_admit(setup, NAMES(DNS(".fleet.example"))));
    assert_false(lists_admit(setup, NAMES(DNS("a.b.fleet.example"))));
    assert_false(lists_admit(setup, NAMES(DNS("xfleet.example"))));
    assert_false(lists_admit(setup, NAMES(DNS("a.fleet.example.com"))));
}

static void test_a_wildcard_in_the_certificate_fits_nothing(void **state)
{
    (void)state;
    assert_false(lists_admit(ALLOW_DNS("*.fleet.example", "a.fleet.example"),
                             NAMES(DNS("x.example"), DNS("*.fleet.example"))));
}

static void test_an_address_in_the_place_of_a_dns_name_fits_nothing(void **state)
{
    (void)state;
    assert_false(
        lists_admit(ALLOW_DNS("*.fleet.example"), NAMES(DNS("x.example"), DNS("10.0.0.1"))));
}

static void test_a_common_name_is_no_dns_name(void **state)
{
    (void)state;
    assert_false(lists_admit(ALLOW_DNS("a.example"), NAMES(CN("a.example"))));
    assert_false(lists_admit(ALLOW_CN("a.example"), NAMES(DNS("a.example"), CN("other"))));
    assert_false(lists_admit(ALLOW_CN("a.example"), NAMES(DNS("a.example"))));
}

static void test_uri_and_common_name_are_exact(void **state)
{
    (void)state;
    assert_true(lists_admit(ALLOW_URI("urn:a", "spiffe://x/y"), NAMES(URI("spiffe://x/y"))));
    assert_true(lists_admit(ALLOW_URI("urn:a"), NAMES(URI("urn:b"), URI("urn:a"))));
    assert_false(lists_admit(ALLOW_URI("spiffe://x/y"), NAMES(URI("spiffe://X/y"))));
    assert_false(lists_admit(ALLOW_URI("urn:a"), NAMES(URI("urn:ab"))));
    assert_true(lists_admit(ALLOW_CN("Sensor 7"), NAMES(DNS("x.example"), CN("Sensor 7"))));
    assert_false(lists_admit(ALLOW_CN("Sensor 7"), NAMES(CN("sensor 7"))));
}

static void test_one_of_several_lists_is_enough(void **state)
{
    (void)state;
    struct tls_server_setup setup = ALLOW_DNS("a.example");
    setup.allow_uri = LIST("urn:a");
    setup.allow_cn = LIST("A");
    assert_true(lists_admit(setup, NAMES(URI("urn:other"), DNS("a.example"))));
    assert_true(lists_admit(setup, NAMES(URI("urn:a"), DNS("other"))));
    assert_true(lists_admit(setup, NAMES(URI("urn:other"), CN("A"))));
    assert_false(lists_admit(setup, NAMES(URI("urn:other"), DNS("other"), CN("other"))));
}

static void test_a_pin_fits_its_key(void **state)
{
    (void)state;
    char text[TLS_PIN_TEXT_BYTES];
    struct tls_pin pin;
    X509 *certificate = hostile_certificate(NAMES(CN("who")));
    assert_true(tls_pin_of(certificate, &pin));
    tls_pin_format(&pin, text);
    assert_true(
        lists_admit(ALLOW_SPKI("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", text),
                    NAMES(CN("who"))));
    assert_false(lists_admit(ALLOW_SPKI("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
                             NAMES(CN("who"))));
    X509_free(certificate);
}

/* ------------------------------------------------------------------------------ what */

static void test_dns_entries_that_are_refused(void **state)
{
    (void)state;
    const char *partial = "it has a wildcard that is not a whole first label (*.NAME)";
    static const char *const partials[] = {"*", "a*.b.c", "*a.b.c", "a.*.c", "*.*.c.d", "a.b.*"};
    for (size_t i = 0; i < sizeof partials / sizeof partials[0]; i++) {
        char words[200];
        snprintf(words, sizeof words, "--allow-dns %s: %s", partials[i], partial);
        check_usage(ALLOW_DNS("good.example", partials[i]), words);
    }
    check_usage(ALLOW_DNS("*."), "--allow-dns *.: it has nothing after the wildcard");
    check_usage(ALLOW_DNS("*.com"), "--allow-dns *.com: it would admit a whole top-level domain; "
                                    "after *. come at least two labels");
    check_usage(ALLOW_DNS("*.com."), "--allow-dns *.com.: it has an empty label");
    check_usage(ALLOW_DNS("a.example."), "--allow-dns a.example.: it has an empty label");
    check_usage(ALLOW_DNS("10.0.0.1"),
                "--allow-dns 10.0.0.1: it looks like an address, and is no DNS name");
    check_usage(ALLOW_DNS("*.0.0.1"),
                "--allow-dns *.0.0.1: it looks like an address, and is no DNS name");
    check_usage(ALLOW_DNS("::1"), "--allow-dns ::1: it has a character in it that no DNS name has");
    check_usage(ALLOW_DNS("a\x1b[2J"), "--allow-dns a\\x1b[2J: it has a control character in it");
    check_usage(ALLOW_DNS("b\xc3\xbc.example"), "--allow-dns b\xc3\xbc.example: it is not ASCII");
    check_usage(ALLOW_DNS(""), "--allow-dns : it is empty");
}

static void test_uri_and_common_name_entries_that_are_refused(void **state)
{
    (void)state;
    check_usage(ALLOW_URI("sensor"), "--allow-uri sensor: it is no URI with a scheme");
    check_usage(ALLOW_URI("uri:urn:a"), "--allow-uri uri:urn:a: it begins with uri:, dns: or cn:, "
                                        "and could pass for a name of that kind");
    check_usage(ALLOW_URI("urn:a b"), "--allow-uri urn:a b: it has a space in it");
    check_usage(ALLOW_CN("a\xff"), "--allow-cn a\\xff: it is not valid UTF-8");
    check_usage(ALLOW_CN("a\n"), "--allow-cn a\\n: it has a control character in it");
}

static void test_pins_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "sha256//",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", /* bits that nobody reads */
        "sha256// AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "sha256//AAAAAAAAAAAAAAAAAAAAA!AAAAAAAAAAAAAAAAAAAAA=",
        "SHA256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char words[300];
        snprintf(words, sizeof words,
                 "--allow-spki %s: it is no pin; write sha256// and the 44 characters of base64 of "
                 "a SHA-256 digest",
                 bad[i]);
        check_usage(ALLOW_SPKI(bad[i]), words);
    }
}

static void test_pins_survive_the_round_trip(void **state)
{
    (void)state;
    for (int round = 0; round < 500; round++) {
        struct tls_pin pin;
        struct tls_pin again;
        char text[TLS_PIN_TEXT_BYTES];
        assert_int_equal(RAND_bytes(pin.digest, sizeof pin.digest), 1);
        tls_pin_format(&pin, text);
        assert_true(tls_pin_parse(text, &again));
        assert_memory_equal(pin.digest, again.digest, sizeof pin.digest);
    }
}

/* ------------------------------------------------------------------------------ many, random */

enum { MANY = 100 * 1000, NAME_BYTES = 32 };

static double processor_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* A list that is gone through entry by entry would take some minutes here. */
static void test_a_hundred_thousand_entries_are_no_burden(void **state)
{
    (void)state;
    char(*texts)[NAME_BYTES] = calloc(MANY, sizeof *texts);
    const char **items = calloc(MANY, sizeof *items);
    assert_true(texts != NULL && items != NULL);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "%ssensor%zu.example", i % 2 == 0 ? "*." : "",
                 i * 7919 % MANY);
        items[i] = texts[i];
    }
    struct tls_server_setup setup = {.allow_dns = {.items = items, .count = MANY}};
    struct tls_allow *allow = NULL;
    X509 *good = hostile_certificate(NAMES(DNS("a.sensor99998.example")));
    X509 *bad = hostile_certificate(NAMES(DNS("a.sensor99999.example")));
    double began_s = processor_seconds();
    assert_ok(tls_allow_load(&setup, &allow, NULL));
    bool even_is_wild = admits(allow, good) != admits(allow, bad);
    assert_true(even_is_wild);
    for (size_t i = 0; i < MANY / 2; i++) {
        if (admits(allow, good) == admits(allow, bad))
            fail();
    }
    double used_s = processor_seconds() - began_s;
    print_message("%.3f s of processor time\n", used_s);
    assert_true(used_s < 20);
    tls_allow_free(allow);
    X509_free(good);
    X509_free(bad);
    free(items);
    free(texts);
}

static void random_name(char ret_name[NAME_BYTES])
{
    static const char letters[] = "ab.AB*-";
    unsigned char dice[8];
    assert_int_equal(RAND_bytes(dice, sizeof dice), 1);
    size_t length = 1 + dice[0] % 7U;
    for (size_t i = 0; i < length; i++)
        ret_name[i] = letters[dice[i + 1] % (sizeof letters - 1)];
    ret_name[length] = '\0';
}

/* The rule once more, in the plainest way: label by label, from the left. */
static bool fits(const char *entry, const char *name)
{
    if (strncmp(entry, "*.", 2) == 0) {
        const char *dot = strchr(name, '.');
        return dot != NULL && dot != name && strcasecmp(entry + 2, dot + 1) == 0;
    }
    return strcasecmp(entry, name) == 0;
}

static void test_random_names_are_admitted_by_the_rule(void **state)
{
    (void)state;
    size_t loaded = 0;
    size_t admitted = 0;
    for (int round = 0; round < 30000; round++) {
        char entry[NAME_BYTES];
        char text[NAME_BYTES];
        random_name(entry);
        random_name(text);
        const char *items[] = {entry};
        struct tls_server_setup setup = {.allow_dns = {.items = items, .count = 1}};
        struct tls_allow *allow = NULL;
        if (tls_allow_load(&setup, &allow, NULL) != CERTPOST_OK)
            continue;
        loaded++;
        struct tls_name name = {.bytes = (const unsigned char *)text, .length = strlen(text)};
        bool good = tls_name_identity_fault(TLS_NAME_DNS, name) == NULL;
        const struct hostile_name names[] = {{GEN_DNS, 0, text, strlen(text)}, END};
        X509 *certificate = hostile_certificate(names);
        bool found = admits(allow, certificate);
        assert_int_equal(found, good && fits(entry, text));
        admitted += found;
        X509_free(certificate);
        tls_allow_free(allow);
    }
    print_message("%zu loaded, %zu admitted\n", loaded, admitted);
    assert_true(loaded > 1000 && admitted > 20);
}

UNIT_MAIN(cmocka_unit_test(test_empty_lists_admit_everybody),
          cmocka_unit_test(test_an_exact_dns_name), cmocka_unit_test(test_dns_names_have_no_case),
          cmocka_unit_test(test_any_dns_name_of_the_certificate_is_enough),
          cmocka_unit_test(test_a_wildcard_fits_exactly_one_label),
          cmocka_unit_test(test_a_wildcard_in_the_certificate_fits_nothing),
          cmocka_unit_test(test_an_address_in_the_place_of_a_dns_name_fits_nothing),
          cmocka_unit_test(test_a_common_name_is_no_dns_name),
          cmocka_unit_test(test_uri_and_common_name_are_exact),
          cmocka_unit_test(test_one_of_several_lists_is_enough),
          cmocka_unit_test(test_a_pin_fits_its_key),
          cmocka_unit_test(test_dns_entries_that_are_refused),
          cmocka_unit_test(test_uri_and_common_name_entries_that_are_refused),
          cmocka_unit_test(test_pins_that_are_refused),
          cmocka_unit_test(test_pins_survive_the_round_trip),
          cmocka_unit_test(test_a_hundred_thousand_entries_are_no_burden),
          cmocka_unit_test(test_random_names_are_admitted_by_the_rule))
