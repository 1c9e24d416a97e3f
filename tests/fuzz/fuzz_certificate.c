/*
 * fuzz_certificate.c — the names of a certificate (tls/names.h), the identity that follows from
 * them (tls/identity.h), allow lists (tls/allow.h), and which name of a client a server's
 * certificate is for (tls/sni.h).
 *
 * What must hold: an identity carries the mark of its kind and bytes that can be shown as they are;
 * a list admits just those whose name it has, by a second and simpler reading of the rules.
 *
 * Script: u8 how. 0 to 63: the rest is a certificate in DER. Else: u8 allocation that fails, then
 * names, each a u8 type, u8 length and the bytes; some are alternative names, some the subject's,
 * some the entries of the lists.
 */
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "tls/allow.h"
#include "tls/identity.h"
#include "tls/pin.h"
#include "tls/sni.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ENTRIES_MAX = 32 };

static struct {
    X509 *certificate;
    GENERAL_NAMES *alternative;
    struct tls_server_setup setup;
    char *entries[ENTRIES_MAX];
    size_t entry_count;
} world;

/* ---- making the certificate and the lists ---- */

static void world_add_alternative(uint8_t type, const uint8_t *bytes, size_t length)
{
    static const int types[] = {GEN_URI, GEN_DNS, GEN_EMAIL, GEN_RID};
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    FUZZ_CHECK(name != NULL && value != NULL);
    FUZZ_CHECK(ASN1_STRING_set(value, bytes, (int)length) == 1);
    int kind = types[type % 4] == GEN_RID ? GEN_DNS : types[type % 4];
    GENERAL_NAME_set0_value(name, kind, value);
    FUZZ_CHECK(sk_GENERAL_NAME_push(world.alternative, name) > 0);
}

static void world_add_common_name(uint8_t type, const uint8_t *bytes, size_t length)
{
    static const int types[] = {V_ASN1_UTF8STRING, V_ASN1_BMPSTRING, V_ASN1_T61STRING,
                                V_ASN1_UNIVERSALSTRING};
    X509_NAME *subject = X509_get_subject_name(world.certificate);
    /* Refused for a length of OpenSSL's own bounds, or when it is no text of its type. */
    (void)X509_NAME_add_entry_by_NID(subject, NID_commonName, types[type / 16 % 4], bytes,
                                     (int)length, -1, 0);
    ERR_clear_error();
}

static void world_add_entry(uint8_t type, const uint8_t *bytes, size_t length)
{
    struct options_list *lists[] = {&world.setup.allow_dns, &world.setup.allow_uri,
                                    &world.setup.allow_cn, &world.setup.allow_spki};
    static const struct options_spec spec = {.max = ENTRIES_MAX};
    char *entry = fuzz_text(bytes, length);
    if (world.entry_count == ENTRIES_MAX ||
        options_take_list(&spec, lists[type / 16 % 4], entry, NULL) != CERTPOST_OK) {
        free(entry);
        return;
    }
    world.entries[world.entry_count++] = entry;
}

/* Always the same one, so that an input can have its pin. */
static EVP_PKEY *world_key(void)
{
    static const unsigned char secret[32] = "no secret: a key for names only";
    static EVP_PKEY *key;
    if (key == NULL)
        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    FUZZ_CHECK(key != NULL);
    return key;
}

static void world_build(struct cursor *script)
{
    world.certificate = X509_new();
    world.alternative = GENERAL_NAMES_new();
    FUZZ_CHECK(world.certificate != NULL && world.alternative != NULL);
    FUZZ_CHECK(X509_set_pubkey(world.certificate, world_key()) == 1);
    while (script->left_bytes > 0) {
        const uint8_t *bytes = NULL;
        uint8_t type = fuzz_u8(script);
        size_t length = fuzz_u8(script) * (type >= 128 ? 5U : 1U);
        length = fuzz_take(script, length, &bytes);
        if (type % 8 < 4)
            world_add_alternative(type, bytes, length);
        else if (type % 8 < 6)
            world_add_common_name(type, bytes, length);
        else
            world_add_entry(type, bytes, length);
    }
    if (sk_GENERAL_NAME_num(world.alternative) > 0)
        FUZZ_CHECK(X509_add1_ext_i2d(world.certificate, NID_subject_alt_name, world.alternative, 0,
                                     X509V3_ADD_APPEND) == 1);
}

