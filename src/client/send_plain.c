/*
 * send_plain.c — messages in, acknowledgements out, one after the other (client/send_plain.h).
 *
 * Uses: channel, input, plain_exchange, output, summary.  Used by: send.c.
 * Never: counts a message as acknowledged before its own reply has come.
 */
#include "client/send_plain.h"

#include "client/channel.h"
#include "client/input.h"
#include "client/output.h"
#include "client/plain_exchange.h"
#include "client/summary.h"
#include "tls/context.h"

static enum certpost_status plain_send_one(const struct send_options *options,
                                           struct plain_exchange *exchange,
                                           const unsigned char *message, size_t length,
                                           struct certpost_error *error)
{
    const unsigned char *reply = NULL;
    size_t reply_length = 0;
    enum certpost_status status = plain_exchange_prepare(exchange, message, length, error);
    if (status == CERTPOST_OK)
        status = plain_exchange_send(exchange, &reply, &reply_length, error);
    if (status != CERTPOST_OK)
        return status;
    /* Counted before it is shown: a full disk behind standard output takes nothing back. */
    summary_add_acknowledged();
    if (options->quiet)
        return status;
    return output_bytes("Received from server: ", reply, reply_length, error);
}

static enum certpost_status plain_send_all(const struct send_options *options, struct input *input,
                                           SSL *ssl, struct certpost_error *error)
{
    struct plain_exchange exchange;
    plain_exchange_init(&exchange, ssl, options->framing, options->config.ack_timeout_ms);
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK) {
        const unsigned char *message = NULL;
        size_t length = 0;
        status = input_next_wait(input, &message, &length, error);
        if (status == CERTPOST_OK && message == NULL)
            break;
        /* A line that could not be read whole was given all the same. */
        if (options->lines && (status == CERTPOST_OK || status == CERTPOST_LIMIT))
            summary_add_total();
        if (status == CERTPOST_OK)
            status = plain_send_one(options, &exchange, message, length, error);
    }
    plain_exchange_free(&exchange);
    return status;
}

enum certpost_status send_plain_run(const struct send_options *options,
                                    struct certpost_error *error)
{
    struct channel channel = {.socket_fd = -1};
    struct input input;
    summary_set_total((unsigned long)options->source_count);
    summary_catch_signals();
    input_init(&input, options);
    enum certpost_status status = input_check(&input, error);
    if (status == CERTPOST_OK)
        status = channel_open(options, TLS_ALPN_PLAIN, &channel, error);
    if (status == CERTPOST_OK)
        status = plain_send_all(options, &input, channel.ssl, error);
    if (status == CERTPOST_OK)
        channel_finish(&channel);
    channel_free(&channel);
    input_free(&input);
    return status;
}
