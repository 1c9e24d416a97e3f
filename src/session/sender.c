/*
 * sender.c — the client's role of certpost/1: states, what is known of the stream, effects
 * (session/sender.h, docs/protocol.md). sender_input.c has the server's frames, sender_output.c
 * what is sent, and the deadlines.
 *
 * Uses: base, wire.  Used by: the client's agent, tests/sim.
 * Never: a clock, a socket, a file, a log; and never the bytes of a message beyond the call that
 * gives them.
 */
#include "base/error.h"
#include "session/sender_internal.h"
#include "wire/text_rules.h"

#include <stdlib.h>
#include <string.h>

#define SENDER_ANY_END                                                                             \
    (MACHINE_TO(SENDER_DRAINING) | MACHINE_TO(SENDER_DISCONNECTED) | MACHINE_TO(SENDER_FAILED))

static const struct machine_state sender_table[] = {
    [SENDER_DISCONNECTED] = {"DISCONNECTED", MACHINE_TO(SENDER_GREETING) |
                                                 MACHINE_TO(SENDER_FINISHED) |
                                                 MACHINE_TO(SENDER_FAILED)},
    [SENDER_GREETING] = {"GREETING",
                         MACHINE_TO(SENDER_OPEN) | MACHINE_TO(SENDER_SKIPPING) | SENDER_ANY_END},
    [SENDER_SKIPPING] = {"SKIPPING", MACHINE_TO(SENDER_OPEN) | SENDER_ANY_END},
    [SENDER_OPEN] = {"OPEN",
                     MACHINE_TO(SENDER_PROVING) | MACHINE_TO(SENDER_LEAVING) | SENDER_ANY_END},
    [SENDER_PROVING] = {"PROVING", MACHINE_TO(SENDER_LEAVING) | SENDER_ANY_END},
    [SENDER_LEAVING] = {"LEAVING", MACHINE_TO(SENDER_FINISHED) | SENDER_ANY_END},
    [SENDER_DRAINING] = {"DRAINING", MACHINE_TO(SENDER_DISCONNECTED) | MACHINE_TO(SENDER_FINISHED) |
                                         MACHINE_TO(SENDER_FAILED)},
    [SENDER_FINISHED] = {"FINISHED", 0},
    [SENDER_FAILED] = {"FAILED", 0},
};

const struct machine_state *sender_states(size_t *ret_count)
{
    *ret_count = sizeof sender_table / sizeof sender_table[0];
    return sender_table;
}

/* ---- life ---- */

static bool sender_config_is_valid(const struct sender_config *config)
{
    return message_stream_name_is_valid(config->stream.bytes, config->stream.length) &&
           config->software.length <= MESSAGE_STR8_MAX_BYTES &&
           text_rules_plain(config->software.bytes, config->software.length) &&
           config->max_unacked_messages > 0 && config->start_seq <= MESSAGE_SEQ_MAX;
}

static void sender_copy_text(unsigned char copy[MESSAGE_STR8_MAX_BYTES], struct message_span *text)
{
    if (text->length > 0)
        memcpy(copy, text->bytes, text->length);
    text->bytes = copy;
}

static uint64_t sender_sum(uint64_t one, uint64_t other)
{
    return one > UINT64_MAX - other ? UINT64_MAX : one + other;
}

static void sender_set_start(struct sender *sender, const struct sender_config *config)
{
    if (config->start == SENDER_APPEND)
        return;
    sender->position_known = true;
    sender->base.seq = config->start_seq;
    sender->earlier_seq = UINT64_MAX;
    if (config->start == SENDER_CONTINUE) {
        sender->base.digest_known = true;
        memcpy(sender->base.digest, config->start_digest, CHAIN_DIGEST_BYTES);
        sender->promised_seq = config->start_seq;
        sender->earlier_seq = sender_sum(config->start_seq, config->earlier_messages);
    }
    sender->chain = sender->base;
}

