/*
 * test_tls_identity.c — which name of a certificate counts, and which certificates are refused for
 * their names (tls/names.h, tls/identity.h).
 */
#include "support/hostile_certificate.h"
#include "support/unit.h"
#include "tls/identity.h"

#include <openssl/rand.h>
#include <stdlib.h>

#define END                                                                                        \
    {                                                                                              \
        .bytes = NULL                                                                              \
    }
#define URI(literal)  HOSTILE(GEN_URI, literal)
#define DNS(literal)  HOSTILE(GEN_DNS, literal)
#define MAIL(literal) HOSTILE(GEN_EMAIL, literal)
#define CN(literal)   HOSTILE(GEN_DIRNAME, literal)

#define NAMES(...) ((const struct hostile_name[]){__VA_ARGS__, END})

static enum certpost_status identity_of(X509 *certificate, struct tls_identity *ret_identity,
                                        struct certpost_error *error)
{
    struct tls_names names = {0};
    certpost_error_clear(error);
    enum certpost_status status = tls_names_read(certificate, &names, error);
    if (status == CERTPOST_OK)
        status = tls_identity_from(&names, ret_identity, error);
    tls_names_free(&names);
    return status;
}

static void check_identity_of(X509 *certificate, enum tls_identity_kind kind, const char *expected)
{
    struct certpost_error error;
    struct tls_identity identity = {0};
    assert_ok(identity_of(certificate, &identity, &error));
    assert_int_equal(identity.kind, kind);
    assert_int_equal(identity.length, strlen(expected));
    assert_memory_equal(identity.bytes, expected, identity.length);
    tls_identity_free(&identity);
    X509_free(certificate);
}

static void check_identity(const struct hostile_name *names, enum tls_identity_kind kind,
                           const char *expected)
{
    check_identity_of(hostile_certificate(names), kind, expected);
}

static void check_refused_certificate(X509 *certificate, const char *words)
{
    struct certpost_error error;
    struct tls_identity identity = {0};
    assert_status(identity_of(certificate, &identity, &error), CERTPOST_PEER_CERTIFICATE);
    assert_string_equal(error.text, words);
    assert_null(identity.bytes);
    X509_free(certificate);
}

static void check_refused(const struct hostile_name *names, const char *words)
{
    check_refused_certificate(hostile_certificate(names), words);
}

/* ------------------------------------------------------------------------------ which name */

static void test_the_first_uri_counts(void **state)
{
    (void)state;
    check_identity(NAMES(DNS("a.example"), URI("urn:first"), URI("urn:second"), CN("who")),
                   TLS_IDENTITY_URI, "uri:urn:first");
}

static void test_without_a_uri_the_first_dns_name_counts(void **state)
{
    (void)state;
    check_identity(NAMES(MAIL("a@b"), DNS("first.example"), DNS("second.example"), CN("who")),
                   TLS_IDENTITY_DNS, "dns:first.example");
}

static void test_without_both_the_common_name_counts(void **state)
{
    (void)state;
    check_identity(NAMES(MAIL("a@b"), CN("the sensor, 7 \\ M\xc3\xbcnchen")), TLS_IDENTITY_CN,
                   "cn:the sensor, 7 \\ M\xc3\xbcnchen");
}

static void test_letters_keep_their_case(void **state)
{
    (void)state;
    check_identity(NAMES(DNS("Sensor.EXAMPLE")), TLS_IDENTITY_DNS, "dns:Sensor.EXAMPLE");
}

static void test_a_common_name_of_another_encoding_becomes_utf8(void **state)
{
    (void)state;
    const struct hostile_name names[] = {
        {GEN_DIRNAME, V_ASN1_BMPSTRING, "\0M\0\xfc", 4},
        END,
    };
    check_identity(names, TLS_IDENTITY_CN, "cn:M\xc3\xbc");
}

static void test_a_certificate_without_a_name_is_refused(void **state)
{
    (void)state;
    const char *words = "it has no name to know its owner by (URI, DNS name or common name)";
    check_refused((const struct hostile_name[]){END}, words);
    check_refused(NAMES(MAIL("a@b"), {.type = GEN_IPADD, .bytes = "\x7f\0\0\1", .length = 4}),
                  words);
}

