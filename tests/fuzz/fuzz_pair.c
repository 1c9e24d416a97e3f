/*
 * fuzz_pair.c — both roles of certpost/1 against each other: a spooling sender, a receiver with a
 * simulated store that is never wrong, and a link that a script delays, cuts and (unlike TLS)
 * falsifies.
 *
 * What must hold, whatever the link does: a message that the sender lets go of is in the store,
 * once, at its place, byte for byte. And as long as nothing was falsified: the store holds a
 * beginning of what was sent, no error is told, and in the end it holds all of it.
 *
 * Script: u8 window in messages, u8 how many messages (of 64); then steps, each a u8 and its
 * argument.
 */
#include "base/clock.h"
#include "fuzz/fuzz.h"
#include "session/receiver.h"
#include "session/sender.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGES_MAX = 256, CONTENT_MAX = 48, LINK_BYTES = 1 << 14, TURNS_MAX = 4096 };

static struct {
    struct chain *chain;
    struct sender *sender;
    struct receiver *receiver; /* NULL: not connected */
    struct receiver_config terms;
    struct buffer to_server, to_client;
    int64_t now_ms;
    uint64_t total;
    bool falsified;

    /* The store: `stored` messages are committed, `pending` come behind them. */
    struct {
        unsigned char bytes[CONTENT_MAX];
        size_t length;
        struct committed head; /* after it */
    } store[MESSAGES_MAX * 4];
    size_t stored, pending;
    size_t checked; /* what is committed does not change: once is enough */
    unsigned char origin[CHAIN_DIGEST_BYTES];
    bool opening;
} world;

static const unsigned char world_stream[] = "stream";

static size_t world_content(uint64_t position, unsigned char ret_bytes[CONTENT_MAX])
{
    size_t length = (size_t)(position * 7 % CONTENT_MAX);
    for (size_t i = 0; i < length; i++)
        ret_bytes[i] = (unsigned char)(position * 31 + i);
    return length;
}

/* ---- the promise ---- */

static void world_check(void)
{
    uint64_t released = sender_released_position(world.sender);
    size_t sure = world.falsified ? (size_t)released : world.stored;
    FUZZ_CHECK(released <= world.stored && sure <= world.total);
    for (; world.checked < sure; world.checked++) {
        unsigned char bytes[CONTENT_MAX];
        size_t length = world_content(world.checked, bytes);
        FUZZ_CHECK(world.store[world.checked].length == length);
        FUZZ_CHECK(memcmp(world.store[world.checked].bytes, bytes, length) == 0);
    }
    FUZZ_CHECK(world.falsified || sender_failure(world.sender, NULL) == CERTPOST_OK);
    if (sender_state(world.sender) == SENDER_FINISHED)
        FUZZ_CHECK(released == world.total);
}

/* ---- the server ---- */

static struct committed world_head(size_t count)
{
    struct committed head = {.seq = 0};
    memcpy(head.digest, world.origin, CHAIN_DIGEST_BYTES);
    return count == 0 ? head : world.store[count - 1].head;
}

static void world_on_store(const struct receiver_effect *effect)
{
    size_t at = world.stored + world.pending;
    FUZZ_CHECK(effect->message.length <= CONTENT_MAX && effect->seq == at + 1);
    if (at + 1 >= sizeof world.store / sizeof world.store[0])
        return;
    world.store[at].length = effect->message.length;
    if (effect->message.length > 0)
        memcpy(world.store[at].bytes, effect->message.bytes, effect->message.length);
    world.store[at].head.seq = effect->seq;
    memcpy(world.store[at].head.digest, effect->digest, CHAIN_DIGEST_BYTES);
    world.pending++;
}

static void world_cut(void)
{
    receiver_free(world.receiver);
    world.receiver = NULL;
    world.pending = 0; /* what was not committed is lost with it */
    world.opening = false;
    buffer_clear(&world.to_server);
    buffer_clear(&world.to_client);
    sender_disconnected(world.sender);
}

