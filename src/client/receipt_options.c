/*
 * receipt_options.c — the command lines of `certpost receipt` (client/receipt_options.h).
 *
 * Uses: base/options.  Used by: receipt_command.c.
 * Never: opens a file; a wrong command line fails before anything happens.
 */
#include "client/receipt_options.h"

#include "base/error.h"
#include "base/options.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static enum certpost_status receipt_add_source(struct receipt_options *options,
                                               enum send_source_kind kind, const char *value,
                                               struct certpost_error *error)
{
    struct send_options *messages = &options->messages;
    struct send_source *grown =
        realloc(messages->sources, (messages->source_count + 1) * sizeof *grown);
    if (grown == NULL)
        return error_no_memory(error);
    messages->sources = grown;
    grown[messages->source_count++] = (struct send_source){kind, value};
    return CERTPOST_OK;
}

static enum certpost_status receipt_apply_message(void *config, const char *value,
                                                  struct certpost_error *error)
{
    return receipt_add_source(config, SEND_SOURCE_TEXT, value, error);
}

static enum certpost_status receipt_apply_file(void *config, const char *value,
                                               struct certpost_error *error)
{
    if (*value == '\0')
        return error_set(error, CERTPOST_USAGE, "the name of the file is empty");
    return receipt_add_source(config, SEND_SOURCE_FILE, value, error);
}

enum certpost_status receipt_take_at(const struct options_spec *spec, void *field,
                                     const char *value, struct certpost_error *error)
{
    (void)spec;
    if (strcmp(value, "now") != 0 && strcmp(value, "receipt") != 0)
        return error_set(error, CERTPOST_USAGE, "it is receipt or now");
    *(bool *)field = strcmp(value, "now") == 0;
    return CERTPOST_OK;
}

/* Unlike options_take_text, it takes an empty text: senders without a certificate have that one. */
static enum certpost_status receipt_apply_identity(void *config, const char *value,
                                                   struct certpost_error *error)
{
    (void)error;
    ((struct receipt_options *)config)->identity = value;
    return CERTPOST_OK;
}

static const struct options_spec receipt_specs[] = {
    {.name = "", .help = "Whom to believe"},
    {.name = "cacert",
     .argument = "FILE",
     .default_text = "the system's CAs",
     .help = "Trust the CA certificates in FILE (PEM).",
     .take = options_take_text,
     .offset = offsetof(struct receipt_options, choice.ca_file)},
    {.name = "cafile", .argument = "FILE", .alias_of = "cacert"},
    {.name = "CAfile", .argument = "FILE", .alias_of = "cacert"},
    {.name = "capath",
     .argument = "FOLDER",
     .help = "Trust the CA certificates in FOLDER, prepared with `openssl rehash`.",
     .take = options_take_text,
     .offset = offsetof(struct receipt_options, choice.ca_path)},
    {.name = "crlfile",
     .argument = "FILE",
     .help = "Refuse a signer that this revocation list (PEM) names, whenever it signed.",
     .take = options_take_text,
     .offset = offsetof(struct receipt_options, choice.crl_file)},
    {.name = "servername",
     .argument = "NAME",
     .help = "The name that the signer's certificate must have.",
     .take = options_take_text,
     .offset = offsetof(struct receipt_options, choice.server_name)},
    {.name = "at",
     .argument = "WHEN",
     .default_text = "receipt",
     .help = "When the certificates must be valid: at the time that the receipt says, or now.",
     .take = receipt_take_at,
     .offset = offsetof(struct receipt_options, choice.at_now)},
    {.name = "", .help = "What it must be about"},
    {.name = "stream",
     .argument = "NAME",
     .help = "The receipt must be for the stream of this name.",
     .take = options_take_text,
     .offset = offsetof(struct receipt_options, stream)},
    {.name = "identity",
     .argument = "ID",
     .help = "The receipt must be for a stream of this sender, such as dns:sensor.example.",
     .apply = receipt_apply_identity},
    {.name = "message",
     .short_name = 'm',
     .argument = "TEXT",
     .help = "TEXT was a message of the stream. Repeatable; the first one is number 1.",
     .apply = receipt_apply_message},
    {.name = "file",
     .short_name = 'f',
     .argument = "FILE",
     .help = "The contents of FILE were a message of the stream. Repeatable.",
     .apply = receipt_apply_file},
    {.name = "lines",
     .short_name = 'l',
     .help = "Each line of INPUT was a message; of standard input, if INPUT is left out or -.",
     .take = options_take_switch,
     .offset = offsetof(struct receipt_options, messages.lines)},
    {.name = "", .help = "Output"},
    {.name = "json",
     .help = "Print one JSON object.",
     .take = options_take_switch,
     .offset = offsetof(struct receipt_options, json)},
    {.name = "quiet",
     .short_name = 'q',
     .help = "Print nothing when all is well.",
     .take = options_take_switch,
     .offset = offsetof(struct receipt_options, quiet)},
    {.name = "version",
     .short_name = 'V',
     .help = "Print the version and end.",
     .take = options_take_switch,
     .offset = offsetof(struct receipt_options, version)},
    {.name = "help",
     .help = "Print this text and end.",
     .take = options_take_switch,
     .offset = offsetof(struct receipt_options, help)},
    {.name = NULL},
};

