/*
 * test_session_memory.c — every allocation of wire/ and session/ (and OpenSSL's below them) fails
 * once, each in turn, in the middle of a whole conversation. The connection that met it ends; the
 * next one goes on. In the end everything is stored once and acknowledged, and nothing has leaked.
 */
#include "session/receiver.h"
#include "session/sender.h"
#include "support/unit.h"

#include <openssl/crypto.h>
#include <stdlib.h>

/* ---- allocations that are counted, and of which one fails ---- */

static uint64_t allocations, failing_allocation;
static int64_t live_blocks;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static bool memory_fails(void)
{
    return ++allocations == failing_allocation;
}

static void *memory_counted(void *block)
{
    live_blocks += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return memory_fails() ? NULL : memory_counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_fails() ? NULL : memory_counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (memory_fails())
        return NULL;
    void *grown = __real_realloc(block, size);
    live_blocks += block == NULL && grown != NULL;
    return grown;
}

void __wrap_free(void *block)
{
    live_blocks -= block != NULL;
    __real_free(block);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return memory_fails() ? NULL : __real_malloc(size);
}

static void *openssl_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return memory_fails() ? NULL : __real_realloc(block, size);
}

static void openssl_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    __real_free(block);
}

/* ---- a conversation ---- */

enum { MESSAGES = 40, MESSAGE_MAX = 3000, PIECE = 700 };

struct world {
    struct chain *chain;
    struct receiver_config server;
    struct sender *sender;
    struct receiver *receiver;
    struct buffer up, down;
    struct committed stored; /* the store of this test */
    uint64_t released;
    bool receipt_due; /* it was asked for, and is signed by now */
    unsigned receipts;
    bool sender_closed, receiver_closed;
};

static const unsigned char payload[MESSAGE_MAX];

static size_t message_length(uint64_t position)
{
    return (size_t)(position * 977 % MESSAGE_MAX);
}

static void world_store(struct world *world, const struct receiver_effect *effect)
{
    assert_int_equal(effect->seq, world->stored.seq + 1);
    assert_int_equal(effect->message.length, message_length(effect->seq - 1));
    world->stored.seq = effect->seq;
    memcpy(world->stored.digest, effect->digest, CHAIN_DIGEST_BYTES);
}

static void world_receiver_effects(struct world *world)
{
    struct receiver_effect effect = {0};
    while (receiver_next_effect(world->receiver, &effect) != RECEIVER_NONE) {
        if (effect.type == RECEIVER_OPEN_STREAM)
            (void)!receiver_opened(world->receiver, &world->stored, 0, NULL);
        else if (effect.type == RECEIVER_STORE)
            world_store(world, &effect);
        else if (effect.type == RECEIVER_SIGN_RECEIPT)
            world->receipt_due = true;
        else if (effect.type == RECEIVER_CLOSE)
            world->receiver_closed = true;
    }
}

static void world_sender_effects(struct world *world)
{
    struct sender_effect effect = {0};
    while (sender_next_effect(world->sender, &effect) != SENDER_NONE) {
        if (effect.type == SENDER_ACKED) {
            assert_true(effect.seq <= world->stored.seq);
            world->released = effect.released_position;
        }
        if (effect.type == SENDER_RECEIPT) {
            assert_int_equal(effect.seq, world->stored.seq);
            assert_int_equal(sender_receipt(world->sender)->statement.length, 100);
            world->receipts++;
        }
        world->sender_closed |= effect.type == SENDER_CLOSE;
    }
}

/* The server's turn: small pieces, so that frames come in parts; one commit for what came. */
static bool world_server_turn(struct world *world)
{
    uint64_t before = world->stored.seq;
    while (world->up.length > 0) {
        size_t length = world->up.length < PIECE ? world->up.length : PIECE;
        struct cursor input = cursor_over(buffer_bytes(&world->up), length);
        while (input.left_bytes > 0 && receiver_wants_input(world->receiver)) {
            (void)!receiver_input(world->receiver, &input, 0, NULL);
            world_receiver_effects(world);
        }
        buffer_consume(&world->up, length);
    }
    if (world->stored.seq > before && receiver_unacked_messages(world->receiver) > 0)
        (void)!receiver_committed(world->receiver, &world->stored, 0, NULL);
    const struct message_receipt receipt = {{payload, 100}, {payload, 50}};
    if (world->receipt_due &&
        receiver_append_receipt(world->receiver, &world->down, &receipt) == CERTPOST_OK)
        world->receipt_due = false;
    bool sent = receiver_output(world->receiver, &world->down) == CERTPOST_OK;
    world_receiver_effects(world);
    return sent;
}

