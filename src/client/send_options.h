/* client/send_options.h — the command line of `certpost send`. */
#ifndef CLIENT_SEND_OPTIONS_H
#define CLIENT_SEND_OPTIONS_H

#include "base/text.h"
#include "tls/settings.h"

#include "certpost/error.h"

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

/* All strings are borrowed from argv or the environment. */
struct send_options {
    bool plain;
    enum plain_framing framing;
    struct send_source *sources; /* in the order of the command line */
    size_t source_count;
    bool lines; /* a message per line of standard input, instead of `sources` */

    char host[TEXT_HOST_BYTES]; /* "" until it is given */
    uint16_t port;              /* 0 until it is given */
    int64_t connect_timeout_ms; /* resolving, TCP and TLS handshake together */
    int64_t ack_timeout_ms;     /* each write, and each wait for a reply */

    const char *ca_file;
    const char *ca_path;
    const char *crl_file;
    const char *certificate_file;
    const char *key_file;
    const char *server_name; /* the host, unless it is given */
    const char *keylog_file;
    bool insecure;
    struct tls_settings tls;

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

void send_options_print_help(FILE *out);

#endif
