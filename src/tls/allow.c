/*
 * allow.c — allow lists (tls/allow.h).
 *
 * Every list is a sorted array of length-counted bytes, so that a hundred thousand entries cost
 * seventeen comparisons for each name of a client.
 *
 * Uses: names, pin.  Used by: server_material.c (load), context_verify.c (ask).
 * Never: compares by prefix or pattern: a wildcard entry is an exact entry for the name without
 * its first label.
 */
#include "tls/allow.h"

#include "base/error.h"
#include "base/text.h"
#include "tls/pin.h"

#include <stdlib.h>
#include <string.h>

/* How much of a malformed entry is shown. */
enum { ALLOW_SHOWN_BYTES = 300 };

struct allow_set {
    struct tls_name *entries; /* sorted */
    size_t count;
};

struct tls_allow {
    struct allow_set dns;       /* exact names, in lower case */
    struct allow_set dns_below; /* the NAME of each *.NAME, in lower case */
    struct allow_set uri;
    struct allow_set common_name;
    struct allow_set pins;
    unsigned char *dns_text; /* what the DNS sets point to */
    struct tls_pin *pin_digests;
};

/* Shorter ones first: the lengths tell most names apart without a look at the bytes. */
static int allow_compare(const void *left, const void *right)
{
    const struct tls_name *a = left;
    const struct tls_name *b = right;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->bytes, b->bytes, a->length);
}

static bool allow_has(const struct allow_set *set, const unsigned char *bytes, size_t length)
{
    struct tls_name wanted = {.bytes = bytes, .length = length};
    return set->count > 0 &&
           bsearch(&wanted, set->entries, set->count, sizeof wanted, allow_compare) != NULL;
}

static bool allow_set_make(struct allow_set *set, size_t capacity)
{
    if (capacity == 0)
        return true;
    set->entries = calloc(capacity, sizeof *set->entries);
    return set->entries != NULL;
}

static void allow_set_add(struct allow_set *set, const void *bytes, size_t length)
{
    set->entries[set->count++] = (struct tls_name){.bytes = bytes, .length = length};
}

static void allow_set_sort(struct allow_set *set)
{
    if (set->count > 1)
        qsort(set->entries, set->count, sizeof *set->entries, allow_compare);
}

static void allow_to_lower(const unsigned char *bytes, size_t length, unsigned char *ret_bytes)
{
    for (size_t i = 0; i < length; i++) {
        bool upper = bytes[i] >= 'A' && bytes[i] <= 'Z';
        ret_bytes[i] = upper ? (unsigned char)(bytes[i] + ('a' - 'A')) : bytes[i];
    }
}

/* ------------------------------------------------------------------------------ load */

static enum certpost_status allow_refuse(const char *option, const char *entry, const char *fault,
                                         struct certpost_error *error)
{
    char shown[ALLOW_SHOWN_BYTES];
    text_escape(entry, strlen(entry), shown, sizeof shown);
    return error_set(error, CERTPOST_USAGE, "--%s %s: it %s", option, shown, fault);
}

static struct tls_name allow_name_of(const char *text)
{
    return (struct tls_name){.bytes = (const unsigned char *)text, .length = strlen(text)};
}

/* What no certificate's name can be, an entry must not be either: it would never fit. */
static const char *allow_name_fault(enum tls_name_type type, struct tls_name name)
{
    const char *fault = tls_name_fault(type, name);
    if (fault == NULL && type != TLS_NAME_CN)
        fault = tls_name_identity_fault(type, name);
    return fault;
}

static enum certpost_status allow_load_exact(const struct options_list *list,
                                             enum tls_name_type type, const char *option,
                                             struct allow_set *set, struct certpost_error *error)
{
    if (!allow_set_make(set, list->count))
        return error_no_memory(error);
    for (size_t i = 0; i < list->count; i++) {
        struct tls_name name = allow_name_of(list->items[i]);
        const char *fault = allow_name_fault(type, name);
        if (fault != NULL)
            return allow_refuse(option, list->items[i], fault, error);
        allow_set_add(set, name.bytes, name.length);
    }
    allow_set_sort(set);
    return CERTPOST_OK;
}

static size_t allow_text_bytes(const struct options_list *list)
{
    size_t total = 1; /* never an allocation of nothing */
    for (size_t i = 0; i < list->count; i++)
        total += strlen(list->items[i]);
    return total;
}

static const char *allow_dns_fault(struct tls_name name, bool wildcard)
{
    if (wildcard && name.length == 0)
        return "has nothing after the wildcard";
    if (wildcard && memchr(name.bytes, '.', name.length) == NULL)
        return "would admit a whole top-level domain; after *. come at least two labels";
    if (memchr(name.bytes, '*', name.length) != NULL)
        return "has a wildcard that is not a whole first label (*.NAME)";
    return allow_name_fault(TLS_NAME_DNS, name);
}

