/*
 * client/input.h — the messages of `certpost send`, one after the other, in bounded memory.
 */
#ifndef CLIENT_INPUT_H
#define CLIENT_INPUT_H

#include "base/buffer.h"
#include "client/send_options.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>

/* The longest message that is read, also where the framing would carry more. */
enum { INPUT_MESSAGE_MAX_BYTES = 16 * 1024 * 1024 };

struct input {
    const struct send_options *options;
    size_t next_source;
    struct buffer bytes;   /* read and not yet handed out; at most one message and its newline */
    size_t handed_bytes;   /* of these, what the caller has in hand */
    size_t searched_bytes; /* of these, where no newline was found */
    bool ended;            /* standard input is at its end */
};

/* `options` are borrowed and must outlive the input. Free with input_free. */
void input_init(struct input *input, const struct send_options *options);
void input_free(struct input *input);

/* LOCAL_IO if a file that will be needed cannot be read: better known before than half-way. */
CERTPOST_MUST_CHECK
enum certpost_status input_check(const struct input *input, struct certpost_error *error);

/*
 * The next message; `*ret_bytes` is NULL when there are no more, and otherwise good until the next
 * call. A line comes without its "\n" or "\r\n"; the last one needs none. Blocks until a message is
 * complete, and never waits for the one after it.
 *
 * Errors: LOCAL_IO, LIMIT (a message of more than INPUT_MESSAGE_MAX_BYTES), NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status input_next(struct input *input, const unsigned char **ret_bytes,
                                size_t *ret_length, struct certpost_error *error);

#endif
