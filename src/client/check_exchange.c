/*
 * check_exchange.c — a greeting and some round trips over certpost/1 (client/check_scene.h).
 *
 * A HELLO opens its stream, and takes it over from whoever had it. So the name is one that nobody
 * else has; and a stream without a message is nothing that a server stores.
 *
 * Uses: wire, certpost/tls_io.h.  Used by: check_tls.c.
 * Never: sends a message.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "client/check_scene.h"
#include "client/output.h"

#include "certpost/client.h"
#include "certpost/tls_io.h"
#include "certpost/version.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum {
    EXCHANGE_INPUT_BYTES = 4096,
    EXCHANGE_OUTPUT_BYTES = 1024,
    EXCHANGE_PINGS = 5,
    EXCHANGE_NAME_BYTES = 64,
    EXCHANGE_RANDOM_BYTES = 8,
    EXCHANGE_CLOSE_TIMEOUT_MS = 1000,
};

struct exchange {
    SSL *ssl;
    int64_t timeout_ms; /* for each answer */
    struct frame_decoder decoder;
    struct cursor input;
    unsigned char bytes[EXCHANGE_INPUT_BYTES];
};

/* ---- frames ---- */

static enum certpost_status exchange_send(struct exchange *exchange, struct buffer *frames,
                                          enum certpost_status encoded,
                                          struct certpost_error *error)
{
    enum certpost_status status = encoded;
    if (status == CERTPOST_OK)
        status = certpost_tls_write_all(exchange->ssl, buffer_bytes(frames), frames->length,
                                        exchange->timeout_ms, NULL, error);
    buffer_free(frames);
    return status;
}

/* The next frame of a type in `allowed`. Its spans live until the next call. */
static enum certpost_status exchange_receive(struct exchange *exchange, uint32_t allowed,
                                             struct message *ret_message,
                                             struct certpost_error *error)
{
    int64_t deadline_ms = clock_deadline_ms(exchange->timeout_ms);
    for (;;) {
        struct frame frame = {0};
        size_t length = 0;
        enum certpost_status status =
            frame_decoder_next(&exchange->decoder, &exchange->input, allowed, &frame, error);
        if (status == CERTPOST_OK)
            return message_decode(&frame, ret_message, error);
        if (status == CERTPOST_WANT_READ)
            status = certpost_tls_read(exchange->ssl, exchange->bytes, sizeof exchange->bytes,
                                       clock_poll_timeout_ms(deadline_ms), &length, error);
        if (status != CERTPOST_OK)
            return status;
        exchange->input = cursor_over(exchange->bytes, length);
    }
}

/* As certpost send judges it; what lets come back is the end of its patience there. */
static enum certpost_status exchange_goaway(const struct message_refusal *goaway,
                                            struct certpost_error *error)
{
    char text[MESSAGE_STR8_MAX_BYTES * TEXT_ESCAPE_MAX + 1];
    enum certpost_status status = CERTPOST_REFUSED;
    if (message_code_may_retry(goaway->code))
        status = CERTPOST_CLOSED;
    else if (goaway->code == MESSAGE_CODE_PROTOCOL)
        status = CERTPOST_PROTOCOL;
    text_escape(goaway->text.bytes, goaway->text.length, text, sizeof text);
    return error_set(error, status, "the server sends this client away (%s): %s",
                     message_code_name(goaway->code), text);
}

/* A frame of the type `wanted`; answers and skips what may come beside it. */
static enum certpost_status exchange_await(struct exchange *exchange, enum frame_type wanted,
                                           struct message *ret_message,
                                           struct certpost_error *error)
{
    const uint32_t allowed = FRAME_BIT(wanted) | FRAME_BIT(FRAME_GOAWAY) | FRAME_BIT(FRAME_PING);
    for (;;) {
        enum certpost_status status = exchange_receive(exchange, allowed, ret_message, error);
        if (status != CERTPOST_OK || ret_message->type == wanted)
            return status;
        if (ret_message->type == FRAME_GOAWAY)
            return exchange_goaway(&ret_message->refusal, error);
        struct buffer frames;
        buffer_init(&frames, EXCHANGE_OUTPUT_BYTES);
        status = exchange_send(exchange, &frames,
                               message_append_ping(&frames, FRAME_PONG, ret_message->ping), error);
        if (status != CERTPOST_OK)
            return status;
    }
}

