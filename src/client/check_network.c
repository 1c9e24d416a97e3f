/*
 * check_network.c — the first layers of `certpost check`: name and TCP (client/check_scene.h).
 *
 * Uses: agent/resolve, agent/dial, connect.  Used by: check.c.
 * Never: sends a byte.
 */
#include "agent/dial.h"
#include "agent/resolve.h"
#include "base/clock.h"
#include "base/text.h"
#include "client/check_scene.h"
#include "client/connect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct agent_server *network_server(const struct check_scene *scene)
{
    return &scene->options->config.servers[0];
}

static size_t network_count(const struct addrinfo *address)
{
    size_t count = 0;
    for (; address != NULL; address = address->ai_next)
        count++;
    return count;
}

static void network_name(const struct addrinfo *address, uint16_t port,
                         char ret_endpoint[TEXT_ENDPOINT_BYTES])
{
    char host[NI_MAXHOST];
    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0,
                    NI_NUMERICHOST) != 0 ||
        strlen(host) >= TEXT_HOST_BYTES)
        memcpy(host, "?", sizeof "?");
    text_format_endpoint(host, port, ret_endpoint);
}

/* ---- the name ---- */

static void network_say_resolved(struct check_scene *scene, int64_t time_us)
{
    const struct agent_server *server = network_server(scene);
    struct addrinfo *figures = NULL;
    char safe[TEXT_HOST_BYTES * 2];
    char time[CHECK_DURATION_BYTES];
    size_t count = network_count(scene->addresses);
    text_escape(server->host, strlen(server->host), safe, sizeof safe);
    check_duration(time_us, time);
    scene->report->facts.resolve_us = time_us;
    if (resolve_figures(server->host, server->port, &figures) == CERTPOST_OK) {
        freeaddrinfo(figures);
        check_say(scene->report, CHECK_NAME, CHECK_OK, CERTPOST_OK, "%s is an address", safe);
        return;
    }
    check_say(scene->report, CHECK_NAME, CHECK_OK, CERTPOST_OK, "%s has %zu address%s (%s)", safe,
              count, count == 1 ? "" : "es", time);
}

static bool network_resolve(struct check_scene *scene)
{
    const struct agent_config *config = &scene->options->config;
    const struct agent_server *server = network_server(scene);
    struct certpost_error error;
    certpost_error_clear(&error);
    int64_t began_us = check_now_us();
    enum certpost_status status =
        resolve_host(server->host, server->port, clock_deadline_ms(config->connect_timeout_ms),
                     &scene->addresses, &error);
    if (status == CERTPOST_OK)
        network_say_resolved(scene, check_now_us() - began_us);
    else
        check_say(scene->report, CHECK_NAME, CHECK_FAIL, status, "%s",
                  certpost_error_text(&error, status));
    return status == CERTPOST_OK;
}

/* ---- its addresses ---- */

/* What came of one address; words for a failure are only in `error`. */
struct network_attempt {
    char endpoint[TEXT_ENDPOINT_BYTES];
    int64_t time_us;
    int failure;
    struct certpost_error error;
};

static void network_keep(struct check_scene *scene, const struct network_attempt *attempt)
{
    struct check_facts *facts = &scene->report->facts;
    if (facts->address_count == CHECK_ADDRESSES_MAX)
        return;
    struct check_address *kept = &facts->addresses[facts->address_count++];
    memcpy(kept->endpoint, attempt->endpoint, sizeof kept->endpoint);
    kept->connected = attempt->failure == 0;
    kept->time_us = attempt->time_us;
}

static enum certpost_status network_try(struct check_scene *scene, const struct addrinfo *address,
                                        int64_t deadline_ms, struct network_attempt *ret_attempt)
{
    struct network_attempt *attempt = ret_attempt;
    int socket_fd = -1;
    certpost_error_clear(&attempt->error);
    network_name(address, network_server(scene)->port, attempt->endpoint);
    int64_t began_us = check_now_us();
    attempt->failure = connect_one(address, deadline_ms, &socket_fd);
    attempt->time_us = check_now_us() - began_us;
    network_keep(scene, attempt);
    if (attempt->failure != 0)
        return dial_failure(attempt->failure, attempt->failure == ETIMEDOUT, &attempt->error);
    if (scene->address != NULL) {
        close(socket_fd);
        return CERTPOST_OK;
    }
    scene->address = address;
    scene->socket_fd = socket_fd;
    memcpy(scene->report->facts.endpoint, attempt->endpoint, sizeof attempt->endpoint);
    return CERTPOST_OK;
}

static void network_say(struct check_scene *scene, const struct network_attempt *attempt,
                        enum certpost_status status, enum check_mark failed)
{
    char time[CHECK_DURATION_BYTES];
    check_duration(attempt->time_us, time);
    if (status == CERTPOST_OK)
        check_say(scene->report, CHECK_TCP, CHECK_OK, status, "%s: connected (%s)",
                  attempt->endpoint, time);
    else
        check_say(scene->report, CHECK_TCP, failed, status, "%s: %s (%s)", attempt->endpoint,
                  certpost_error_text(&attempt->error, status), time);
}

/*
 * certpost send goes on with the next address, so one that cannot be reached is a warning, unless
 * it is the last hope. TIMEOUT is the status only where time ran out everywhere.
 */
static void network_connect_all(struct check_scene *scene)
{
    const struct agent_config *config = &scene->options->config;
    int64_t deadline_ms = clock_deadline_ms(config->connect_timeout_ms);
    int64_t left = (int64_t)network_count(scene->addresses);
    bool all_timed_out = true;
    for (const struct addrinfo *each = scene->addresses; each != NULL; each = each->ai_next) {
        struct network_attempt attempt;
        enum certpost_status status =
            network_try(scene, each, connect_share(deadline_ms, left--), &attempt);
        bool last_hope = each->ai_next == NULL && scene->address == NULL;
        all_timed_out = all_timed_out && status == CERTPOST_TIMEOUT;
        if (last_hope && !all_timed_out)
            status = CERTPOST_CONNECT;
        network_say(scene, &attempt, status, last_hope ? CHECK_FAIL : CHECK_WARNING);
    }
}

bool check_network(struct check_scene *scene)
{
    if (!network_resolve(scene))
        return false;
    network_connect_all(scene);
    return scene->address != NULL;
}
