/*
 * receiver.c — the server's role of certpost/1: states, completions of the store, effects,
 * deadlines (session/receiver.h, docs/protocol.md). receiver_input.c has the client's frames,
 * receiver_output.c the answers.
 *
 * Uses: base, wire.  Used by: the server's connection glue, tests/sim.
 * Never: a clock, a socket, a store, a log.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "session/receiver_internal.h"
#include "wire/text_rules.h"

#include <stdlib.h>
#include <string.h>

static const struct machine_state receiver_table[] = {
    [RECEIVER_NEW] = {"NEW", MACHINE_TO(RECEIVER_OPENING) | MACHINE_TO(RECEIVER_LEAVING) |
                                 MACHINE_TO(RECEIVER_DRAINING) | MACHINE_TO(RECEIVER_CLOSED)},
    [RECEIVER_OPENING] = {"OPENING", MACHINE_TO(RECEIVER_OPEN) | MACHINE_TO(RECEIVER_LEAVING) |
                                         MACHINE_TO(RECEIVER_DRAINING) |
                                         MACHINE_TO(RECEIVER_CLOSED)},
    [RECEIVER_OPEN] = {"OPEN", MACHINE_TO(RECEIVER_LEAVING) | MACHINE_TO(RECEIVER_DRAINING) |
                                   MACHINE_TO(RECEIVER_CLOSED)},
    [RECEIVER_LEAVING] = {"LEAVING", MACHINE_TO(RECEIVER_DRAINING) | MACHINE_TO(RECEIVER_CLOSED)},
    [RECEIVER_DRAINING] = {"DRAINING", MACHINE_TO(RECEIVER_CLOSED)},
    [RECEIVER_CLOSED] = {"CLOSED", 0},
};

const struct machine_state *receiver_states(size_t *ret_count)
{
    *ret_count = sizeof receiver_table / sizeof receiver_table[0];
    return receiver_table;
}

static int64_t receiver_deadline(int64_t now_ms, int64_t timeout_ms)
{
    return timeout_ms <= 0 || timeout_ms > CLOCK_NEVER_MS - now_ms ? CLOCK_NEVER_MS
                                                                   : now_ms + timeout_ms;
}

static bool receiver_config_is_valid(const struct receiver_config *config)
{
    return config->max_message_bytes <= FRAME_MESSAGE_MAX_BYTES &&
           config->window_bytes >= message_cost_bytes(config->max_message_bytes) &&
           config->idle_timeout_ms <= (int64_t)UINT32_MAX &&
           config->server_name.length <= MESSAGE_STR8_MAX_BYTES &&
           text_rules_plain(config->server_name.bytes, config->server_name.length) &&
           config->reply.length <= MESSAGE_STR8_MAX_BYTES &&
           text_rules_utf8(config->reply.bytes, config->reply.length);
}

enum certpost_status receiver_new(const struct receiver_config *config, struct chain *chain,
                                  struct message_span identity, int64_t now_ms,
                                  struct receiver **ret_receiver, struct certpost_error *error)
{
    if (!receiver_config_is_valid(config))
        return error_set(error, CERTPOST_USAGE,
                         "the limits or texts of the receiver cannot be announced");
    struct receiver *receiver = calloc(1, sizeof *receiver);
    if (receiver == NULL)
        return error_no_memory(error);
    receiver->config = config;
    receiver->chain = chain;
    receiver->identity = identity;
    receiver->machine = machine_start(receiver_table, RECEIVER_NEW);
    receiver->deadline_ms = receiver_deadline(now_ms, config->hello_timeout_ms);
    frame_decoder_init(&receiver->decoder, config->max_message_bytes);
    fifo_init(&receiver->uncommitted, sizeof(uint32_t),
              config->window_bytes / MESSAGE_OVERHEAD_BYTES);
    *ret_receiver = receiver;
    return CERTPOST_OK;
}

void receiver_free(struct receiver *receiver)
{
    if (receiver == NULL)
        return;
    frame_decoder_free(&receiver->decoder);
    fifo_free(&receiver->uncommitted);
    free(receiver);
}

enum receiver_state receiver_state(const struct receiver *receiver)
{
    return (enum receiver_state)receiver->machine.state;
}

const char *receiver_state_name(const struct receiver *receiver)
{
    return machine_state_name(&receiver->machine);
}

uint64_t receiver_unacked_bytes(const struct receiver *receiver)
{
    return receiver->uncommitted_bytes;
}

size_t receiver_partial_bytes(const struct receiver *receiver)
{
    return frame_decoder_partial_bytes(&receiver->decoder);
}

size_t receiver_unacked_messages(const struct receiver *receiver)
{
    return receiver->uncommitted.count;
}

uint64_t receiver_ack_count(const struct receiver *receiver)
{
    return receiver->ack_count;
}

uint64_t receiver_acked_messages(const struct receiver *receiver)
{
    return receiver->acked_messages;
}

uint16_t receiver_refusal_code(const struct receiver *receiver)
{
    return receiver->refusal.type == 0 ? 0 : receiver->refusal.code;
}

bool receiver_wants_input(const struct receiver *receiver)
{
    return receiver_state(receiver) != RECEIVER_CLOSED;
}

static void receiver_move(struct receiver *receiver, enum receiver_state state)
{
    if (machine_move(&receiver->machine, state, NULL) != CERTPOST_OK)
        receiver->close_now = true;
}

/* ---- endings ---- */

