/*
 * check_options.c — the command line of `certpost check` (client/check_options.h).
 *
 * Uses: connect_options, whose rows it shares with the other subcommands.  Used by: check.c.
 * Never: opens a file or looks at the network.
 */
#include "client/check_options.h"

#include "base/error.h"
#include "base/options.h"
#include "client/commands.h"
#include "client/connect_options.h"

#include <string.h>

/* Days and more, in ms. */
#define CHECK_DAY_MS        (INT64_C(24) * 60 * 60 * 1000)
#define CHECK_EXPIRY_MAX_MS (INT64_C(10000) * CHECK_DAY_MS)

static enum certpost_status check_take_setting(const struct options_spec *spec, void *field,
                                               const char *value, struct certpost_error *error)
{
    struct check_options *options = field;
    return connect_set(&options->config, spec->name, value, error);
}

#define FIELD(member) offsetof(struct check_options, member)

const struct options_spec check_specs[] = {
    {.name = "", .help = "Which server"},
    CONNECT_HOST_OPTIONS(
        check_take_setting, "The server's name or address; an operand means the same.",
        "For each step: resolving the name, connecting, the handshake, an answer."),
    {.name = "", .help = "TLS"},
    CONNECT_TLS_OPTIONS(check_take_setting),
    {.name = "", .help = "What must hold"},
    CONNECT_REQUIRE_OPTION(check_take_setting, "accepted"),
    {.name = "expiry-warning",
     .argument = "TIME",
     .default_text = "30d",
     .help = "Warn of a certificate that ends sooner than that.",
     .take = options_take_duration,
     .offset = FIELD(expiry_warning_ms),
     .max = CHECK_EXPIRY_MAX_MS},
    {.name = "strict",
     .help = "A warning counts like a failure: it makes the exit status.",
     .take = options_take_switch,
     .offset = FIELD(strict)},
    {.name = "", .help = "Output"},
    {.name = "json",
     .help = "Print one JSON object instead of lines.",
     .take = options_take_switch,
     .offset = FIELD(json)},
    {.name = "quiet",
     .short_name = 'q',
     .help = "Print only warnings and what does not hold.",
     .take = options_take_switch,
     .offset = FIELD(quiet)},
    {.name = "version",
     .short_name = 'V',
     .help = "Print the version and end.",
     .take = options_take_switch,
     .offset = FIELD(version)},
    {.name = "help",
     .help = "Print this text and end.",
     .take = options_take_switch,
     .offset = FIELD(help)},
    {.name = NULL},
};

void check_options_print_help(FILE *out)
{
    fputs("Usage: certpost check [options] [HOST[:PORT]]\n"
          "\n"
          "Tells, layer by layer, what holds between this machine and a server, and what does\n"
          "not: name, TCP, TLS, certificates, ALPN, client certificate, limits, round-trip time.\n"
          "Sends no message and leaves nothing in the server's store.\n",
          out);
    options_print_help(check_specs, out);
    fputs("\n"
          "Exit status: that with which certpost send would have ended. 0 all holds, 2 usage,\n"
          "6 cannot resolve, 7 cannot connect, 28 time is up, 35 TLS handshake, 58 own\n"
          "certificate or key, 60 server's certificate, 65 refused, 70 defect of certpost,\n"
          "74 local I/O, 75 the server goes away, 76 protocol, 77 CA file.\n",
          out);
}

static enum certpost_status check_take_operands(struct check_options *options, int argc,
                                                char **argv, int first,
                                                struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = CERTPOST_OK;
    char safe[TEXT_HOST_BYTES * 2];
    for (int i = first; i < argc; i++) {
        status = connect_set(&options->config, "host", argv[i], &cause);
        if (status != CERTPOST_OK) {
            text_escape(argv[i], strlen(argv[i]), safe, sizeof safe);
            return error_set(error, status, "%s: %s", safe, certpost_error_text(&cause, status));
        }
    }
    if (options->config.server_count > 1)
        return error_set(error, CERTPOST_USAGE, "one server at a time");
    return CERTPOST_OK;
}

enum certpost_status check_options_parse(int argc, char **argv, struct check_options *ret_options,
                                         struct certpost_error *error)
{
    *ret_options = (struct check_options){.expiry_warning_ms = 30 * CHECK_DAY_MS};
    struct agent_config *config = &ret_options->config;
    agent_config_init(config);
    int first = argc;
    enum certpost_status status =
        options_parse(check_specs, argc, argv, ret_options, &first, error);
    if (status != CERTPOST_OK || ret_options->help || ret_options->version)
        return status;
    status = check_take_operands(ret_options, argc, argv, first, error);
    const char *keylog_file = connect_keylog_file(config);
    if (status == CERTPOST_OK && keylog_file != NULL)
        status = connect_set(config, "keylogfile", keylog_file, error);
    if (status == CERTPOST_OK)
        status = agent_config_settle(config, error);
    ret_options->pins = (struct tls_pins){.list = config->pin_list, .count = config->pin_count};
    return status;
}

void check_options_free(struct check_options *options)
{
    if (options != NULL)
        agent_config_free(&options->config);
}
