/*
 * service.c — what certpostd tells its service manager, and when (server/service.h).
 *
 * Uses: notify, server, libuv.  Used by: daemon.c.
 * Never: waits for the manager; ends the server for the manager's sake.
 */
#include "server/service.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "server/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* How often the line about the state may change; and when what the manager had no room for is tried
 * again. */
enum { SERVICE_STATUS_MS = 2000, SERVICE_RETRY_MS = 100 };

/* A disk, or a reader, that has kept messages waiting for so long is worth a word. */
enum { SERVICE_SLOW_MEDIUM_MS = 2000 };

/* What the end may take beyond its own deadline, for a busy machine. */
enum { SERVICE_END_MARGIN_MS = 3000 };

/* Fed at half of the interval; a thread that is late is looked at again after an eighth. */
enum { SERVICE_FEED_FRACTION = 2, SERVICE_LOOK_FRACTION = 8 };

#define SERVICE_WATCHDOG_MAX_US (UINT64_C(365) * 24 * 3600 * 1000 * 1000)

struct service {
    struct server *server;
    struct notify *notify;
    enum certpost_status status; /* of opening it */
    struct certpost_error cause;
    uv_timer_t tick;
    uv_timer_t feeding;
    uint64_t watchdog_ms; /* 0: nobody watches */
    bool is_stopping;
    bool reload_failed;
    bool is_silent; /* a thread does not answer, and the log has been told */
    bool said_gone;
};

/* ------------------------------------------------------------------------------ watchdog */

/* Not for us where it was set for another process, of which it was inherited. */
static uint64_t service_read_watchdog_ms(void)
{
    const char *interval = getenv("WATCHDOG_USEC");
    const char *process = getenv("WATCHDOG_PID");
    uint64_t interval_us = 0;
    uint64_t pid = 0;
    if (interval == NULL)
        return 0;
    if (process != NULL && (!text_parse_u64(process, INT32_MAX, &pid) || pid != (uint64_t)getpid()))
        return 0;
    if (!text_parse_u64(interval, SERVICE_WATCHDOG_MAX_US, &interval_us) || interval_us == 0) {
        log_message(LOG_LEVEL_WARNING, "the watchdog is not fed: WATCHDOG_USEC is no time", "value",
                    interval);
        return 0;
    }
    return interval_us < 1000 ? 1 : interval_us / 1000;
}

static void service_say_silent(struct service *service, const char *thread)
{
    if (!service->is_silent)
        log_message(LOG_LEVEL_ERROR, "a thread does not answer; the watchdog is not fed", "thread",
                    thread);
    service->is_silent = true;
}

static void service_feed(uv_timer_t *timer)
{
    struct service *service = timer->data;
    char thread[SERVER_THREAD_NAME_BYTES];
    uint64_t fraction = SERVICE_FEED_FRACTION;
    if (server_find_silent(service->server, thread)) {
        service_say_silent(service, thread);
        fraction = SERVICE_LOOK_FRACTION;
    } else {
        if (service->is_silent)
            log_message(LOG_LEVEL_INFO, "all threads answer again", NULL, NULL);
        service->is_silent = false;
        notify_alive(service->notify);
        server_ask_pulse(service->server);
    }
    uint64_t wait_ms = service->watchdog_ms / fraction;
    (void)uv_timer_start(timer, service_feed, wait_ms > 0 ? wait_ms : 1, 0);
}

/* ------------------------------------------------------------------------------ status */

static const char *service_state_words(const struct service *service,
                                       const struct server_figures *figures)
{
    if (service->is_stopping)
        return "Draining";
    if (figures->waiting_ms >= SERVICE_SLOW_MEDIUM_MS)
        return figures->has_store ? "Waiting for the store's disk"
                                  : "Waiting for who reads standard output";
    return "Serving";
}

