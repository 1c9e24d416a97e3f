/*
 * client_run.c — attempts, conversations and the pauses between them (certpost/client.h).
 *
 * Uses: the agent's other modules.  Used by: it is public.
 * Never: waits. Time comes from the monotonic clock, once for each certpost_client_process.
 */
#include "agent/client_internal.h"
#include "base/clock.h"
#include "base/error.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <string.h>

/*
 * After so many rounds in a row that failed for want of something in common it is taken for true,
 * of a server that has never answered this client. A damaged byte on the way looks the same, but
 * not each time.
 */
enum { CLIENT_DOUBTFUL_MAX = 5 };

void client_note_progress(struct certpost_client *client)
{
    backoff_reset(&client->backoff);
    client->trouble_since_ms = -1;
}

static uint32_t client_random(void)
{
    uint32_t random = 0;
    if (RAND_bytes((unsigned char *)&random, sizeof random) == 1)
        return random;
    ERR_clear_error();
    return UINT32_MAX; /* no jitter: the longest delay */
}

/* ---- the end of an attempt or a connection ---- */

static bool client_time_is_over(const struct certpost_client *client, int64_t now_ms)
{
    int64_t patience_ms = client->config.retry_for_ms;
    return patience_ms != CLOCK_NEVER_MS && now_ms - client->trouble_since_ms >= patience_ms;
}

/* The last attempt is made when the time is up, and not a delay before that. */
static int64_t client_delay_ms(struct certpost_client *client, int64_t now_ms)
{
    int64_t delay_ms = backoff_next_ms(&client->backoff, client_random());
    if (client->config.retry_for_ms == CLOCK_NEVER_MS)
        return delay_ms;
    int64_t left_ms = client->trouble_since_ms + client->config.retry_for_ms - now_ms;
    return delay_ms < left_ms ? delay_ms : left_ms;
}

/* An attempt that comes after it has failed for reasons of its own. */
static uint16_t client_take_refusal_code(struct certpost_client *client)
{
    uint16_t code = client->refusal_code;
    client->refusal_code = 0;
    return code;
}

static void client_wait(struct certpost_client *client, int64_t now_ms, enum certpost_status status,
                        const struct certpost_error *cause)
{
    if (client->trouble_since_ms < 0)
        client->trouble_since_ms = now_ms;
    if (client_time_is_over(client, now_ms)) {
        (void)client_fail(client, status, cause);
        return;
    }
    int64_t delay_ms = client_delay_ms(client, now_ms);
    client->retry_at_ms = now_ms + delay_ms;
    struct certpost_event *event = events_add(&client->events, CERTPOST_EVENT_DISCONNECTED);
    (void)error_adopt(&event->error, status, cause);
    event->error.status = status;
    event->code = client_take_refusal_code(client);
    event->retry_in_ms = delay_ms;
    memcpy(event->endpoint, client->link.endpoint, sizeof client->link.endpoint);
    client_move(client, CLIENT_WAITING);
}

/* This address led nowhere: the next one, the next round, or the end. */
static void client_next_address(struct certpost_client *client, int64_t now_ms,
                                enum certpost_status status, const struct certpost_error *cause)
{
    enum link_outlook outlook = link_outlook(&client->link);
    if (outlook == LINK_REFUSED)
        outlook = client->connections > 0 ? LINK_DOUBTFUL : LINK_FINAL;
    /* What was agreed on once is mended, by the network or by people, within `retry-for` or not. */
    if (outlook == LINK_DOUBTFUL && client->connections > 0)
        outlook = LINK_MAY_PASS;
    if (outlook == LINK_FINAL) {
        (void)client_fail(client, status, cause);
        return;
    }
    char endpoint[CERTPOST_ENDPOINT_BYTES] = {0};
    memcpy(endpoint, client->link.endpoint, sizeof client->link.endpoint);
    if (!link_next(&client->link, now_ms)) {
        client->doubtful = outlook == LINK_DOUBTFUL ? client->doubtful + 1 : 0;
        if (client->doubtful < CLIENT_DOUBTFUL_MAX)
            client_wait(client, now_ms, status, cause);
        else
            (void)client_fail(client, status, cause);
        return;
    }
    struct certpost_event *event = events_add(&client->events, CERTPOST_EVENT_ATTEMPT_FAILED);
    (void)error_adopt(&event->error, status, cause);
    event->error.status = status;
    event->code = client_take_refusal_code(client);
    memcpy(event->endpoint, endpoint, sizeof endpoint);
    if (client_state(client) == CLIENT_TALKING)
        client_move(client, CLIENT_OPENING);
}

