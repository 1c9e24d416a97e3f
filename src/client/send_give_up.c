/*
 * send_give_up.c — the patience of a run with a spool (client/send_give_up.h).
 *
 * An attempt under way is never broken off: with --retry-for 0 there is still the one.
 *
 * Uses: base/clock, certpost/client.h.  Used by: send_certified.c.
 * Never: looks at the clock; the time is an argument.
 */
#include "client/send_give_up.h"

#include "base/clock.h"

void send_give_up_init(struct send_give_up *give_up, int64_t retry_for_ms)
{
    *give_up = (struct send_give_up){.retry_for_ms = retry_for_ms};
}

void send_give_up_input_ended(struct send_give_up *give_up, int64_t now_ms)
{
    give_up->input_ended = true;
    give_up->last_progress_ms = now_ms;
}

void send_give_up_event(struct send_give_up *give_up, const struct certpost_event *event,
                        int64_t now_ms)
{
    switch (event->type) {
    case CERTPOST_EVENT_CONNECTING:
        give_up->between_rounds = false;
        break;
    case CERTPOST_EVENT_ACKED:
        give_up->last_progress_ms = now_ms;
        break;
    case CERTPOST_EVENT_DISCONNECTED:
        give_up->between_rounds = true;
        give_up->reason = event->error;
        break;
    case CERTPOST_EVENT_ATTEMPT_FAILED:
    case CERTPOST_EVENT_CONNECTED:
    case CERTPOST_EVENT_FINISHED:
    case CERTPOST_EVENT_FAILED:
    case CERTPOST_EVENT_RECEIPT:
        break;
    }
}

int64_t send_give_up_deadline_ms(const struct send_give_up *give_up)
{
    if (!give_up->input_ended || !give_up->between_rounds ||
        give_up->retry_for_ms == CLOCK_NEVER_MS)
        return CLOCK_NEVER_MS;
    return give_up->last_progress_ms + give_up->retry_for_ms;
}

bool send_give_up_is_due(const struct send_give_up *give_up, int64_t now_ms)
{
    int64_t deadline_ms = send_give_up_deadline_ms(give_up);
    return deadline_ms != CLOCK_NEVER_MS && now_ms >= deadline_ms;
}
