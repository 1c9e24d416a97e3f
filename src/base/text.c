/*
 * text.c — numbers, sizes, durations and endpoints as people type them (base/text.h).
 *
 * Uses: libc.  Used by: every layer.  Escaping is in escape.c.
 * Never: allocates; never accepts trailing garbage, signs, or a value that overflowed.
 */
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Reads the leading digits of `*text` and moves it past them. */
static bool text_take_digits(const char **text, uint64_t *ret_value)
{
    const char *next = *text;
    uint64_t value = 0;
    for (; *next >= '0' && *next <= '9'; next++) {
        uint64_t digit = (uint64_t)(*next - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (next == *text)
        return false;
    *text = next;
    *ret_value = value;
    return true;
}

bool text_parse_u64(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!text_take_digits(&text, &value) || *text != '\0' || value > max)
        return false;
    *ret_value = value;
    return true;
}

struct text_unit {
    const char *name;
    uint64_t factor;
};

static bool text_parse_with_unit(const char *text, const struct text_unit *units, uint64_t max,
                                 uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!text_take_digits(&text, &value))
        return false;
    for (const struct text_unit *unit = units; unit->name != NULL; unit++) {
        if (strcmp(text, unit->name) != 0)
            continue;
        if (value > max / unit->factor)
            return false;
        *ret_value = value * unit->factor;
        return true;
    }
    return false;
}

bool text_parse_size(const char *text, uint64_t max_bytes, uint64_t *ret_bytes)
{
    static const uint64_t kib = 1024;
    static const uint64_t kb = 1000;
    const struct text_unit units[] = {
        {"", 1},
        {"B", 1},
        {"K", kib},
        {"KiB", kib},
        {"M", kib * kib},
        {"MiB", kib * kib},
        {"G", kib * kib * kib},
        {"GiB", kib * kib * kib},
        {"TiB", kib * kib * kib * kib},
        {"kB", kb},
        {"MB", kb * kb},
        {"GB", kb * kb * kb},
        {"TB", kb * kb * kb * kb},
        {NULL, 0},
    };
    return text_parse_with_unit(text, units, max_bytes, ret_bytes);
}

bool text_parse_duration(const char *text, int64_t max_ms, int64_t *ret_ms)
{
    static const struct text_unit units[] = {
        {"", 1000},      {"ms", 1},        {"s", 1000}, {"m", 60000U},
        {"h", 3600000U}, {"d", 86400000U}, {NULL, 0},
    };
    uint64_t value = 0;
    if (max_ms < 0 || !text_parse_with_unit(text, units, (uint64_t)max_ms, &value))
        return false;
    *ret_ms = (int64_t)value;
    return true;
}

static bool text_copy_host(const char *host, size_t length, char ret_host[TEXT_HOST_BYTES])
{
    if (length >= TEXT_HOST_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        /* A space or control character in a host is a mistake, and worse in an error message. */
        if ((unsigned char)host[i] <= ' ' || host[i] == '[' || host[i] == ']' || host[i] == 0x7f)
            return false;
    }
    memcpy(ret_host, host, length);
    ret_host[length] = '\0';
    return true;
}

/* `text` is "" or ":PORT". */
static bool text_parse_port(const char *text, uint16_t default_port, uint16_t *ret_port)
{
    uint64_t port = default_port;
    if (*text != '\0' && (*text != ':' || !text_parse_u64(text + 1, UINT16_MAX, &port)))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* An IPv6 address, perhaps with a zone as in fe80::1%eth0 (RFC 4007, section 11). */
static bool text_is_ipv6(const char *host)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    size_t length = strcspn(host, "%");
    const char *zone = host[length] == '%' ? host + length + 1 : NULL;
    if (length >= sizeof address || (zone != NULL && (*zone == '\0' || strchr(zone, ':') != NULL)))
        return false;
    memcpy(address, host, length);
    address[length] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

bool text_parse_endpoint(const char *text, uint16_t default_port, char ret_host[TEXT_HOST_BYTES],
                         uint16_t *ret_port)
{
    const char *host = text;
    size_t host_length = strlen(text);
    const char *rest = text + host_length;
    bool must_be_ipv6 = true;
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (close == NULL || close == text + 1)
            return false;
        host = text + 1;
        host_length = (size_t)(close - host);
        rest = close + 1;
    } else {
        const char *first_colon = strchr(text, ':');
        /* Two colons or more without brackets: a bare IPv6 address. */
        must_be_ipv6 = first_colon != NULL && strchr(first_colon + 1, ':') != NULL;
        if (first_colon != NULL && !must_be_ipv6) {
            host_length = (size_t)(first_colon - text);
            rest = first_colon;
        }
    }
    char copy[TEXT_HOST_BYTES];
    if (!text_copy_host(host, host_length, copy) || (must_be_ipv6 && !text_is_ipv6(copy)) ||
        !text_parse_port(rest, default_port, ret_port))
        return false;
    memcpy(ret_host, copy, host_length + 1);
    return true;
}

void text_format_endpoint(const char *host, uint16_t port, char ret_text[TEXT_ENDPOINT_BYTES])
{
    bool brackets = strchr(host, ':') != NULL;
    snprintf(ret_text, TEXT_ENDPOINT_BYTES, "%s%.*s%s:%u", brackets ? "[" : "", TEXT_HOST_BYTES - 1,
             host, brackets ? "]" : "", (unsigned)port);
}

/* Levenshtein distance of two short words; more than `TEXT_WORD_MAX` letters never match. */
enum { TEXT_WORD_MAX = 40 };

static size_t text_distance(const char *a, const char *b)
{
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    if (a_length > TEXT_WORD_MAX || b_length > TEXT_WORD_MAX)
        return SIZE_MAX;
    size_t row[TEXT_WORD_MAX + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_length];
}

const char *text_nearest(const char *text, const char *const *names)
{
    const char *nearest = NULL;
    /* A third of the letters may differ: "--cacrt" means "--cacert", "--x" means nothing. */
    size_t best = strlen(text) / 3 + 1;
    for (; *names != NULL; names++) {
        size_t distance = text_distance(text, *names);
        if (distance < best) {
            best = distance;
            nearest = *names;
        }
    }
    return nearest;
}
