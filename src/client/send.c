/*
 * send.c — the subcommand `certpost send` (client/send.h): which exchange, and how it ends.
 *
 * Uses: the client's other modules.  Used by: main.c.
 * Never: sends anything itself.
 */
#include "client/send.h"

#include "client/exit_status.h"
#include "client/output.h"
#include "client/send_certified.h"
#include "client/send_plain.h"
#include "client/summary.h"

static void send_warn(const struct send_options *options)
{
    if (!options->config.insecure)
        return;
    output_note(options->config.pin_count > 0
                    ? "warning: --insecure: only the server's key is verified, by its pin"
                    : "warning: --insecure: the server is not verified; anyone on the way can "
                      "read and alter the messages");
}

static enum certpost_status send_run(const struct send_options *options,
                                     struct certpost_error *error)
{
    char endpoint[CERTPOST_ENDPOINT_BYTES];
    enum certpost_status status = CERTPOST_OK;
    send_warn(options);
    if (options->plain) {
        const struct agent_server *server = &options->config.servers[0];
        text_format_endpoint(server->host, server->port, endpoint);
        status = send_plain_run(options, error);
    } else {
        status = send_certified_run(options, endpoint, error);
    }
    if (status != CERTPOST_OK && status != CERTPOST_INTERRUPTED)
        output_failure(endpoint, status, error);
    summary_print();
    summary_end_interrupted();
    return status;
}

int send_command(int argc, char **argv)
{
    struct send_options options;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = send_options_parse(argc, argv, &options, &error);
    bool runs = status == CERTPOST_OK && !options.help && !options.version;
    if (runs)
        status = send_run(&options, &error);
    else if (status == CERTPOST_OK)
        status = output_about(options.help, send_options_print_help, &error);
    if (!runs && status != CERTPOST_OK)
        output_failure("", status, &error);
    send_options_free(&options);
    return (int)exit_status_of(status);
}