static void test_freeing_an_empty_identity_does_nothing(void **state)
{
    (void)state;
    tls_identity_free(NULL);
    tls_names_free(NULL);
    struct tls_identity identity = {0};
    tls_identity_free(&identity);
}

/* ------------------------------------------------------------------------------ hostile bytes */

static void test_a_nul_byte_is_refused_in_every_kind(void **state)
{
    (void)state;
    check_refused(NAMES(URI("urn:good\0.evil")), "its URI urn:good\\x00.evil has a NUL byte in it");
    check_refused(NAMES(DNS("good.example\0.evil.example")),
                  "its DNS name good.example\\x00.evil.example has a NUL byte in it");
    check_refused(NAMES(CN("good\0evil")), "its common name good\\x00evil has a NUL byte in it");
    check_refused(NAMES(DNS("good.example\0")),
                  "its DNS name good.example\\x00 has a NUL byte in it");
}

static void test_a_control_character_is_refused_in_every_kind(void **state)
{
    (void)state;
    check_refused(NAMES(URI("urn:a\nb")), "its URI urn:a\\nb has a control character in it");
    check_refused(NAMES(DNS("a\x1b[2J.b")),
                  "its DNS name a\\x1b[2J.b has a control character in it");
    check_refused(NAMES(CN("a\x7f")), "its common name a\\x7f has a control character in it");
}

static void test_what_is_not_ascii_is_refused_in_uri_and_dns(void **state)
{
    (void)state;
    check_refused(NAMES(URI("urn:\xc3\xa4")), "its URI urn:\xc3\xa4 is not ASCII");
    check_refused(NAMES(DNS("b\xfc.example")), "its DNS name b\\xfc.example is not ASCII");
    check_refused(NAMES(URI("urn:a b")), "its URI urn:a b has a space in it");
    check_refused(NAMES(DNS("a b.example")), "its DNS name a b.example has a space in it");
}

static void test_invalid_utf8_is_refused_in_a_common_name(void **state)
{
    (void)state;
    const char *words = "its common name is not text that can be read";
    check_refused(NAMES(CN("a\xff")), words);
    check_refused(NAMES(CN("\xc0\x80")), words);
    check_refused(NAMES(CN("a\xed\xa0\x80")), words);
}

static void test_invisible_characters_are_refused_in_a_common_name(void **state)
{
    (void)state;
    const char *words = "its common name a\\xe2\\x80\\xaeb has an invisible or direction-turning "
                        "character in it";
    check_refused(NAMES(CN("a\xe2\x80\xae"
                           "b")),
                  words);
    const struct hostile_name wide[] = {{GEN_DIRNAME, V_ASN1_BMPSTRING, "\0a\x20\x2e\0b", 6}, END};
    check_refused(wide, words);
}

static void test_spaces_at_the_ends_are_refused_in_a_common_name(void **state)
{
    (void)state;
    check_refused(NAMES(CN(" a")), "its common name  a begins or ends with a space");
    check_refused(NAMES(CN("a ")), "its common name a  begins or ends with a space");
}

static void test_an_empty_name_is_refused(void **state)
{
    (void)state;
    check_refused(NAMES(URI("")), "its URI  is empty");
    check_refused(NAMES(DNS("")), "its DNS name  is empty");
    check_refused(NAMES(CN("")), "its common name  is empty");
}

static void test_a_bad_first_name_is_not_skipped(void **state)
{
    (void)state;
    check_refused(NAMES(URI("urn:a\0"), URI("urn:good"), DNS("good.example"), CN("good")),
                  "its URI urn:a\\x00 has a NUL byte in it");
}

static void test_a_bad_later_name_spoils_the_certificate(void **state)
{
    (void)state;
    check_refused(NAMES(URI("urn:good"), DNS("a.example\0.evil")),
                  "its DNS name a.example\\x00.evil has a NUL byte in it");
    check_refused(NAMES(URI("urn:good"), CN("a\0b")),
                  "its common name a\\x00b has a NUL byte in it");
}

static void test_several_common_names_are_refused(void **state)
{
    (void)state;
    check_refused(NAMES(CN("honest"), CN("mallory")), "its subject has several common names");
    check_refused(NAMES(URI("urn:good"), CN("honest"), CN("mallory")),
                  "its subject has several common names");
}

