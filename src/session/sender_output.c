/*
 * sender_output.c — what a sender sends, and when its patience ends (session/sender.h).
 *
 * Uses: base, wire.  Used by: whoever uses sender.c, whose other half this is.
 * Never: passes the server's window or max_message; sends a message that it has not hashed.
 */
#include "base/clock.h"
#include "base/error.h"
#include "session/sender_internal.h"

#include <string.h>

/* ---- messages ---- */

static bool sender_may_send_next(const struct sender *sender)
{
    bool again = sender->next_seq <= sender->chain.seq;
    uint64_t needed = sender->blocked_bytes > MESSAGE_OVERHEAD_BYTES ? sender->blocked_bytes
                                                                     : MESSAGE_OVERHEAD_BYTES;
    bool fits = sender->unacked_bytes + needed <= sender->welcome.window_bytes;
    return fits && (again || sender->flights.count < sender->flights.max_count);
}

bool sender_wants_message(const struct sender *sender, struct sender_want *ret_want)
{
    enum sender_state state = sender_state(sender);
    bool skip = state == SENDER_SKIPPING;
    if (!sender->connected || sender->ending || (!skip && state != SENDER_OPEN))
        return false;
    if (!skip && !sender_may_send_next(sender))
        return false;
    uint64_t seq = skip ? sender->chain.seq + 1 : sender->next_seq;
    uint64_t position = sender_position_of(sender, seq);
    if (sender->finishing && position >= sender->total)
        return false;
    *ret_want = (struct sender_want){.position = position, .seq = seq, .skip = skip};
    return true;
}

static enum certpost_status sender_hash(struct sender *sender, const void *bytes, size_t length,
                                        struct sender_point *ret_point)
{
    struct sender_point point = {.seq = sender->chain.seq + 1,
                                 .digest_known = sender->chain.digest_known};
    enum certpost_status status =
        chain_next(sender->chain_worktable, sender->chain.digest, bytes, length, point.digest);
    if (status == CERTPOST_OK)
        *ret_point = point;
    return status;
}

static enum certpost_status sender_skip(struct sender *sender, const void *bytes, size_t length,
                                        int64_t now_ms, struct certpost_error *error)
{
    enum certpost_status status = sender_hash(sender, bytes, length, &sender->chain);
    if (status == CERTPOST_OK && sender->chain.seq == sender->skip_target.seq)
        status = sender_end_skipping(sender, now_ms, error);
    return status;
}

/* The frame, or WANT_WRITE when the output has no room for it. */
static enum certpost_status sender_put(const void *bytes, size_t length, struct buffer *output)
{
    enum certpost_status status = message_append_payload(output, bytes, length);
    return status == CERTPOST_LIMIT ? CERTPOST_WANT_WRITE : status;
}

static enum certpost_status sender_send_new(struct sender *sender, const void *bytes, size_t length,
                                            struct buffer *output)
{
    struct sender_point point = {0};
    struct sender_flight flight = {.length = (uint32_t)length};
    enum certpost_status status = sender_hash(sender, bytes, length, &point);
    memcpy(flight.digest, point.digest, CHAIN_DIGEST_BYTES);
    if (status == CERTPOST_OK)
        status = fifo_push(&sender->flights, &flight);
    if (status != CERTPOST_OK)
        return status;
    status = sender_put(bytes, length, output);
    if (status == CERTPOST_OK)
        sender->chain = point;
    else
        fifo_drop_newest(&sender->flights);
    return status;
}

static enum certpost_status sender_send_again(struct sender *sender, const void *bytes,
                                              size_t length, struct buffer *output,
                                              struct certpost_error *error)
{
    size_t index = (size_t)(sender->next_seq - sender->base.seq - 1);
    const struct sender_flight *flight = fifo_at(&sender->flights, index);
    if (flight->length != length)
        return error_set(error, CERTPOST_INTERNAL,
                         "message %llu is not what it was when first sent",
                         (unsigned long long)sender->next_seq);
    return sender_put(bytes, length, output);
}

static enum certpost_status sender_check_size(struct sender *sender, size_t length,
                                              struct certpost_error *error)
{
    if (sender->next_seq > MESSAGE_SEQ_MAX)
        return error_set(error, CERTPOST_LIMIT, "the stream has no more numbers");
    if (length > sender->welcome.max_message_bytes)
        return error_set(error, CERTPOST_LIMIT,
                         "message %llu has %zu bytes, and the server takes at most %u",
                         (unsigned long long)sender->next_seq, length,
                         (unsigned)sender->welcome.max_message_bytes);
    uint64_t cost = message_cost_bytes(length);
    if (sender->unacked_bytes + cost <= sender->welcome.window_bytes)
        return CERTPOST_OK;
    sender->blocked_bytes = cost;
    return CERTPOST_WANT_READ;
}