enum certpost_status sender_new(const struct sender_config *config, struct chain *chain,
                                struct sender **ret_sender, struct certpost_error *error)
{
    if (!sender_config_is_valid(config))
        return error_set(error, CERTPOST_USAGE,
                         "a stream's name is 1 to 255 bytes of UTF-8 without control characters");
    struct sender *sender = calloc(1, sizeof *sender);
    if (sender == NULL)
        return error_no_memory(error);
    sender->config = *config;
    sender_copy_text(sender->texts.stream, &sender->config.stream);
    sender_copy_text(sender->texts.software, &sender->config.software);
    sender->chain_worktable = chain;
    sender->machine = machine_start(sender_table, SENDER_DISCONNECTED);
    sender->level = config->start_level;
    frame_decoder_init(&sender->decoder, 0);
    buffer_init(&sender->receipt_bytes, FRAME_RECEIPT_MAX_BYTES);
    fifo_init(&sender->flights, sizeof(struct sender_flight), config->max_unacked_messages);
    sender_set_start(sender, config);
    *ret_sender = sender;
    return CERTPOST_OK;
}

void sender_free(struct sender *sender)
{
    if (sender == NULL)
        return;
    frame_decoder_free(&sender->decoder);
    buffer_free(&sender->receipt_bytes);
    fifo_free(&sender->flights);
    free(sender);
}

/* ---- state ---- */

enum sender_state sender_state(const struct sender *sender)
{
    return (enum sender_state)sender->machine.state;
}

const char *sender_state_name(const struct sender *sender)
{
    return machine_state_name(&sender->machine);
}

static void sender_move(struct sender *sender, enum sender_state state)
{
    if (machine_move(&sender->machine, state, &sender->failure) != CERTPOST_OK)
        sender_end(sender);
}

void sender_end(struct sender *sender)
{
    if (sender->connected && !sender->ending)
        sender->ending = sender->close_due = true;
}

enum certpost_status sender_fail(struct sender *sender, enum certpost_status status,
                                 const struct certpost_error *error)
{
    sender_end(sender);
    bool passes = status == CERTPOST_NO_MEMORY || status == CERTPOST_SYSTEM;
    if (passes || sender_state(sender) >= SENDER_FINISHED)
        return status;
    if (status == CERTPOST_DIGEST)
        certpost_error_clear(&sender->failure); /* graver than whatever GOAWAY said */
    (void)error_set(&sender->failure, status, "%s", certpost_error_text(error, status));
    sender_move(sender, SENDER_FAILED);
    return status;
}

enum certpost_status sender_connected(struct sender *sender, int64_t now_ms,
                                      struct certpost_error *error)
{
    enum certpost_status status = machine_move(&sender->machine, SENDER_GREETING, error);
    if (status != CERTPOST_OK)
        return status;
    sender->connected = sender->hello_due = true;
    sender->next_seq = 0; /* nothing can be acknowledged before WELCOME says where we are */
    sender->last_sent_ms = sender->last_alive_ms = now_ms;
    sender->answer_deadline_ms = sender_deadline(now_ms, sender->config.answer_timeout_ms);
    return CERTPOST_OK;
}

void sender_disconnected(struct sender *sender)
{
    bool hello_unanswered = sender_state(sender) == SENDER_GREETING && !sender->hello_due;
    frame_decoder_free(&sender->decoder);
    frame_decoder_init(&sender->decoder, 0);
    buffer_clear(&sender->receipt_bytes);
    sender->connected = sender->ending = sender->close_due = sender->receipt_due = false;
    sender->hello_due = sender->pong_due = sender->ping_due = sender->ping_waits = false;
    sender->refused = false;
    if (hello_unanswered)
        sender->ghosts++;
    sender->unacked_bytes = sender->blocked_bytes = 0;
    enum sender_state state = sender_state(sender);
    if (state == SENDER_DISCONNECTED || state >= SENDER_FINISHED)
        return;
    sender_move(sender,
                sender->failure.status == CERTPOST_OK ? SENDER_DISCONNECTED : SENDER_FAILED);
    sender_finish_if_done(sender);
}

/* ---- progress ---- */

void sender_release(struct sender *sender, const struct sender_point *point)
{
    uint64_t count = point->seq - sender->base.seq;
    if (count > 0) {
        fifo_drop_oldest(&sender->flights, (size_t)count);
        sender->base_position += count;
        sender->acked_due = true;
    }
    sender->base = *point;
}

