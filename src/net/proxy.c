/*
 * proxy.c — the PROXY protocol (net/proxy.h).
 *
 * Uses: base.  Used by: net/conn_proxy.
 * Never: guesses: a header that is not exactly as specified is refused, because whoever can make us
 * misread it chooses the address that we count and log.
 */
#include "net/proxy.h"

#include "base/cursor.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum { PROXY_V1_MAX_BYTES = 107, PROXY_V1_FIELDS = 6, PROXY_V2_FIXED_BYTES = 16 };

static const unsigned char proxy_v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                     0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
static const char proxy_v1_prefix[] = "PROXY ";

/* True while `bytes` agree with `prefix` as far as both go. */
static bool proxy_may_begin(const struct cursor *cursor, const void *prefix, size_t length)
{
    size_t compared = cursor->left_bytes < length ? cursor->left_bytes : length;
    return compared == 0 || memcmp(cursor->next, prefix, compared) == 0;
}

/* ------------------------------------------------------------------------------ version 1 */

static bool proxy_v1_address(const char *family, const char *host, const char *port,
                             struct sockaddr_storage *ret_address)
{
    uint64_t number = 0;
    struct sockaddr_storage address = {0};
    /* No leading zeros: "not exactly as specified" includes other spellings of the same port. */
    if (!text_parse_u64(port, UINT16_MAX, &number) || (port[0] == '0' && port[1] != '\0'))
        return false;
    if (strcmp(family, "TCP4") == 0) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)number);
        if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
            return false;
    } else if (strcmp(family, "TCP6") == 0) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)number);
        if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
            return false;
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

/* Cuts the line at single spaces, in place; false unless there are exactly `count` fields. */
static bool proxy_v1_split(char *line, char *fields[], size_t count)
{
    size_t found = 0;
    for (char *next = line; next != NULL;) {
        if (found == count)
            return false;
        char *space = strchr(next, ' ');
        fields[found++] = next;
        if (space != NULL)
            *space++ = '\0';
        next = space;
    }
    return found == count;
}

static enum certpost_status proxy_v1_line(const unsigned char *bytes, size_t length,
                                          struct proxy_header *ret_header)
{
    char line[PROXY_V1_MAX_BYTES];
    char *fields[PROXY_V1_FIELDS];
    struct proxy_header header = {.has_source = true};
    struct sockaddr_storage destination;
    if (memchr(bytes, '\0', length) != NULL)
        return CERTPOST_PROTOCOL;
    memcpy(line, bytes, length);
    line[length] = '\0';
    static const char unknown[] = "PROXY UNKNOWN";
    size_t unknown_length = sizeof unknown - 1;
    if (strncmp(line, unknown, unknown_length) == 0 &&
        (line[unknown_length] == '\0' || line[unknown_length] == ' ')) {
        *ret_header = (struct proxy_header){0};
        return CERTPOST_OK;
    }
    if (!proxy_v1_split(line, fields, PROXY_V1_FIELDS) ||
        !proxy_v1_address(fields[1], fields[2], fields[4], &header.source) ||
        !proxy_v1_address(fields[1], fields[3], fields[5], &destination))
        return CERTPOST_PROTOCOL;
    *ret_header = header;
    return CERTPOST_OK;
}

static enum certpost_status proxy_v1_parse(const struct cursor *cursor,
                                           struct proxy_header *ret_header, size_t *ret_consumed)
{
    size_t end = 0;
    bool whole = cursor_find(cursor, '\n', &end);
    if (!whole)
        return cursor->left_bytes >= PROXY_V1_MAX_BYTES ? CERTPOST_PROTOCOL : CERTPOST_WANT_READ;
    if (end >= PROXY_V1_MAX_BYTES || end == 0 || cursor->next[end - 1] != '\r')
        return CERTPOST_PROTOCOL;
    enum certpost_status status = proxy_v1_line(cursor->next, end - 1, ret_header);
    if (status == CERTPOST_OK)
        *ret_consumed = end + 1;
    return status;
}

