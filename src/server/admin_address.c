/*
 * admin_address.c — where the admin endpoint may be, and which hosts a request may name
 * (server/admin_address.h).
 *
 * Uses: base/text, inet_pton.  Used by: config_options.c, admin_socket.c, admin.c.
 * Never: opens a socket, or looks up a name.
 */
#include "server/admin_address.h"

#include "base/error.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

static enum certpost_status admin_address_parse_unix(const char *path,
                                                     struct admin_address *ret_address,
                                                     struct certpost_error *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0)
        return error_set(error, CERTPOST_USAGE, "unix: needs the path of a socket behind it");
    if (length >= sizeof name.sun_path)
        return error_set(error, CERTPOST_USAGE,
                         "the path of a Unix socket has at most %zu bytes; this one has %zu",
                         sizeof name.sun_path - 1, length);
    memcpy(name.sun_path, path, length);
    memset(&ret_address->socket, 0, sizeof ret_address->socket);
    memcpy(&ret_address->socket, &name, sizeof name);
    ret_address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return CERTPOST_OK;
}

/* Fills in a loopback address; false when the host is none. */
static bool admin_address_set_loopback(const char *host, uint16_t port,
                                       struct admin_address *ret_address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (strcasecmp(host, "localhost") == 0)
        host = "127.0.0.1";
    memset(&ret_address->socket, 0, sizeof ret_address->socket);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1 && ntohl(v4.sin_addr.s_addr) >> 24 == 127) {
        memcpy(&ret_address->socket, &v4, sizeof v4);
        ret_address->length = sizeof v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr)) {
        memcpy(&ret_address->socket, &v6, sizeof v6);
        ret_address->length = sizeof v6;
        return true;
    }
    return false;
}

enum certpost_status admin_address_parse(const char *text, struct admin_address *ret_address,
                                         struct certpost_error *error)
{
    /* Two defaults tell whether a port was given: only what was left out takes them. */
    char host[TEXT_HOST_BYTES];
    uint16_t port = 0;
    uint16_t again = 1;
    struct admin_address address;
    if (strncmp(text, ADMIN_UNIX_PREFIX, strlen(ADMIN_UNIX_PREFIX)) == 0)
        return admin_address_parse_unix(text + strlen(ADMIN_UNIX_PREFIX), ret_address, error);
    if (!text_parse_endpoint(text, 0, host, &port) || !text_parse_endpoint(text, 1, host, &again) ||
        port != again)
        return error_set(error, CERTPOST_USAGE,
                         "an admin address is unix:PATH, 127.0.0.1:PORT or [::1]:PORT");
    if (!admin_address_set_loopback(host, port, &address))
        return error_set(error, CERTPOST_USAGE,
                         "the admin endpoint has no TLS and no passwords, so it can only be at a "
                         "loopback address (127.0.0.1, [::1]) or a Unix socket (unix:PATH)");
    *ret_address = address;
    return CERTPOST_OK;
}

bool admin_host_is_allowed(const char *host)
{
    char name[TEXT_HOST_BYTES];
    uint16_t port = 0;
    struct admin_address unused;
    return host != NULL && text_parse_endpoint(host, 80, name, &port) &&
           admin_address_set_loopback(name, port, &unused);
}
