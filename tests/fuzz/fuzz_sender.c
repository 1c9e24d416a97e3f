/*
 * fuzz_sender.c — the client's role of certpost/1 (session/sender.h), driven by a script that plays
 * the server, the network, the caller and the clock.
 *
 * What must hold: nothing is released that was not given to the sender, and nothing whose digest is
 * not the one that the messages have; what is released never becomes less; the server's window and
 * limits are kept; all output is valid frames that a client may send; and a server that does its
 * work brings the sender to an end.
 *
 * Script: u8 allocation that fails, u8 flags, u8 number at the start, u8 earlier messages, u8 most
 * unacknowledged, u8 unit of the deadlines (and whether a receipt is wanted); then steps, each a u8
 * and its arguments.
 */
#include "base/clock.h"
#include "fuzz/script_frame.h"
#include "session/sender.h"

#include <stdlib.h>
#include <string.h>

/* Beside the other steps, so that those keep their numbers in the corpus. */
enum { WORLD_STEP_RECEIPT = 255 };
enum { WORLD_POSITIONS_MAX = 512, WORLD_OUTPUT_MAX = 1 << 16, WORLD_TURNS_MAX = 2048 };

static struct {
    struct chain *chain;
    struct sender_config config;
    struct sender *sender;
    int64_t now_ms;
    struct buffer input, output;

    /* The caller: message p is content(p), of p % 40 bytes. */
    uint64_t total; /* UINT64_MAX until it is known */
    uint64_t given; /* positions before this were given to the sender */
    uint64_t released;
    uint64_t released_seq;
    bool digest_known; /* digests[0] is that of the number before position `digest_from` */
    uint64_t digest_from;
    unsigned char digests[WORLD_POSITIONS_MAX + 1][CHAIN_DIGEST_BYTES];
    bool connected, welcomed, stuck, close_seen, receipt_asked;

    /* The server, if it is a good one. */
    struct frame_decoder decoder;
    unsigned char origin[CHAIN_DIGEST_BYTES];
    struct committed received[WORLD_POSITIONS_MAX + 1]; /* [0]: what it had before */
    size_t received_count, stored_count;
    enum message_level level;
    uint32_t max_message_bytes;
    uint64_t unacked_on_wire; /* MESSAGE frames of this connection */
} world;

static size_t world_content(uint64_t position, unsigned char ret_bytes[64])
{
    size_t length = (size_t)(position % 40);
    for (size_t i = 0; i < length; i++)
        ret_bytes[i] = (unsigned char)(position + i);
    return length;
}

/* ---- what the sender says ---- */

/* Where the chain of digests starts, once that is known. */
static void world_anchor(uint64_t position, const unsigned char digest[CHAIN_DIGEST_BYTES])
{
    world.digest_known = true;
    world.digest_from = position;
    memcpy(world.digests[0], digest, CHAIN_DIGEST_BYTES);
    for (uint64_t at = position; at < world.given; at++) {
        unsigned char bytes[64];
        size_t length = world_content(at, bytes);
        FUZZ_CHECK(chain_next(world.chain, world.digests[at - position], bytes, length,
                              world.digests[at - position + 1]) == CERTPOST_OK);
    }
}

static void world_on_acked(const struct sender_effect *effect)
{
    FUZZ_CHECK(effect->released_position >= world.released);
    FUZZ_CHECK(effect->released_position <= world.given);
    FUZZ_CHECK(effect->released_position == sender_released_position(world.sender));
    uint64_t count = effect->released_position - world.released;
    bool anew = effect->seq - world.released_seq != count || effect->seq < world.released_seq;
    if (anew) {
        /* Only a server without a store may forget, and then it has nothing. */
        FUZZ_CHECK(effect->seq == 0 &&
                   sender_welcome(world.sender)->level == MESSAGE_LEVEL_ACCEPTED);
        world.given = effect->released_position; /* the rest is wanted once more */
    }
    if (anew || !world.digest_known)
        world_anchor(effect->released_position, effect->digest);
    else
        FUZZ_CHECK(memcmp(effect->digest,
                          world.digests[effect->released_position - world.digest_from],
                          CHAIN_DIGEST_BYTES) == 0);
    world.released = effect->released_position;
    world.released_seq = effect->seq;
}

