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
#include "client/commands.h"

#include <string.h>

static enum certpost_status receipt_apply_message(void *config, const char *value,
                                                  struct certpost_error *error)
{
    return send_apply_message(&((struct receipt_options *)config)->messages, value, error);
}

static enum certpost_status receipt_apply_file(void *config, const char *value,
                                               struct certpost_error *error)
{
    return send_apply_file(&((struct receipt_options *)config)->messages, value, error);
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

const struct options_spec receipt_specs[] = {
    {.name = "", .help = "Whom to believe"},
    RECEIPT_CHOICE_OPTIONS(struct receipt_options, "Trust the CA certificates in FILE (PEM).",
                           "The name that the signer's certificate must have."),
    {.name = "", .help = "What it must be about"},
    {.name = "stream",
     .argument = "NAME",
     .help = "The receipt must be for the stream of this name.",
     .take = options_take_text,
     .offset = offsetof(struct receipt_options, stream)},
    {.name = "identity",
     .argument = "ID",
     .help = "The receipt must be for a stream of this sender, such as dns:sensor.example.",
     .take = options_take_any_text,
     .offset = offsetof(struct receipt_options, identity)},
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
