/* client/check_options.h — the command line of `certpost check`. */
#ifndef CLIENT_CHECK_OPTIONS_H
#define CLIENT_CHECK_OPTIONS_H

#include "agent/config.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* All strings are borrowed from argv or the environment. Free with check_options_free. */
struct check_options {
    struct agent_config config; /* of exactly one server */
    struct tls_pins pins;       /* those of `config` */
    int64_t expiry_warning_ms;  /* a certificate that ends sooner is worth a warning */
    bool strict;                /* a warning counts like a failure */
    bool json;
    bool quiet;
    bool help;
    bool version;
};

/*
 * Reads the command line, `argv[0]` being "check", and fills in the defaults. Errors: USAGE,
 * NO_MEMORY. With `help` or `version` set nothing else is checked. Free the options also after a
 * failure.
 */
CERTPOST_MUST_CHECK
enum certpost_status check_options_parse(int argc, char **argv, struct check_options *ret_options,
                                         struct certpost_error *error);
void check_options_free(struct check_options *options);

void check_options_print_help(FILE *out);

#endif