static void test_two_lists_of_alternative_names_are_refused(void **state)
{
    (void)state;
    static const unsigned char dns_evil[] = {0x30, 0x06, 0x82, 0x04, 'e', 'v', 'i', 'l'};
    X509 *certificate = hostile_certificate(NAMES(DNS("good.example"), CN("good")));
    hostile_add_alternative_names(certificate, dns_evil, sizeof dns_evil);
    check_refused_certificate(certificate, "its alternative names are there more than once");
}

static void test_alternative_names_that_do_not_parse_are_refused(void **state)
{
    (void)state;
    static const unsigned char damaged[] = {0x30, 0x06, 0x82, 0x44, 'e', 'v', 'i', 'l'};
    X509 *certificate = hostile_certificate(NAMES(CN("good")));
    hostile_add_alternative_names(certificate, damaged, sizeof damaged);
    check_refused_certificate(certificate, "its alternative names cannot be read");
}

/* ------------------------------------------------------------------------------ bounds */

static void fill_dns(char *ret_name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ret_name[i] = i % 10 == 9 ? '.' : 'a';
    ret_name[length - 1] = 'a';
}

static void check_bound(int type, const char *begin, size_t most, bool labels)
{
    char *bytes = malloc(most + 2);
    assert_non_null(bytes);
    for (size_t length = most; length <= most + 1; length++) {
        if (labels)
            fill_dns(bytes, length);
        else
            memset(bytes, 'a', length);
        memcpy(bytes, begin, strlen(begin));
        const struct hostile_name names[] = {{type, 0, bytes, length}, END};
        X509 *certificate = hostile_certificate(names);
        struct certpost_error error;
        struct tls_identity identity = {0};
        enum certpost_status status = identity_of(certificate, &identity, &error);
        if (length == most) {
            assert_ok(status);
            assert_true(identity.length <= TLS_IDENTITY_MAX_BYTES);
        } else {
            assert_status(status, CERTPOST_PEER_CERTIFICATE);
            assert_non_null(strstr(error.text, " is too long"));
        }
        tls_identity_free(&identity);
        X509_free(certificate);
    }
    free(bytes);
}

static void test_every_kind_has_its_bound(void **state)
{
    (void)state;
    check_bound(GEN_URI, "urn:", TLS_NAME_URI_MAX_BYTES, false);
    check_bound(GEN_DNS, "", TLS_NAME_DNS_MAX_BYTES, true);
    check_bound(GEN_DIRNAME, "", TLS_NAME_CN_MAX_BYTES, false);
}

/* ------------------------------------------------------------------------------ imitation */

static void test_a_name_with_the_mark_of_a_kind_is_refused(void **state)
{
    (void)state;
    const char *words = " begins with uri:, dns: or cn:, and could pass for a name of that kind";
    static const char *const imitations[] = {"uri:urn:a", "URI:x", "dns:a.example",
                                             "Dns:a",     "cn:a",  "cN:"};
    for (size_t i = 0; i < sizeof imitations / sizeof imitations[0]; i++) {
        char expected[200];
        struct hostile_name names[] = {
            {GEN_DIRNAME, 0, imitations[i], strlen(imitations[i])},
            END,
        };
        snprintf(expected, sizeof expected, "its common name %s%s", imitations[i], words);
        check_refused(names, expected);
        names[0].type = GEN_URI;
        snprintf(expected, sizeof expected, "its URI %s%s", imitations[i], words);
        check_refused(names, expected);
    }
    check_identity(NAMES(CN("dns-server")), TLS_IDENTITY_CN, "cn:dns-server");
    check_identity(NAMES(CN("dns")), TLS_IDENTITY_CN, "cn:dns");
}

static void test_a_uri_needs_a_scheme(void **state)
{
    (void)state;
    check_refused(NAMES(URI("sensor")), "its URI sensor is no URI with a scheme");
    check_refused(NAMES(URI("//host/path")), "its URI //host/path is no URI with a scheme");
    check_refused(NAMES(URI(":x")), "its URI :x is no URI with a scheme");
    check_refused(NAMES(URI("1a:x")), "its URI 1a:x is no URI with a scheme");
    check_refused(NAMES(URI("urn:")), "its URI urn: is no URI with a scheme");
    check_refused(NAMES(URI("a/b:c")), "its URI a/b:c is no URI with a scheme");
    check_identity(NAMES(URI("spiffe://example.org/sensor/7")), TLS_IDENTITY_URI,
                   "uri:spiffe://example.org/sensor/7");
}