/* ---- greeting ---- */

static bool exchange_name(char ret_name[EXCHANGE_NAME_BYTES])
{
    unsigned char random[EXCHANGE_RANDOM_BYTES];
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    size_t used = (size_t)snprintf(ret_name, EXCHANGE_NAME_BYTES, "certpost-check/");
    for (size_t i = 0; i < sizeof random; i++)
        used += (size_t)snprintf(ret_name + used, EXCHANGE_NAME_BYTES - used, "%02x",
                                 (unsigned)random[i]);
    return true;
}

static enum certpost_status exchange_hello(const struct check_scene *scene,
                                           struct exchange *exchange, struct certpost_error *error)
{
    static const char software[] = "certpost check " CERTPOST_VERSION;
    char name[EXCHANGE_NAME_BYTES];
    struct buffer frames;
    if (!exchange_name(name))
        return error_set(error, CERTPOST_SYSTEM, "OpenSSL has no random bytes to give");
    struct message_hello hello = {
        .stream = {(const unsigned char *)name, strlen(name)},
        .required_level = scene->options->config.required_level,
        .software = {(const unsigned char *)software, sizeof software - 1},
    };
    buffer_init(&frames, EXCHANGE_OUTPUT_BYTES);
    return exchange_send(exchange, &frames, message_append_hello(&frames, &hello), error);
}

static void exchange_keep_text(const struct message_span *text, char *ret_text)
{
    if (text->length > 0)
        memcpy(ret_text, text->bytes, text->length);
    ret_text[text->length] = '\0';
}

static void exchange_say_welcome(struct check_scene *scene, const struct message_welcome *welcome)
{
    struct check_facts *facts = &scene->report->facts;
    char server[TEXT_ESCAPE_MAX * MESSAGE_STR8_MAX_BYTES + 1];
    char reply[TEXT_ESCAPE_MAX * MESSAGE_STR8_MAX_BYTES + 1];
    char idle[OUTPUT_DURATION_BYTES];
    const char *level = certpost_level_name((enum certpost_level)welcome->level);
    facts->has_welcome = true;
    facts->welcome = *welcome;
    exchange_keep_text(&welcome->server_name, facts->peer_name);
    exchange_keep_text(&welcome->reply, facts->reply);
    text_escape(welcome->server_name.bytes, welcome->server_name.length, server, sizeof server);
    text_escape(welcome->reply.bytes, welcome->reply.length, reply, sizeof reply);
    output_duration(welcome->idle_timeout_ms, idle);
    check_say(scene->report, CHECK_SERVER, CHECK_OK, CERTPOST_OK,
              "%s: acknowledges what is %s, %s receipts, replies \"%s\"",
              server[0] == '\0' ? "without a name" : server, level,
              welcome->receipts ? "signs" : "signs no", reply);
    check_say(scene->report, CHECK_SERVER, CHECK_OK, CERTPOST_OK,
              "limits: %" PRIu32 " bytes for a message, %" PRIu32 " bytes unacknowledged%s%s",
              welcome->max_message_bytes, welcome->window_bytes,
              welcome->idle_timeout_ms > 0 ? ", idle for " : "",
              welcome->idle_timeout_ms > 0 ? idle : "");
    if (welcome->level < scene->options->config.required_level)
        check_say(scene->report, CHECK_SERVER, CHECK_FAIL, CERTPOST_REFUSED,
                  "it acknowledges what is %s, and %s is required", level,
                  certpost_level_name((enum certpost_level)scene->options->config.required_level));
}

/*
 * An end before WELCOME, where a certificate was asked for, is most likely its refusal; only the
 * alert makes that sure.
 */
static void exchange_say_no_welcome(struct check_scene *scene, const struct check_link *link,
                                    enum certpost_status status, const struct certpost_error *error)
{
    if (status == CERTPOST_CERTIFICATE_REFUSED) {
        check_client_verdict(scene, link, status, error);
        return;
    }
    check_say(scene->report, CHECK_SERVER, CHECK_FAIL, status, "%s%s",
              status == CERTPOST_TIMEOUT ? "no WELCOME in time"
                                         : certpost_error_text(error, status),
              link->asked && certpost_status_group(status) == CERTPOST_GROUP_ENDED
                  ? "; it asked for a certificate: perhaps it did not like ours, or that there was "
                    "none"
                  : "");
}