static bool world_parse(struct cursor *script)
{
    const unsigned char *der = script->next;
    world.certificate = d2i_X509(NULL, &der, (long)script->left_bytes);
    ERR_clear_error();
    return world.certificate != NULL;
}

/* ---- what must hold ---- */

static void world_check_identity(const struct tls_names *names)
{
    static const char *const marks[] = {"", "uri:", "dns:", "cn:"};
    struct tls_identity identity = {.kind = TLS_IDENTITY_NONE};
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = tls_identity_from(names, &identity, &error);
    fuzz_check_error(status, &error);
    if (status != CERTPOST_OK)
        return;
    size_t mark = strlen(marks[identity.kind]);
    FUZZ_CHECK(identity.kind != TLS_IDENTITY_NONE);
    FUZZ_CHECK(identity.length > mark && identity.length <= TLS_IDENTITY_MAX_BYTES);
    FUZZ_CHECK(memcmp(identity.bytes, marks[identity.kind], mark) == 0);
    static const enum tls_name_type types[] = {TLS_NAME_CN, TLS_NAME_URI, TLS_NAME_DNS,
                                               TLS_NAME_CN};
    struct tls_name name = {identity.bytes + mark, identity.length - mark};
    FUZZ_CHECK(tls_name_fault(types[identity.kind], name) == NULL);
    FUZZ_CHECK(tls_name_identity_fault(types[identity.kind], name) == NULL);
    for (size_t at = 0; at < identity.length;) {
        size_t taken = text_utf8_length(identity.bytes + at, identity.length - at);
        FUZZ_CHECK(taken > 0 && identity.bytes[at] >= ' ' && identity.bytes[at] != 0x7f);
        at += taken;
    }
    tls_identity_free(&identity);
    tls_identity_free(NULL);
}

static bool world_dns_entry_fits(const char *entry, const struct tls_name *name)
{
    const unsigned char *from = name->bytes;
    size_t length = name->length;
    if (tls_name_identity_fault(TLS_NAME_DNS, *name) != NULL)
        return false;
    if (strncmp(entry, "*.", 2) == 0) {
        while (length > 0 && *from != '.') {
            from++;
            length--;
        }
        entry += 1; /* from the dot on */
    }
    return strlen(entry) == length && strncasecmp(entry, (const char *)from, length) == 0;
}

static bool world_any_fits(const struct options_list *list, enum tls_name_type type,
                           const struct tls_names *names)
{
    struct tls_name name;
    for (int at = 0; tls_names_next(names, type, &at, &name);) {
        for (size_t i = 0; i < list->count; i++) {
            bool equal = strlen(list->items[i]) == name.length &&
                         memcmp(list->items[i], name.bytes, name.length) == 0;
            if (type == TLS_NAME_DNS ? world_dns_entry_fits(list->items[i], &name) : equal)
                return true;
        }
    }
    return false;
}

static bool world_should_admit(const struct tls_names *names)
{
    if (world.entry_count == 0 || world_any_fits(&world.setup.allow_dns, TLS_NAME_DNS, names) ||
        world_any_fits(&world.setup.allow_uri, TLS_NAME_URI, names))
        return true;
    for (size_t i = 0; i < world.setup.allow_cn.count; i++) {
        const char *entry = world.setup.allow_cn.items[i];
        if (strlen(entry) == names->common_name.length &&
            memcmp(entry, names->common_name.bytes, names->common_name.length) == 0)
            return true;
    }
    struct tls_pin pin;
    char text[TLS_PIN_TEXT_BYTES];
    if (world.setup.allow_spki.count == 0 || !tls_pin_of(world.certificate, &pin))
        return false;
    tls_pin_format(&pin, text);
    for (size_t i = 0; i < world.setup.allow_spki.count; i++) {
        if (strcmp(text, world.setup.allow_spki.items[i]) == 0)
            return true;
    }
    return false;
}