static enum certpost_status sender_send(struct sender *sender, const void *bytes, size_t length,
                                        struct buffer *output, int64_t now_ms,
                                        struct certpost_error *error)
{
    enum certpost_status status = sender_check_size(sender, length, error);
    if (status != CERTPOST_OK)
        return status;
    status = sender->next_seq > sender->chain.seq
                 ? sender_send_new(sender, bytes, length, output)
                 : sender_send_again(sender, bytes, length, output, error);
    if (status != CERTPOST_OK)
        return status;
    if (sender->unacked_bytes == 0)
        sender->ack_wait_ms = now_ms;
    sender->unacked_bytes += message_cost_bytes(length);
    sender->blocked_bytes = 0;
    sender->next_seq++;
    sender->last_sent_ms = now_ms;
    return CERTPOST_OK;
}

static bool sender_is_fatal(enum certpost_status status)
{
    return status == CERTPOST_DIGEST || status == CERTPOST_INTERNAL;
}

enum certpost_status sender_message(struct sender *sender, const void *bytes, size_t length,
                                    struct buffer *output, int64_t now_ms,
                                    struct certpost_error *error)
{
    struct sender_want want = {0};
    if (!sender_wants_message(sender, &want))
        return error_set(error, CERTPOST_USAGE, "no message is wanted now");
    struct certpost_error own = {.status = CERTPOST_OK};
    enum certpost_status status = want.skip
                                      ? sender_skip(sender, bytes, length, now_ms, &own)
                                      : sender_send(sender, bytes, length, output, now_ms, &own);
    if (certpost_status_group(status) > CERTPOST_GROUP_WAIT)
        (void)error_adopt(error, status, &own);
    return sender_is_fatal(status) ? sender_fail(sender, status, &own) : status;
}

/* ---- the other frames ---- */

static enum certpost_status sender_put_hello(struct sender *sender, struct buffer *output)
{
    struct message_hello hello = {.stream = sender->config.stream,
                                  .required_level = sender->config.required_level,
                                  .software = sender->config.software};
    return message_append_hello(output, &hello);
}

static enum certpost_status sender_put_ping(struct sender *sender, struct buffer *output)
{
    unsigned char ping[MESSAGE_PING_BYTES];
    for (size_t i = 0; i < sizeof ping; i++)
        ping[i] = (unsigned char)(sender->pings >> (8 * (sizeof ping - 1 - i)));
    return message_append_ping(output, FRAME_PING, ping);
}

/* Everything is acknowledged: what the receipt has to be for is known, and nothing else is due. */
static bool sender_request_is_due(const struct sender *sender)
{
    return sender_state(sender) == SENDER_OPEN && sender_lacks_receipt(sender) &&
           sender->finishing && sender->base_position >= sender->total;
}

static bool sender_bye_is_due(const struct sender *sender)
{
    if (sender_lacks_receipt(sender) || !sender->finishing)
        return false;
    return sender_state(sender) == SENDER_PROVING ||
           (sender_state(sender) == SENDER_OPEN &&
            sender_position_of(sender, sender->next_seq) >= sender->total);
}

static enum certpost_status sender_put_request(struct sender *sender, struct buffer *output)
{
    enum certpost_status status = message_append_empty(output, FRAME_RECEIPT_REQUEST);
    if (status == CERTPOST_OK)
        status = machine_move(&sender->machine, SENDER_PROVING, &sender->failure);
    return status;
}

static enum certpost_status sender_put_bye(struct sender *sender, struct buffer *output)
{
    enum certpost_status status = message_append_empty(output, FRAME_BYE);
    if (status == CERTPOST_OK)
        status = machine_move(&sender->machine, SENDER_LEAVING, &sender->failure);
    if (status == CERTPOST_OK)
        sender_finish_if_done(sender);
    return status;
}

typedef enum certpost_status sender_put_function(struct sender *sender, struct buffer *output);

static enum certpost_status sender_put_pong(struct sender *sender, struct buffer *output)
{
    return message_append_ping(output, FRAME_PONG, sender->pong);
}

/* Appends one frame if it is due, and then it is not any more. */
static enum certpost_status sender_put_if(struct sender *sender, bool *due,
                                          sender_put_function *put, struct buffer *output,
                                          int64_t now_ms)
{
    if (!*due)
        return CERTPOST_OK;
    enum certpost_status status = put(sender, output);
    if (status == CERTPOST_OK) {
        *due = false;
        sender->last_sent_ms = now_ms;
    }
    return status;
}

