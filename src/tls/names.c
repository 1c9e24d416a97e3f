/*
 * names.c — the names in a certificate (tls/names.h).
 *
 * Uses: base/text, OpenSSL.  Used by: identity.c, allow.c.
 * Never: treats a name as a C string, and never skips a name that it does not like.
 */
#include "tls/names.h"

#include "base/error.h"
#include "base/text.h"

#include <openssl/err.h>
#include <string.h>
#include <strings.h>

/* How much of a refused name is shown. */
enum { NAME_SHOWN_BYTES = 300 };

/* RFC 1035, section 2.3.4. */
enum { DNS_LABEL_MAX_BYTES = 63 };

static bool name_is_letter(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool name_is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}

static const char *name_byte_fault(unsigned char byte)
{
    if (byte == 0)
        return "has a NUL byte in it";
    if (byte < ' ' || byte == 0x7f)
        return "has a control character in it";
    return NULL;
}

static const char *name_ascii_fault(struct tls_name name)
{
    for (size_t i = 0; i < name.length; i++) {
        const char *fault = name_byte_fault(name.bytes[i]);
        if (fault != NULL)
            return fault;
        if (name.bytes[i] == ' ')
            return "has a space in it";
        if (name.bytes[i] > 0x7f)
            return "is not ASCII";
    }
    return NULL;
}

/* Whatever base/text would not show as it is must not be part of a name, except the backslash. */
static const char *name_utf8_fault(struct tls_name name)
{
    for (size_t at = 0; at < name.length;) {
        char shown[TEXT_ESCAPE_MAX * TEXT_ESCAPE_MAX + 1];
        const unsigned char *next = name.bytes + at;
        size_t length = text_utf8_length(next, name.length - at);
        const char *fault = name_byte_fault(*next);
        if (length == 0)
            return "is not valid UTF-8";
        if (fault != NULL)
            return fault;
        if (*next != '\\' && text_escape(next, length, shown, sizeof shown) != length)
            return "has an invisible or direction-turning character in it";
        at += length;
    }
    if (name.bytes[0] == ' ' || name.bytes[name.length - 1] == ' ')
        return "begins or ends with a space";
    return NULL;
}

const char *tls_name_fault(enum tls_name_type type, struct tls_name name)
{
    static const size_t most[] = {
        [TLS_NAME_URI] = TLS_NAME_URI_MAX_BYTES,
        [TLS_NAME_DNS] = TLS_NAME_DNS_MAX_BYTES,
        [TLS_NAME_CN] = TLS_NAME_CN_MAX_BYTES,
    };
    if (name.length == 0)
        return "is empty";
    if (name.length > most[type])
        return "is too long";
    return type == TLS_NAME_CN ? name_utf8_fault(name) : name_ascii_fault(name);
}

/* RFC 3986, section 3.1: where the scheme ends, or 0 when there is none. */
static size_t name_scheme_length(struct tls_name name)
{
    if (name.length == 0 || !name_is_letter(name.bytes[0]))
        return 0;
    for (size_t i = 1; i < name.length; i++) {
        unsigned char byte = name.bytes[i];
        if (byte == ':')
            return i;
        if (!name_is_letter(byte) && !name_is_digit(byte) && byte != '+' && byte != '-' &&
            byte != '.')
            return 0;
    }
    return 0;
}

static const char *name_label_fault(const unsigned char *label, size_t length)
{
    if (length == 0)
        return "has an empty label";
    if (length > DNS_LABEL_MAX_BYTES)
        return "has a label of more than 63 bytes";
    if (label[0] == '-' || label[length - 1] == '-')
        return "has a label that begins or ends with a hyphen";
    for (size_t i = 0; i < length; i++) {
        if (label[i] == '*')
            return "is a wildcard, which names no single sender";
        if (!name_is_letter(label[i]) && !name_is_digit(label[i]) && label[i] != '-' &&
            label[i] != '_')
            return "has a character in it that no DNS name has";
    }
    return NULL;
}

static bool name_is_all_digits(const unsigned char *label, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!name_is_digit(label[i]))
            return false;
    }
    return true;
}

static const char *name_dns_fault(struct tls_name name)
{
    size_t begin = 0;
    for (size_t at = 0; at <= name.length; at++) {
        if (at < name.length && name.bytes[at] != '.')
            continue;
        const char *fault = name_label_fault(name.bytes + begin, at - begin);
        if (fault != NULL)
            return fault;
        if (at == name.length && name_is_all_digits(name.bytes + begin, at - begin))
            return "looks like an address, and is no DNS name";
        begin = at + 1;
    }
    return NULL;
}

static bool name_begins_with_mark(struct tls_name name)
{
    static const char *const marks[] = {"uri:", "dns:", "cn:"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        size_t length = strlen(marks[i]);
        if (name.length >= length && strncasecmp((const char *)name.bytes, marks[i], length) == 0)
            return true;
    }
    return false;
}

