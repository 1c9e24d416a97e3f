/*
 * client_blocking.c — the calls that wait, made of those that do not (certpost/client.h).
 *
 * Uses: the public calls, poll(2).  Used by: it is public.
 * Never: waits past its deadline by more than one step of the client.
 */
#include "agent/client_internal.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>

/* How long a message may wait for company before certpost_client_send sends it, at least. */
enum { BLOCKING_GATHER_MS = 1 };

/* As long is gathered as the last time took: a slow disk then has more to commit at once. */
static bool blocking_has_gathered(const struct certpost_client *client)
{
    int64_t gather_ms =
        client->process_took_ms > BLOCKING_GATHER_MS ? client->process_took_ms : BLOCKING_GATHER_MS;
    return clock_monotonic_ms() - client->processed_at_ms >= gather_ms;
}

static int blocking_wait_ms(const struct certpost_client *client, int64_t deadline_ms)
{
    int own_ms = certpost_client_timeout_ms(client);
    int left_ms = clock_poll_timeout_ms(deadline_ms);
    if (own_ms < 0)
        return left_ms;
    return left_ms < 0 || own_ms < left_ms ? own_ms : left_ms;
}

static enum certpost_status blocking_step(struct certpost_client *client, int64_t deadline_ms,
                                          struct certpost_error *error)
{
    struct pollfd polled[CERTPOST_CLIENT_DESCRIPTORS_MAX];
    size_t count = certpost_client_descriptors(client, polled, CERTPOST_CLIENT_DESCRIPTORS_MAX);
    int ready = poll(polled, (nfds_t)count, blocking_wait_ms(client, deadline_ms));
    if (ready < 0 && errno != EINTR)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "poll failed");
    return certpost_client_process(client, error);
}

enum certpost_status certpost_client_wait(struct certpost_client *client, int64_t timeout_ms,
                                          struct certpost_error *error)
{
    enum certpost_status status = client_check(client, error);
    if (status != CERTPOST_OK || client_state(client) == CLIENT_FINISHED)
        return status;
    return blocking_step(client, clock_deadline_ms(timeout_ms), error);
}

static bool blocking_time_is_over(int64_t deadline_ms)
{
    return clock_poll_timeout_ms(deadline_ms) == 0;
}

enum certpost_status certpost_client_send(struct certpost_client *client, const void *bytes,
                                          size_t length, int64_t timeout_ms, uint64_t *ret_position,
                                          struct certpost_error *error)
{
    int64_t deadline_ms = CLOCK_NEVER_MS;
    bool waiting = false;
    for (;;) {
        enum certpost_status status =
            certpost_client_offer(client, bytes, length, ret_position, error);
        if (status == CERTPOST_OK && blocking_has_gathered(client))
            status = certpost_client_process(client, error);
        if (status != CERTPOST_WANT_WRITE)
            return status;
        if (!waiting)
            deadline_ms = clock_deadline_ms(timeout_ms);
        else if (blocking_time_is_over(deadline_ms))
            return error_set(error, CERTPOST_TIMEOUT,
                             "the server acknowledged too little to make room in time");
        waiting = true;
        status = blocking_step(client, deadline_ms, error);
        if (status != CERTPOST_OK)
            return status;
    }
}

enum certpost_status certpost_client_flush(struct certpost_client *client, int64_t timeout_ms,
                                           struct certpost_error *error)
{
    int64_t deadline_ms = clock_deadline_ms(timeout_ms);
    enum certpost_status status = certpost_client_process(client, error);
    while (status == CERTPOST_OK && client->mailbox.released < mailbox_total(&client->mailbox)) {
        if (blocking_time_is_over(deadline_ms))
            return error_set(error, CERTPOST_TIMEOUT, "not everything was acknowledged in time");
        status = blocking_step(client, deadline_ms, error);
    }
    return status;
}

enum certpost_status certpost_client_close(struct certpost_client *client, int64_t timeout_ms,
                                           struct certpost_error *error)
{
    int64_t deadline_ms = clock_deadline_ms(timeout_ms);
    enum certpost_status status = certpost_client_finish(client, error);
    if (status == CERTPOST_OK)
        status = certpost_client_process(client, error);
    while (status == CERTPOST_OK && client_state(client) != CLIENT_FINISHED) {
        if (blocking_time_is_over(deadline_ms))
            return error_set(error, CERTPOST_TIMEOUT, "not everything was acknowledged in time");
        status = blocking_step(client, deadline_ms, error);
    }
    return status;
}