enum certpost_status sender_output(struct sender *sender, struct buffer *output, int64_t now_ms)
{
    if (!sender->connected || sender->ending || sender_state(sender) == SENDER_DRAINING)
        return CERTPOST_OK;
    bool bye_due = sender_bye_is_due(sender);
    bool request_due = sender_request_is_due(sender);
    if (request_due)
        sender->receipt_wait_ms = now_ms;
    enum certpost_status status =
        sender_put_if(sender, &sender->hello_due, sender_put_hello, output, now_ms);
    if (status == CERTPOST_OK)
        status = sender_put_if(sender, &sender->pong_due, sender_put_pong, output, now_ms);
    if (status == CERTPOST_OK)
        status = sender_put_if(sender, &sender->ping_due, sender_put_ping, output, now_ms);
    if (status == CERTPOST_OK)
        status = sender_put_if(sender, &request_due, sender_put_request, output, now_ms);
    if (status == CERTPOST_OK)
        status = sender_put_if(sender, &bye_due, sender_put_bye, output, now_ms);
    return status;
}

/* ---- time ---- */

void sender_wrote(struct sender *sender, int64_t now_ms)
{
    sender->last_alive_ms = now_ms;
}

static int64_t sender_ping_interval_ms(const struct sender *sender)
{
    int64_t interval_ms = sender->config.ping_interval_ms;
    int64_t third_ms = (int64_t)sender->welcome.idle_timeout_ms / 3;
    if (third_ms > 0 && (interval_ms <= 0 || third_ms < interval_ms))
        interval_ms = third_ms;
    return interval_ms;
}

static int64_t sender_min(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* When the next PING is due, or when waiting for an answer to the last one ends. */
static int64_t sender_ping_deadline_ms(const struct sender *sender)
{
    if (!sender->ping_waits)
        return sender_deadline(sender_min(sender->last_sent_ms, sender->last_alive_ms),
                               sender_ping_interval_ms(sender));
    int64_t from_ms =
        sender->last_alive_ms > sender->ping_sent_ms ? sender->last_alive_ms : sender->ping_sent_ms;
    return sender_deadline(from_ms, sender->config.ping_timeout_ms);
}

static int64_t sender_ack_deadline_ms(const struct sender *sender)
{
    return sender->unacked_bytes == 0
               ? CLOCK_NEVER_MS
               : sender_deadline(sender->ack_wait_ms, sender->config.ack_timeout_ms);
}

static int64_t sender_receipt_deadline_ms(const struct sender *sender)
{
    return sender_state(sender) == SENDER_PROVING && !sender->proven
               ? sender_deadline(sender->receipt_wait_ms, sender->config.ack_timeout_ms)
               : CLOCK_NEVER_MS;
}

int64_t sender_next_deadline_ms(const struct sender *sender)
{
    if (!sender->connected || sender->ending)
        return CLOCK_NEVER_MS;
    switch (sender_state(sender)) {
    case SENDER_GREETING:
    case SENDER_DRAINING:
        return sender->answer_deadline_ms;
    case SENDER_SKIPPING:
    case SENDER_OPEN:
    case SENDER_LEAVING:
        return sender_min(sender_ping_deadline_ms(sender), sender_ack_deadline_ms(sender));
    case SENDER_PROVING:
        return sender_min(sender_ping_deadline_ms(sender), sender_receipt_deadline_ms(sender));
    case SENDER_DISCONNECTED:
    case SENDER_FINISHED:
    case SENDER_FAILED:
    default:
        return CLOCK_NEVER_MS;
    }
}

static enum certpost_status sender_give_up(struct sender *sender, const char *text,
                                           struct certpost_error *error)
{
    sender_end(sender);
    return error_set(error, CERTPOST_TIMEOUT, "%s", text);
}

enum certpost_status sender_tick(struct sender *sender, int64_t now_ms,
                                 struct certpost_error *error)
{
    if (now_ms < sender_next_deadline_ms(sender))
        return CERTPOST_OK;
    if (sender_state(sender) == SENDER_GREETING)
        return sender_give_up(sender, "the server did not answer HELLO in time", error);
    if (sender_state(sender) == SENDER_DRAINING)
        return sender_give_up(sender, "the server did not end the connection in time", error);
    if (now_ms >= sender_ack_deadline_ms(sender))
        return sender_give_up(sender, "the server did not acknowledge in time", error);
    if (now_ms >= sender_receipt_deadline_ms(sender))
        return sender_give_up(sender, "the server did not send the receipt in time", error);
    if (sender->ping_waits)
        return sender_give_up(sender, "the server did not answer PING in time", error);
    sender->ping_due = sender->ping_waits = true;
    sender->ping_sent_ms = now_ms;
    sender->pings++;
    return CERTPOST_OK;
}