/* `*.a.b` covers one label more; names of any shape are compared, in any case. */
static bool world_sni_fits(const struct tls_name *pattern, const char *name)
{
    const char *dot = strchr(name, '.');
    size_t length = strlen(name);
    if (pattern->length == length && strncasecmp((const char *)pattern->bytes, name, length) == 0)
        return true;
    if (pattern->length < 3 || memcmp(pattern->bytes, "*.", 2) != 0 || dot == NULL || dot == name)
        return false;
    return strlen(dot) == pattern->length - 1 &&
           strncasecmp((const char *)pattern->bytes + 1, dot, pattern->length - 1) == 0;
}

/* As a server's certificate: the entries of the lists are what clients ask for. */
static void world_check_sni(const struct tls_names *names)
{
    struct tls_sni sni = {.count = 0};
    if (X509_get0_pubkey(world.certificate) == NULL) {
        ERR_clear_error(); /* a pair without a key is not loaded (tls/material.h) */
        return;
    }
    FUZZ_CHECK(tls_sni_add(&sni, world.certificate, "one", NULL) == CERTPOST_OK);
    FUZZ_CHECK(tls_sni_default(&sni) == 1);
    for (size_t i = 0; i < world.entry_count; i++) {
        bool fits = false;
        struct tls_name name;
        for (int at = 0; tls_names_next(names, TLS_NAME_DNS, &at, &name);)
            fits = fits || world_sni_fits(&name, world.entries[i]);
        FUZZ_CHECK(tls_sni_find(&sni, world.entries[i]) == (fits ? 1 : 0));
    }
    enum certpost_status again = tls_sni_add(&sni, world.certificate, "two", NULL);
    FUZZ_CHECK(again == CERTPOST_OK || again == CERTPOST_OWN_CERTIFICATE);
    tls_sni_free(&sni);
}

static void world_check(struct cursor *fault)
{
    struct tls_names names = {0};
    struct tls_allow *allow = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status named = tls_names_read(world.certificate, &names, &error);
    fuzz_check_error(named, &error);
    fuzz_arm_memory(fault);
    if (named == CERTPOST_OK)
        world_check_identity(&names);
    certpost_error_clear(&error);
    enum certpost_status listed = tls_allow_load(&world.setup, &allow, &error);
    fuzz_check_error(listed, &error);
    bool struck = fuzz_heal_memory();
    FUZZ_CHECK(listed != CERTPOST_NO_MEMORY || struck);
    if (named == CERTPOST_OK)
        world_check_sni(&names);
    if (named == CERTPOST_OK && listed == CERTPOST_OK)
        FUZZ_CHECK(tls_allow_admits(allow, &names, world.certificate) ==
                   world_should_admit(&names));
    tls_allow_free(allow);
    tls_allow_free(NULL);
    tls_names_free(&names);
    tls_names_free(NULL);
    FUZZ_CHECK(ERR_peek_error() == 0); /* what is left there would be blamed on the next one */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    memset(&world, 0, sizeof world);
    bool der = fuzz_u8(&script) < 64;
    struct cursor fault = script;
    bool made = true;
    if (der) {
        fault.left_bytes = 0;
        made = world_parse(&script);
    } else {
        (void)fuzz_u8(&script);
        world_build(&script);
    }
    if (made)
        world_check(&fault);
    X509_free(world.certificate);
    GENERAL_NAMES_free(world.alternative);
    options_list_free(&world.setup.allow_dns);
    options_list_free(&world.setup.allow_uri);
    options_list_free(&world.setup.allow_cn);
    options_list_free(&world.setup.allow_spki);
    for (size_t i = 0; i < world.entry_count; i++)
        free(world.entries[i]);
    return 0;
}