static bool world_client_turn(struct world *world)
{
    struct cursor input = cursor_over(buffer_bytes(&world->down), world->down.length);
    enum certpost_status status = sender_input(world->sender, &input, 0, NULL);
    buffer_clear(&world->down);
    world_sender_effects(world);
    struct sender_want want = {0};
    while (status == CERTPOST_OK && sender_wants_message(world->sender, &want))
        status = sender_message(world->sender, payload, message_length(want.position), &world->up,
                                0, NULL);
    if (certpost_status_group(status) == CERTPOST_GROUP_WAIT)
        status = CERTPOST_OK;
    if (status == CERTPOST_OK)
        status = sender_output(world->sender, &world->up, 0);
    world_sender_effects(world);
    return status == CERTPOST_OK;
}

/* One connection, until it ends or somebody cannot go on. */
static void world_converse(struct world *world)
{
    struct message_span nobody = {NULL, 0};
    if (receiver_new(&world->server, world->chain, nobody, 0, &world->receiver, NULL) !=
        CERTPOST_OK)
        return;
    world->sender_closed = world->receiver_closed = world->receipt_due = false;
    assert_ok(sender_connected(world->sender, 0, NULL));
    bool goes_on = true;
    for (unsigned turn = 0; turn < 200 && goes_on && !world->sender_closed; turn++)
        goes_on = world_client_turn(world) && world_server_turn(world) && !world->receiver_closed;
    if (!world->sender_closed)
        (void)world_client_turn(world);
    sender_disconnected(world->sender);
    world_sender_effects(world);
    receiver_free(world->receiver);
    buffer_free(&world->up);
    buffer_free(&world->down);
}

static void world_start(struct world *world)
{
    *world = (struct world){.server = {.level = MESSAGE_LEVEL_STORED,
                                       .max_message_bytes = MESSAGE_MAX,
                                       .window_bytes = 5 * MESSAGE_MAX,
                                       .receipts = true}};
    buffer_init(&world->up, 1 << 20);
    buffer_init(&world->down, 1 << 20);
    struct sender_config config = {.stream = {(const unsigned char *)"s", 1},
                                   .max_unacked_messages = 64,
                                   .wants_receipt = true};
    while (world->chain == NULL)
        (void)!chain_new(&world->chain, NULL);
    while (world->sender == NULL)
        (void)!sender_new(&config, world->chain, &world->sender, NULL);
    while (chain_first(world->chain, NULL, 0, "s", 1, world->stored.digest) != CERTPOST_OK)
        ;
    assert_ok(sender_finish(world->sender, MESSAGES, NULL));
}

/* Returns how many allocations there were. */
static uint64_t world_run(uint64_t fail_at)
{
    int64_t live_before = live_blocks;
    struct world world;
    allocations = 0;
    failing_allocation = fail_at;
    world_start(&world);
    for (unsigned attempt = 0; attempt < 5 && sender_state(world.sender) != SENDER_FINISHED;
         attempt++)
        world_converse(&world);
    uint64_t made = allocations;
    failing_allocation = 0;
    assert_string_equal(sender_state_name(world.sender), "FINISHED");
    assert_int_equal(world.stored.seq, MESSAGES);
    assert_int_equal(world.released, MESSAGES);
    assert_int_equal(world.receipts, 1);
    sender_free(world.sender);
    chain_free(world.chain);
    assert_int_equal(live_blocks, live_before);
    return made;
}

static void test_each_allocation_fails_once(void **state)
{
    (void)state;
    assert_int_equal(CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free), 1);
    uint64_t total = world_run(0);
    total = world_run(0); /* OpenSSL has set itself up by now */
    assert_true(total > 50);
    for (uint64_t i = 1; i <= total; i++)
        world_run(i);
}

UNIT_MAIN(cmocka_unit_test(test_each_allocation_fails_once))