static void world_on_welcomed(void)
{
    const struct message_welcome *welcome = sender_welcome(world.sender);
    FUZZ_CHECK(welcome != NULL && welcome->level >= world.config.required_level);
    if (world.welcomed)
        return;
    world.welcomed = true;
    if (world.config.start == SENDER_APPEND) {
        world.released_seq = welcome->head.last_seq;
        world_anchor(0, welcome->head.digest);
    }
}

/* It is asked for when all is acknowledged, and then for all of it. */
static void world_on_receipt(const struct sender_effect *effect)
{
    const struct message_receipt *receipt = sender_receipt(world.sender);
    FUZZ_CHECK(world.config.wants_receipt && world.receipt_asked && receipt != NULL);
    FUZZ_CHECK(receipt->statement.length + receipt->signature.length > 0);
    free(fuzz_copy(receipt->statement.bytes, receipt->statement.length));
    free(fuzz_copy(receipt->signature.bytes, receipt->signature.length));
    FUZZ_CHECK(effect->seq == world.released_seq && world.released == world.total);
}

static void world_pull(void)
{
    struct sender_effect effect;
    unsigned count = 0;
    while (sender_next_effect(world.sender, &effect) != SENDER_NONE) {
        FUZZ_CHECK(++count < 8);
        if (effect.type == SENDER_WELCOMED)
            world_on_welcomed();
        else if (effect.type == SENDER_ACKED)
            world_on_acked(&effect);
        else if (effect.type == SENDER_RECEIPT)
            world_on_receipt(&effect);
        else
            world.close_seen = true;
    }
    FUZZ_CHECK(sender_released_position(world.sender) == world.released);
    FUZZ_CHECK(sender_unacked_messages(world.sender) <= world.config.max_unacked_messages);
    const struct message_welcome *welcome = sender_welcome(world.sender);
    if (welcome != NULL)
        FUZZ_CHECK(sender_unacked_bytes(world.sender) <= welcome->window_bytes);
    struct certpost_error error;
    certpost_error_clear(&error);
    fuzz_check_error(sender_failure(world.sender, &error), &error);
    FUZZ_CHECK(sender_state_name(world.sender)[0] != '\0');
    if (sender_state(world.sender) == SENDER_FINISHED)
        FUZZ_CHECK(world.released == world.total);
}

/* ---- the server that does its work ---- */

static void world_on_payload(const struct message_span *payload)
{
    if (world.received_count == WORLD_POSITIONS_MAX)
        return;
    const struct message_welcome *welcome = sender_welcome(world.sender);
    FUZZ_CHECK(welcome != NULL && payload->length <= welcome->max_message_bytes);
    struct committed *last = &world.received[world.received_count];
    struct committed *next = last + 1;
    FUZZ_CHECK(chain_next(world.chain, last->digest, payload->bytes, payload->length,
                          next->digest) == CERTPOST_OK);
    next->seq = last->seq + 1;
    world.received_count++;
}

static void world_read_output(void)
{
    struct cursor sent = cursor_over(buffer_bytes(&world.output), world.output.length);
    struct frame frame = {0};
    const uint32_t clients = FRAME_BIT(FRAME_HELLO) | FRAME_BIT(FRAME_MESSAGE) |
                             FRAME_BIT(FRAME_BYE) | FRAME_BIT(FRAME_PING) | FRAME_BIT(FRAME_PONG) |
                             FRAME_BIT(FRAME_RECEIPT_REQUEST);
    enum certpost_status status = CERTPOST_OK;
    while ((status = frame_decoder_next(&world.decoder, &sent, clients, &frame, NULL)) ==
           CERTPOST_OK) {
        struct message message = {0};
        FUZZ_CHECK(message_decode(&frame, &message, NULL) == CERTPOST_OK);
        if (message.type == FRAME_MESSAGE)
            world_on_payload(&message.payload);
        if (message.type == FRAME_RECEIPT_REQUEST)
            world.receipt_asked = true;
    }
    FUZZ_CHECK(status == CERTPOST_WANT_READ && sent.left_bytes == 0);
    FUZZ_CHECK(frame_decoder_partial_bytes(&world.decoder) == 0);
    buffer_clear(&world.output);
}

static void world_output(size_t room)
{
    world.output.max_bytes = room;
    enum certpost_status status = sender_output(world.sender, &world.output, world.now_ms);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_LIMIT || status == CERTPOST_NO_MEMORY);
    world_read_output();
    world_pull();
}