void receipt_options_print_help(FILE *out)
{
    fputs(
        "Usage: certpost receipt verify [options] FILE [INPUT]\n"
        "       certpost receipt show [--json] FILE\n"
        "\n"
        "Checks a receipt: signature, chain, time and name of its signer; and, given all messages\n"
        "of the stream from the first on, that the receipt is for these. Or prints it.\n",
        out);
    options_print_help(receipt_specs, out);
    fputs("\n"
          "Exit status: 0 the receipt is good; 2 usage; 60 signature or signer; 74 the receipt or\n"
          "the input cannot be read; 76 it is for other messages; 77 the CA certificates.\n",
          out);
}

bool receipt_options_have_input(const struct receipt_options *options)
{
    return options->messages.source_count > 0 || options->messages.lines;
}

/* The operand INPUT: whole, it is one message more; with --lines, where the lines come from. */
static enum certpost_status receipt_take_input(struct receipt_options *options, const char *input,
                                               struct certpost_error *error)
{
    if (options->messages.source_count > 0)
        return error_set(error, CERTPOST_USAGE,
                         "messages are given by -m and -f, or by the operand INPUT, not by both");
    if (!options->messages.lines)
        return receipt_apply_file(options, input, error);
    options->input = input;
    return CERTPOST_OK;
}

static enum certpost_status receipt_take_operands(struct receipt_options *options, int argc,
                                                  char **argv, int first,
                                                  struct certpost_error *error)
{
    char safe[512];
    const char *verb = first < argc ? argv[first] : "";
    options->verify = strcmp(verb, "verify") == 0;
    if (!options->verify && strcmp(verb, "show") != 0)
        return error_set(error, CERTPOST_USAGE,
                         "write certpost receipt verify FILE or certpost receipt show FILE");
    int count = argc - first;
    if (count < 2)
        return error_set(error, CERTPOST_USAGE, "which receipt? give its file");
    options->file = argv[first + 1];
    if (count > (options->verify ? 3 : 2)) {
        text_escape(argv[argc - 1], strlen(argv[argc - 1]), safe, sizeof safe);
        return error_set(error, CERTPOST_USAGE, "%s is one operand too many", safe);
    }
    return count == 3 ? receipt_take_input(options, argv[first + 2], error) : CERTPOST_OK;
}

enum certpost_status receipt_options_parse(int argc, char **argv,
                                           struct receipt_options *ret_options,
                                           struct certpost_error *error)
{
    *ret_options = (struct receipt_options){0};
    int first = argc;
    enum certpost_status status =
        options_parse(receipt_specs, argc, argv, ret_options, &first, error);
    if (status != CERTPOST_OK || ret_options->help || ret_options->version)
        return status;
    if (ret_options->messages.lines && ret_options->messages.source_count > 0)
        return error_set(error, CERTPOST_USAGE, "--lines does not go together with -m or -f");
    status = receipt_take_operands(ret_options, argc, argv, first, error);
    if (status == CERTPOST_OK && !ret_options->verify && receipt_options_have_input(ret_options))
        status = error_set(error, CERTPOST_USAGE, "messages are for certpost receipt verify");
    return status;
}

void receipt_options_free(struct receipt_options *options)
{
    if (options != NULL)
        send_options_free(&options->messages);
}
