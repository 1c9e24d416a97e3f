/*
 * base/options.h — command-line options from one table.
 *
 * A program describes each option once; parsing, --help and the advice for a mistyped name all come
 * from that description. The parsing itself is getopt_long(3).
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "certpost/error.h"

#include <stdio.h>

/*
 * Takes the value of an option ("" for a flag) into the program's configuration. On failure it
 * records what is wrong with the value; the name of the option is put in front by the parser.
 */
typedef enum certpost_status (*options_apply)(void *config, const char *value,
                                              struct certpost_error *error);

struct options_spec {
    const char *name;     /* without the dashes; NULL ends the table, "" starts a group in help */
    char short_name;      /* 0: none */
    const char *argument; /* what help calls the value; NULL for a flag */
    const char *default_text; /* what help shows as the default; NULL for none */
    const char *help;         /* one sentence; for a group, its heading */
    options_apply apply;      /* NULL: an alias, `name` of the real option is in `alias_of` */
    const char *alias_of;
};

/*
 * Applies every option of `argv` to `config` and moves the operands to the end, as getopt_long
 * does;
 * `*ret_first_operand` is the index of the first. Stops at the first error, CERTPOST_USAGE or what
 * the apply function returned. `argv` must outlive `config` if apply functions keep the pointers.
 * Not re-entrant (getopt's state is global): call it before threads start.
 */
CERTPOST_MUST_CHECK
enum certpost_status options_parse(const struct options_spec *specs, int argc, char **argv,
                                   void *config, int *ret_first_operand,
                                   struct certpost_error *error);

/* Prints the table for people, aligned, within 80 columns where the names allow. */
void options_print_help(const struct options_spec *specs, FILE *out);

#endif
