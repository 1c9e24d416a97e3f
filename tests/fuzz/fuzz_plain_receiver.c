/*
 * fuzz_plain_receiver.c — the server's role of the plain exchange (session/plain_receiver.h) with a
 * simulated store: no reply without a commit, everything in order, and it always ends.
 *
 * Script: u8 allocation that fails, u8 framing, u16 longest message, u16 length of the reply; then
 * steps, each a u8 and its arguments.
 */
#include "fuzz/fuzz.h"
#include "session/plain_receiver.h"

#include <stdlib.h>
#include <string.h>

enum { PLAIN_EFFECTS_MAX = 1 << 16, PLAIN_OWN_MAX = 1 << 12 };
/* Beside the other steps, so that those keep their numbers in the corpus. */
enum { PLAIN_STEP_REPLY = 254, PLAIN_STEP_REJECT = 255 };

static struct {
    struct plain_receiver receiver;
    char reply[PLAIN_REPLY_MAX_BYTES + 16];
    uint64_t stored;                 /* the last number that was given out */
    uint64_t committed;              /* of these, safe */
    uint64_t replies;                /* sent */
    uint64_t answered;               /* the last message that was given a reply of its own */
    size_t own_bytes[PLAIN_OWN_MAX]; /* of such replies, by number; 0: the common one */
    bool refused;                    /* a refusal was sent: it is the last thing */
    bool closed;
    bool broken; /* out of memory: the connection can only be cut */
    uint8_t *fed;
} world;

static void plain_receiver_on_send(const struct plain_effect *effect)
{
    size_t prefix = strlen(PLAIN_REFUSAL_PREFIX);
    FUZZ_CHECK(!world.refused);
    if (effect->length >= prefix && memcmp(effect->bytes, PLAIN_REFUSAL_PREFIX, prefix) == 0) {
        FUZZ_CHECK(plain_receiver_refusal(&world.receiver) != NULL);
        FUZZ_CHECK(world.replies == world.committed);
        world.refused = true;
        return;
    }
    world.replies++;
    FUZZ_CHECK(world.replies <= world.committed);
    size_t own = world.replies < PLAIN_OWN_MAX ? world.own_bytes[world.replies] : 0;
    bool line = world.receiver.config.framing == PLAIN_LINE;
    FUZZ_CHECK(effect->length == (own > 0 ? own + line : world.receiver.reply_bytes));
}

static void plain_receiver_on_effect(const struct plain_effect *effect)
{
    FUZZ_CHECK(!world.closed);
    switch (effect->kind) {
    case PLAIN_EFFECT_STORE:
        FUZZ_CHECK(effect->seq == world.stored + 1 && !world.refused);
        FUZZ_CHECK(effect->length <= world.receiver.config.max_message_bytes);
        free(fuzz_copy(effect->bytes, effect->length));
        world.stored++;
        break;
    case PLAIN_EFFECT_SEND:
        plain_receiver_on_send(effect);
        break;
    case PLAIN_EFFECT_CLOSE:
        FUZZ_CHECK(world.replies == world.committed && world.stored == world.committed);
        world.closed = true;
        break;
    }
}

/* At most `count` effects. */
static void plain_receiver_pull(size_t count)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < count && status == CERTPOST_OK; i++) {
        struct plain_effect effect = {0};
        struct certpost_error error;
        certpost_error_clear(&error);
        status = plain_receiver_next(&world.receiver, &effect, &error);
        FUZZ_CHECK(i < PLAIN_EFFECTS_MAX);
        if (status == CERTPOST_OK)
            plain_receiver_on_effect(&effect);
        else
            FUZZ_CHECK(status == CERTPOST_WANT_READ || status == CERTPOST_NO_MEMORY);
    }
    world.broken = world.broken || status == CERTPOST_NO_MEMORY;
    FUZZ_CHECK(plain_receiver_uncommitted(&world.receiver) == world.stored - world.committed);
}

/* A read, after which everything that can be done is, or the rest is kept. */
static void plain_receiver_on_read(struct cursor *script)
{
    const uint8_t *bytes = NULL;
    uint8_t count = fuzz_u8(script);
    size_t length = fuzz_take(script, fuzz_u8(script), &bytes);
    world.fed = fuzz_copy(bytes, length);
    plain_receiver_feed(&world.receiver, world.fed, length);
    plain_receiver_pull((count & 1) != 0 ? SIZE_MAX : count);
    if (!world.broken && plain_receiver_keep(&world.receiver) != CERTPOST_OK)
        world.broken = true; /* out of memory, or a caller that never takes what it feeds */
    free(world.fed);
    world.fed = NULL;
}

