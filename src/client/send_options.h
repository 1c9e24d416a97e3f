/* client/send_options.h — the command line of `certpost send`. */
#ifndef CLIENT_SEND_OPTIONS_H
#define CLIENT_SEND_OPTIONS_H

#include "agent/config.h"

#include "certpost/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum plain_framing {
    PLAIN_FRAMING_CHUNK, /* what the server reads at once is one message */
    PLAIN_FRAMING_LINE,  /* a newline ends a message, and a reply */
};

enum send_source_kind {
    SEND_SOURCE_TEXT,
    SEND_SOURCE_FILE, /* "-" is standard input, read to its end */
};

/* One message that was asked for. */
struct send_source {
    enum send_source_kind kind;
    const char *value; /* the text or the path; borrowed from argv */
};

/* An option of the library as it was given. */
struct send_setting {
    const char *name;
    const char *value;
};

/* All strings are borrowed from argv or the environment. The options outlive the connection. */
struct send_options {
    bool plain;
    bool framing_given;
    enum plain_framing framing;
    struct send_source *sources; /* in the order of the command line */
    size_t source_count;
    bool lines; /* a message per line of standard input, instead of `sources` */

    /* The options that the library has: checked and with their defaults, and as they were given. */
    struct agent_config config;
    struct tls_pins pins; /* those of `config` */
    struct send_setting *settings;
    size_t setting_count;
    bool has_spool;
    bool resumes;
    char default_stream[CERTPOST_NAME_BYTES];

    bool json;
    bool quiet;
    bool verbose;
    bool help;
    bool version;
};

/*
 * Reads the command line, `argv[0]` being "send"; checks that the options go together, and fills in
 * the defaults. Free the options with send_options_free, also after a failure.
 *
 * Errors: USAGE, NO_MEMORY. With `help` or `version` set nothing else is checked.
 */
CERTPOST_MUST_CHECK
enum certpost_status send_options_parse(int argc, char **argv, struct send_options *ret_options,
                                        struct certpost_error *error);
void send_options_free(struct send_options *options);

/* Whether a message comes from standard input. */
bool send_options_read_standard_input(const struct send_options *options);

/*
 * Gives the library's options to a client that has not been started. With a spool the client never
 * gives up by itself: the caller does (client/send_give_up.h). Errors: USAGE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status send_options_configure(const struct send_options *options,
                                            struct certpost_client *client,
                                            struct certpost_error *error);

/*
 * The options --message and --file, also of other commands that take messages: add one more to the
 * sources of `config`, a struct send_options. Errors: USAGE (an empty name), NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status send_apply_message(void *config, const char *value,
                                        struct certpost_error *error);
CERTPOST_MUST_CHECK
enum certpost_status send_apply_file(void *config, const char *value, struct certpost_error *error);

void send_options_print_help(FILE *out);

#endif