/* ---- round trips ---- */

static enum certpost_status exchange_ping(struct exchange *exchange, unsigned char number,
                                          int64_t *ret_time_us, struct certpost_error *error)
{
    unsigned char ping[MESSAGE_PING_BYTES] = {number};
    struct message message;
    struct buffer frames;
    int64_t began_us = check_now_us();
    buffer_init(&frames, EXCHANGE_OUTPUT_BYTES);
    enum certpost_status status =
        exchange_send(exchange, &frames, message_append_ping(&frames, FRAME_PING, ping), error);
    if (status == CERTPOST_OK)
        status = exchange_await(exchange, FRAME_PONG, &message, error);
    if (status == CERTPOST_OK && memcmp(message.ping, ping, sizeof ping) != 0)
        status = error_set(error, CERTPOST_PROTOCOL, "PONG is not the answer to our PING");
    if (status == CERTPOST_OK)
        *ret_time_us = check_now_us() - began_us;
    return status;
}

static void exchange_count(struct check_round_trip *trip, int64_t time_us)
{
    if (trip->count == 0 || time_us < trip->min_us)
        trip->min_us = time_us;
    if (time_us > trip->max_us)
        trip->max_us = time_us;
    trip->sum_us += time_us;
    trip->count++;
}

static void exchange_round_trips(struct check_scene *scene, struct exchange *exchange)
{
    struct check_round_trip *trip = &scene->report->facts.round_trip;
    enum certpost_status status = CERTPOST_OK;
    struct certpost_error error;
    char least[CHECK_DURATION_BYTES];
    char mean[CHECK_DURATION_BYTES];
    char most[CHECK_DURATION_BYTES];
    certpost_error_clear(&error);
    for (unsigned char i = 0; i < EXCHANGE_PINGS && status == CERTPOST_OK; i++) {
        int64_t time_us = 0;
        status = exchange_ping(exchange, i, &time_us, &error);
        if (status == CERTPOST_OK)
            exchange_count(trip, time_us);
    }
    if (status != CERTPOST_OK) {
        check_say(scene->report, CHECK_TIME, CHECK_FAIL, status, "no PONG: %s",
                  certpost_error_text(&error, status));
        return;
    }
    check_duration(trip->min_us, least);
    check_duration(trip->sum_us / trip->count, mean);
    check_duration(trip->max_us, most);
    check_say(scene->report, CHECK_TIME, CHECK_OK, CERTPOST_OK,
              "round trip %s (least %s, most %s, of %u)", mean, least, most, trip->count);
}

static void exchange_leave(struct exchange *exchange)
{
    struct buffer frames;
    buffer_init(&frames, EXCHANGE_OUTPUT_BYTES);
    enum certpost_status status =
        exchange_send(exchange, &frames, message_append_empty(&frames, FRAME_BYE), NULL);
    /* All is known by then: how the peer says goodbye changes nothing. */
    if (status == CERTPOST_OK)
        (void)!certpost_tls_close(exchange->ssl, EXCHANGE_CLOSE_TIMEOUT_MS, NULL);
}

void check_exchange(struct check_scene *scene, struct check_link *link)
{
    struct exchange exchange = {.ssl = link->ssl,
                                .timeout_ms = scene->options->config.connect_timeout_ms};
    struct certpost_error error;
    struct message message;
    certpost_error_clear(&error);
    frame_decoder_init(&exchange.decoder, FRAME_GREETING_MAX_BYTES);
    enum certpost_status status = exchange_hello(scene, &exchange, &error);
    if (status == CERTPOST_OK)
        status = exchange_await(&exchange, FRAME_WELCOME, &message, &error);
    if (status == CERTPOST_OK) {
        check_client_verdict(scene, link, status, &error);
        exchange_say_welcome(scene, &message.welcome);
        exchange_round_trips(scene, &exchange);
        exchange_leave(&exchange);
    } else {
        exchange_say_no_welcome(scene, link, status, &error);
    }
    frame_decoder_free(&exchange.decoder);
}
