/*
 * base/options.h — command-line options from one table.
 *
 * A program describes each option once; parsing, --help and the advice for a mistyped name all come
 * from that description. The parsing itself is getopt_long(3).
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Takes the value of an option ("" for a flag) into the program's configuration. On failure it
 * records what is wrong with the value; the name of the option is put in front by the parser.
 */
typedef enum certpost_status (*options_apply)(void *config, const char *value,
                                              struct certpost_error *error);

struct options_spec;

/*
 * The same for the usual kinds of values: fills the field that lies at `offset` in the program's
 * configuration. Those that there are come below.
 */
typedef enum certpost_status (*options_take)(const struct options_spec *spec, void *field,
                                             const char *value, struct certpost_error *error);

struct options_spec {
    const char *name;     /* without the dashes; NULL ends the table, "" starts a group in help */
    const char *section;  /* of a group: its section in a configuration file; NULL: none */
    char short_name;      /* 0: none */
    const char *argument; /* what help calls the value (FILE and FOLDER are what they say, also to
                           * completions); NULL for a flag */
    const char *words; /* all values there are, separated by spaces; NULL: there is no such list */
    const char *hints; /* to completions, instead of `words`, likewise: some values; NAME: for how
                        * one may begin, NAME:@file if a file follows; @host, @user; or NULL */
    bool argument_is_optional; /* --name or --name=value; "" stands for none */
    const char *default_text;  /* the default, which help shows; NULL for none */
    const char *default_words; /* instead: what help says of a default that is no fixed value */
    const char *help;          /* one sentence; for a group, its heading */
    options_apply apply;       /* code of its own; or */
    options_take take;         /* a usual kind, with */
    size_t offset;             /* its field in the configuration, and */
    uint64_t max;           /* its largest value (sizes, counts, durations in ms; bytes of text); */
    const char *alias_of;   /* or neither: another name for this option */
    bool command_line_only; /* a configuration file cannot set it */
    bool repeatable;        /* fills a list by a `take` of its own; options_take_list implies it */
    bool process_only;      /* is about the process; a server inside another program has it not */
};

/* A repeatable option: its values in order. The pointers are borrowed, the array is owned. */
struct options_list {
    const char **items;
    size_t count;
};

void options_list_free(struct options_list *list);

/* What `take` may be; the type of the field is in brackets. */
CERTPOST_MUST_CHECK
enum certpost_status
options_take_text(const struct options_spec *spec, void *field, const char *value,
                  struct certpost_error *error); /* [const char *]: borrowed, not empty */
CERTPOST_MUST_CHECK
enum certpost_status
options_take_any_text(const struct options_spec *spec, void *field, const char *value,
                      struct certpost_error *error); /* the same, and it may be empty */
CERTPOST_MUST_CHECK
enum certpost_status
options_take_list(const struct options_spec *spec, void *field, const char *value,
                  struct certpost_error *error); /* [struct options_list]: at most `max` values */
CERTPOST_MUST_CHECK
enum certpost_status
options_take_switch(const struct options_spec *spec, void *field, const char *value,
                    struct certpost_error *error); /* [bool]: "" and yes, or no */
CERTPOST_MUST_CHECK
enum certpost_status options_take_count(const struct options_spec *spec, void *field,
                                        const char *value,
                                        struct certpost_error *error); /* [size_t]: 1 to `max` */
CERTPOST_MUST_CHECK
enum certpost_status
options_take_size(const struct options_spec *spec, void *field, const char *value,
                  struct certpost_error *error); /* [size_t]: bytes, 1 to `max` */
CERTPOST_MUST_CHECK
enum certpost_status
options_take_duration(const struct options_spec *spec, void *field, const char *value,
                      struct certpost_error *error); /* [int64_t]: ms, 1 to `max` */

/*
 * The option that a configuration file means by `name`, aliases followed. Errors: USAGE for a name
 * that is unknown (with the nearest known one) or belongs to the command line only.
 */
CERTPOST_MUST_CHECK
enum certpost_status options_look_up(const struct options_spec *specs, const char *name,
                                     const struct options_spec **ret_spec,
                                     struct certpost_error *error);

/* Takes a value for the option. Errors: what taking it returns, the option's name in front. */
CERTPOST_MUST_CHECK
enum certpost_status options_apply_value(const struct options_spec *spec, void *config,
                                         const char *value, struct certpost_error *error);

/*
 * Takes every `default_text` of the table as if it had been given, but for options that are
 * repeatable: their values add up. For tables whose defaults are all values. Errors: as above,
 * which is a defect of the table.
 */
CERTPOST_MUST_CHECK
enum certpost_status options_set_defaults(const struct options_spec *specs, void *config,
                                          struct certpost_error *error);

/*
 * Sets one option by name, as a configuration file does; a flag takes yes or no. Errors: USAGE for
 * a name that is unknown (with the nearest known one) or belongs to the command line only, and what
 * taking the value returns.
 */
CERTPOST_MUST_CHECK
enum certpost_status options_set(const struct options_spec *specs, void *config, const char *name,
                                 const char *value, struct certpost_error *error);

/* True when the option may be given more than once. */
CERTPOST_MUST_CHECK
bool options_is_repeatable(const struct options_spec *spec);

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

/* What options_walk calls for each option; "" is the value of a flag. */
typedef enum certpost_status (*options_visit)(void *context, const struct options_spec *spec,
                                              const char *value, struct certpost_error *error);

/* The same, with a call for each option (aliases followed) in place of its apply function. */
CERTPOST_MUST_CHECK
enum certpost_status options_walk(const struct options_spec *specs, int argc, char **argv,
                                  options_visit visit, void *context, int *ret_first_operand,
                                  struct certpost_error *error);

/* Prints the table for people, aligned, within 80 columns where the names allow. */
void options_print_help(const struct options_spec *specs, FILE *out);

#endif