/* Copies what of the first 255 bytes is whole UTF-8. */
static void receiver_copy_text(char ret_text[MESSAGE_STR8_MAX_BYTES + 1], const char *text)
{
    size_t length = strlen(text), used = 0;
    for (size_t taken = 1; used < length && taken > 0;) {
        taken = text_utf8_length((const unsigned char *)text + used, length - used);
        if (used + taken > MESSAGE_STR8_MAX_BYTES)
            break;
        used += taken;
    }
    memcpy(ret_text, text, used);
    ret_text[used] = '\0';
}

static void receiver_set_refusal(struct receiver *receiver, enum frame_type type, uint64_t seq,
                                 uint16_t code, const char *text)
{
    receiver->refusal =
        (struct receiver_refusal){.type = type, .due = true, .seq = seq, .code = code};
    receiver_copy_text(receiver->refusal.text, text);
}

static void receiver_decide(struct receiver *receiver, enum frame_type type, uint64_t seq,
                            uint16_t code, const char *text, int64_t now_ms)
{
    if (receiver_state(receiver) >= RECEIVER_DRAINING)
        return;
    receiver_set_refusal(receiver, type, seq, code, text);
    receiver->receipt_wanted = false;
    receiver->pong_due = false;
    receiver->deadline_ms = receiver_deadline(now_ms, receiver->config->drain_timeout_ms);
    receiver_move(receiver, RECEIVER_DRAINING);
}

void receiver_refuse(struct receiver *receiver, uint16_t code, const char *text, int64_t now_ms)
{
    receiver_decide(receiver, FRAME_GOAWAY, 0, code, text, now_ms);
}

void receiver_refuse_message(struct receiver *receiver, uint64_t seq, uint16_t code,
                             const char *text, int64_t now_ms)
{
    receiver_decide(receiver, FRAME_REJECT, seq, code, text, now_ms);
}

bool receiver_refusal_is_ready(const struct receiver *receiver)
{
    const struct receiver_refusal *refusal = &receiver->refusal;
    return refusal->due && !receiver->receipt_wanted &&
           (refusal->type == FRAME_GOAWAY || refusal->seq == receiver->committed.seq + 1);
}

enum certpost_status receiver_leave(struct receiver *receiver, int64_t now_ms,
                                    struct certpost_error *error)
{
    enum certpost_status status = machine_move(&receiver->machine, RECEIVER_LEAVING, error);
    if (status == CERTPOST_OK)
        receiver->deadline_ms = receiver_deadline(now_ms, receiver->config->drain_timeout_ms);
    return status;
}

void receiver_go_away(struct receiver *receiver, uint16_t code, const char *text, int64_t now_ms)
{
    bool receipt_wanted = receiver->receipt_wanted;
    receiver_refuse(receiver, code, text, now_ms);
    receiver->receipt_wanted = receipt_wanted; /* it was asked for in time */
}

void receiver_refuse_receipt(struct receiver *receiver, uint16_t code, const char *text,
                             int64_t now_ms)
{
    if (!receiver->receipt_asked || !receiver->receipt_wanted)
        return;
    receiver->receipt_wanted = receiver->receipt_asked = false;
    receiver_refuse(receiver, code, text, now_ms);
}

