/*
 * fuzz_receiver.c — the server's role of certpost/1 (session/receiver.h), driven by a script that
 * plays the client, the store and the clock.
 *
 * What must hold: an ACK and WELCOME only say what the store said; what lies between STORE and
 * commit stays within the window; everything that is sent is a valid frame that a server may send;
 * and when the store has done its work, the conversation ends by itself, without a deadline.
 *
 * Script: u8 allocation that fails, u8 flags, u16 longest message, u16 window beyond that, u16 unit
 * of the deadlines; then steps, each a u8 and its arguments.
 */
#include "base/clock.h"
#include "fuzz/script_frame.h"
#include "session/receiver.h"

#include <stdlib.h>
#include <string.h>

enum { WORLD_STORES_MAX = 4096, WORLD_OUTPUT_MAX = 1 << 16, WORLD_TURNS_MAX = 64 };

static struct {
    struct chain *chain;
    struct receiver_config config;
    struct receiver *receiver;
    int64_t now_ms;
    struct buffer input, output;
    struct frame_decoder decoder; /* of what the receiver sends */

    struct committed stores[WORLD_STORES_MAX]; /* given out, neither committed nor lost */
    size_t store_count;
    struct committed committed; /* by the store */
    uint64_t acked;             /* what the client was told of */
    unsigned char origin[CHAIN_DIGEST_BYTES];
    bool opening, opened, welcomed, refused;
    bool sign, closed;
} world;

static const unsigned char world_identity[] = "dns:client.example";

/* ---- what the receiver wants ---- */

static void world_on_store(const struct receiver_effect *effect)
{
    FUZZ_CHECK(world.opened && world.store_count < WORLD_STORES_MAX);
    uint64_t last =
        world.store_count > 0 ? world.stores[world.store_count - 1].seq : world.committed.seq;
    FUZZ_CHECK(effect->seq == last + 1);
    FUZZ_CHECK(effect->message.length <= world.config.max_message_bytes);
    free(fuzz_copy(effect->message.bytes, effect->message.length));
    struct committed *store = &world.stores[world.store_count++];
    store->seq = effect->seq;
    memcpy(store->digest, effect->digest, CHAIN_DIGEST_BYTES);
}

static void world_on_effect(const struct receiver_effect *effect)
{
    FUZZ_CHECK(!world.closed);
    switch (effect->type) {
    case RECEIVER_OPEN_STREAM:
        FUZZ_CHECK(!world.opening && !world.opened);
        FUZZ_CHECK(message_stream_name_is_valid(effect->stream.bytes, effect->stream.length));
        FUZZ_CHECK(chain_first(world.chain, world_identity, sizeof world_identity - 1,
                               effect->stream.bytes, effect->stream.length,
                               world.origin) == CERTPOST_OK);
        world.opening = true;
        break;
    case RECEIVER_STORE:
        world_on_store(effect);
        break;
    case RECEIVER_SIGN_RECEIPT:
        FUZZ_CHECK(world.config.receipts);
        FUZZ_CHECK(effect->committed.seq == world.committed.seq);
        world.sign = true;
        break;
    case RECEIVER_CLOSE:
        FUZZ_CHECK(receiver_state(world.receiver) == RECEIVER_CLOSED);
        world.closed = true;
        break;
    case RECEIVER_NONE:
    default:
        break;
    }
}

static void world_pull(void)
{
    struct receiver_effect effect;
    unsigned count = 0;
    while (receiver_next_effect(world.receiver, &effect) != RECEIVER_NONE) {
        FUZZ_CHECK(++count < 8);
        world_on_effect(&effect);
    }
    FUZZ_CHECK(receiver_unacked_bytes(world.receiver) <= world.config.window_bytes);
    FUZZ_CHECK(receiver_unacked_messages(world.receiver) == world.store_count);
    FUZZ_CHECK(receiver_partial_bytes(world.receiver) <=
               FRAME_HEADER_BYTES + (size_t)FRAME_MESSAGE_MAX_BYTES);
    FUZZ_CHECK(receiver_state_name(world.receiver)[0] != '\0');
}

/* ---- what the receiver sends ---- */

static void world_on_head(const struct message_ack *head)
{
    FUZZ_CHECK(head->last_seq == world.committed.seq);
    FUZZ_CHECK(memcmp(head->digest, world.committed.digest, CHAIN_DIGEST_BYTES) == 0);
    world.acked = head->last_seq;
}

static void world_on_sent(const struct message *message)
{
    switch (message->type) {
    case FRAME_WELCOME:
        FUZZ_CHECK(world.opened && !world.welcomed);
        world.welcomed = true;
        world_on_head(&message->welcome.head);
        break;
    case FRAME_ACK:
        FUZZ_CHECK(world.welcomed && message->ack.last_seq > world.acked);
        world_on_head(&message->ack);
        break;
    case FRAME_REJECT:
        FUZZ_CHECK(message->refusal.seq == world.acked + 1);
        FUZZ_CHECK(!world.refused);
        world.refused = true;
        break;
    case FRAME_GOAWAY:
        FUZZ_CHECK(!world.refused);
        world.refused = true;
        break;
    case FRAME_PONG:
    case FRAME_RECEIPT:
        break;
    case FRAME_HELLO:
    case FRAME_MESSAGE:
    case FRAME_BYE:
    case FRAME_PING:
    case FRAME_RECEIPT_REQUEST:
    default:
        fuzz_fail(__FILE__, __LINE__, "no frame that only clients send");
    }
}

