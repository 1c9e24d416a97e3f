/*
 * store_options.c — the command lines of `certpost read` and `certpost verify`
 * (client/store_options.h).
 *
 * Uses: base/options.  Used by: read.c, verify.c.  Never: opens the store.
 */
#include "client/store_options.h"

#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "client/commands.h"
#include "client/receipt_options.h"

#include <stddef.h>
#include <string.h>

static enum certpost_status read_take_seq(const struct options_spec *spec, void *field,
                                          const char *value, struct certpost_error *error)
{
    (void)spec;
    uint64_t seq = 0;
    if (!text_parse_u64(value, INT64_MAX, &seq) || seq == 0)
        return error_set(error, CERTPOST_USAGE, "write the number of a message, 1 or more");
    *(uint64_t *)field = seq;
    return CERTPOST_OK;
}

/* The index of `value` in `names`, which NULL ends. */
static enum certpost_status read_choose(const char *value, const char *const *names,
                                        const char *advice, size_t *ret_index,
                                        struct certpost_error *error)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], value) == 0) {
            *ret_index = i;
            return CERTPOST_OK;
        }
    }
    return error_set(error, CERTPOST_USAGE, "write %s", advice);
}

static enum certpost_status read_apply_format(void *config, const char *value,
                                              struct certpost_error *error)
{
    static const char *const names[] = {
        [READ_FORMAT_TEXT] = "text", [READ_FORMAT_JSON] = "json", [READ_FORMAT_RAW] = "raw", NULL};
    size_t index = 0;
    enum certpost_status status = read_choose(value, names, "text, json or raw", &index, error);
    if (status == CERTPOST_OK)
        ((struct read_options *)config)->format = (enum read_format)index;
    return status;
}

static enum certpost_status read_apply_delimiter(void *config, const char *value,
                                                 struct certpost_error *error)
{
    static const char *const names[] = {[READ_DELIMITER_NEWLINE] = "newline",
                                        [READ_DELIMITER_NUL] = "nul",
                                        [READ_DELIMITER_LENGTH] = "length",
                                        [READ_DELIMITER_NONE] = "none",
                                        NULL};
    struct read_options *options = config;
    size_t index = 0;
    enum certpost_status status =
        read_choose(value, names, "newline, nul, length or none", &index, error);
    if (status != CERTPOST_OK)
        return status;
    options->delimiter = (enum read_delimiter)index;
    options->has_delimiter = true;
    return status;
}

#define STORE_CHOICE_OPTIONS(type)                                                                 \
    {.name = "", .help = "Which streams"},                                                         \
        {.name = "stream",                                                                         \
         .short_name = 's',                                                                        \
         .argument = "NAME",                                                                       \
         .default_text = "all",                                                                    \
         .help = "Only streams of this name.",                                                     \
         .take = options_take_any_text,                                                            \
         .offset = offsetof(type, filter.name),                                                    \
         .max = STORE_KEY_PART_MAX_BYTES},                                                         \
    {                                                                                              \
        .name = "identity", .short_name = 'i', .argument = "ID", .default_text = "all",            \
        .help = "Only streams of this identity, as in dns:sensor-7.example; an empty one is that " \
                "of senders without a certificate.",                                               \
        .take = options_take_any_text, .offset = offsetof(type, filter.identity),                  \
        .max = STORE_KEY_PART_MAX_BYTES                                                            \
    }

#define STORE_LAST_OPTIONS(type)                                                                   \
    {.name = "version",                                                                            \
     .short_name = 'V',                                                                            \
     .help = "Print the version and end.",                                                         \
     .take = options_take_switch,                                                                  \
     .offset = offsetof(type, version)},                                                           \
        {.name = "help",                                                                           \
         .help = "Print this text and end.",                                                       \
         .take = options_take_switch,                                                              \
         .offset = offsetof(type, help)},                                                          \
    {                                                                                              \
        .name = NULL                                                                               \
    }

const struct options_spec read_specs[] = {
    STORE_CHOICE_OPTIONS(struct read_options),
    {.name = "", .help = "Which messages"},
    {.name = "from",
     .argument = "NUMBER",
     .default_text = "1",
     .help = "Begin with this number, of each stream.",
     .take = read_take_seq,
     .offset = offsetof(struct read_options, first_seq)},
    {.name = "to",
     .argument = "NUMBER",
     .default_text = "the last",
     .help = "End with this number, of each stream.",
     .take = read_take_seq,
     .offset = offsetof(struct read_options, last_seq)},
    {.name = "follow",
     .short_name = 'f',
     .help = "Go on with what the server stores from now on, until interrupted.",
     .take = options_take_switch,
     .offset = offsetof(struct read_options, follow)},
    {.name = "", .help = "Output"},
    {.name = "streams",
     .help = "List the streams instead of messages.",
     .take = options_take_switch,
     .offset = offsetof(struct read_options, list_streams)},
    {.name = "format",
     .argument = "FORMAT",
     .words = "text json raw",
     .default_text = "text",
     .help = "text: a line of fields, separated by tabs, escaped; json: an object a line; raw: the "
             "bytes alone.",
     .apply = read_apply_format},
    {.name = "delimiter",
     .argument = "HOW",
     .words = "newline nul length none",
     .default_text = "newline",
     .help =
         "For raw: newline or nul after each message, length (4 bytes, big-endian) before each, "
         "or none.",
     .apply = read_apply_delimiter},
    STORE_LAST_OPTIONS(struct read_options),
};