static void test_a_dns_name_must_be_one(void **state)
{
    (void)state;
    check_refused(NAMES(DNS("*.example.com")),
                  "its DNS name *.example.com is a wildcard, which names no single sender");
    check_refused(NAMES(DNS("a.example.")), "its DNS name a.example. has an empty label");
    check_refused(NAMES(DNS(".example")), "its DNS name .example has an empty label");
    check_refused(NAMES(DNS("a..b")), "its DNS name a..b has an empty label");
    check_refused(NAMES(DNS("-a.b")),
                  "its DNS name -a.b has a label that begins or ends with a hyphen");
    check_refused(NAMES(DNS("a-.b")),
                  "its DNS name a-.b has a label that begins or ends with a hyphen");
    check_refused(NAMES(DNS("a/b")), "its DNS name a/b has a character in it that no DNS name has");
    check_refused(NAMES(DNS("10.0.0.1")),
                  "its DNS name 10.0.0.1 looks like an address, and is no DNS name");
    check_refused(NAMES(DNS("::1")), "its DNS name ::1 has a character in it that no DNS name has");
    check_refused(
        NAMES(DNS("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b")),
        "its DNS name aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b has a "
        "label of more than 63 bytes");
    check_identity(NAMES(DNS("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b")),
                   TLS_IDENTITY_DNS,
                   "dns:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b");
    check_identity(NAMES(DNS("_sensor.x-1.4b")), TLS_IDENTITY_DNS, "dns:_sensor.x-1.4b");
}

/* A wildcard names many senders, so it is no identity; as a further name it does no harm. */
static void test_a_wildcard_may_follow_a_good_name(void **state)
{
    (void)state;
    check_identity(NAMES(DNS("example.com"), DNS("*.example.com")), TLS_IDENTITY_DNS,
                   "dns:example.com");
}

/* ------------------------------------------------------------------------------ random */

static bool identity_is_sound(const struct tls_identity *identity)
{
    static const char *const marks[] = {NULL, "uri:", "dns:", "cn:"};
    const char *mark = marks[identity->kind];
    size_t mark_length = strlen(mark);
    if (identity->length <= mark_length || identity->length > TLS_IDENTITY_MAX_BYTES ||
        memcmp(identity->bytes, mark, mark_length) != 0)
        return false;
    for (size_t i = 0; i < identity->length; i++) {
        if (identity->bytes[i] < ' ' || identity->bytes[i] == 0x7f)
            return false;
        if (identity->bytes[i] > 0x7f && identity->kind != TLS_IDENTITY_CN)
            return false;
    }
    return true;
}

/* Bytes that decide something are likelier than others. */
static void random_name(unsigned char *ret_bytes, size_t *ret_length)
{
    static const unsigned char telling[] = "\0\n *.-:aZ09_/@\x7f\x80\xc3\xa4urdnsic";
    unsigned char dice[66];
    assert_int_equal(RAND_bytes(dice, sizeof dice), 1);
    *ret_length = dice[0] % 24;
    for (size_t i = 0; i < *ret_length; i++)
        ret_bytes[i] = dice[1 + 2 * i] % 8 == 0 ? dice[2 + 2 * i]
                                                : telling[dice[2 + 2 * i] % (sizeof telling - 1)];
}

