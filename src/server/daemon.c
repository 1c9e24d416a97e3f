/*
 * daemon.c — certpostd's own process around a server: signals, rights, the lines on standard output
 * (server/daemon.h).
 *
 * Uses: server, service, print_sink, libuv.  Used by: main.c.
 * Never: anything that a server inside another program needs too; that is in server.c.
 */
#include "server/daemon.h"

#include "base/error.h"
#include "base/log.h"
#include "server/print_sink.h"
#include "server/server.h"
#include "server/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* After the workers' own deadline: how long the end may still take before it is forced. */
enum { DAEMON_END_GRACE_MS = 2000 };

/* How long the start waits for room in a standard output that is full. */
enum { DAEMON_READER_WAIT_MS = 5000 };

static const int daemon_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { DAEMON_SIGNAL_COUNT = sizeof daemon_signals / sizeof daemon_signals[0] };

struct daemon {
    struct server *server;
    struct service *service;
    uv_signal_t signals[DAEMON_SIGNAL_COUNT];
    uv_timer_t end_timer;
    bool stopping;
};

/* ------------------------------------------------------------------------------ end */

/*
 * The writer hangs in a write that nobody reads or a disk that stands still, and threads wait for
 * it. Nothing was acknowledged that it still holds, so ending here loses nothing that anybody was
 * promised.
 */
static void daemon_on_end_deadline(uv_timer_t *timer)
{
    const struct daemon *daemon = timer->data;
    log_message(LOG_LEVEL_ERROR, "ended with messages that could not be handed on, unacknowledged",
                "reason",
                server_get_figures(daemon->server).has_store
                    ? "the store's disk, or who reads standard output, stands still"
                    : "nobody reads standard output");
    _exit(EXIT_FAILURE);
}

static void daemon_stop(struct daemon *daemon, int signal_number)
{
    int64_t timeout_ms =
        server_config_in_force(daemon->server)->drain_timeout_ms + DAEMON_END_GRACE_MS;
    daemon->stopping = true;
    log_message(LOG_LEVEL_INFO, "stopping", "signal", strsignal(signal_number));
    server_stop(daemon->server);
    service_stopping(daemon->service, timeout_ms);
    (void)uv_timer_start(&daemon->end_timer, daemon_on_end_deadline, (uint64_t)timeout_ms, 0);
}

/* ------------------------------------------------------------------------------ reload */

static void daemon_log_failed_reload(const struct daemon *daemon, enum certpost_status status,
                                     const struct certpost_error *error)
{
    struct log_line line;
    log_begin(&line, LOG_LEVEL_ERROR, "reload failed, nothing has changed");
    log_text(&line, "reason", certpost_error_text(error, status));
    if (error->system_errno == EACCES && server_config_in_force(daemon->server)->sandbox)
        log_text(&line, "hint",
                 "a running server reads only files that its user may read, in the folders that it "
                 "was started with");
    log_end(&line);
}

static void daemon_reload(const struct daemon *daemon)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    if (daemon->stopping)
        return;
    service_reloading(daemon->service);
    enum certpost_status status = server_reload(daemon->server, &error);
    if (status != CERTPOST_OK)
        daemon_log_failed_reload(daemon, status, &error);
    service_reloaded(daemon->service, status == CERTPOST_OK);
}

/* ------------------------------------------------------------------------------ signals */

static void daemon_on_signal(uv_signal_t *handle, int signal_number)
{
    struct daemon *daemon = handle->data;
    if (signal_number == SIGHUP) {
        daemon_reload(daemon);
        return;
    }
    if (daemon->stopping) {
        log_message(LOG_LEVEL_WARNING, "ended at once", "signal", strsignal(signal_number));
        _exit(128 + signal_number);
    }
    daemon_stop(daemon, signal_number);
}

/* A reload that was asked for while the program started is due as soon as somebody listens. */
static void daemon_take_held_signals(void)
{
    sigset_t held;
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGHUP);
    (void)pthread_sigmask(SIG_UNBLOCK, &held, NULL);
}

static enum certpost_status daemon_catch_signals(struct daemon *daemon,
                                                 struct certpost_error *error)
{
    uv_loop_t *loop = server_loop(daemon->server);
    int failed = uv_timer_init(loop, &daemon->end_timer);
    daemon->end_timer.data = daemon;
    for (size_t i = 0; failed == 0 && i < DAEMON_SIGNAL_COUNT; i++) {
        failed = uv_signal_init(loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        if (failed == 0)
            failed = uv_signal_start(&daemon->signals[i], daemon_on_signal, daemon_signals[i]);
    }
    if (failed != 0)
        return error_set(error, CERTPOST_SYSTEM, "cannot catch signals: %s", uv_strerror(failed));
    daemon_take_held_signals();
    return CERTPOST_OK;
}

/* ------------------------------------------------------------------------------ lines */

/* A pipe that is full when the server starts has a reader that stands still: better no server. */
static enum certpost_status daemon_wait_for_reader(struct certpost_error *error)
{
    struct pollfd reader = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (poll(&reader, 1, DAEMON_READER_WAIT_MS) != 0)
        return CERTPOST_OK;
    return error_set(error, CERTPOST_LOCAL_IO, "nobody reads standard output");
}

/* The sockets listen already, so whoever reads these lines can connect at once. */
static enum certpost_status daemon_print_addresses(const struct daemon *daemon,
                                                   struct certpost_error *error)
{
    struct print_sink sink;
    enum certpost_status status = daemon_wait_for_reader(error);
    const char *text = NULL;
    print_sink_init(&sink, STDOUT_FILENO);
    for (size_t i = 0; status == CERTPOST_OK && (text = server_address(daemon->server, i)) != NULL;
         i++)
        status = print_sink_add(&sink, "Server listening on ", text, strlen(text), error);
    if (status == CERTPOST_OK)
        status = print_sink_commit(&sink, error);
    print_sink_free(&sink);
    return status;
}

enum certpost_status daemon_run(struct server_state *state, const struct config_source *source,
                                struct certpost_error *error)
{
    const struct server_setup setup = {.state = state, .source = source, .owns_process = true};
    struct daemon daemon = {0};
    /* A peer or a reader that has gone shows as EPIPE where it is dealt with, not as a signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    enum certpost_status status = server_new(&setup, &daemon.server, error);
    if (status == CERTPOST_OK)
        status = daemon_catch_signals(&daemon, error);
    /* Before the server enters its sandbox, which no new socket can leave. */
    if (status == CERTPOST_OK)
        status = service_new(daemon.server, &daemon.service, error);
    if (status == CERTPOST_OK) {
        service_opening(daemon.service);
        status = server_set_up(daemon.server, error);
    }
    if (status == CERTPOST_OK)
        status = server_start(daemon.server, error);
    /* Only now: nothing can fail any more, and nobody has been served. */
    if (status == CERTPOST_OK)
        status = daemon_print_addresses(&daemon, error);
    if (status == CERTPOST_OK) {
        service_start(daemon.service);
        server_serve(daemon.server);
    }
    server_free(daemon.server);
    service_free(daemon.service);
    return status;
}
