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
    const char *path;      /* what is being read; NULL between two sources */
    int descriptor;        /* of `path` */
    bool ended;            /* it is at its end */
    struct buffer bytes;   /* read and not yet handed out; at most one message and its newline */
    size_t handed_bytes;   /* of these, what the caller has in hand */
    size_t searched_bytes; /* of these, where no newline was found */
};

/* `options` are borrowed and must outlive the input. Free with input_free. */
void input_init(struct input *input, const struct send_options *options);
void input_free(struct input *input);

/* LOCAL_IO if a file that will be needed cannot be read: better known before than half-way. */
CERTPOST_MUST_CHECK
enum certpost_status input_check(const struct input *input, struct certpost_error *error);

/*
 * The next message; `*ret_bytes` is NULL when there are no more, and otherwise good until the next
 * call of input_next or input_fill. A line comes without its "\n" or "\r\n"; the last one needs
 * none.
 *
 * WANT_READ: the rest of it has to be read first: wait until `input->descriptor` is readable, call
 * input_fill, then this again. Errors: LOCAL_IO, LIMIT (a message of more than
 * INPUT_MESSAGE_MAX_BYTES), NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status input_next(struct input *input, const unsigned char **ret_bytes,
                                size_t *ret_length, struct certpost_error *error);

/* Reads once, after WANT_READ. Waits if there is nothing to read. Errors as input_next. */
CERTPOST_MUST_CHECK
enum certpost_status input_fill(struct input *input, struct certpost_error *error);

/* input_next, waiting until the message is complete, and never for the one after it. */
CERTPOST_MUST_CHECK
enum certpost_status input_next_wait(struct input *input, const unsigned char **ret_bytes,
                                     size_t *ret_length, struct certpost_error *error);

#endif
