/*
 * input.c — messages from the command line, files and standard input (client/input.h).
 *
 * Standard input is read with read(2): a line must be sent when it is there, not when a stdio
 * buffer is full.
 *
 * Uses: base.  Used by: send_plain.c, send_certified.c.
 * Never: holds more than one message and one read.
 */
#include "client/input.h"

#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* One read of a file or of standard input. */
enum { INPUT_READ_BYTES = 64 * 1024 };

/* Room for a path in a message; a longer one is cut. */
enum { INPUT_PATH_TEXT_BYTES = 400 };

static const unsigned char input_nothing[1];

void input_init(struct input *input, const struct send_options *options)
{
    *input = (struct input){.options = options, .descriptor = -1};
    /* A message, its newline, and what one read brings of the next. */
    buffer_init(&input->bytes, (size_t)INPUT_MESSAGE_MAX_BYTES + 2 + INPUT_READ_BYTES);
    if (options->lines) {
        input->path = "-";
        input->descriptor = STDIN_FILENO;
    }
}

static bool input_is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

static void input_close(struct input *input)
{
    if (input->descriptor > STDIN_FILENO)
        close(input->descriptor);
    input->descriptor = -1;
    input->path = NULL;
}

void input_free(struct input *input)
{
    if (input == NULL)
        return;
    input_close(input);
    buffer_free(&input->bytes);
}

/* Tells `error` what went wrong with a file, in whose name control characters are escaped. */
static enum certpost_status input_file_failed(const char *path, int system_errno,
                                              struct certpost_error *error)
{
    char safe[INPUT_PATH_TEXT_BYTES];
    if (input_is_standard(path))
        return error_set_errno(error, CERTPOST_LOCAL_IO, system_errno,
                               "cannot read standard input");
    text_escape(path, strlen(path), safe, sizeof safe);
    return error_set_errno(error, CERTPOST_LOCAL_IO, system_errno, "cannot read the file %s", safe);
}

enum certpost_status input_check(const struct input *input, struct certpost_error *error)
{
    const struct send_options *options = input->options;
    for (size_t i = 0; i < options->source_count; i++) {
        const struct send_source *source = &options->sources[i];
        if (source->kind != SEND_SOURCE_FILE || input_is_standard(source->value))
            continue;
        if (access(source->value, R_OK) != 0)
            return input_file_failed(source->value, errno, error);
    }
    return CERTPOST_OK;
}

static enum certpost_status input_check_length(size_t length, struct certpost_error *error)
{
    if (length <= INPUT_MESSAGE_MAX_BYTES)
        return CERTPOST_OK;
    return error_set(error, CERTPOST_LIMIT, "a message is longer than %d MiB",
                     INPUT_MESSAGE_MAX_BYTES / (1024 * 1024));
}

enum certpost_status input_fill(struct input *input, struct certpost_error *error)
{
    unsigned char *tail = NULL;
    buffer_consume(&input->bytes, input->handed_bytes);
    input->handed_bytes = 0;
    if (buffer_reserve(&input->bytes, INPUT_READ_BYTES, &tail) != CERTPOST_OK)
        return error_no_memory(error);
    ssize_t length = 0;
    do {
        length = read(input->descriptor, tail, INPUT_READ_BYTES);
    } while (length < 0 && errno == EINTR);
    if (length < 0 && errno == EAGAIN)
        return CERTPOST_OK;
    if (length < 0)
        return input_file_failed(input->path, errno, error);
    buffer_commit(&input->bytes, (size_t)length);
    input->ended = length == 0;
    return CERTPOST_OK;
}

/* Hands out the first `length` bytes of the buffer; `taken` of it go away with the next call. */
static enum certpost_status input_hand_out(struct input *input, size_t length, size_t taken,
                                           const unsigned char **ret_bytes, size_t *ret_length,
                                           struct certpost_error *error)
{
    enum certpost_status status = input_check_length(length, error);
    if (status != CERTPOST_OK)
        return status;
    input->handed_bytes = taken;
    input->searched_bytes = 0;
    *ret_bytes = length > 0 ? buffer_bytes(&input->bytes) : input_nothing;
    *ret_length = length;
    return CERTPOST_OK;
}

