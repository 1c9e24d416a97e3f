/*
 * send_plain.c — `certpost send --plain` (client/send.h): messages in, acknowledgements out.
 *
 * Uses: the client's other modules.  Used by: main.c.
 * Never: counts a message as acknowledged before its own reply has come.
 */
#include "base/text.h"
#include "client/channel.h"
#include "client/exit_status.h"
#include "client/input.h"
#include "client/output.h"
#include "client/plain_exchange.h"
#include "client/send.h"
#include "client/summary.h"
#include "tls/context.h"

#include "certpost/version.h"

#include <stdio.h>

/* Failures of the network and of the peer are told with the peer's address. */
static void send_report(const struct send_options *options, enum certpost_status status,
                        const struct certpost_error *error)
{
    const char *text = certpost_error_text(error, status);
    char endpoint[TEXT_ENDPOINT_BYTES];
    text_format_endpoint(options->host, options->port, endpoint);
    switch (certpost_status_group(status)) {
    case CERTPOST_GROUP_ENDED:
    case CERTPOST_GROUP_NETWORK:
    case CERTPOST_GROUP_PEER:
        output_note("%s: %s", endpoint, text);
        break;
    case CERTPOST_GROUP_SUCCESS:
    case CERTPOST_GROUP_WAIT:
    case CERTPOST_GROUP_LOCAL:
    case CERTPOST_GROUP_USAGE:
        output_note("%s", text);
        break;
    }
}

static enum certpost_status send_one(const struct send_options *options,
                                     struct plain_exchange *exchange, const unsigned char *message,
                                     size_t length, struct certpost_error *error)
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

static enum certpost_status send_all(const struct send_options *options, struct input *input,
                                     SSL *ssl, struct certpost_error *error)
{
    struct plain_exchange exchange;
    plain_exchange_init(&exchange, ssl, options->framing, options->ack_timeout_ms);
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
            status = send_one(options, &exchange, message, length, error);
    }
    plain_exchange_free(&exchange);
    return status;
}

static enum certpost_status send_run(const struct send_options *options,
                                     struct certpost_error *error)
{
    struct channel channel = {.socket_fd = -1};
    struct input input;
    input_init(&input, options);
    enum certpost_status status = input_check(&input, error);
    if (status == CERTPOST_OK && options->insecure)
        output_note(options->pins.count > 0
                        ? "warning: --insecure: only the server's key is verified, by its pin"
                        : "warning: --insecure: the server is not verified; anyone on the way can "
                          "read and alter the messages");
    if (status == CERTPOST_OK)
        status = channel_open(options, TLS_ALPN_PLAIN, &channel, error);
    if (status == CERTPOST_OK)
        status = send_all(options, &input, channel.ssl, error);
    if (status == CERTPOST_OK)
        channel_finish(&channel);
    channel_free(&channel);
    input_free(&input);
    return status;
}

static enum certpost_status send_print_text(bool help, struct certpost_error *error)
{
    if (help)
        send_options_print_help(stdout);
    else
        printf("certpost %s\n", CERTPOST_VERSION);
    return output_finish(error);
}

int send_command(int argc, char **argv)
{
    struct send_options options;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = send_options_parse(argc, argv, &options, &error);
    if (status == CERTPOST_OK && (options.help || options.version)) {
        status = send_print_text(options.help, &error);
        if (status != CERTPOST_OK)
            send_report(&options, status, &error);
    } else if (status != CERTPOST_OK) {
        send_report(&options, status, &error);
    } else {
        summary_set_total((unsigned long)options.source_count);
        summary_catch_signals();
        status = send_run(&options, &error);
        if (status != CERTPOST_OK)
            send_report(&options, status, &error);
        summary_print();
    }
    send_options_free(&options);
    return (int)exit_status_of(status);
}
