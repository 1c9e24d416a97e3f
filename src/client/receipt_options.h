/* client/receipt_options.h — the command lines of `certpost receipt`. */
#ifndef CLIENT_RECEIPT_OPTIONS_H
#define CLIENT_RECEIPT_OPTIONS_H

#include "base/options.h"
#include "client/receipt_check.h"
#include "client/send_options.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* All strings are borrowed from argv. Free with receipt_options_free. */
struct receipt_options {
    bool verify; /* else: show */
    const char *file;
    struct receipt_choice choice;
    const char *stream;           /* that the receipt must be about; NULL: any */
    const char *identity;         /* likewise; "": of a sender without a certificate */
    const char *input;            /* with `lines`: the operand INPUT; NULL or "-": standard input */
    struct send_options messages; /* `sources` and `lines`, as `certpost send` has them */
    bool json;
    bool quiet;
    bool help;
    bool version;
};

/*
 * Reads the command line, `argv[0]` being "receipt", and checks that the options go together.
 * Errors: USAGE, NO_MEMORY. With `help` or `version` set nothing else is checked. Free the options
 * also after a failure.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_options_parse(int argc, char **argv,
                                           struct receipt_options *ret_options,
                                           struct certpost_error *error);
void receipt_options_free(struct receipt_options *options);

/* Whether there are messages to compare with. */
bool receipt_options_have_input(const struct receipt_options *options);

void receipt_options_print_help(FILE *out);

/* The options that fill in the member `choice` of `type`, for its table. */
#define RECEIPT_CHOICE_OPTIONS(type, cacert_help, servername_help)                                 \
    {.name = "cacert",                                                                             \
     .argument = "FILE",                                                                           \
     .default_text = "the system's CAs",                                                           \
     .help = (cacert_help),                                                                        \
     .take = options_take_text,                                                                    \
     .offset = offsetof(type, choice.ca_file)},                                                    \
        {.name = "cafile", .argument = "FILE", .alias_of = "cacert"},                              \
        {.name = "CAfile", .argument = "FILE", .alias_of = "cacert"},                              \
        {.name = "capath",                                                                         \
         .argument = "FOLDER",                                                                     \
         .help = "Trust the CA certificates in FOLDER, prepared with `openssl rehash`.",           \
         .take = options_take_text,                                                                \
         .offset = offsetof(type, choice.ca_path)},                                                \
        {.name = "crlfile",                                                                        \
         .argument = "FILE",                                                                       \
         .help = "Refuse a signer that this revocation list (PEM) names, whenever it signed.",     \
         .take = options_take_text,                                                                \
         .offset = offsetof(type, choice.crl_file)},                                               \
        {.name = "servername",                                                                     \
         .argument = "NAME",                                                                       \
         .help = (servername_help),                                                                \
         .take = options_take_text,                                                                \
         .offset = offsetof(type, choice.server_name)},                                            \
    {                                                                                              \
        .name = "at", .argument = "WHEN", .words = "receipt now", .default_text = "receipt",       \
        .help = "When the certificates must be valid: at the time that the receipt says, or now.", \
        .take = receipt_take_at, .offset = offsetof(type, choice.at_now)                           \
    }

/* --at, into a bool: receipt_choice.at_now. Errors: USAGE. */
CERTPOST_MUST_CHECK
enum certpost_status receipt_take_at(const struct options_spec *spec, void *field,
                                     const char *value, struct certpost_error *error);

#endif