/* A name that was falsified on its way is that of another stream, which is not to be had. */
static void world_on_open(const struct message_span *stream)
{
    world.opening = stream->length == sizeof world_stream - 1 &&
                    memcmp(stream->bytes, world_stream, stream->length) == 0;
    FUZZ_CHECK(world.opening || world.falsified);
    if (!world.opening)
        receiver_lost(world.receiver, MESSAGE_CODE_NOT_ALLOWED, "", world.now_ms);
}

static void world_serve(void)
{
    struct receiver_effect effect;
    while (world.receiver != NULL &&
           receiver_next_effect(world.receiver, &effect) != RECEIVER_NONE) {
        if (effect.type == RECEIVER_OPEN_STREAM)
            world_on_open(&effect.stream);
        else if (effect.type == RECEIVER_STORE)
            world_on_store(&effect);
        else if (effect.type == RECEIVER_CLOSE)
            return;
    }
}

static void world_answer(void)
{
    if (world.receiver == NULL)
        return;
    world_serve();
    enum certpost_status status = receiver_output(world.receiver, &world.to_client);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_LIMIT);
    world_serve();
}

static void world_commit(uint8_t count)
{
    if (world.receiver == NULL)
        return;
    if (world.opening) {
        struct committed head = world_head(world.stored);
        world.opening = false;
        FUZZ_CHECK(receiver_opened(world.receiver, &head, world.now_ms, NULL) == CERTPOST_OK);
    }
    if (count == 0 || count > world.pending)
        count = (uint8_t)(world.pending > 255 ? 255 : world.pending);
    if (count > 0) {
        world.stored += count;
        world.pending -= count;
        struct committed head = world_head(world.stored);
        FUZZ_CHECK(receiver_committed(world.receiver, &head, world.now_ms, NULL) == CERTPOST_OK);
    }
    world_answer();
}

/* ---- the client ---- */

static void world_connect(void)
{
    if (world.receiver != NULL || sender_state(world.sender) != SENDER_DISCONNECTED)
        return;
    static const unsigned char identity[] = "cn:client";
    FUZZ_CHECK(sender_connected(world.sender, world.now_ms, NULL) == CERTPOST_OK);
    FUZZ_CHECK(receiver_new(&world.terms, world.chain,
                            (struct message_span){identity, sizeof identity - 1}, world.now_ms,
                            &world.receiver, NULL) == CERTPOST_OK);
}

/* The client's turn: effects, messages, output. False when the connection is to end. */
static bool world_send(unsigned count)
{
    struct sender_effect effect;
    struct sender_want want;
    bool goes_on = true;
    while (count-- > 0 && sender_wants_message(world.sender, &want)) {
        unsigned char bytes[CONTENT_MAX];
        FUZZ_CHECK(want.position < world.total);
        size_t length = world_content(want.position, bytes);
        if (sender_message(world.sender, bytes, length, &world.to_server, world.now_ms, NULL) !=
            CERTPOST_OK)
            break;
    }
    enum certpost_status status = sender_output(world.sender, &world.to_server, world.now_ms);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_LIMIT);
    while (sender_next_effect(world.sender, &effect) != SENDER_NONE)
        goes_on = goes_on && effect.type != SENDER_CLOSE;
    return goes_on;
}

/* ---- the link ---- */

static void world_carry_to_server(size_t length)
{
    if (world.receiver == NULL || !receiver_wants_input(world.receiver))
        return;
    size_t taken = length < world.to_server.length ? length : world.to_server.length;
    struct cursor input = cursor_over(buffer_bytes(&world.to_server), taken);
    while (receiver_wants_input(world.receiver) && input.left_bytes > 0) {
        enum certpost_status status = receiver_input(world.receiver, &input, world.now_ms, NULL);
        FUZZ_CHECK(status == CERTPOST_OK || world.falsified);
        world_serve();
    }
    buffer_consume(&world.to_server, taken);
    world_answer();
}