/* ------------------------------------------------------------------------------ version 2 */

enum { PROXY_V2_LOCAL = 0x20, PROXY_V2_PROXY = 0x21, PROXY_V2_TCP4 = 0x11, PROXY_V2_TCP6 = 0x21 };

static bool proxy_v2_source_v4(struct cursor *body, struct sockaddr_storage *ret_source)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_source;
    const unsigned char *source = NULL;
    const unsigned char *destination = NULL;
    uint16_t port = 0;
    if (!cursor_take(body, sizeof v4->sin_addr, &source) ||
        !cursor_take(body, sizeof v4->sin_addr, &destination) || !cursor_read_u16(body, &port))
        return false;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    memcpy(&v4->sin_addr, source, sizeof v4->sin_addr);
    return cursor_read_u16(body, &port);
}

static bool proxy_v2_source_v6(struct cursor *body, struct sockaddr_storage *ret_source)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_source;
    const unsigned char *source = NULL;
    const unsigned char *destination = NULL;
    uint16_t port = 0;
    if (!cursor_take(body, sizeof v6->sin6_addr, &source) ||
        !cursor_take(body, sizeof v6->sin6_addr, &destination) || !cursor_read_u16(body, &port))
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, source, sizeof v6->sin6_addr);
    return cursor_read_u16(body, &port);
}

/* Families that we cannot count by address (UDP, Unix sockets) are valid and have no source. */
static bool proxy_v2_body(uint8_t command, uint8_t family, struct cursor body,
                          struct proxy_header *ret_header)
{
    struct proxy_header header = {.has_source = command == PROXY_V2_PROXY};
    if (command != PROXY_V2_PROXY && command != PROXY_V2_LOCAL)
        return false;
    if (header.has_source && family == PROXY_V2_TCP4) {
        if (!proxy_v2_source_v4(&body, &header.source))
            return false;
    } else if (header.has_source && family == PROXY_V2_TCP6) {
        if (!proxy_v2_source_v6(&body, &header.source))
            return false;
    } else {
        header.has_source = false;
    }
    *ret_header = header;
    return true;
}

static enum certpost_status proxy_v2_parse(struct cursor cursor, struct proxy_header *ret_header,
                                           size_t *ret_consumed)
{
    const unsigned char *bytes = NULL;
    uint8_t command = 0;
    uint8_t family = 0;
    uint16_t length = 0;
    if (!cursor_take(&cursor, sizeof proxy_v2_signature, &bytes) ||
        !cursor_read_u8(&cursor, &command) || !cursor_read_u8(&cursor, &family) ||
        !cursor_read_u16(&cursor, &length))
        return CERTPOST_WANT_READ;
    if ((size_t)length + PROXY_V2_FIXED_BYTES > PROXY_HEADER_MAX_BYTES)
        return CERTPOST_PROTOCOL;
    if (!cursor_take(&cursor, length, &bytes))
        return CERTPOST_WANT_READ;
    if (!proxy_v2_body(command, family, cursor_over(bytes, length), ret_header))
        return CERTPOST_PROTOCOL;
    *ret_consumed = (size_t)length + PROXY_V2_FIXED_BYTES;
    return CERTPOST_OK;
}

enum certpost_status proxy_header_parse(const void *bytes, size_t length,
                                        struct proxy_header *ret_header, size_t *ret_consumed)
{
    struct cursor cursor = cursor_over(bytes, length);
    if (proxy_may_begin(&cursor, proxy_v2_signature, sizeof proxy_v2_signature))
        return proxy_v2_parse(cursor, ret_header, ret_consumed);
    if (!proxy_may_begin(&cursor, proxy_v1_prefix, sizeof proxy_v1_prefix - 1))
        return CERTPOST_PROTOCOL;
    return proxy_v1_parse(&cursor, ret_header, ret_consumed);
}