static void test_random_names_give_a_sound_identity_or_words(void **state)
{
    (void)state;
    static const int types[] = {GEN_URI, GEN_DNS, GEN_DIRNAME, GEN_EMAIL};
    static const int strings[] = {V_ASN1_UTF8STRING, V_ASN1_PRINTABLESTRING, V_ASN1_T61STRING,
                                  V_ASN1_BMPSTRING,  V_ASN1_UNIVERSALSTRING, V_ASN1_IA5STRING};
    size_t accepted = 0;
    for (int round = 0; round < 4000; round++) {
        unsigned char bytes[3][24];
        unsigned char dice[7];
        struct hostile_name names[4] = {END, END, END, END};
        assert_int_equal(RAND_bytes(dice, sizeof dice), 1);
        for (size_t i = 0; i < 1U + dice[6] % 3U; i++) {
            names[i].type = types[dice[i] % 4];
            names[i].string = strings[dice[i + 3] % 6];
            names[i].bytes = (const char *)bytes[i];
            random_name(bytes[i], &names[i].length);
            /* OpenSSL itself takes no half characters. */
            if (names[i].string == V_ASN1_BMPSTRING || names[i].string == V_ASN1_UNIVERSALSTRING)
                names[i].length -= names[i].length % 4;
        }
        X509 *certificate = hostile_certificate(names);
        struct certpost_error error;
        struct tls_identity identity = {0};
        enum certpost_status status = identity_of(certificate, &identity, &error);
        if (status == CERTPOST_OK) {
            accepted++;
            assert_true(identity_is_sound(&identity));
        } else {
            assert_status(status, CERTPOST_PEER_CERTIFICATE);
            assert_true(error.text[0] != '\0');
        }
        tls_identity_free(&identity);
        X509_free(certificate);
    }
    assert_true(accepted > 50);
}

/* Bytes in the place of the names' DER: OpenSSL parses them, but nothing here may trip over it. */
static void test_random_der_gives_a_sound_identity_or_words(void **state)
{
    (void)state;
    static const unsigned char good[] = {0x30, 0x10, 0x86, 0x05, 'u',  'r', 'n', ':', 'a',
                                         0x82, 0x01, 'b',  0x87, 0x04, 127, 0,   0,   1};
    for (int round = 0; round < 4000; round++) {
        unsigned char der[sizeof good];
        unsigned char dice[3];
        memcpy(der, good, sizeof good);
        assert_int_equal(RAND_bytes(dice, sizeof dice), 1);
        der[dice[0] % sizeof der] = dice[1];
        X509 *certificate = hostile_certificate(NAMES(CN("fallback")));
        hostile_add_alternative_names(certificate, der, sizeof der - dice[2] % 3U);
        struct certpost_error error;
        struct tls_identity identity = {0};
        enum certpost_status status = identity_of(certificate, &identity, &error);
        if (status == CERTPOST_OK)
            assert_true(identity_is_sound(&identity));
        else
            assert_status(status, CERTPOST_PEER_CERTIFICATE);
        tls_identity_free(&identity);
        X509_free(certificate);
    }
}

UNIT_MAIN(cmocka_unit_test(test_the_first_uri_counts),
          cmocka_unit_test(test_without_a_uri_the_first_dns_name_counts),
          cmocka_unit_test(test_without_both_the_common_name_counts),
          cmocka_unit_test(test_letters_keep_their_case),
          cmocka_unit_test(test_a_common_name_of_another_encoding_becomes_utf8),
          cmocka_unit_test(test_a_certificate_without_a_name_is_refused),
          cmocka_unit_test(test_freeing_an_empty_identity_does_nothing),
          cmocka_unit_test(test_a_nul_byte_is_refused_in_every_kind),
          cmocka_unit_test(test_a_control_character_is_refused_in_every_kind),
          cmocka_unit_test(test_what_is_not_ascii_is_refused_in_uri_and_dns),
          cmocka_unit_test(test_invalid_utf8_is_refused_in_a_common_name),
          cmocka_unit_test(test_invisible_characters_are_refused_in_a_common_name),
          cmocka_unit_test(test_spaces_at_the_ends_are_refused_in_a_common_name),
          cmocka_unit_test(test_an_empty_name_is_refused),
          cmocka_unit_test(test_a_bad_first_name_is_not_skipped),
          cmocka_unit_test(test_a_bad_later_name_spoils_the_certificate),
          cmocka_unit_test(test_several_common_names_are_refused),
          cmocka_unit_test(test_two_lists_of_alternative_names_are_refused),
          cmocka_unit_test(test_alternative_names_that_do_not_parse_are_refused),
          cmocka_unit_test(test_every_kind_has_its_bound),
          cmocka_unit_test(test_a_name_with_the_mark_of_a_kind_is_refused),
          cmocka_unit_test(test_a_uri_needs_a_scheme),
          cmocka_unit_test(test_a_dns_name_must_be_one),
          cmocka_unit_test(test_a_wildcard_may_follow_a_good_name),
          cmocka_unit_test(test_random_names_give_a_sound_identity_or_words),
          cmocka_unit_test(test_random_der_gives_a_sound_identity_or_words))