const struct options_spec verify_specs[] = {
    STORE_CHOICE_OPTIONS(struct verify_options),
    {.name = "", .help = "A receipt"},
    {.name = "receipt",
     .argument = "FILE",
     .help = "Compare the store with this receipt, after checking its signature, and with nothing "
             "else.",
     .take = options_take_text,
     .offset = offsetof(struct verify_options, receipt)},
    RECEIPT_CHOICE_OPTIONS(struct verify_options,
                           "Trust the CA certificates in FILE (PEM) for the receipt's signature.",
                           "The name that the certificate of the receipt's signer must have."),
    {.name = "", .help = "Output"},
    {.name = "json",
     .help = "Faults as a JSON object a line, and the sums as a last one.",
     .take = options_take_switch,
     .offset = offsetof(struct verify_options, json)},
    {.name = "quiet",
     .short_name = 'q',
     .help = "Do not print the sums on standard error.",
     .take = options_take_switch,
     .offset = offsetof(struct verify_options, quiet)},
    STORE_LAST_OPTIONS(struct verify_options),
};

void read_options_print_help(FILE *out)
{
    fputs("Usage: certpost read [options] STORE\n"
          "\n"
          "Prints the messages of a store: those of one stream in its order, those of several\n"
          "in the order in which they arrived. The server may be writing it.\n",
          out);
    options_print_help(read_specs, out);
    fputs("\n"
          "Exit status: 0 done, 2 usage or no such stream, 70 defect of certpost, 74 the store\n"
          "cannot be read or standard output cannot be written.\n",
          out);
}

void verify_options_print_help(FILE *out)
{
    fputs("Usage: certpost verify [options] STORE\n"
          "\n"
          "Computes every digest of a store again, compares it with what was acknowledged, and\n"
          "prints a line for each fault. The server may be writing it.\n",
          out);
    options_print_help(verify_specs, out);
    fputs("\n"
          "Exit status: 0 all agree, 2 usage or no such stream, 60 the receipt's signature or\n"
          "signer, 70 defect of certpost, 74 the store or the receipt cannot be read, 76 at least\n"
          "one fault, 77 the CA certificates.\n",
          out);
}

static enum certpost_status store_take_operand(int argc, char **argv, int first,
                                               const char **ret_store, struct certpost_error *error)
{
    if (first == argc)
        return error_set(error, CERTPOST_USAGE, "which store? give its file");
    if (argc - first > 1) {
        char safe[512];
        text_escape(argv[first + 1], strlen(argv[first + 1]), safe, sizeof safe);
        return error_set(error, CERTPOST_USAGE, "%s is one operand too many: one store at a time",
                         safe);
    }
    *ret_store = argv[first];
    return CERTPOST_OK;
}

static enum certpost_status read_check(const struct read_options *options,
                                       struct certpost_error *error)
{
    const char *wrong = NULL;
    if (options->first_seq > options->last_seq)
        wrong = "--from is behind --to";
    else if (options->has_delimiter && options->format != READ_FORMAT_RAW)
        wrong = "--delimiter is for --format raw";
    else if (options->list_streams && options->format == READ_FORMAT_RAW)
        wrong = "--streams has no raw form; use text or json";
    else if (options->list_streams && options->follow)
        wrong = "--streams and --follow do not go together";
    return wrong == NULL ? CERTPOST_OK : error_set(error, CERTPOST_USAGE, "%s", wrong);
}

enum certpost_status read_options_parse(int argc, char **argv, struct read_options *ret_options,
                                        struct certpost_error *error)
{
    *ret_options = (struct read_options){.first_seq = 1, .last_seq = UINT64_MAX};
    int first = argc;
    enum certpost_status status = options_parse(read_specs, argc, argv, ret_options, &first, error);
    if (status != CERTPOST_OK || ret_options->help || ret_options->version)
        return status;
    status = store_take_operand(argc, argv, first, &ret_options->store, error);
    return status == CERTPOST_OK ? read_check(ret_options, error) : status;
}

static enum certpost_status verify_check(const struct verify_options *options,
                                         struct certpost_error *error)
{
    bool chooses = options->filter.identity != NULL || options->filter.name != NULL;
    bool trusts = options->choice.ca_file != NULL || options->choice.ca_path != NULL ||
                  options->choice.server_name != NULL || options->choice.crl_file != NULL ||
                  options->choice.at_now;
    const char *wrong = NULL;
    if (options->receipt != NULL && chooses)
        wrong = "--receipt names its stream itself: give no --stream or --identity";
    else if (options->receipt == NULL && trusts)
        wrong = "--cacert, --capath, --crlfile, --servername and --at are for --receipt";
    return wrong == NULL ? CERTPOST_OK : error_set(error, CERTPOST_USAGE, "%s", wrong);
}

enum certpost_status verify_options_parse(int argc, char **argv, struct verify_options *ret_options,
                                          struct certpost_error *error)
{
    *ret_options = (struct verify_options){0};
    int first = argc;
    enum certpost_status status =
        options_parse(verify_specs, argc, argv, ret_options, &first, error);
    if (status != CERTPOST_OK || ret_options->help || ret_options->version)
        return status;
    status = store_take_operand(argc, argv, first, &ret_options->store, error);
    return status == CERTPOST_OK ? verify_check(ret_options, error) : status;
}