/* Forgets the newest messages until `seq` is the last that is still expected from the store. */
static void receiver_forget_after(struct receiver *receiver, uint64_t seq)
{
    while (receiver->uncommitted.count > 0 &&
           receiver->committed.seq + receiver->uncommitted.count > seq) {
        const uint32_t *length = fifo_at(&receiver->uncommitted, receiver->uncommitted.count - 1);
        receiver->uncommitted_bytes -= message_cost_bytes(*length);
        fifo_drop_newest(&receiver->uncommitted);
        receiver->newest_forgotten = true;
    }
    receiver->received_seq = receiver->committed.seq + receiver->uncommitted.count;
    /* A receipt that was asked for behind a forgotten message would be waited for in vain. */
    if (!receiver->receipt_asked && receiver->receipt_seq > receiver->received_seq)
        receiver->receipt_wanted = false;
    if (receiver->effect.type == RECEIVER_STORE && receiver->effect.seq > receiver->received_seq)
        receiver->effect = (struct receiver_effect){.type = RECEIVER_NONE};
}

void receiver_lost(struct receiver *receiver, uint16_t code, const char *text, int64_t now_ms)
{
    receiver_forget_after(receiver, receiver->committed.seq);
    receiver->receipt_wanted = false;
    /* A REJECT promises that all before its message is stored; it is not. */
    if (receiver->refusal.due && !receiver_refusal_is_ready(receiver))
        receiver_set_refusal(receiver, FRAME_GOAWAY, 0, code, text);
    receiver_refuse(receiver, code, text, now_ms);
}

enum certpost_status receiver_reject(struct receiver *receiver, uint64_t seq, uint16_t code,
                                     const char *text, int64_t now_ms, struct certpost_error *error)
{
    if (receiver_state(receiver) == RECEIVER_CLOSED)
        return CERTPOST_OK;
    if (seq <= receiver->committed.seq || seq > receiver->received_seq)
        return error_set(error, CERTPOST_INTERNAL, "message %llu cannot be refused now",
                         (unsigned long long)seq);
    receiver_forget_after(receiver, seq - 1);
    /* A REJECT of a later message waits for this one to be stored: it would wait for ever. */
    if (receiver->refusal.due && receiver->refusal.type == FRAME_REJECT)
        receiver_set_refusal(receiver, FRAME_REJECT, seq, code, text);
    receiver_refuse_message(receiver, seq, code, text, now_ms);
    return CERTPOST_OK;
}

/* ---- completions of the store ---- */

enum certpost_status receiver_opened(struct receiver *receiver, const struct committed *head,
                                     int64_t now_ms, struct certpost_error *error)
{
    if (receiver_state(receiver) != RECEIVER_OPENING)
        return CERTPOST_OK; /* the client or the server gave up in the meantime */
    enum certpost_status status = CERTPOST_OK;
    if (head->seq > MESSAGE_SEQ_MAX ||
        (head->seq == 0 && memcmp(head->digest, receiver->origin, CHAIN_DIGEST_BYTES) != 0))
        status = error_set(error, CERTPOST_INTERNAL, "the store gave an impossible head");
    if (status == CERTPOST_OK)
        status = machine_move(&receiver->machine, RECEIVER_OPEN, error);
    if (status != CERTPOST_OK) {
        receiver_refuse(receiver, MESSAGE_CODE_INTERNAL, "the server failed", now_ms);
        return status;
    }
    receiver->committed = *head;
    receiver->acked_seq = receiver->received_seq = head->seq;
    memcpy(receiver->received_digest, head->digest, CHAIN_DIGEST_BYTES);
    receiver->welcome_due = true;
    receiver_restart_idle(receiver, now_ms);
    return CERTPOST_OK;
}

static bool receiver_expects(const struct receiver *receiver, const struct committed *committed)
{
    if (committed->seq <= receiver->committed.seq || committed->seq > receiver->received_seq)
        return false;
    bool comparable = committed->seq == receiver->received_seq && !receiver->newest_forgotten;
    return !comparable ||
           memcmp(committed->digest, receiver->received_digest, CHAIN_DIGEST_BYTES) == 0;
}

