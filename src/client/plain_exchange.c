/*
 * plain_exchange.c — one message, one reply (client/plain_exchange.h).
 *
 * Uses: base, certpost/tls_io.h.  Used by: send_plain.c.
 * Never: takes anything but a reply that came after the message for its acknowledgement.
 */
#include "client/plain_exchange.h"

#include "base/cursor.h"
#include "base/error.h"
#include "base/text.h"
#include "client/output.h"

#include "certpost/tls_io.h"

#include <string.h>

/* With this a server says that it did not take the message. */
#define PLAIN_REFUSED_PREFIX "Message refused: "

/* How much of a refusal or of stray bytes is shown. */
enum { PLAIN_SHOWN_TEXT_BYTES = 600 };

void plain_exchange_init(struct plain_exchange *exchange, SSL *ssl, enum plain_framing framing,
                         int64_t ack_timeout_ms)
{
    exchange->ssl = ssl;
    exchange->framing = framing;
    exchange->ack_timeout_ms = ack_timeout_ms;
    buffer_init(&exchange->outgoing, SIZE_MAX / 4);
    buffer_init(&exchange->reply, PLAIN_REPLY_MAX_BYTES + 1);
}

void plain_exchange_free(struct plain_exchange *exchange)
{
    buffer_free(&exchange->outgoing);
    buffer_free(&exchange->reply);
}

static enum certpost_status plain_set_outgoing(struct plain_exchange *exchange,
                                               const unsigned char *bytes, size_t length,
                                               const char *terminator, struct certpost_error *error)
{
    buffer_clear(&exchange->outgoing);
    if (buffer_append(&exchange->outgoing, bytes, length) != CERTPOST_OK ||
        buffer_append(&exchange->outgoing, terminator, strlen(terminator)) != CERTPOST_OK)
        return error_no_memory(error);
    return CERTPOST_OK;
}

static enum certpost_status plain_prepare_chunk(struct plain_exchange *exchange,
                                                const unsigned char *message, size_t length,
                                                struct certpost_error *error)
{
    if (length > PLAIN_CHUNK_MAX_BYTES)
        return error_set(error, CERTPOST_LIMIT,
                         "a message of %zu bytes is too long for --framing chunk, which carries at "
                         "most %d; use --framing line on both sides",
                         length, PLAIN_CHUNK_MAX_BYTES);
    /* Nothing at all cannot be sent; the server takes the newline off again. */
    return plain_set_outgoing(exchange, message, length, length == 0 ? "\n" : "", error);
}

static enum certpost_status plain_prepare_line(struct plain_exchange *exchange,
                                               const unsigned char *message, size_t length,
                                               struct certpost_error *error)
{
    if (length > 0 && message[length - 1] == '\n') {
        length--;
        if (length > 0 && message[length - 1] == '\r')
            length--;
    }
    if (length > 0 && memchr(message, '\n', length) != NULL)
        return error_set(
            error, CERTPOST_LIMIT,
            "--framing line cannot carry a message with a newline in it unaltered; use "
            "--framing chunk on both sides");
    if (length > 0 && message[length - 1] == '\r')
        return error_set(error, CERTPOST_LIMIT,
                         "--framing line cannot carry a message that ends in a carriage return "
                         "unaltered; use --framing chunk on both sides");
    return plain_set_outgoing(exchange, message, length, "\n", error);
}

enum certpost_status plain_exchange_prepare(struct plain_exchange *exchange,
                                            const unsigned char *message, size_t length,
                                            struct certpost_error *error)
{
    if (exchange->framing == PLAIN_FRAMING_CHUNK)
        return plain_prepare_chunk(exchange, message, length, error);
    return plain_prepare_line(exchange, message, length, error);
}

/* Reads once, into the room that the reply has left. */
static enum certpost_status plain_read_some(struct plain_exchange *exchange, int64_t timeout_ms,
                                            struct certpost_error *error)
{
    size_t room = buffer_room(&exchange->reply);
    unsigned char *tail = NULL;
    size_t length = 0;
    if (room == 0)
        return error_set(error, CERTPOST_PROTOCOL, "the server's reply is longer than %d bytes",
                         PLAIN_REPLY_MAX_BYTES);
    if (buffer_reserve(&exchange->reply, room, &tail) != CERTPOST_OK)
        return error_no_memory(error);
    enum certpost_status status =
        certpost_tls_read(exchange->ssl, tail, room, timeout_ms, &length, error);
    if (status == CERTPOST_OK)
        buffer_commit(&exchange->reply, length);
    return status;
}

static enum certpost_status plain_stray_bytes(const struct plain_exchange *exchange,
                                              size_t first_stray, struct certpost_error *error)
{
    char safe[PLAIN_SHOWN_TEXT_BYTES];
    text_escape(buffer_bytes(&exchange->reply) + first_stray, exchange->reply.length - first_stray,
                safe, sizeof safe);
    return error_set(
        error, CERTPOST_PROTOCOL,
        "the server sent something that no message asked for, so replies can no longer "
        "be told apart: %s",
        safe);
}

/*
 * Before a message goes out, nothing may lie here unread: it would be taken for the reply. An
 * earlier end of the connection is found here too, before the message is sent into the void.
 */
static enum certpost_status plain_expect_silence(struct plain_exchange *exchange,
                                                 struct certpost_error *error)
{
    struct certpost_error found;
    certpost_error_clear(&found);
    buffer_clear(&exchange->reply);
    enum certpost_status status = plain_read_some(exchange, 0, &found);
    if (status == CERTPOST_TIMEOUT)
        return CERTPOST_OK;
    if (status == CERTPOST_OK)
        return plain_stray_bytes(exchange, 0, error);
    return error_adopt(error, status, &found);
}

