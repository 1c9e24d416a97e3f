/*
 * send_options.c — the options of `certpost send`, and which of them go together
 * (client/send_options.h).
 *
 * What the library has, it also parses: this table says how the command line and the help call it.
 *
 * Uses: base/options, agent/config, certpost/client.h.  Used by: send.c, send_certified.c.
 * Never: opens a file or looks at the network; a wrong command line fails before anything happens.
 */
#include "client/send_options.h"

#include "base/error.h"
#include "base/options.h"
#include "client/commands.h"
#include "client/connect_options.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEND_DEFAULT_MESSAGE "Hello, server!"

static enum certpost_status send_apply_framing(void *config, const char *value,
                                               struct certpost_error *error)
{
    struct send_options *options = config;
    options->framing_given = true;
    if (strcmp(value, "chunk") == 0)
        options->framing = PLAIN_FRAMING_CHUNK;
    else if (strcmp(value, "line") == 0)
        options->framing = PLAIN_FRAMING_LINE;
    else
        return error_set(error, CERTPOST_USAGE, "it is chunk or line");
    return CERTPOST_OK;
}

static enum certpost_status send_add_source(struct send_options *options,
                                            enum send_source_kind kind, const char *value,
                                            struct certpost_error *error)
{
    struct send_source *grown =
        realloc(options->sources, (options->source_count + 1) * sizeof *grown);
    if (grown == NULL)
        return error_no_memory(error);
    options->sources = grown;
    grown[options->source_count++] = (struct send_source){kind, value};
    return CERTPOST_OK;
}

enum certpost_status send_apply_message(void *config, const char *value,
                                        struct certpost_error *error)
{
    return send_add_source(config, SEND_SOURCE_TEXT, value, error);
}

enum certpost_status send_apply_file(void *config, const char *value, struct certpost_error *error)
{
    if (*value == '\0')
        return error_set(error, CERTPOST_USAGE, "the name of the file is empty");
    return send_add_source(config, SEND_SOURCE_FILE, value, error);
}

static enum certpost_status send_add_setting(struct send_options *options, const char *name,
                                             const char *value, struct certpost_error *error)
{
    enum certpost_status status = connect_set(&options->config, name, value, error);
    if (status != CERTPOST_OK)
        return status;
    struct send_setting *grown =
        realloc(options->settings, (options->setting_count + 1) * sizeof *grown);
    if (grown == NULL)
        return error_no_memory(error);
    options->settings = grown;
    grown[options->setting_count++] = (struct send_setting){name, value};
    return CERTPOST_OK;
}

/* An option of the library, which knows what its value may be. */
static enum certpost_status send_take_setting(const struct options_spec *spec, void *field,
                                              const char *value, struct certpost_error *error)
{
    return send_add_setting(field, spec->name, value, error);
}

#define FIELD(member) offsetof(struct send_options, member)