static void world_carry_to_client(size_t length)
{
    size_t taken = length < world.to_client.length ? length : world.to_client.length;
    struct cursor input = cursor_over(buffer_bytes(&world.to_client), taken);
    enum certpost_status status = sender_input(world.sender, &input, world.now_ms, NULL);
    FUZZ_CHECK(status == CERTPOST_OK || world.falsified);
    buffer_consume(&world.to_client, taken);
    if (!world_send(0))
        world_cut();
}

static void world_falsify(struct buffer *bytes, uint8_t where)
{
    if (bytes->length == 0)
        return;
    world.falsified = true;
    bytes->memory[bytes->start + where % bytes->length] ^= (unsigned char)(1U << (where % 8));
}

static void world_step(uint8_t step, uint8_t argument)
{
    switch (step % 9) {
    case 0:
        world_connect();
        break;
    case 1:
        if (world.receiver != NULL && !world_send(argument))
            world_cut();
        break;
    case 2:
        world_carry_to_server(argument * 4U);
        break;
    case 3:
        world_commit(argument);
        break;
    case 4:
        world_carry_to_client(argument * 4U);
        break;
    case 5:
        world_cut();
        break;
    case 6:
        world_falsify(&world.to_server, argument);
        break;
    case 7:
        world_falsify(&world.to_client, argument);
        break;
    default:
        if (world.receiver != NULL)
            receiver_go_away(world.receiver, MESSAGE_CODE_SHUTTING_DOWN, "", world.now_ms);
        world_answer();
        break;
    }
    world_check();
}

/* From here on the link is good. */
static void world_end(void)
{
    for (unsigned turn = 0; sender_state(world.sender) < SENDER_FINISHED; turn++) {
        FUZZ_CHECK(turn < TURNS_MAX);
        if (turn % 512 == 511)
            world_cut(); /* after a falsified length, one side may wait for what never comes */
        world_step(0, 0);
        world_step(1, 255);
        world_step(2, 255);
        world_step(3, 0);
        world_step(4, 255);
        if (world.receiver != NULL && receiver_state(world.receiver) == RECEIVER_CLOSED &&
            world.to_client.length == 0)
            world_cut();
    }
    world_check();
    FUZZ_CHECK(world.falsified || sender_released_position(world.sender) == world.total);
}

static void world_begin(struct cursor *script)
{
    static struct chain *chain;
    if (chain == NULL)
        FUZZ_CHECK(chain_new(&chain, NULL) == CERTPOST_OK);
    memset(&world, 0, sizeof world);
    world.chain = chain;
    world.terms = (struct receiver_config){
        .level = MESSAGE_LEVEL_STORED,
        .max_message_bytes = CONTENT_MAX,
        .window_bytes = (CONTENT_MAX + (uint32_t)MESSAGE_OVERHEAD_BYTES) * (1U + fuzz_u8(script)),
    };
    world.total = fuzz_u8(script) % 64;
    FUZZ_CHECK(chain_first(chain, "cn:client", 9, world_stream, sizeof world_stream - 1,
                           world.origin) == CERTPOST_OK);
    struct sender_config config = {
        .stream = {world_stream, sizeof world_stream - 1},
        .required_level = MESSAGE_LEVEL_STORED,
        .start = SENDER_CONTINUE,
        .start_level = MESSAGE_LEVEL_STORED,
        .max_unacked_messages = MESSAGES_MAX,
    };
    memcpy(config.start_digest, world.origin, CHAIN_DIGEST_BYTES);
    FUZZ_CHECK(sender_new(&config, chain, &world.sender, NULL) == CERTPOST_OK);
    FUZZ_CHECK(sender_finish(world.sender, world.total, NULL) == CERTPOST_OK);
    buffer_init(&world.to_server, LINK_BYTES);
    buffer_init(&world.to_client, LINK_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    world_begin(&script);
    while (script.left_bytes > 0 && world.stored < MESSAGES_MAX * 3) {
        uint8_t step = fuzz_u8(&script);
        world_step(step, fuzz_u8(&script));
    }
    if (world.stored < MESSAGES_MAX * 3)
        world_end();
    receiver_free(world.receiver);
    sender_free(world.sender);
    buffer_free(&world.to_server);
    buffer_free(&world.to_client);
    return 0;
}
