/*
 * link.c — a round of connection attempts (agent/link.h).
 *
 * Uses: base, sockets, resolve, link_tls.  Used by: client_run.c.
 * Never: waits; leaves a socket open when it is IDLE.
 */
#include "agent/link.h"

#include "agent/dial.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct machine_state link_table[] = {
    [LINK_IDLE] = {"IDLE", MACHINE_TO(LINK_LOOKUP) | MACHINE_TO(LINK_IDLE)},
    [LINK_LOOKUP] = {"LOOKUP",
                     MACHINE_TO(LINK_CONNECTING) | MACHINE_TO(LINK_LOOKUP) | MACHINE_TO(LINK_IDLE)},
    [LINK_CONNECTING] = {"CONNECTING", MACHINE_TO(LINK_HANDSHAKE) | MACHINE_TO(LINK_CONNECTING) |
                                           MACHINE_TO(LINK_LOOKUP) | MACHINE_TO(LINK_IDLE)},
    [LINK_HANDSHAKE] = {"HANDSHAKE", MACHINE_TO(LINK_OPEN) | MACHINE_TO(LINK_CONNECTING) |
                                         MACHINE_TO(LINK_LOOKUP) | MACHINE_TO(LINK_IDLE)},
    [LINK_OPEN] = {"OPEN", MACHINE_TO(LINK_CLOSING) | MACHINE_TO(LINK_CONNECTING) |
                               MACHINE_TO(LINK_LOOKUP) | MACHINE_TO(LINK_IDLE)},
    [LINK_CLOSING] = {"CLOSING", MACHINE_TO(LINK_IDLE)},
};

void link_move(struct link *link, enum link_state state)
{
    if (machine_move(&link->machine, state, NULL) != CERTPOST_OK)
        link->machine = machine_start(link_table, LINK_IDLE);
}

void link_init(struct link *link, const struct agent_config *config, SSL_CTX *context)
{
    *link = (struct link){
        .config = config,
        .context = context,
        .machine = machine_start(link_table, LINK_IDLE),
        .socket_fd = -1,
    };
}

/* ---- the end of an attempt ---- */

static void link_drop_connection(struct link *link)
{
    if (link->ssl != NULL && link_state(link) == LINK_OPEN) {
        ERR_clear_error();
        (void)SSL_shutdown(link->ssl);
        ERR_clear_error();
    }
    SSL_free(link->ssl);
    link->ssl = NULL;
    if (link->socket_fd >= 0)
        close(link->socket_fd);
    link->socket_fd = -1;
    link->waits_for_room = link->close_notify_sent = false;
}

static void link_drop_addresses(struct link *link)
{
    resolve_abandon(link->job);
    link->job = NULL;
    if (link->addresses != NULL)
        freeaddrinfo(link->addresses);
    link->addresses = NULL;
    link->address = NULL;
}

void link_drop(struct link *link)
{
    link_drop_connection(link);
    link_drop_addresses(link);
    link_move(link, LINK_IDLE);
}

void link_free(struct link *link)
{
    /* A link that was never set up has no table to move in. */
    if (link->machine.table != NULL)
        link_drop(link);
}

/* ---- where to ---- */

static const struct agent_server *link_server(const struct link *link)
{
    return &link->config->servers[link->server];
}

/* An equal share of the round for this address, those after it, and the servers after this one. */
static int64_t link_share_ms(const struct link *link, int64_t now_ms)
{
    int64_t left = (int64_t)(link->config->server_count - link->server);
    for (const struct addrinfo *each = link->address; each != NULL && each->ai_next != NULL;
         each = each->ai_next)
        left++;
    int64_t time_ms = link->round_deadline_ms > now_ms ? link->round_deadline_ms - now_ms : 0;
    return now_ms + time_ms / left;
}

static void link_lookup(struct link *link, int64_t now_ms)
{
    const struct agent_server *server = link_server(link);
    text_format_endpoint(server->host, server->port, link->endpoint);
    link->deadline_ms = link_share_ms(link, now_ms);
    link_move(link, LINK_LOOKUP);
}

static void link_name_address(struct link *link)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    const struct addrinfo *address = link->address;
    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
        strlen(host) < TEXT_HOST_BYTES)
        text_format_endpoint(host, link_server(link)->port, link->endpoint);
}

static void link_try_address(struct link *link, const struct addrinfo *address, int64_t now_ms)
{
    link->address = address;
    link->deadline_ms = link_share_ms(link, now_ms);
    link_name_address(link);
    link_move(link, LINK_CONNECTING);
}

void link_begin(struct link *link, int64_t now_ms)
{
    link->server = 0;
    link->round_deadline_ms = now_ms + link->config->connect_timeout_ms;
    link->outlook = LINK_MAY_PASS;
    link_lookup(link, now_ms);
}