bool sender_input_is_short(const struct sender *sender, uint64_t stored_seq)
{
    return sender->finishing && sender->position_known && stored_seq > sender->base.seq &&
           stored_seq - sender->base.seq > sender->total - sender->base_position;
}

void sender_finish_if_done(struct sender *sender)
{
    enum sender_state state = sender_state(sender);
    bool may = state == SENDER_LEAVING || state == SENDER_DRAINING ||
               (state == SENDER_DISCONNECTED && sender->welcomed);
    if (!may || !sender->finishing || sender->base_position < sender->total ||
        sender_lacks_receipt(sender) || sender->failure.status != CERTPOST_OK)
        return;
    sender_move(sender, SENDER_FINISHED);
    sender_end(sender);
}

enum certpost_status sender_finish(struct sender *sender, uint64_t total,
                                   struct certpost_error *error)
{
    if (sender->finishing || total < sender->base_position)
        return error_set(error, CERTPOST_USAGE, "the end of the input cannot be moved");
    sender->finishing = true;
    sender->total = total;
    if (sender_state(sender) == SENDER_SKIPPING &&
        sender_input_is_short(sender, sender->skip_target.seq)) {
        struct certpost_error own = {.status = CERTPOST_OK};
        enum certpost_status status =
            error_set(&own, CERTPOST_DIGEST,
                      "the server has %llu messages of the stream, more than the input",
                      (unsigned long long)sender->skip_target.seq);
        (void)error_set(error, status, "%s", own.text);
        return sender_fail(sender, status, &own);
    }
    sender_finish_if_done(sender);
    return CERTPOST_OK;
}

enum sender_effect_type sender_next_effect(struct sender *sender, struct sender_effect *ret_effect)
{
    *ret_effect = (struct sender_effect){.type = SENDER_NONE};
    if (sender->welcomed_due) {
        sender->welcomed_due = false;
        ret_effect->type = SENDER_WELCOMED;
    } else if (sender->acked_due) {
        sender->acked_due = false;
        ret_effect->type = SENDER_ACKED;
        ret_effect->seq = sender->base.seq;
        memcpy(ret_effect->digest, sender->base.digest, CHAIN_DIGEST_BYTES);
        ret_effect->released_position = sender->base_position;
    } else if (sender->receipt_due) {
        sender->receipt_due = false;
        ret_effect->type = SENDER_RECEIPT;
        ret_effect->seq = sender->base.seq;
        memcpy(ret_effect->digest, sender->base.digest, CHAIN_DIGEST_BYTES);
    } else if (sender->close_due) {
        sender->close_due = false;
        ret_effect->type = SENDER_CLOSE;
    }
    return ret_effect->type;
}

/* ---- questions ---- */

enum certpost_status sender_failure(const struct sender *sender, struct certpost_error *ret_error)
{
    if (ret_error != NULL && sender->failure.status != CERTPOST_OK)
        *ret_error = sender->failure;
    return sender->failure.status;
}

const struct message_welcome *sender_welcome(const struct sender *sender)
{
    return sender->welcomed ? &sender->welcome : NULL;
}

const struct message_refusal *sender_refusal(const struct sender *sender)
{
    return sender->refused ? &sender->refusal : NULL;
}

const struct message_receipt *sender_receipt(const struct sender *sender)
{
    return sender->receipt_bytes.length > 0 ? &sender->receipt : NULL;
}

size_t sender_unacked_messages(const struct sender *sender)
{
    bool sending = sender->connected && sender->next_seq > sender->base.seq &&
                   sender_state(sender) >= SENDER_OPEN;
    return sending ? (size_t)(sender->next_seq - sender->base.seq - 1) : 0;
}

uint64_t sender_unacked_bytes(const struct sender *sender)
{
    return sender->unacked_bytes;
}

uint64_t sender_released_position(const struct sender *sender)
{
    return sender->base_position;
}

uint64_t sender_unchecked_messages(const struct sender *sender)
{
    bool has_any =
        sender->config.start == SENDER_RESUME && sender->unchecked_seq > sender->config.start_seq;
    return has_any ? sender->unchecked_seq - sender->config.start_seq : 0;
}