static void world_feed(const void *bytes, size_t length)
{
    uint8_t *copy = fuzz_copy(bytes, length);
    struct cursor input = cursor_over(copy, length);
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = sender_input(world.sender, &input, world.now_ms, &error);
    free(copy); /* nothing of it may be used from here on */
    fuzz_check_error(status, &error);
    FUZZ_CHECK(input.left_bytes == 0 && status != CERTPOST_INTERNAL);
    world_pull();
}

static void world_feed_input(void)
{
    world_feed(buffer_bytes(&world.input), world.input.length);
    buffer_clear(&world.input);
}

static void world_send_welcome(uint8_t flags)
{
    static const unsigned char words[] = "server.example";
    world.received_count = world.stored_count; /* what was on the way is lost */
    struct message_welcome terms = {
        .level = world.level,
        .max_message_bytes = world.max_message_bytes,
        .window_bytes = world.max_message_bytes + MESSAGE_OVERHEAD_BYTES + flags,
        .server_name = {words, sizeof words - 1},
        .reply = {words, flags % sizeof words},
        .has_origin = (flags & 1) == 0,
        .idle_timeout_ms = (flags & 2) != 0 ? 30U * flags : 0,
        .receipts = (flags & 4) != 0,
    };
    memcpy(terms.origin, world.origin, CHAIN_DIGEST_BYTES);
    if (message_append_welcome(&world.input, &world.received[world.stored_count], &terms) ==
        CERTPOST_OK)
        world_feed_input();
}

/* The answer to what came, `count` messages further; 0: to all. */
static void world_send_ack(uint8_t count, bool wrong)
{
    size_t missing = world.received_count - world.stored_count;
    if (missing == 0 && !wrong)
        return;
    world.stored_count += count == 0 || count > missing ? missing : count;
    struct committed head = world.received[world.stored_count];
    if (wrong)
        head.digest[0] ^= 1;
    if (message_append_ack(&world.input, &head) == CERTPOST_OK)
        world_feed_input();
}

/* Whether it was asked for or not. */
static void world_send_receipt(uint8_t how)
{
    static const unsigned char words[] = "a statement of 16";
    struct message_receipt receipt = {
        .statement = {words, how % 16U},
        .signature = {words, how / 16U},
    };
    if (message_append_receipt(&world.input, &receipt) == CERTPOST_OK)
        world_feed_input();
}

static void world_send_refusal(struct cursor *script)
{
    const uint8_t *text = NULL;
    uint8_t how = fuzz_u8(script);
    struct message_refusal refusal = {.seq = world.received[world.stored_count].seq + how % 4,
                                      .code = how / 4};
    refusal.text.length = fuzz_take(script, fuzz_u8(script), &text);
    refusal.text.bytes = text;
    enum certpost_status status = how % 8 == 0 ? message_append_goaway(&world.input, &refusal)
                                               : message_append_reject(&world.input, &refusal);
    if (status == CERTPOST_OK)
        world_feed_input();
}

/* ---- the caller ---- */

static void world_connect(void)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    bool may = sender_state(world.sender) == SENDER_DISCONNECTED;
    enum certpost_status status = sender_connected(world.sender, world.now_ms, &error);
    FUZZ_CHECK((status == CERTPOST_OK) == may);
    if (!may)
        return;
    frame_decoder_free(&world.decoder);
    frame_decoder_init(&world.decoder, FRAME_MESSAGE_MAX_BYTES);
    world.connected = true;
    world.close_seen = world.receipt_asked = false;
}

static void world_disconnect(void)
{
    sender_disconnected(world.sender);
    world.connected = false;
    enum sender_state state = sender_state(world.sender);
    FUZZ_CHECK(state == SENDER_DISCONNECTED || state == SENDER_FINISHED || state == SENDER_FAILED);
    world_pull();
}

/* Another message went to the sender: its digest follows from the one before. */
static void world_note_given(uint64_t position, const unsigned char *bytes, size_t length)
{
    if (position < world.given)
        return;
    FUZZ_CHECK(position == world.given);
    world.given++;
    if (!world.digest_known)
        return;
    unsigned char(*last)[CHAIN_DIGEST_BYTES] = &world.digests[position - world.digest_from];
    FUZZ_CHECK(chain_next(world.chain, last[0], bytes, length, last[1]) == CERTPOST_OK);
}

