/* client/store_options.h — the command lines of `certpost read` and `certpost verify`. */
#ifndef CLIENT_STORE_OPTIONS_H
#define CLIENT_STORE_OPTIONS_H

#include "store/reader.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum read_format {
    READ_FORMAT_TEXT,
    READ_FORMAT_JSON,
    READ_FORMAT_RAW,
};

/* What tells messages apart in raw output. */
enum read_delimiter {
    READ_DELIMITER_NEWLINE, /* after each */
    READ_DELIMITER_NUL,     /* after each */
    READ_DELIMITER_LENGTH,  /* before each: 4 bytes, big-endian */
    READ_DELIMITER_NONE,
};

/* All strings are borrowed from argv. */
struct read_options {
    const char *store;
    struct reader_filter filter; /* NULL: any; an empty identity is that of senders without one */
    uint64_t first_seq;
    uint64_t last_seq; /* UINT64_MAX: no end */
    enum read_format format;
    enum read_delimiter delimiter;
    bool has_delimiter;
    bool list_streams;
    bool follow;
    bool help;
    bool version;
};

struct verify_options {
    const char *store;
    struct reader_filter filter;
    bool json;
    bool quiet;
    bool help;
    bool version;
};

/*
 * Read the command line, `argv[0]` being the subcommand, and check that the options go together.
 * Errors: USAGE, NO_MEMORY. With `help` or `version` set nothing else is checked.
 */
CERTPOST_MUST_CHECK
enum certpost_status read_options_parse(int argc, char **argv, struct read_options *ret_options,
                                        struct certpost_error *error);
CERTPOST_MUST_CHECK
enum certpost_status verify_options_parse(int argc, char **argv, struct verify_options *ret_options,
                                          struct certpost_error *error);

void read_options_print_help(FILE *out);
void verify_options_print_help(FILE *out);

#endif