bool link_next(struct link *link, int64_t now_ms)
{
    const struct addrinfo *next = link->address == NULL ? NULL : link->address->ai_next;
    bool in_time = now_ms < link->round_deadline_ms;
    link_drop_connection(link);
    if (next != NULL && in_time) {
        link_try_address(link, next, now_ms);
        return true;
    }
    link_drop_addresses(link);
    if (link->server + 1 >= link->config->server_count || !in_time) {
        link_move(link, LINK_IDLE);
        return false;
    }
    link->server++;
    link_lookup(link, now_ms);
    return true;
}

/* ---- the steps ---- */

static enum certpost_status link_step_lookup(struct link *link, int64_t now_ms,
                                             struct certpost_error *error)
{
    const struct agent_server *server = link_server(link);
    struct addrinfo *addresses = NULL;
    enum certpost_status status = CERTPOST_OK;
    if (link->job == NULL && resolve_figures(server->host, server->port, &addresses) != CERTPOST_OK)
        status = resolve_begin(server->host, server->port, &link->job, error);
    if (status == CERTPOST_OK && link->job != NULL) {
        status = resolve_finish(link->job, &addresses, error);
        if (status != CERTPOST_WANT_READ)
            link->job = NULL;
    }
    if (status == CERTPOST_WANT_READ && now_ms >= link->deadline_ms)
        return resolve_timed_out(server->host, error);
    if (status != CERTPOST_OK)
        return status;
    link->addresses = addresses;
    link_try_address(link, addresses, now_ms);
    return CERTPOST_OK;
}

static enum certpost_status link_step_connect(struct link *link, int64_t now_ms,
                                              struct certpost_error *error)
{
    int failure = link->socket_fd < 0 ? dial_begin(link->address, &link->socket_fd)
                                      : dial_check(link->socket_fd);
    if (failure == EINPROGRESS && now_ms >= link->deadline_ms)
        failure = ETIMEDOUT;
    if (failure == EINPROGRESS)
        return CERTPOST_WANT_WRITE;
    if (failure != 0)
        return dial_failure(failure, failure == ETIMEDOUT, error);
    enum certpost_status status = link_tls_start(link, error);
    if (status == CERTPOST_OK)
        link_move(link, LINK_HANDSHAKE);
    return status;
}

static enum certpost_status link_step_handshake(struct link *link, int64_t now_ms,
                                                struct certpost_error *error)
{
    enum certpost_status status = link_tls_handshake(link, error);
    bool waits = certpost_status_group(status) == CERTPOST_GROUP_WAIT;
    if (waits && now_ms >= link->deadline_ms)
        return error_set(error, CERTPOST_TIMEOUT,
                         "the TLS handshake did not complete in time; check that the server speaks "
                         "TLS on this port, and is not overloaded");
    if (status == CERTPOST_OK)
        link_move(link, LINK_OPEN);
    return status;
}

enum certpost_status link_advance(struct link *link, int64_t now_ms, struct certpost_error *error)
{
    link->outlook = LINK_MAY_PASS;
    switch (link_state(link)) {
    case LINK_LOOKUP:
        return link_step_lookup(link, now_ms, error);
    case LINK_CONNECTING:
        return link_step_connect(link, now_ms, error);
    case LINK_HANDSHAKE:
        return link_step_handshake(link, now_ms, error);
    case LINK_OPEN:
        return CERTPOST_OK;
    case LINK_IDLE:
    case LINK_CLOSING:
    default:
        return error_set(error, CERTPOST_INTERNAL, "no connection is being made");
    }
}

enum link_outlook link_outlook(const struct link *link)
{
    return link->outlook;
}

/* ---- waiting ---- */

bool link_poll(const struct link *link, struct pollfd *ret_polled)
{
    short events = link->waits_for_room ? POLLIN | POLLOUT : POLLIN;
    switch (link_state(link)) {
    case LINK_LOOKUP:
        if (link->job == NULL)
            return false;
        *ret_polled = (struct pollfd){.fd = resolve_descriptor(link->job), .events = POLLIN};
        return true;
    case LINK_CONNECTING:
        if (link->socket_fd < 0)
            return false;
        *ret_polled = (struct pollfd){.fd = link->socket_fd, .events = POLLOUT};
        return true;
    case LINK_HANDSHAKE:
        /* Nothing is read while only room is waited for: what came would wake in vain. */
        events = link->waits_for_room ? POLLOUT : POLLIN;
        *ret_polled = (struct pollfd){.fd = link->socket_fd, .events = events};
        return true;
    case LINK_OPEN:
    case LINK_CLOSING:
        *ret_polled = (struct pollfd){.fd = link->socket_fd, .events = events};
        return true;
    case LINK_IDLE:
    default:
        return false;
    }
}

int64_t link_deadline_ms(const struct link *link)
{
    switch (link_state(link)) {
    case LINK_LOOKUP:
        return link->job == NULL ? 0 : link->deadline_ms;
    case LINK_CONNECTING:
        return link->socket_fd < 0 ? 0 : link->deadline_ms;
    case LINK_HANDSHAKE:
    case LINK_CLOSING:
        return link->deadline_ms;
    case LINK_IDLE:
    case LINK_OPEN:
    default:
        return CLOCK_NEVER_MS;
    }
}