static enum certpost_status input_open(struct input *input, const char *path,
                                       struct certpost_error *error)
{
    int descriptor = STDIN_FILENO;
    if (!input_is_standard(path))
        descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return input_file_failed(path, errno, error);
    input->path = path;
    input->descriptor = descriptor;
    input->ended = false;
    return CERTPOST_OK;
}

/* The file that is open becomes one message when all of it is there. */
static enum certpost_status input_next_file(struct input *input, const unsigned char **ret_bytes,
                                            size_t *ret_length, struct certpost_error *error)
{
    size_t length = input->bytes.length;
    enum certpost_status status = input_check_length(length, error);
    if (status != CERTPOST_OK)
        return status;
    if (!input->ended)
        return CERTPOST_WANT_READ;
    input_close(input);
    input->next_source++;
    return input_hand_out(input, length, length, ret_bytes, ret_length, error);
}

static enum certpost_status input_next_source(struct input *input, const unsigned char **ret_bytes,
                                              size_t *ret_length, struct certpost_error *error)
{
    if (input->path != NULL)
        return input_next_file(input, ret_bytes, ret_length, error);
    if (input->next_source == input->options->source_count) {
        *ret_bytes = NULL;
        return CERTPOST_OK;
    }
    const struct send_source *source = &input->options->sources[input->next_source];
    if (source->kind == SEND_SOURCE_FILE) {
        enum certpost_status status = input_open(input, source->value, error);
        return status == CERTPOST_OK ? CERTPOST_WANT_READ : status;
    }
    input->next_source++;
    *ret_bytes = (const unsigned char *)source->value;
    *ret_length = strlen(source->value);
    return CERTPOST_OK;
}

/* Looks for the newline in what is buffered and was not searched before. */
static bool input_find_line(struct input *input, size_t *ret_length)
{
    size_t fresh = input->bytes.length - input->searched_bytes;
    if (fresh == 0)
        return false;
    const unsigned char *bytes = buffer_bytes(&input->bytes);
    const unsigned char *newline = memchr(bytes + input->searched_bytes, '\n', fresh);
    if (newline == NULL) {
        input->searched_bytes = input->bytes.length;
        return false;
    }
    *ret_length = (size_t)(newline - bytes);
    return true;
}

static enum certpost_status input_next_line(struct input *input, const unsigned char **ret_bytes,
                                            size_t *ret_length, struct certpost_error *error)
{
    size_t length = 0;
    if (input_find_line(input, &length)) {
        size_t taken = length + 1;
        if (length > 0 && buffer_bytes(&input->bytes)[length - 1] == '\r')
            length--;
        return input_hand_out(input, length, taken, ret_bytes, ret_length, error);
    }
    length = input->bytes.length;
    /* One byte more than the limit is the "\r" that a line may have before its newline. */
    enum certpost_status status = input_check_length(length > 0 ? length - 1 : 0, error);
    if (status != CERTPOST_OK)
        return status;
    if (!input->ended)
        return CERTPOST_WANT_READ;
    if (length > 0)
        return input_hand_out(input, length, length, ret_bytes, ret_length, error);
    *ret_bytes = NULL;
    return CERTPOST_OK;
}

enum certpost_status input_next(struct input *input, const unsigned char **ret_bytes,
                                size_t *ret_length, struct certpost_error *error)
{
    buffer_consume(&input->bytes, input->handed_bytes);
    input->handed_bytes = 0;
    if (input->options->lines)
        return input_next_line(input, ret_bytes, ret_length, error);
    return input_next_source(input, ret_bytes, ret_length, error);
}

enum certpost_status input_next_wait(struct input *input, const unsigned char **ret_bytes,
                                     size_t *ret_length, struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK) {
        status = input_next(input, ret_bytes, ret_length, error);
        if (status != CERTPOST_WANT_READ)
            break;
        /* Somebody else may have made standard input non-blocking. */
        struct pollfd readable = {.fd = input->descriptor, .events = POLLIN};
        (void)poll(&readable, 1, -1);
        status = input_fill(input, error);
    }
    return status;
}