static void plain_receiver_on_commit(uint8_t count)
{
    struct committed committed = {.seq = world.committed + count};
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = plain_receiver_committed(&world.receiver, &committed, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK((status == CERTPOST_OK) == (count > 0 && committed.seq <= world.stored));
    if (status == CERTPOST_OK)
        world.committed = committed.seq;
}

/* A program answers one of the messages that are not safe yet, with a text of its own. */
static void plain_receiver_on_reply(struct cursor *script)
{
    char text[PLAIN_TEXT_MAX_BYTES + 1];
    uint64_t seq = world.committed + fuzz_u8(script);
    size_t length = fuzz_u8(script) % PLAIN_TEXT_MAX_BYTES + 1U;
    memset(text, 't', length);
    text[length] = '\0';
    bool may = seq > world.committed && seq <= world.stored;
    if (may && seq <= world.answered)
        return; /* a caller keeps to their order */
    enum certpost_status status = plain_receiver_set_reply(&world.receiver, seq, text, NULL);
    world.broken = world.broken || status == CERTPOST_NO_MEMORY;
    FUZZ_CHECK(status == CERTPOST_OK || !may || world.broken);
    if (status != CERTPOST_OK)
        return;
    FUZZ_CHECK(may);
    world.answered = seq;
    if (seq < PLAIN_OWN_MAX)
        world.own_bytes[seq] = length;
}

/* A program rejects one: it and what follows are not stored. */
static void plain_receiver_on_reject(struct cursor *script)
{
    uint64_t seq = world.committed + fuzz_u8(script);
    bool may = seq > world.committed && seq <= world.stored;
    if (world.closed)
        return;
    enum certpost_status status =
        plain_receiver_reject(&world.receiver, seq, "it is not wanted", NULL);
    FUZZ_CHECK(status == CERTPOST_OK || !may);
    if (status != CERTPOST_OK)
        return;
    FUZZ_CHECK(may);
    world.stored = seq - 1;
}

static void plain_receiver_step(struct cursor *script)
{
    static const char words[] = "the store said so, and it said it in a sentence that is much "
                                "longer than anything that fits into a refusal of this kind";
    uint8_t which = fuzz_u8(script);
    if (which == PLAIN_STEP_REPLY) {
        plain_receiver_on_reply(script);
        return;
    }
    if (which == PLAIN_STEP_REJECT) {
        plain_receiver_on_reject(script);
        return;
    }
    switch (which % 8) {
    case 0:
    case 1:
        plain_receiver_on_read(script);
        break;
    case 2:
        plain_receiver_on_commit(fuzz_u8(script));
        break;
    case 3:
        plain_receiver_pull(fuzz_u8(script));
        break;
    case 4:
        FUZZ_CHECK(plain_receiver_store_failed(&world.receiver, words, NULL) == CERTPOST_OK);
        world.stored = world.committed;
        break;
    case 5:
        FUZZ_CHECK(plain_receiver_refuse(&world.receiver, "busy", NULL) == CERTPOST_OK);
        break;
    case 6:
        FUZZ_CHECK(plain_receiver_input_ended(&world.receiver, fuzz_u8(script) % 2 == 0, NULL) ==
                   CERTPOST_OK);
        break;
    default:
        FUZZ_CHECK(plain_receiver_drain(&world.receiver, NULL) == CERTPOST_OK);
        break;
    }
}

/* The peer goes, the store does its work: then it is over. */
static void plain_receiver_end(void)
{
    FUZZ_CHECK(plain_receiver_input_ended(&world.receiver, true, NULL) == CERTPOST_OK);
    plain_receiver_pull(SIZE_MAX);
    if (world.stored > world.committed) {
        struct committed committed = {.seq = world.stored};
        FUZZ_CHECK(plain_receiver_committed(&world.receiver, &committed, NULL) == CERTPOST_OK);
        world.committed = world.stored;
    }
    plain_receiver_pull(SIZE_MAX);
    FUZZ_CHECK(world.closed || world.broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    struct cursor fault = cursor_over(data, size > 0 ? 1 : 0);
    (void)fuzz_u8(&script);
    memset(&world, 0, sizeof world);
    struct plain_receiver_config config = {
        .framing = fuzz_u8(&script) % 2 == 0 ? PLAIN_CHUNK : PLAIN_LINE,
        .max_message_bytes = fuzz_u16(&script),
        .reply = world.reply,
    };
    size_t reply_bytes = fuzz_u16(&script) % sizeof world.reply;
    memset(world.reply, 'r', reply_bytes);
    enum certpost_status status = plain_receiver_init(&world.receiver, &config, NULL);
    FUZZ_CHECK((status == CERTPOST_OK) == (reply_bytes <= PLAIN_REPLY_MAX_BYTES));
    if (status != CERTPOST_OK)
        return 0;
    fuzz_arm_memory(&fault);
    while (script.left_bytes > 0 && !world.broken)
        plain_receiver_step(&script);
    if (!world.broken)
        plain_receiver_end();
    (void)fuzz_heal_memory();
    plain_receiver_free(&world.receiver);
    plain_receiver_free(NULL);
    return 0;
}