const struct options_spec send_specs[] = {
    {.name = "", .help = "Messages"},
    {.name = "message",
     .short_name = 'm',
     .argument = "TEXT",
     .default_text = SEND_DEFAULT_MESSAGE,
     .help = "Send TEXT. Repeatable: one message after the other.",
     .apply = send_apply_message},
    {.name = "file",
     .short_name = 'f',
     .argument = "FILE",
     .help = "Send the contents of FILE as one message; - is standard input. Repeatable.",
     .apply = send_apply_file},
    {.name = "lines",
     .short_name = 'l',
     .help = "Send each line of standard input as a message, as soon as it is read.",
     .take = options_take_switch,
     .offset = FIELD(lines)},
    {.name = "", .help = "Exchange"},
    {.name = "stream",
     .argument = "NAME",
     .default_text = "the spool's, else USER@HOST",
     .help = "The stream that the messages belong to; it has one sender at a time.",
     .take = send_take_setting},
    {.name = "resume",
     .argument = "N",
     .argument_is_optional = true,
     .help = "The input is the stream from message N on (1 if N is left out): what the server has "
             "already is skipped, so that a rerun is harmless, and compared if N is 1.",
     .take = send_take_setting},
    {.name = "spool",
     .argument = "FILE",
     .help = "Keep each message in FILE until it is stored at the server. Without -m, -f and -l: "
             "deliver what is there.",
     .take = send_take_setting},
    CONNECT_REQUIRE_OPTION(send_take_setting, "accepted; stored with --spool and --receipt"),
    {.name = "receipt",
     .argument = "FILE",
     .help = "When all is acknowledged, have the server sign that it holds the stream, check that, "
             "and keep it in FILE. Means --require stored.",
     .take = send_take_setting},
    {.name = "retry-for",
     .argument = "TIME",
     .default_text = "30s",
     .help = "Go on for so long without progress before giving up; 0 is one attempt, forever is "
             "without end.",
     .take = send_take_setting},
    {.name = "plain",
     .help = "The plain exchange instead of certpost/1: a message, then its reply, then the next.",
     .take = options_take_switch,
     .offset = FIELD(plain)},
    {.name = "framing",
     .argument = "HOW",
     .words = "chunk line",
     .default_text = "chunk",
     .help = "How the server tells messages apart: chunk (what it reads at once is a message, at "
             "most 16 KiB) or line. Only with --plain.",
     .apply = send_apply_framing},
    {.name = "", .help = "Where to"},
    CONNECT_HOST_OPTIONS(
        send_take_setting,
        "The server's name or address; an operand means the same. Repeatable: they "
        "are tried in turn.",
        "For resolving the name, connecting and the TLS handshake together."),
    {.name = "ack-timeout",
     .argument = "TIME",
     .default_text = "30s",
     .help = "How long the server may acknowledge nothing.",
     .take = send_take_setting},
    {.name = "", .help = "TLS"},
    CONNECT_TLS_OPTIONS(send_take_setting),
    {.name = "", .help = "Output"},
    {.name = "json",
     .help = "Print events as JSON, one object a line, instead of replies.",
     .take = options_take_switch,
     .offset = FIELD(json)},
    {.name = "quiet",
     .short_name = 'q',
     .help = "Do not print replies, progress, and lost connections.",
     .take = options_take_switch,
     .offset = FIELD(quiet)},
    {.name = "verbose",
     .short_name = 'v',
     .help = "Say on standard error what is tried, and what TLS agreed on.",
     .take = options_take_switch,
     .offset = FIELD(verbose)},
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

void send_options_print_help(FILE *out)
{
    fputs("Usage: certpost send [options] [HOST[:PORT]...]\n"
          "\n"
          "Sends messages over TLS, in order, and waits until all are acknowledged; when the\n"
          "connection is lost it goes on where the server stands. Ends with 0 only when every\n"
          "message was acknowledged.\n",
          out);
    options_print_help(send_specs, out);
    fputs("\n"
          "Exit status: 0 all acknowledged, 2 usage, 6 cannot resolve, 7 cannot connect,\n"
          "28 time is up, 35 TLS handshake, 58 own certificate or key, 60 server's\n"
          "certificate, 65 message refused, 70 defect of certpost, 74 local I/O,\n"
          "75 not all was acknowledged, 76 protocol or digest, 77 CA file.\n",
          out);
}

static size_t send_count_standard_input(const struct send_options *options)
{
    size_t count = options->lines ? 1 : 0;
    for (size_t i = 0; i < options->source_count; i++) {
        if (options->sources[i].kind == SEND_SOURCE_FILE &&
            strcmp(options->sources[i].value, "-") == 0)
            count++;
    }
    return count;
}

/* ---- which options go together ---- */

/* Options that mean nothing in the plain exchange. */
static const char *const send_certified_only[] = {"stream",  "resume",  "spool",
                                                  "require", "receipt", "retry-for"};

static enum certpost_status send_check_plain(const struct send_options *options,
                                             struct certpost_error *error)
{
    for (size_t i = 0; i < options->setting_count; i++) {
        const char *name = options->settings[i].name;
        for (size_t k = 0; k < sizeof send_certified_only / sizeof send_certified_only[0]; k++) {
            if (strcmp(name, send_certified_only[k]) == 0)
                return error_set(error, CERTPOST_USAGE,
                                 "--%s is for certpost/1; the plain exchange (--plain) has nothing "
                                 "like it",
                                 name);
        }
    }
    if (options->json)
        return error_set(error, CERTPOST_USAGE,
                         "--json is for certpost/1; the plain exchange (--plain) has no events");
    if (options->config.server_count > 1)
        return error_set(error, CERTPOST_USAGE,
                         "--plain takes one host: it could not know which of them has a message");
    return CERTPOST_OK;
}

static enum certpost_status send_check(const struct send_options *options,
                                       struct certpost_error *error)
{
    const char *wrong = NULL;
    if (options->framing_given && !options->plain)
        wrong = "--framing is for the plain exchange; give --plain too, or leave it out: "
                "certpost/1 keeps messages apart by itself";
    else if (send_count_standard_input(options) > 1)
        wrong = "standard input can be read only once; give -l or one -f -";
    else if (options->lines && options->source_count > 0)
        wrong = "-l takes all messages from standard input, so -m and -f cannot be with it";
    else if (options->quiet && options->verbose)
        wrong = "-q and -v contradict each other; give one of them";
    if (wrong != NULL)
        return error_set(error, CERTPOST_USAGE, "%s", wrong);
    return options->plain ? send_check_plain(options, error) : CERTPOST_OK;
}

/* ---- defaults ---- */

/*
 * USER@HOST: without certificates, or with one certificate for a whole fleet, machines and users
 * share an identity, and one name for all would make them take the stream from each other.
 */
static enum certpost_status send_default_stream(struct send_options *options,
                                                struct certpost_error *error)
{
    char host[HOST_NAME_MAX + 1];
    const struct passwd *user = getpwuid(getuid());
    if (gethostname(host, sizeof host) != 0)
        return CERTPOST_OK;
    host[sizeof host - 1] = '\0';
    if (user != NULL)
        snprintf(options->default_stream, sizeof options->default_stream, "%s@%s", user->pw_name,
                 host);
    else
        snprintf(options->default_stream, sizeof options->default_stream, "%ju@%s",
                 (uintmax_t)getuid(), host);
    if (!message_stream_name_is_valid(options->default_stream, strlen(options->default_stream)))
        return CERTPOST_OK;
    return send_add_setting(options, "stream", options->default_stream, error);
}

static enum certpost_status send_fill_in(struct send_options *options, struct certpost_error *error)
{
    const struct agent_config *config = &options->config;
    enum certpost_status status = CERTPOST_OK;
    const char *keylog_file = connect_keylog_file(config);
    if (keylog_file != NULL)
        status = send_add_setting(options, "keylogfile", keylog_file, error);
    options->pins = (struct tls_pins){.list = config->pin_list, .count = config->pin_count};
    options->has_spool = config->spool_file != NULL;
    options->resumes = config->resume_from > 0;
    bool has_messages = options->source_count > 0 || options->lines;
    bool spool_exists = options->has_spool && access(config->spool_file, F_OK) == 0;
    if (status == CERTPOST_OK && options->has_spool && !has_messages && !spool_exists)
        return error_set_errno(error, CERTPOST_LOCAL_IO, errno,
                               "nothing to deliver: no -m, -f or -l, and the spool %s",
                               config->spool_file);
    /* A spool knows its stream. */
    if (status == CERTPOST_OK && !options->plain && config->stream == NULL && !spool_exists)
        status = send_default_stream(options, error);
    if (status == CERTPOST_OK && !has_messages && !options->has_spool)
        status = send_add_source(options, SEND_SOURCE_TEXT, SEND_DEFAULT_MESSAGE, error);
    return status;
}

/* ---- parsing ---- */

static bool send_is_number(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

static enum certpost_status send_take_operand(struct send_options *options, const char *operand,
                                              struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    if (options->config.resume_from > 0 && send_is_number(operand))
        return error_set(error, CERTPOST_USAGE,
                         "%s would be a host here; a number for --resume is joined to it: "
                         "--resume=%s",
                         operand, operand);
    enum certpost_status status = send_add_setting(options, "host", operand, &cause);
    if (status == CERTPOST_OK)
        return status;
    char safe[TEXT_HOST_BYTES * 2];
    text_escape(operand, strlen(operand), safe, sizeof safe);
    return error_set(error, status, "%s: %s", safe, certpost_error_text(&cause, status));
}

enum certpost_status send_options_parse(int argc, char **argv, struct send_options *ret_options,
                                        struct certpost_error *error)
{
    *ret_options = (struct send_options){.framing = PLAIN_FRAMING_CHUNK};
    agent_config_init(&ret_options->config);
    int first = argc;
    enum certpost_status status = options_parse(send_specs, argc, argv, ret_options, &first, error);
    if (status != CERTPOST_OK || ret_options->help || ret_options->version)
        return status;
    for (int i = first; i < argc && status == CERTPOST_OK; i++)
        status = send_take_operand(ret_options, argv[i], error);
    if (status == CERTPOST_OK)
        status = send_check(ret_options, error);
    if (status == CERTPOST_OK)
        status = agent_config_settle(&ret_options->config, error);
    if (status == CERTPOST_OK)
        status = send_fill_in(ret_options, error);
    return status;
}

bool send_options_read_standard_input(const struct send_options *options)
{
    return send_count_standard_input(options) > 0;
}

enum certpost_status send_options_configure(const struct send_options *options,
                                            struct certpost_client *client,
                                            struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < options->setting_count && status == CERTPOST_OK; i++)
        status = certpost_client_set(client, options->settings[i].name, options->settings[i].value,
                                     error);
    if (status == CERTPOST_OK && options->has_spool)
        status = certpost_client_set(client, "retry-for", "forever", error);
    return status;
}

void send_options_free(struct send_options *options)
{
    if (options == NULL)
        return;
    free(options->sources);
    free(options->settings);
    agent_config_free(&options->config);
    *options = (struct send_options){0};
}