/* Gives what is wanted, once; false when nothing is, or it cannot be used now. */
static bool world_give(bool other_bytes)
{
    struct sender_want want;
    unsigned char bytes[64];
    if (!sender_wants_message(world.sender, &want) || want.position >= WORLD_POSITIONS_MAX)
        return false;
    FUZZ_CHECK(want.position >= world.released && want.position <= world.given);
    FUZZ_CHECK(want.position < world.total);
    size_t length = world_content(want.position, bytes);
    bool changed = other_bytes && want.position < world.given && !want.skip;
    world.output.max_bytes = WORLD_OUTPUT_MAX;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = sender_message(world.sender, bytes, changed ? length + 1 : length,
                                                 &world.output, world.now_ms, &error);
    if (status != CERTPOST_WANT_READ && status != CERTPOST_WANT_WRITE)
        fuzz_check_error(status, &error);
    FUZZ_CHECK(status != CERTPOST_USAGE && (status != CERTPOST_INTERNAL || changed));
    FUZZ_CHECK(!changed || status != CERTPOST_OK);
    world.stuck = world.stuck || status == CERTPOST_LIMIT;
    if (status == CERTPOST_OK)
        world_note_given(want.position, bytes, length);
    world_read_output();
    world_pull();
    return status == CERTPOST_OK;
}

static void world_finish(uint8_t more)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    uint64_t total = world.given + more;
    bool first = world.total == UINT64_MAX;
    if (first)
        world.total = total;
    enum certpost_status status = sender_finish(world.sender, total, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK(first ? status != CERTPOST_USAGE : status == CERTPOST_USAGE);
    world_pull();
}

static void world_pass_time(uint8_t how)
{
    int64_t due_ms = sender_next_deadline_ms(world.sender);
    if (how < 128)
        world.now_ms += how;
    else if (due_ms != CLOCK_NEVER_MS && due_ms > world.now_ms)
        world.now_ms = due_ms;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = sender_tick(world.sender, world.now_ms, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || (status == CERTPOST_TIMEOUT && world.now_ms >= due_ms));
    world_pull();
}

static void world_step_input(struct cursor *script, uint8_t step)
{
    const uint8_t *bytes = NULL;
    if (step == 0) {
        size_t length = fuzz_take(script, fuzz_u8(script), &bytes);
        world_feed(bytes, length);
        return;
    }
    script_frame_append(script, &world.input);
    size_t first = world.input.length * fuzz_u8(script) / 256;
    world_feed(buffer_bytes(&world.input), first);
    buffer_consume(&world.input, first);
    world_feed_input();
}

static void world_step(struct cursor *script)
{
    uint8_t which = fuzz_u8(script);
    uint8_t step = which % 14;
    if (which == WORLD_STEP_RECEIPT) {
        world_send_receipt(fuzz_u8(script));
        return;
    }
    switch (step) {
    case 0:
    case 1:
        world_step_input(script, step);
        break;
    case 2:
        world_connect();
        break;
    case 3:
        world_disconnect();
        break;
    case 4:
        world_send_welcome(fuzz_u8(script));
        break;
    case 5:
        world_send_ack(fuzz_u8(script), false);
        break;
    case 6:
        world_send_ack(fuzz_u8(script), true);
        break;
    case 7:
        world_send_refusal(script);
        break;
    case 8:
        for (uint8_t count = fuzz_u8(script); count > 0 && world_give(false); count--)
            ;
        break;
    case 9:
        (void)world_give(true);
        break;
    case 10:
        world_output(fuzz_u8(script) * 8U);
        break;
    case 11:
        world_finish(fuzz_u8(script) % 16);
        break;
    case 12:
        sender_wrote(world.sender, world.now_ms);
        break;
    default:
        world_pass_time(fuzz_u8(script));
        break;
    }
}

/* A server that does its work, over and over again: the sender comes to an end. */
static void world_end(void)
{
    if (world.total == UINT64_MAX)
        world_finish(3);
    for (unsigned turn = 0; sender_state(world.sender) < SENDER_FINISHED; turn++) {
        FUZZ_CHECK(turn < WORLD_TURNS_MAX);
        if (world.received_count + 64 > WORLD_POSITIONS_MAX || world.given > 300)
            return; /* more than this world holds */
        if (turn % 64 == 0 && world.connected)
            world_disconnect();
        if (!world.connected && sender_state(world.sender) == SENDER_DISCONNECTED) {
            world_connect();
            world_output(WORLD_OUTPUT_MAX);
            world_send_welcome(world.config.wants_receipt ? 4 : 0);
        }
        while (world_give(false))
            ;
        world_output(WORLD_OUTPUT_MAX);
        world_send_ack(0, false);
        if (world.receipt_asked)
            world_send_receipt(0x33);
        if (world.stuck)
            return; /* a message that this server does not take: for a person to mend */
        if (world.close_seen)
            world_disconnect();
    }
}