static size_t plain_without_newline(const unsigned char *bytes, size_t length)
{
    if (length > 0 && bytes[length - 1] == '\n')
        length--;
    if (length > 0 && bytes[length - 1] == '\r')
        length--;
    return length;
}

/* Judges the complete reply in the buffer. */
static enum certpost_status plain_judge_reply(const struct plain_exchange *exchange,
                                              const unsigned char **ret_reply, size_t *ret_length,
                                              struct certpost_error *error)
{
    const unsigned char *bytes = buffer_bytes(&exchange->reply);
    size_t length = plain_without_newline(bytes, exchange->reply.length);
    size_t prefix = strlen(PLAIN_REFUSED_PREFIX);
    if (length >= prefix && memcmp(bytes, PLAIN_REFUSED_PREFIX, prefix) == 0) {
        char safe[PLAIN_SHOWN_TEXT_BYTES];
        text_escape(bytes + prefix, length - prefix, safe, sizeof safe);
        return error_set(error, CERTPOST_REFUSED, "the server refused the message: %s", safe);
    }
    if (length > PLAIN_REPLY_MAX_BYTES)
        return error_set(error, CERTPOST_PROTOCOL, "the server's reply is longer than %d bytes",
                         PLAIN_REPLY_MAX_BYTES);
    *ret_reply = bytes;
    *ret_length = length;
    return CERTPOST_OK;
}

/* Reads until the reply is whole, which in chunk framing is what one read brings. */
static enum certpost_status plain_read_reply(struct plain_exchange *exchange, int64_t timeout_ms,
                                             struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    buffer_clear(&exchange->reply);
    for (;;) {
        status = plain_read_some(exchange, timeout_ms, error);
        if (status != CERTPOST_OK || exchange->framing == PLAIN_FRAMING_CHUNK)
            return status;
        struct cursor cursor = cursor_over(buffer_bytes(&exchange->reply), exchange->reply.length);
        size_t end = 0;
        if (!cursor_find(&cursor, '\n', &end))
            continue;
        if (end + 1 < exchange->reply.length)
            return plain_stray_bytes(exchange, end + 1, error);
        return CERTPOST_OK;
    }
}

/*
 * A write that failed may have an answer waiting: the server's refusal, or the alert that ended the
 * connection. Either says more than "broken pipe".
 */
static enum certpost_status plain_explain_write(struct plain_exchange *exchange,
                                                enum certpost_status written,
                                                const struct certpost_error *write_error,
                                                struct certpost_error *error)
{
    struct certpost_error found;
    const unsigned char *reply = NULL;
    size_t length = 0;
    certpost_error_clear(&found);
    enum certpost_status status = plain_read_reply(exchange, 0, &found);
    if (status == CERTPOST_OK)
        status = plain_judge_reply(exchange, &reply, &length, &found);
    /* Only a verdict of the peer counts; a friendly reply to half a message acknowledges nothing.
     */
    if (certpost_status_group(status) == CERTPOST_GROUP_PEER)
        return error_adopt(error, status, &found);
    return error_adopt(error, written, write_error);
}

static enum certpost_status plain_no_reply(const struct plain_exchange *exchange,
                                           enum certpost_status status,
                                           const struct certpost_error *found,
                                           struct certpost_error *error)
{
    char waited[OUTPUT_DURATION_BYTES];
    output_duration(exchange->ack_timeout_ms, waited);
    if (status == CERTPOST_TIMEOUT && exchange->reply.length > 0)
        return error_set(error, status,
                         "the reply was not ended by a newline within %s; if the server does not "
                         "use line framing, use --framing chunk",
                         waited);
    if (status == CERTPOST_TIMEOUT)
        return error_set(error, status,
                         "no reply within %s; the server may have the message or not: if it uses "
                         "line framing, use --framing line",
                         waited);
    if (status == CERTPOST_CLOSED)
        return error_set(error, status,
                         "the server ended the connection without acknowledging the message; its "
                         "log may say why");
    if (status == CERTPOST_TRUNCATED || status == CERTPOST_RESET)
        return error_set(error, status,
                         "%s before it acknowledged the message; the server may have it or not",
                         status == CERTPOST_RESET ? "the server broke the connection off (reset)"
                                                  : "the server vanished (no close_notify)");
    return error_adopt(error, status, found);
}

enum certpost_status plain_exchange_send(struct plain_exchange *exchange,
                                         const unsigned char **ret_reply, size_t *ret_length,
                                         struct certpost_error *error)
{
    struct certpost_error found;
    certpost_error_clear(&found);
    enum certpost_status status = plain_expect_silence(exchange, &found);
    if (status != CERTPOST_OK)
        return plain_no_reply(exchange, status, &found, error);
    status =
        certpost_tls_write_all(exchange->ssl, buffer_bytes(&exchange->outgoing),
                               exchange->outgoing.length, exchange->ack_timeout_ms, NULL, &found);
    if (status != CERTPOST_OK)
        return plain_explain_write(exchange, status, &found, error);
    status = plain_read_reply(exchange, exchange->ack_timeout_ms, &found);
    if (status != CERTPOST_OK)
        return plain_no_reply(exchange, status, &found, error);
    return plain_judge_reply(exchange, ret_reply, ret_length, error);
}