enum certpost_status receiver_committed(struct receiver *receiver,
                                        const struct committed *committed, int64_t now_ms,
                                        struct certpost_error *error)
{
    if (receiver_state(receiver) == RECEIVER_CLOSED)
        return CERTPOST_OK;
    if (!receiver_expects(receiver, committed)) {
        enum certpost_status status = error_set(
            error, CERTPOST_INTERNAL,
            "the store committed up to %llu where %llu to %llu were expected",
            (unsigned long long)committed->seq, (unsigned long long)receiver->committed.seq + 1,
            (unsigned long long)receiver->received_seq);
        receiver_lost(receiver, MESSAGE_CODE_INTERNAL, "the server failed", now_ms);
        return status;
    }
    size_t count = (size_t)(committed->seq - receiver->committed.seq);
    for (size_t i = 0; i < count; i++) {
        const uint32_t *length = fifo_at(&receiver->uncommitted, i);
        receiver->uncommitted_bytes -= message_cost_bytes(*length);
    }
    fifo_drop_oldest(&receiver->uncommitted, count);
    receiver->committed = *committed;
    receiver_restart_idle(receiver, now_ms);
    return CERTPOST_OK;
}

/* ---- effects ---- */

static bool receiver_is_done(const struct receiver *receiver)
{
    if (receiver->close_now)
        return true;
    return receiver_state(receiver) >= RECEIVER_LEAVING && receiver->uncommitted.count == 0 &&
           !receiver->receipt_wanted && !receiver->refusal.due && !receiver_has_output(receiver);
}

enum receiver_effect_type receiver_next_effect(struct receiver *receiver,
                                               struct receiver_effect *ret_effect)
{
    *ret_effect = (struct receiver_effect){.type = RECEIVER_NONE};
    if (receiver_state(receiver) == RECEIVER_CLOSED)
        return RECEIVER_NONE;
    if (receiver->effect.type != RECEIVER_NONE) {
        *ret_effect = receiver->effect;
        receiver->effect = (struct receiver_effect){.type = RECEIVER_NONE};
    } else if (receiver_is_done(receiver)) {
        receiver_move(receiver, RECEIVER_CLOSED);
        ret_effect->type = RECEIVER_CLOSE;
    } else if (receiver->receipt_wanted && !receiver->receipt_asked &&
               receiver->committed.seq >= receiver->receipt_seq) {
        receiver->receipt_asked = true;
        ret_effect->type = RECEIVER_SIGN_RECEIPT;
        ret_effect->committed = receiver->committed;
    }
    return ret_effect->type;
}

/* ---- time ---- */

void receiver_restart_idle(struct receiver *receiver, int64_t now_ms)
{
    if (receiver_state(receiver) == RECEIVER_OPEN)
        receiver->deadline_ms = receiver_deadline(now_ms, receiver->config->idle_timeout_ms);
}

void receiver_defer_idle(struct receiver *receiver, int64_t now_ms)
{
    receiver_restart_idle(receiver, now_ms);
}

/* While the store works the client may wait in silence: that is our time, not its. */
static bool receiver_works(const struct receiver *receiver)
{
    switch (receiver_state(receiver)) {
    case RECEIVER_OPENING:
    case RECEIVER_CLOSED:
        return true;
    case RECEIVER_OPEN:
        return receiver->uncommitted.count > 0 || receiver->receipt_wanted;
    case RECEIVER_NEW:
    case RECEIVER_LEAVING:
    case RECEIVER_DRAINING:
    default:
        return false;
    }
}

int64_t receiver_next_deadline_ms(const struct receiver *receiver)
{
    return receiver_works(receiver) ? CLOCK_NEVER_MS : receiver->deadline_ms;
}

enum certpost_status receiver_tick(struct receiver *receiver, int64_t now_ms,
                                   struct certpost_error *error)
{
    if (now_ms < receiver_next_deadline_ms(receiver))
        return CERTPOST_OK;
    if (receiver_state(receiver) >= RECEIVER_LEAVING) {
        receiver->close_now = true;
        return error_set(error, CERTPOST_TIMEOUT, "the last acknowledgements took too long");
    }
    const char *text =
        receiver_state(receiver) == RECEIVER_NEW ? "no HELLO came in time" : "nothing came in time";
    receiver_refuse(receiver, MESSAGE_CODE_IDLE, text, now_ms);
    return error_set(error, CERTPOST_TIMEOUT, "%s", text);
}