/* What the server has: up to two messages fewer than the start, or up to five of ours behind it. */
static void world_fill_server(uint8_t start_seq, uint8_t how)
{
    struct committed *head = &world.received[0];
    uint64_t wanted = start_seq + how % 8U;
    wanted = wanted > 2 ? wanted - 2 : 0;
    memcpy(head->digest, world.config.start_digest, CHAIN_DIGEST_BYTES);
    for (head->seq = start_seq; head->seq < wanted; head->seq++) {
        unsigned char bytes[64];
        size_t length = world_content(head->seq - start_seq, bytes);
        FUZZ_CHECK(chain_next(world.chain, head->digest, bytes, length, head->digest) ==
                   CERTPOST_OK);
    }
    head->seq = wanted;
    if (how >= 240) /* the same number, and other messages */
        head->digest[0] ^= 1;
    if (wanted == 0)
        memcpy(head->digest, world.origin, CHAIN_DIGEST_BYTES);
}

static void world_configure(struct cursor *script)
{
    static const unsigned char name[] = "stream";
    uint8_t flags = fuzz_u8(script);
    uint8_t start_seq = fuzz_u8(script);
    uint8_t earlier = fuzz_u8(script);
    uint8_t max_unacked = fuzz_u8(script);
    uint8_t unit_ms = fuzz_u8(script);
    world.config = (struct sender_config){
        .stream = {name, sizeof name - 1},
        .software = {name, (flags & 64) != 0 ? 3 : 0},
        .required_level = (enum message_level)((flags & 32) != 0 ? 1 : 0),
        .start = (enum sender_start)(flags % 3),
        .start_seq = start_seq,
        .start_level = (enum message_level)((flags & 4) != 0 ? 1 : 0),
        .earlier_messages = earlier,
        .max_unacked_messages = max_unacked,
        .wants_receipt = unit_ms % 16 == 15,
        .answer_timeout_ms = unit_ms,
        .ping_interval_ms = unit_ms / 2,
        .ping_timeout_ms = unit_ms,
        .ack_timeout_ms = unit_ms * 2,
    };
    world.level = (enum message_level)(flags / 8 % 3);
    world.max_message_bytes = (flags & 128) != 0 ? 20 : 64;
    memset(world.config.start_digest, 7, CHAIN_DIGEST_BYTES);
    if (start_seq == 0)
        memcpy(world.config.start_digest, world.origin, CHAIN_DIGEST_BYTES);
    world_fill_server(start_seq, earlier);
    if (world.config.start != SENDER_APPEND)
        world.released_seq = start_seq;
    if (world.config.start == SENDER_CONTINUE)
        world_anchor(0, world.config.start_digest);
    world.total = UINT64_MAX;
}

static bool world_begin(struct cursor *script)
{
    static struct chain *chain;
    if (chain == NULL)
        FUZZ_CHECK(chain_new(&chain, NULL) == CERTPOST_OK);
    memset(&world, 0, sizeof world);
    world.chain = chain;
    FUZZ_CHECK(chain_first(chain, "", 0, "stream", 6, world.origin) == CERTPOST_OK);
    struct cursor fault = *script;
    (void)fuzz_u8(script);
    world_configure(script);
    buffer_init(&world.input, (size_t)WORLD_OUTPUT_MAX * 2);
    buffer_init(&world.output, WORLD_OUTPUT_MAX);
    frame_decoder_init(&world.decoder, FRAME_MESSAGE_MAX_BYTES);
    fuzz_arm_memory(&fault);
    enum certpost_status status = sender_new(&world.config, chain, &world.sender, NULL);
    FUZZ_CHECK((status == CERTPOST_USAGE) == (world.config.max_unacked_messages == 0));
    return status == CERTPOST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    size_t count = 0;
    bool begun = world_begin(&script);
    while (begun && script.left_bytes > 0)
        world_step(&script);
    (void)fuzz_heal_memory();
    if (begun)
        world_end();
    FUZZ_CHECK(sender_states(&count) != NULL && count == SENDER_FAILED + 1);
    sender_free(world.sender);
    sender_free(NULL);
    buffer_free(&world.input);
    buffer_free(&world.output);
    frame_decoder_free(&world.decoder);
    return 0;
}