static void client_finish_well(struct certpost_client *client, int64_t now_ms)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    link_drop(&client->link);
    enum certpost_status status = mailbox_tidy(&client->mailbox, now_ms, true, &cause);
    if (status != CERTPOST_OK) {
        (void)client_fail(client, status, &cause);
        return;
    }
    client_move(client, CLIENT_FINISHED);
    (void)events_add(&client->events, CERTPOST_EVENT_FINISHED);
}

/* What GOAWAY or REJECT said is a better reason than the end of the connection that follows it. */
static enum certpost_status client_note_refusal(struct certpost_client *client,
                                                enum certpost_status status,
                                                struct certpost_error *cause)
{
    const struct message_refusal *refusal = sender_refusal(client->sender);
    if (refusal == NULL)
        return status;
    char text[MESSAGE_STR8_MAX_BYTES * TEXT_ESCAPE_MAX + 1];
    text_escape(refusal->text.bytes, refusal->text.length, text, sizeof text);
    client->refusal_code = refusal->code;
    client->refused_seq = refusal->seq;
    certpost_error_clear(cause);
    return error_set(cause, CERTPOST_CLOSED, "the server ended the connection (%s)%s%s",
                     message_code_name(refusal->code), text[0] == '\0' ? "" : ": ", text);
}

/* The conversation is over with `status`; CLOSED is an end that either side wanted. */
static void client_end_talk(struct certpost_client *client, int64_t now_ms,
                            enum certpost_status status, struct certpost_error *cause)
{
    if (status == CERTPOST_CLOSED && cause->status == CERTPOST_OK)
        (void)error_set(cause, status, "the server ended the connection");
    status = client_note_refusal(client, status, cause);
    sender_disconnected(client->sender);
    struct certpost_error failure;
    certpost_error_clear(&failure);
    enum certpost_status failed = sender_failure(client->sender, &failure);
    if (sender_state(client->sender) == SENDER_FINISHED)
        client_finish_well(client, now_ms);
    else if (failed != CERTPOST_OK)
        (void)client_fail(client, failed, &failure);
    else if (!client->welcomed || link_outlook(&client->link) == LINK_FINAL)
        client_next_address(client, now_ms, status, cause);
    else {
        link_drop(&client->link);
        client_wait(client, now_ms, status, cause);
    }
}

/* ---- the states ---- */

static void client_begin_round(struct certpost_client *client, int64_t now_ms)
{
    client->attempts++;
    link_begin(&client->link, now_ms);
}

/* True when there may be more to do. */
static bool client_run_opening(struct certpost_client *client, int64_t now_ms)
{
    if (link_state(&client->link) == LINK_IDLE)
        client_begin_round(client, now_ms);
    if (link_state(&client->link) == LINK_CONNECTING && client->link.socket_fd < 0) {
        struct certpost_event *event = events_add(&client->events, CERTPOST_EVENT_CONNECTING);
        memcpy(event->endpoint, client->link.endpoint, sizeof client->link.endpoint);
    }
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = link_advance(&client->link, now_ms, &cause);
    if (certpost_status_group(status) == CERTPOST_GROUP_WAIT)
        return false;
    if (status != CERTPOST_OK) {
        client_next_address(client, now_ms, status, &cause);
        return true;
    }
    if (link_state(&client->link) != LINK_OPEN)
        return true;
    client->doubtful = 0;
    status = client_talk_begin(client, now_ms, &cause);
    if (status == CERTPOST_OK)
        client_move(client, CLIENT_TALKING);
    else
        (void)client_fail(client, status, &cause);
    return true;
}

static bool client_is_fatal(const struct certpost_client *client, enum certpost_status status)
{
    return client->spool_failed || client->receipt_failed || status == CERTPOST_LIMIT ||
           status == CERTPOST_INTERNAL;
}

static bool client_run_talking(struct certpost_client *client, int64_t now_ms)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = client_talk(client, now_ms, &cause);
    if (status == CERTPOST_OK)
        return false;
    if (sender_state(client->sender) == SENDER_FINISHED && status == CERTPOST_CLOSED) {
        client_move(client, CLIENT_CLOSING);
        return true;
    }
    if (client_is_fatal(client, status) && sender_state(client->sender) != SENDER_FAILED)
        (void)client_fail(client, status, &cause);
    else
        client_end_talk(client, now_ms, status, &cause);
    return true;
}