static void service_tell_status(struct service *service)
{
    char line[NOTIFY_STATUS_BYTES];
    struct server_figures figures = server_get_figures(service->server);
    const char *reason = service->is_stopping ? NULL : server_unready_reason(service->server);
    (void)snprintf(line, sizeof line, "%s%s: %zu connection%s, %" PRIu64 " message%s%s",
                   reason != NULL ? "No messages taken, " : "",
                   reason != NULL ? reason : service_state_words(service, &figures),
                   figures.connections, figures.connections == 1 ? "" : "s", figures.messages,
                   figures.messages == 1 ? "" : "s",
                   service->reload_failed ? "; the last reload failed, nothing has changed" : "");
    notify_status(service->notify, line);
}

static void service_on_tick(uv_timer_t *timer);

/* Once more later: for a new line, or for what there was no room for. */
static void service_arm(struct service *service)
{
    bool is_told = notify_flush(service->notify);
    if (notify_is_heard(service->notify)) {
        (void)uv_timer_start(&service->tick, service_on_tick,
                             is_told ? SERVICE_STATUS_MS : SERVICE_RETRY_MS, 0);
        return;
    }
    (void)uv_timer_stop(&service->tick);
    (void)uv_timer_stop(&service->feeding);
    if (!service->said_gone)
        log_message(LOG_LEVEL_WARNING, "the service manager has gone; it is told nothing any more",
                    NULL, NULL);
    service->said_gone = true;
}

static void service_on_tick(uv_timer_t *timer)
{
    struct service *service = timer->data;
    service_tell_status(service);
    service_arm(service);
}

/* ------------------------------------------------------------------------------ life */

enum certpost_status service_new(struct server *server, struct service **ret_service,
                                 struct certpost_error *error)
{
    struct service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return error_no_memory(error);
    certpost_error_clear(&service->cause);
    service->status = notify_open(getenv("NOTIFY_SOCKET"), &service->notify, &service->cause);
    if (service->status == CERTPOST_NO_MEMORY) {
        free(service);
        return error_no_memory(error);
    }
    service->server = server;
    (void)uv_timer_init(server_loop(server), &service->tick);
    (void)uv_timer_init(server_loop(server), &service->feeding);
    service->tick.data = service->feeding.data = service;
    *ret_service = service;
    return CERTPOST_OK;
}

void service_free(struct service *service)
{
    if (service == NULL)
        return;
    notify_close(service->notify);
    free(service);
}

/* Only now is it known in which form the log is wanted. */
static void service_report(const struct service *service)
{
    if (service->status != CERTPOST_OK)
        log_message(LOG_LEVEL_WARNING, "the service manager cannot be told anything", "reason",
                    certpost_error_text(&service->cause, service->status));
}

void service_opening(struct service *service)
{
    if (service != NULL && server_config_in_force(service->server)->store != NULL)
        notify_status(service->notify, "Starting: opening the store");
}

void service_start(struct service *service)
{
    if (service == NULL)
        return;
    service_report(service);
    if (service->notify == NULL)
        return;
    service->watchdog_ms = service_read_watchdog_ms();
    /* The line first: whoever looks when the start, or a reload, is over finds the one that holds.
     */
    service_tell_status(service);
    notify_ready(service->notify);
    if (service->watchdog_ms > 0) {
        server_ask_pulse(service->server);
        (void)uv_timer_start(&service->feeding, service_feed,
                             service->watchdog_ms / SERVICE_FEED_FRACTION, 0);
    }
    service_arm(service);
}

void service_reloading(struct service *service)
{
    if (service != NULL)
        notify_reloading(service->notify);
}

void service_reloaded(struct service *service, bool succeeded)
{
    if (service == NULL || service->notify == NULL)
        return;
    service->reload_failed = !succeeded;
    service_tell_status(service);
    notify_ready(service->notify);
    service_arm(service);
}

void service_stopping(struct service *service, int64_t timeout_ms)
{
    if (service == NULL || service->notify == NULL)
        return;
    service->is_stopping = true;
    notify_stopping(service->notify);
    notify_extend(service->notify, clock_deadline_ms(timeout_ms + SERVICE_END_MARGIN_MS));
    service_tell_status(service);
    service_arm(service);
}