static void world_read_output(void)
{
    struct cursor sent = cursor_over(buffer_bytes(&world.output), world.output.length);
    struct frame frame = {0};
    while (frame_decoder_next(&world.decoder, &sent, UINT32_MAX, &frame, NULL) == CERTPOST_OK) {
        struct message message = {0};
        FUZZ_CHECK(message_decode(&frame, &message, NULL) == CERTPOST_OK);
        world_on_sent(&message);
    }
    FUZZ_CHECK(sent.left_bytes == 0 && frame_decoder_partial_bytes(&world.decoder) == 0);
    buffer_clear(&world.output);
}

static void world_output(size_t room)
{
    world.output.max_bytes = room;
    enum certpost_status status = receiver_output(world.receiver, &world.output);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_NO_MEMORY ||
               (status == CERTPOST_LIMIT && room < 2048));
    if (status == CERTPOST_OK)
        FUZZ_CHECK(!receiver_has_output(world.receiver));
    world_read_output();
}

/* ---- steps ---- */

static void world_feed(const void *bytes, size_t length)
{
    uint8_t *copy = fuzz_copy(bytes, length);
    struct cursor input = cursor_over(copy, length);
    while (receiver_wants_input(world.receiver) && input.left_bytes > 0) {
        struct certpost_error error;
        certpost_error_clear(&error);
        size_t before = input.left_bytes;
        enum certpost_status status = receiver_input(world.receiver, &input, world.now_ms, &error);
        fuzz_check_error(status, &error);
        FUZZ_CHECK(status != CERTPOST_INTERNAL && input.left_bytes < before);
        world_pull();
    }
    free(copy);
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
    size_t length = world.input.length;
    if (step == 2) /* a part now, the rest with what comes next */
        length = length * fuzz_u8(script) / 256;
    world_feed(buffer_bytes(&world.input), length);
    buffer_consume(&world.input, length);
}

