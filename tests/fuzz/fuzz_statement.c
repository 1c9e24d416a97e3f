/*
 * fuzz_statement.c — what a receipt says, as text (wire/statement.h): one text for one statement,
 * and nothing else is taken for one.
 *
 * Script: u8 how. 0 to 63: the rest is the text. Else a statement made of the script, each value u8
 * length and bytes (of the identity 4 times as long), u64 seq, u64 time; odd: the text is changed
 * at u16, to u8.
 */
#include "fuzz/fuzz.h"
#include "wire/statement.h"

#include <stdlib.h>
#include <string.h>

static bool statement_is_same(const struct statement *one, const struct statement *other)
{
    return one->server_length == other->server_length &&
           one->identity_length == other->identity_length &&
           one->stream_length == other->stream_length &&
           memcmp(one->server, other->server, one->server_length) == 0 &&
           memcmp(one->identity, other->identity, one->identity_length) == 0 &&
           memcmp(one->stream, other->stream, one->stream_length) == 0 && one->seq == other->seq &&
           memcmp(one->digest, other->digest, sizeof one->digest) == 0 &&
           one->time_ms == other->time_ms;
}

/* Whatever is read is written as it was. */
static enum certpost_status statement_check_text(const void *text, size_t length,
                                                 struct cursor *fault,
                                                 struct statement *ret_statement)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    uint8_t *copy = fuzz_copy(text, length);
    fuzz_arm_memory(fault);
    enum certpost_status status = statement_parse(copy, length, ret_statement, &error);
    bool struck = fuzz_heal_memory();
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_PROTOCOL ||
               (status == CERTPOST_NO_MEMORY && struck));
    if (status == CERTPOST_OK) {
        struct buffer again;
        buffer_init(&again, STATEMENT_TEXT_MAX_BYTES);
        FUZZ_CHECK(statement_append(&again, ret_statement) == CERTPOST_OK);
        FUZZ_CHECK(again.length == length && memcmp(buffer_bytes(&again), copy, length) == 0);
        buffer_free(&again);
    }
    free(copy);
    return status;
}

static size_t statement_take_value(struct cursor *script, unsigned char *ret_value, size_t most)
{
    const uint8_t *bytes = NULL;
    size_t length = fuzz_take(script, most, &bytes);
    if (length > 0)
        memcpy(ret_value, bytes, length);
    return length;
}

static struct statement statement_make(struct cursor *script)
{
    struct statement made = {0};
    made.server_length = statement_take_value(script, made.server, fuzz_u8(script));
    made.identity_length = statement_take_value(script, made.identity, (size_t)fuzz_u8(script) * 4);
    made.stream_length = statement_take_value(script, made.stream, fuzz_u8(script));
    made.seq = fuzz_u64(script);
    made.time_ms = (int64_t)fuzz_u64(script);
    for (size_t i = 0; i < sizeof made.digest; i++)
        made.digest[i] = (unsigned char)(made.seq * (i + 1));
    return made;
}

static bool statement_can_be_written(const struct statement *statement)
{
    return statement->seq <= INT64_MAX && statement->time_ms >= 0 &&
           statement->time_ms <= STATEMENT_TIME_MAX_MS;
}

static void statement_check_made(struct cursor *script, struct cursor *fault, bool changed)
{
    struct statement made = statement_make(script);
    struct buffer text;
    struct statement read;
    buffer_init(&text, STATEMENT_TEXT_MAX_BYTES);
    enum certpost_status status = statement_append(&text, &made);
    FUZZ_CHECK((status == CERTPOST_OK) == statement_can_be_written(&made));
    if (status == CERTPOST_OK && changed) {
        unsigned char *bytes = text.memory + text.start;
        bytes[fuzz_u16(script) % text.length] = fuzz_u8(script);
        (void)statement_check_text(bytes, text.length, fault, &read);
    } else if (status == CERTPOST_OK) {
        status = statement_check_text(buffer_bytes(&text), text.length, fault, &read);
        FUZZ_CHECK(status == CERTPOST_NO_MEMORY ||
                   (status == CERTPOST_OK && statement_is_same(&made, &read)));
    }
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    uint8_t how = fuzz_u8(&script);
    struct cursor fault = script;
    struct statement read;
    if (how < 64) {
        (void)fuzz_u8(&script);
        (void)statement_check_text(script.next, script.left_bytes, &fault, &read);
    } else {
        statement_check_made(&script, &fault, how % 2 == 1);
    }
    return 0;
}