const char *tls_name_identity_fault(enum tls_name_type type, struct tls_name name)
{
    if (name_begins_with_mark(name))
        return "begins with uri:, dns: or cn:, and could pass for a name of that kind";
    if (type == TLS_NAME_DNS)
        return name_dns_fault(name);
    if (type == TLS_NAME_URI) {
        size_t scheme = name_scheme_length(name);
        if (scheme == 0 || scheme + 1 == name.length)
            return "is no URI with a scheme";
    }
    return NULL;
}

/* ------------------------------------------------------------------------------ certificate */

const char *tls_name_type_words(enum tls_name_type type)
{
    static const char *const words[] = {
        [TLS_NAME_URI] = "URI",
        [TLS_NAME_DNS] = "DNS name",
        [TLS_NAME_CN] = "common name",
    };
    return words[type];
}

static enum certpost_status names_refuse(enum tls_name_type type, struct tls_name name,
                                         const char *fault, struct certpost_error *error)
{
    char shown[NAME_SHOWN_BYTES];
    text_escape(name.bytes == NULL ? (const unsigned char *)"" : name.bytes, name.length, shown,
                sizeof shown);
    return error_set(error, CERTPOST_PEER_CERTIFICATE, "its %s %s %s", tls_name_type_words(type),
                     shown, fault);
}

bool tls_names_next(const struct tls_names *names, enum tls_name_type type, int *at,
                    struct tls_name *ret_name)
{
    int wanted = type == TLS_NAME_URI ? GEN_URI : GEN_DNS;
    int count = names->alternative == NULL ? 0 : sk_GENERAL_NAME_num(names->alternative);
    while (*at < count) {
        int kind = 0;
        const ASN1_STRING *value =
            GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names->alternative, *at), &kind);
        ++*at;
        if (kind != wanted)
            continue;
        ret_name->bytes = ASN1_STRING_get0_data(value);
        ret_name->length = (size_t)ASN1_STRING_length(value);
        return true;
    }
    return false;
}

static enum certpost_status names_check_all(const struct tls_names *names, enum tls_name_type type,
                                            struct certpost_error *error)
{
    struct tls_name name;
    for (int at = 0; tls_names_next(names, type, &at, &name);) {
        const char *fault = tls_name_fault(type, name);
        if (fault != NULL)
            return names_refuse(type, name, fault, error);
    }
    return CERTPOST_OK;
}

static enum certpost_status names_read_alternative(const X509 *certificate, struct tls_names *names,
                                                   struct certpost_error *error)
{
    int found = 0;
    names->alternative = X509_get_ext_d2i(certificate, NID_subject_alt_name, &found, NULL);
    ERR_clear_error();
    /* -1: there are none; -2: there is more than one list of them. */
    if (names->alternative == NULL && found != -1)
        return error_set(error, CERTPOST_PEER_CERTIFICATE,
                         found == -2 ? "its alternative names are there more than once"
                                     : "its alternative names cannot be read");
    enum certpost_status status = names_check_all(names, TLS_NAME_URI, error);
    if (status == CERTPOST_OK)
        status = names_check_all(names, TLS_NAME_DNS, error);
    return status;
}

static enum certpost_status names_read_common(const X509 *certificate, struct tls_names *names,
                                              struct certpost_error *error)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return CERTPOST_OK;
    if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return error_set(error, CERTPOST_PEER_CERTIFICATE, "its subject has several common names");
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int length = ASN1_STRING_to_UTF8(&names->common_name_bytes, value);
    ERR_clear_error();
    if (length < 0)
        return error_set(error, CERTPOST_PEER_CERTIFICATE,
                         "its common name is not text that can be read");
    names->common_name =
        (struct tls_name){.bytes = names->common_name_bytes, .length = (size_t)length};
    const char *fault = tls_name_fault(TLS_NAME_CN, names->common_name);
    return fault == NULL ? CERTPOST_OK
                         : names_refuse(TLS_NAME_CN, names->common_name, fault, error);
}

enum certpost_status tls_names_read(const X509 *certificate, struct tls_names *ret_names,
                                    struct certpost_error *error)
{
    struct tls_names names = {0};
    enum certpost_status status = names_read_alternative(certificate, &names, error);
    if (status == CERTPOST_OK)
        status = names_read_common(certificate, &names, error);
    if (status == CERTPOST_OK)
        *ret_names = names;
    else
        tls_names_free(&names);
    return status;
}

void tls_names_free(struct tls_names *names)
{
    if (names == NULL)
        return;
    GENERAL_NAMES_free(names->alternative);
    OPENSSL_free(names->common_name_bytes);
    *names = (struct tls_names){0};
}