static void world_open(struct cursor *script)
{
    struct committed head = {.seq = fuzz_u8(script)};
    if (head.seq == 255)
        head.seq = fuzz_u64(script);
    memset(head.digest, (int)(head.seq & 0xff), sizeof head.digest);
    if (head.seq == 0)
        memcpy(head.digest, world.origin, sizeof head.digest);
    struct certpost_error error;
    certpost_error_clear(&error);
    bool awaited = receiver_state(world.receiver) == RECEIVER_OPENING;
    enum certpost_status status = receiver_opened(world.receiver, &head, world.now_ms, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK((status == CERTPOST_OK) == (!awaited || head.seq <= MESSAGE_SEQ_MAX));
    if (awaited && status == CERTPOST_OK) {
        world.opened = true;
        world.committed = head;
    }
}

static void world_forget(size_t kept)
{
    world.store_count = kept;
}

static void world_commit(uint8_t count, bool wrong)
{
    if (count == 0 || count > world.store_count)
        count = (uint8_t)(world.store_count > 200 ? 200 : world.store_count);
    struct committed committed = count > 0 ? world.stores[count - 1] : world.committed;
    if (wrong)
        committed.seq += world.store_count + 1;
    struct certpost_error error;
    certpost_error_clear(&error);
    bool over = receiver_state(world.receiver) == RECEIVER_CLOSED;
    enum certpost_status status =
        receiver_committed(world.receiver, &committed, world.now_ms, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK((status == CERTPOST_OK) == (over || (count > 0 && !wrong)));
    if (over)
        return;
    if (status != CERTPOST_OK) {
        world_forget(0);
        return;
    }
    world.committed = committed;
    memmove(world.stores, world.stores + count,
            (world.store_count - count) * sizeof world.stores[0]);
    world.store_count -= count;
}

static void world_lose(uint8_t code)
{
    char text[300];
    memset(text, 't', sizeof text);
    text[code] = '\0'; /* 0 to 255 bytes */
    if (code > 200)
        memcpy(text + code - 4, "\xc3\xbc\xc3\xbc and more", 14);
    receiver_lost(world.receiver, code, text, world.now_ms);
    world_forget(0);
}

static void world_reject(uint8_t which)
{
    uint64_t seq = world.committed.seq + which;
    bool over = receiver_state(world.receiver) == RECEIVER_CLOSED;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = receiver_reject(world.receiver, seq, MESSAGE_CODE_REFUSED,
                                                  "refused by a rule", world.now_ms, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK((status == CERTPOST_OK) == (over || (which > 0 && which <= world.store_count)));
    if (!over && status == CERTPOST_OK)
        world_forget((size_t)which - 1);
}

static void world_receipt(uint8_t length)
{
    static const unsigned char bytes[256];
    struct message_receipt receipt = {{bytes, length}, {bytes, sizeof bytes}};
    world.output.max_bytes = WORLD_OUTPUT_MAX;
    enum certpost_status status = receiver_append_receipt(world.receiver, &world.output, &receipt);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_NO_MEMORY);
    if (status == CERTPOST_OK)
        world.sign = false;
    world_read_output();
}

static void world_pass_time(struct cursor *script)
{
    int64_t due_ms = receiver_next_deadline_ms(world.receiver);
    uint8_t how = fuzz_u8(script);
    if (how < 128)
        world.now_ms += how;
    else if (due_ms != CLOCK_NEVER_MS && due_ms > world.now_ms)
        world.now_ms = due_ms;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = receiver_tick(world.receiver, world.now_ms, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK((status == CERTPOST_TIMEOUT) == (world.now_ms >= due_ms));
}

static void world_step(struct cursor *script)
{
    uint8_t step = fuzz_u8(script) % 14;
    switch (step) {
    case 0:
    case 1:
    case 2:
        world_step_input(script, step);
        break;
    case 3:
        world_open(script);
        break;
    case 4:
        world_commit(fuzz_u8(script), false);
        break;
    case 5:
        world_commit(fuzz_u8(script), true);
        break;
    case 6:
        world_lose(fuzz_u8(script));
        break;
    case 7:
        world_reject(fuzz_u8(script));
        break;
    case 8:
        world_output(fuzz_u16(script));
        break;
    case 9:
        world_receipt(fuzz_u8(script));
        break;
    case 10:
        receiver_go_away(world.receiver, fuzz_u16(script), "going", world.now_ms);
        break;
    case 11:
        (void)receiver_input_ended(world.receiver, fuzz_u8(script) % 4 != 0, world.now_ms);
        break;
    case 12:
        receiver_defer_idle(world.receiver, world.now_ms);
        break;
    default:
        world_pass_time(script);
        break;
    }
    world_pull();
}

/* The client leaves, the store answers all that it was asked: CLOSE comes, and no tick is needed.
 */
static void world_end(void)
{
    (void)receiver_input_ended(world.receiver, true, world.now_ms);
    world_pull();
    for (unsigned turn = 0; !world.closed; turn++) {
        FUZZ_CHECK(turn < WORLD_TURNS_MAX);
        if (receiver_state(world.receiver) == RECEIVER_OPENING)
            receiver_lost(world.receiver, MESSAGE_CODE_BUSY, "", world.now_ms);
        if (world.store_count > 0)
            world_commit(0, false);
        if (world.sign)
            world_receipt(1);
        world_output(WORLD_OUTPUT_MAX);
        world_pull();
    }
}

static void world_configure(struct cursor *script)
{
    static const unsigned char words[] = "server.example";
    uint8_t flags = fuzz_u8(script);
    uint16_t max_message = fuzz_u16(script);
    uint16_t more = fuzz_u16(script);
    uint16_t unit_ms = fuzz_u16(script);
    world.config = (struct receiver_config){
        .level = (enum message_level)(flags % 3),
        .max_message_bytes = max_message,
        .window_bytes = max_message + (uint32_t)MESSAGE_OVERHEAD_BYTES + more,
        .server_name = {words, sizeof words - 1},
        .reply = {words, (flags & 4) != 0 ? 3 : 0},
        .hello_timeout_ms = unit_ms,
        .idle_timeout_ms = (int64_t)unit_ms * 2,
        .drain_timeout_ms = (flags & 8) != 0 ? unit_ms : 0,
        .receipts = (flags & 16) != 0,
    };
    if ((flags & 32) != 0)
        world.config.window_bytes -= MESSAGE_OVERHEAD_BYTES;
}

static bool world_begin(struct cursor *script)
{
    static struct chain *chain;
    if (chain == NULL)
        FUZZ_CHECK(chain_new(&chain, NULL) == CERTPOST_OK);
    memset(&world, 0, sizeof world);
    world.chain = chain;
    struct cursor fault = *script;
    (void)fuzz_u8(script);
    world_configure(script);
    buffer_init(&world.input, WORLD_OUTPUT_MAX * 2);
    buffer_init(&world.output, WORLD_OUTPUT_MAX);
    frame_decoder_init(&world.decoder, FRAME_MESSAGE_MAX_BYTES);
    fuzz_arm_memory(&fault);
    enum certpost_status status = receiver_new(
        &world.config, chain, (struct message_span){world_identity, sizeof world_identity - 1},
        world.now_ms, &world.receiver, NULL);
    FUZZ_CHECK(status != CERTPOST_USAGE ||
               world.config.window_bytes < message_cost_bytes(world.config.max_message_bytes));
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
    FUZZ_CHECK(receiver_states(&count) != NULL && count == RECEIVER_CLOSED + 1);
    receiver_free(world.receiver);
    receiver_free(NULL);
    buffer_free(&world.input);
    buffer_free(&world.output);
    frame_decoder_free(&world.decoder);
    return 0;
}
