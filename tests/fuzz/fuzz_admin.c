/*
 * fuzz_admin.c — the option --admin, and the header Host of a request to it
 * (server/admin_address.h). Whatever is taken is a Unix socket or a loopback address; a host that
 * is allowed is one whose endpoint would be taken, and nothing else.
 *
 * Script: the text.
 */
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "server/admin_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static void admin_check_unix(const struct admin_address *address, const char *text)
{
    struct sockaddr_un name;
    memcpy(&name, &address->socket, sizeof name);
    FUZZ_CHECK(address->length <= sizeof name);
    FUZZ_CHECK(memchr(name.sun_path, '\0', sizeof name.sun_path) != NULL);
    FUZZ_CHECK(strncmp(text, "unix:", 5) == 0 && strcmp(name.sun_path, text + 5) == 0);
}

static void admin_check_address(const char *text)
{
    struct admin_address address;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (admin_address_parse(text, &address, NULL) != CERTPOST_OK)
        return;
    memcpy(&v4, &address.socket, sizeof v4);
    memcpy(&v6, &address.socket, sizeof v6);
    switch (address.socket.ss_family) {
    case AF_UNIX:
        admin_check_unix(&address, text);
        break;
    case AF_INET:
        FUZZ_CHECK(address.length == sizeof v4 && ntohl(v4.sin_addr.s_addr) >> 24 == 127);
        FUZZ_CHECK(admin_host_is_allowed(text));
        break;
    default:
        FUZZ_CHECK(address.socket.ss_family == AF_INET6 && address.length == sizeof v6);
        FUZZ_CHECK(IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
        FUZZ_CHECK(admin_host_is_allowed(text));
        break;
    }
}

/* A name that only begins or ends like a loopback address leads a browser elsewhere. */
static void admin_check_host(const char *text)
{
    char host[TEXT_HOST_BYTES];
    char with_port[TEXT_ENDPOINT_BYTES];
    uint16_t port = 0;
    struct admin_address unused;
    if (!admin_host_is_allowed(text))
        return;
    FUZZ_CHECK(text_parse_endpoint(text, 80, host, &port));
    text_format_endpoint(host, port, with_port);
    FUZZ_CHECK(admin_address_parse(with_port, &unused, NULL) == CERTPOST_OK);
    FUZZ_CHECK(strspn(host, "0123456789.:") == strlen(host) || strlen(host) == strlen("localhost"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    char *text = fuzz_text(script.next, script.left_bytes);
    admin_check_address(text);
    admin_check_host(text);
    free(text);
    return 0;
}
