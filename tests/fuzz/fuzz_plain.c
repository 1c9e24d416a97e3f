/*
 * fuzz_plain.c — the framings of the plain exchange (wire/plain.h) against the rules as a person
 * would apply them: in line framing where the reads end makes no difference, in chunk framing only
 * that does.
 *
 * Script: u8 allocation that fails, u8 flags, u16 longest message; then reads: u8 flags, u16 length
 * and the bytes.
 */
#include "fuzz/fuzz.h"
#include "wire/plain.h"

#include <stdlib.h>
#include <string.h>

enum { PLAIN_STREAM_MAX_BYTES = 1 << 17, PLAIN_WAITING_MAX = 4096 };

/* What was fed, and what of it has come out. */
static struct {
    struct plain_decoder decoder;
    unsigned char stream[PLAIN_STREAM_MAX_BYTES];
    size_t fed, taken;
    size_t ends[PLAIN_WAITING_MAX]; /* chunk framing: where each read ended */
    size_t end_count, end_next;
} plain;

/* A message without its ending, by the rules of its framing. */
static size_t plain_bare_length(const unsigned char *bytes, size_t length)
{
    if (plain.decoder.framing == PLAIN_LINE)
        return length > 0 && bytes[length - 1] == '\r' ? length - 1 : length;
    if (length == 0 || bytes[length - 1] != '\n')
        return length;
    return length > 1 && bytes[length - 2] == '\r' ? length - 2 : length - 1;
}

/* The next message that is expected: false when there is none yet. */
static bool plain_expected(struct plain_span *ret_message, size_t *ret_next)
{
    const unsigned char *from = plain.stream + plain.taken;
    size_t length = 0;
    if (plain.decoder.framing == PLAIN_CHUNK) {
        if (plain.end_next == plain.end_count)
            return false;
        length = plain.ends[plain.end_next] - plain.taken;
        *ret_next = plain.taken + length;
    } else {
        const unsigned char *end = memchr(from, '\n', plain.fed - plain.taken);
        if (end == NULL)
            return false;
        length = (size_t)(end - from);
        *ret_next = plain.taken + length + 1;
    }
    *ret_message = (struct plain_span){from, plain_bare_length(from, length)};
    return true;
}

static void plain_check_message(const struct plain_span *message)
{
    struct plain_span expected = {0};
    size_t next = 0;
    FUZZ_CHECK(plain_expected(&expected, &next));
    FUZZ_CHECK(message->length == expected.length);
    FUZZ_CHECK(message->length <= plain.decoder.max_message_bytes);
    FUZZ_CHECK(message->length == 0 ||
               memcmp(message->bytes, expected.bytes, message->length) == 0);
    plain.taken = next;
    plain.end_next++;
}

/* The limit is told when the next message is too long, or its unfinished beginning is. */
static void plain_check_limit(void)
{
    struct plain_span expected = {0};
    size_t next = 0;
    if (!plain_expected(&expected, &next))
        expected.length = plain_bare_length(plain.stream + plain.taken, plain.fed - plain.taken);
    FUZZ_CHECK(expected.length > plain.decoder.max_message_bytes);
}

/* Takes at most `count` messages; what ended it. */
static enum certpost_status plain_take(size_t count)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < count && status == CERTPOST_OK; i++) {
        struct plain_span message = {0};
        struct plain_span expected = {0};
        size_t next = 0;
        status = plain_decoder_next(&plain.decoder, &message);
        if (status == CERTPOST_OK)
            plain_check_message(&message);
        else if (status == CERTPOST_LIMIT)
            plain_check_limit();
        else if (status == CERTPOST_WANT_READ)
            FUZZ_CHECK(!plain_expected(&expected, &next));
    }
    FUZZ_CHECK(plain_decoder_unfinished_bytes(&plain.decoder) <=
               plain.decoder.max_message_bytes + 2 + PLAIN_CHUNK_MAX_BYTES);
    return status;
}

/* One read, and what a caller does with it; OK while the decoder is of use. */
static enum certpost_status plain_read(struct cursor *script)
{
    const uint8_t *bytes = NULL;
    uint8_t flags = fuzz_u8(script);
    size_t wanted = fuzz_u16(script) % (PLAIN_CHUNK_MAX_BYTES + 1);
    size_t length = fuzz_take(script, wanted, &bytes);
    if (plain.fed + length > sizeof plain.stream || plain.end_count == PLAIN_WAITING_MAX)
        return CERTPOST_CLOSED;
    uint8_t *copy = fuzz_copy(bytes, length);
    memcpy(plain.stream + plain.fed, copy, length);
    plain.fed += length;
    plain.ends[plain.end_count++] = plain.fed;
    plain_decoder_feed(&plain.decoder, copy, length);
    enum certpost_status status = plain_take((flags & 1) != 0 ? SIZE_MAX : flags >> 4);
    if (status == CERTPOST_OK) {
        status = plain_decoder_keep(&plain.decoder);
        if ((flags & 2) != 0 && status == CERTPOST_OK)
            status = plain_take(flags >> 2);
    }
    free(copy);
    return status == CERTPOST_WANT_READ ? CERTPOST_OK : status;
}

static void plain_end(void)
{
    struct plain_span last = {0};
    enum certpost_status status = plain_take(SIZE_MAX);
    if (status != CERTPOST_WANT_READ)
        return;
    const unsigned char *rest = plain.stream + plain.taken;
    size_t length = plain.fed - plain.taken;
    bool any = plain_decoder_last(&plain.decoder, &last);
    FUZZ_CHECK(any == (length > 0));
    if (any)
        FUZZ_CHECK(last.length == plain_bare_length(rest, length) &&
                   memcmp(last.bytes, rest, last.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    struct cursor fault = cursor_over(data, size > 0 ? 1 : 0);
    (void)fuzz_u8(&script);
    uint8_t flags = fuzz_u8(&script);
    enum plain_framing framing = PLAIN_CHUNK;
    FUZZ_CHECK(plain_framing_from_name((flags & 1) != 0 ? "line" : "chunk", &framing));
    FUZZ_CHECK(!plain_framing_from_name("frame", &framing));
    plain.fed = plain.taken = plain.end_count = plain.end_next = 0;
    plain_decoder_init(&plain.decoder, framing, fuzz_u16(&script));
    fuzz_arm_memory(&fault);
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && script.left_bytes > 0)
        status = plain_read(&script);
    bool struck = fuzz_heal_memory();
    FUZZ_CHECK(status != CERTPOST_NO_MEMORY || struck);
    if (status == CERTPOST_OK)
        plain_end();
    plain_decoder_free(&plain.decoder);
    plain_decoder_free(NULL);
    return 0;
}