static bool client_run_closing(struct certpost_client *client, int64_t now_ms)
{
    enum certpost_status status = CERTPOST_OK;
    if (link_state(&client->link) == LINK_OPEN)
        status = client_flush_output(client, now_ms, NULL);
    if (certpost_status_group(status) != CERTPOST_GROUP_WAIT)
        status = link_close(&client->link, now_ms);
    if (certpost_status_group(status) == CERTPOST_GROUP_WAIT)
        return false;
    sender_disconnected(client->sender);
    client_finish_well(client, now_ms);
    return true;
}

static bool client_run_waiting(struct certpost_client *client, int64_t now_ms)
{
    if (now_ms < client->retry_at_ms)
        return false;
    client_move(client, CLIENT_OPENING);
    return true;
}

/* Everything may have been acknowledged before the caller said that nothing follows. */
static bool client_is_done(const struct certpost_client *client)
{
    enum client_state state = client_state(client);
    return (state == CLIENT_OPENING || state == CLIENT_WAITING) &&
           sender_state(client->sender) == SENDER_FINISHED;
}

static bool client_run_once(struct certpost_client *client, int64_t now_ms)
{
    if (client_is_done(client)) {
        client_finish_well(client, now_ms);
        return false;
    }
    switch (client_state(client)) {
    case CLIENT_OPENING:
        return client_run_opening(client, now_ms);
    case CLIENT_TALKING:
        return client_run_talking(client, now_ms);
    case CLIENT_CLOSING:
        return client_run_closing(client, now_ms);
    case CLIENT_WAITING:
        return client_run_waiting(client, now_ms);
    case CLIENT_NEW:
    case CLIENT_FINISHED:
    case CLIENT_FAILED:
    default:
        return false;
    }
}

enum certpost_status certpost_client_process(struct certpost_client *client,
                                             struct certpost_error *error)
{
    enum certpost_status status = client_check(client, error);
    if (status != CERTPOST_OK)
        return status;
    int64_t now_ms = clock_monotonic_ms();
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = mailbox_commit(&client->mailbox, &cause);
    if (status == CERTPOST_OK)
        status = mailbox_tidy(&client->mailbox, now_ms, false, &cause);
    if (status != CERTPOST_OK)
        (void)client_fail(client, status, &cause);
    client->unprocessed = false;
    while (client_run_once(client, now_ms))
        ;
    client->processed_at_ms = clock_monotonic_ms();
    client->process_took_ms = client->processed_at_ms - now_ms;
    return client_check(client, error);
}

/* ---- what to wait for ---- */

size_t certpost_client_descriptors(const struct certpost_client *client, struct pollfd *ret_polled,
                                   size_t capacity)
{
    if (client_state(client) == CLIENT_NEW || capacity == 0)
        return 0;
    return link_poll(&client->link, ret_polled) ? 1 : 0;
}

static int64_t client_min(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static int64_t client_deadline_ms(const struct certpost_client *client)
{
    switch (client_state(client)) {
    case CLIENT_OPENING:
        return link_state(&client->link) == LINK_IDLE ? 0 : link_deadline_ms(&client->link);
    case CLIENT_TALKING:
        return client->more_input ? 0 : sender_next_deadline_ms(client->sender);
    case CLIENT_CLOSING:
        return link_deadline_ms(&client->link);
    case CLIENT_WAITING:
        return client->retry_at_ms;
    case CLIENT_NEW:
    case CLIENT_FINISHED:
    case CLIENT_FAILED:
    default:
        return CLOCK_NEVER_MS;
    }
}

int certpost_client_timeout_ms(const struct certpost_client *client)
{
    if (client_state(client) == CLIENT_NEW || client_state(client) >= CLIENT_FINISHED)
        return -1;
    bool can_offer_again =
        client->starving && queue_has_room(&client->mailbox.queue, client->starving_bytes);
    if (client->unprocessed || can_offer_again)
        return 0;
    return clock_poll_timeout_ms(
        client_min(client_deadline_ms(client), mailbox_deadline_ms(&client->mailbox)));
}

bool certpost_client_next_event(struct certpost_client *client, struct certpost_event *ret_event)
{
    return events_take(&client->events, ret_event);
}