static enum certpost_status allow_load_dns(struct tls_allow *allow, const struct options_list *list,
                                           struct certpost_error *error)
{
    unsigned char *text = malloc(allow_text_bytes(list));
    allow->dns_text = text;
    if (text == NULL || !allow_set_make(&allow->dns, list->count) ||
        !allow_set_make(&allow->dns_below, list->count))
        return error_no_memory(error);
    for (size_t i = 0; i < list->count; i++) {
        const char *entry = list->items[i];
        bool wildcard = strncmp(entry, "*.", 2) == 0;
        struct tls_name name = allow_name_of(wildcard ? entry + 2 : entry);
        const char *fault = allow_dns_fault(name, wildcard);
        if (fault != NULL)
            return allow_refuse("allow-dns", entry, fault, error);
        allow_to_lower(name.bytes, name.length, text);
        allow_set_add(wildcard ? &allow->dns_below : &allow->dns, text, name.length);
        text += name.length;
    }
    allow_set_sort(&allow->dns);
    allow_set_sort(&allow->dns_below);
    return CERTPOST_OK;
}

static enum certpost_status allow_load_pins(struct tls_allow *allow,
                                            const struct options_list *list,
                                            struct certpost_error *error)
{
    if (list->count == 0)
        return CERTPOST_OK;
    allow->pin_digests = calloc(list->count, sizeof *allow->pin_digests);
    if (allow->pin_digests == NULL || !allow_set_make(&allow->pins, list->count))
        return error_no_memory(error);
    for (size_t i = 0; i < list->count; i++) {
        struct tls_pin *pin = &allow->pin_digests[i];
        if (!tls_pin_parse(list->items[i], pin))
            return allow_refuse("allow-spki", list->items[i],
                                "is no pin; write sha256// and the 44 characters of base64 of a "
                                "SHA-256 digest",
                                error);
        allow_set_add(&allow->pins, pin->digest, sizeof pin->digest);
    }
    allow_set_sort(&allow->pins);
    return CERTPOST_OK;
}

enum certpost_status tls_allow_load(const struct tls_server_setup *setup,
                                    struct tls_allow **ret_allow, struct certpost_error *error)
{
    struct tls_allow *allow = calloc(1, sizeof *allow);
    if (allow == NULL)
        return error_no_memory(error);
    enum certpost_status status = allow_load_dns(allow, &setup->allow_dns, error);
    if (status == CERTPOST_OK)
        status = allow_load_exact(&setup->allow_uri, TLS_NAME_URI, "allow-uri", &allow->uri, error);
    if (status == CERTPOST_OK)
        status =
            allow_load_exact(&setup->allow_cn, TLS_NAME_CN, "allow-cn", &allow->common_name, error);
    if (status == CERTPOST_OK)
        status = allow_load_pins(allow, &setup->allow_spki, error);
    if (status == CERTPOST_OK)
        *ret_allow = allow;
    else
        tls_allow_free(allow);
    return status;
}

void tls_allow_free(struct tls_allow *allow)
{
    if (allow == NULL)
        return;
    free(allow->dns.entries);
    free(allow->dns_below.entries);
    free(allow->uri.entries);
    free(allow->common_name.entries);
    free(allow->pins.entries);
    free(allow->dns_text);
    free(allow->pin_digests);
    free(allow);
}

/* ------------------------------------------------------------------------------ ask */

static bool allow_is_empty(const struct tls_allow *allow)
{
    return allow->dns.count + allow->dns_below.count + allow->uri.count + allow->common_name.count +
               allow->pins.count ==
           0;
}

static bool allow_dns_name(const struct tls_allow *allow, struct tls_name name)
{
    unsigned char lower[TLS_NAME_DNS_MAX_BYTES];
    /* A malformed name, a wildcard in a certificate, an address in the place of a name. */
    if (name.length > sizeof lower || tls_name_identity_fault(TLS_NAME_DNS, name) != NULL)
        return false;
    allow_to_lower(name.bytes, name.length, lower);
    if (allow_has(&allow->dns, lower, name.length))
        return true;
    const unsigned char *dot = memchr(lower, '.', name.length);
    if (dot == NULL)
        return false;
    size_t below = (size_t)(dot + 1 - lower);
    return allow_has(&allow->dns_below, lower + below, name.length - below);
}

static bool allow_any_dns(const struct tls_allow *allow, const struct tls_names *names)
{
    struct tls_name name;
    if (allow->dns.count + allow->dns_below.count == 0)
        return false;
    for (int at = 0; tls_names_next(names, TLS_NAME_DNS, &at, &name);) {
        if (allow_dns_name(allow, name))
            return true;
    }
    return false;
}

static bool allow_any_uri(const struct tls_allow *allow, const struct tls_names *names)
{
    struct tls_name name;
    for (int at = 0; tls_names_next(names, TLS_NAME_URI, &at, &name);) {
        if (allow_has(&allow->uri, name.bytes, name.length))
            return true;
    }
    return false;
}

bool tls_allow_admits(const struct tls_allow *allow, const struct tls_names *names,
                      const X509 *certificate)
{
    struct tls_pin pin;
    if (allow_is_empty(allow) || allow_any_dns(allow, names) || allow_any_uri(allow, names) ||
        allow_has(&allow->common_name, names->common_name.bytes, names->common_name.length))
        return true;
    return allow->pins.count > 0 && tls_pin_of(certificate, &pin) &&
           allow_has(&allow->pins, pin.digest, sizeof pin.digest);
}
