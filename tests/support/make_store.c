/*
 * make_store.c — writes a store as a test tells it to, line by line on standard input.
 *
 * Usage: make_store PATH. Prints "ready" when the store is open and then one line for each line:
 *
 *   stream IDENTITY NAME   both in hex, "-" for empty   prints the stream's number for the next
 * ones message NUMBER BODY    in hex, "-" for empty        prints seq and digest; not committed yet
 *   many NUMBER COUNT      messages "message 1", …      prints the same of the last one
 *   commit                                              prints "committed"
 *
 * At the end of its input it closes the store; killed, it leaves it as a killed server does.
 */
#include "base/chain.h"
#include "base/text.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAKER_STREAMS_MAX = 64, MAKER_LINE_BYTES = 1 << 20 };

struct maker_stream {
    struct store_lease lease;
    struct committed head;
};

struct maker {
    struct store *store;
    struct chain *chain;
    struct maker_stream streams[MAKER_STREAMS_MAX];
    size_t count;
    bool is_open; /* a transaction */
    char line[MAKER_LINE_BYTES];
    unsigned char bytes[2][MAKER_LINE_BYTES / 2];
};

static void maker_fail(const char *what)
{
    fprintf(stderr, "make_store: %s\n", what);
    exit(1);
}

static void maker_require(enum certpost_status status, const struct certpost_error *error)
{
    if (status != CERTPOST_OK)
        maker_fail(certpost_error_text(error, status));
}

static unsigned maker_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, digit);
    if (found == NULL)
        maker_fail("no hex");
    return (unsigned)(found - digits);
}

static size_t maker_hex(const char *text, unsigned char *ret_bytes)
{
    size_t length = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
    for (size_t i = 0; i < length; i++)
        ret_bytes[i] =
            (unsigned char)(maker_digit(text[2 * i]) << 4 | maker_digit(text[2 * i + 1]));
    return length;
}

static void maker_add_stream(struct maker *maker, const char *identity, const char *name)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    if (maker->count == MAKER_STREAMS_MAX)
        maker_fail("too many streams");
    struct maker_stream *stream = &maker->streams[maker->count];
    void *superseded = NULL;
    size_t identity_length = maker_hex(identity, maker->bytes[0]);
    size_t name_length = maker_hex(name, maker->bytes[1]);
    maker_require(store_lease_open(maker->store, maker->bytes[0], identity_length, maker->bytes[1],
                                   name_length, stream, &stream->lease, &stream->head, &superseded,
                                   &error),
                  &error);
    printf("%zu\n", maker->count++);
}

static void maker_append(struct maker *maker, struct maker_stream *stream, const void *bytes,
                         size_t length)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    if (!maker->is_open)
        maker_require(store_begin(maker->store, &error), &error);
    maker->is_open = true;
    stream->head.seq++;
    maker_require(chain_next(maker->chain, stream->head.digest, bytes, length, stream->head.digest),
                  &error);
    maker_require(store_append(maker->store, &stream->lease, stream->head.seq, stream->head.digest,
                               bytes, length, &error),
                  &error);
}

static struct maker_stream *maker_stream(struct maker *maker, const char *number)
{
    uint64_t index = 0;
    if (!text_parse_u64(number, UINT64_MAX, &index) || index >= maker->count)
        maker_fail("no such stream");
    return &maker->streams[index];
}

static void maker_print_head(const struct maker_stream *stream)
{
    printf("%llu ", (unsigned long long)stream->head.seq);
    for (size_t i = 0; i < CHAIN_DIGEST_BYTES; i++)
        printf("%02x", (unsigned)stream->head.digest[i]);
    printf("\n");
}

static void maker_add_many(struct maker *maker, struct maker_stream *stream, const char *wanted)
{
    uint64_t count = 0;
    if (!text_parse_u64(wanted, UINT32_MAX, &count))
        maker_fail("no count");
    for (uint64_t i = 0; i < count; i++) {
        char text[64];
        int length =
            snprintf(text, sizeof text, "message %llu", (unsigned long long)stream->head.seq + 1);
        maker_append(maker, stream, text, (size_t)length);
    }
}

static void maker_commit(struct maker *maker)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    if (maker->is_open)
        maker_require(store_commit(maker->store, &error), &error);
    maker->is_open = false;
    printf("committed\n");
}

/* Cuts the line at its spaces; words that are not there are "". */
static void maker_obey(struct maker *maker)
{
    const char *words[3] = {"", "", ""};
    char *rest = maker->line;
    for (size_t i = 0; i < 3 && rest != NULL; i++) {
        words[i] = rest;
        rest = strchr(rest, ' ');
        if (rest != NULL)
            *rest++ = '\0';
    }
    if (strcmp(words[0], "stream") == 0) {
        maker_add_stream(maker, words[1], words[2]);
    } else if (strcmp(words[0], "message") == 0) {
        struct maker_stream *stream = maker_stream(maker, words[1]);
        size_t length = maker_hex(words[2], maker->bytes[0]);
        maker_append(maker, stream, maker->bytes[0], length);
        maker_print_head(stream);
    } else if (strcmp(words[0], "many") == 0) {
        struct maker_stream *stream = maker_stream(maker, words[1]);
        maker_add_many(maker, stream, words[2]);
        maker_print_head(stream);
    } else if (strcmp(words[0], "commit") == 0) {
        maker_commit(maker);
    } else {
        maker_fail("unknown line");
    }
}

int main(int argc, char **argv)
{
    static struct maker maker;
    struct certpost_error error;
    certpost_error_clear(&error);
    if (argc != 2)
        maker_fail("usage: make_store PATH");
    store_prepare_process();
    maker_require(chain_new(&maker.chain, &error), &error);
    maker_require(store_open_sqlite(argv[1], NULL, &maker.store, &error), &error);
    printf("ready\n");
    fflush(stdout);
    while (fgets(maker.line, sizeof maker.line, stdin) != NULL) {
        maker.line[strcspn(maker.line, "\n")] = '\0';
        maker_obey(&maker);
        fflush(stdout);
    }
    for (size_t i = 0; i < maker.count; i++)
        store_lease_release(maker.store, &maker.streams[i].lease);
    store_close(maker.store);
    chain_free(maker.chain);
    return 0;
}
