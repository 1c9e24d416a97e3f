/*
 * completions/completions.h — what a shell completes for certpost and certpostd, from the tables
 * that they parse their options with.
 *
 * A program here is a list of commands; certpostd has one, whose name is empty.
 */
#ifndef COMPLETIONS_COMPLETIONS_H
#define COMPLETIONS_COMPLETIONS_H

#include "client/commands.h"

#include <stdbool.h>
#include <stdio.h>

struct completions_program {
    const char *name;
    const struct client_command *commands; /* ended by a NULL name */
    bool has_subcommands;
};

/* Writes the file of one shell. Failures stay in the stream. */
void completions_write_bash(const struct completions_program *program, FILE *out);
void completions_write_zsh(const struct completions_program *program, FILE *out);
void completions_write_fish(const struct completions_program *program, FILE *out);

/* Of the values of an option: what kind there is besides the words of its row. */
enum completions_kind { COMPLETIONS_NONE, COMPLETIONS_FILES, COMPLETIONS_FOLDERS };

enum completions_kind completions_kind_of(const struct options_spec *spec);

/*
 * Goes through `hints` of an option: the next one and its kind. False at the end. `*next` begins as
 * the hints themselves, which may be NULL.
 */
enum completions_hint {
    COMPLETIONS_WORD,
    COMPLETIONS_BEGINNING,       /* NAME: */
    COMPLETIONS_BEGINNING_FILES, /* NAME:@file; the text is NAME: */
    COMPLETIONS_HOSTS,
    COMPLETIONS_USERS,
};
bool completions_next_hint(const char **next, enum completions_hint *ret_kind,
                           const char **ret_text, int *ret_length);

/* The operands of a command: words, and whether there are others. */
struct completions_operands {
    const char *words;
    int words_length; /* as printf takes it */
    bool files;
    bool hosts;
};

struct completions_operands completions_operands_of(const struct client_command *command);

/* Skips what is only a heading in the help; NULL at the end. */
const struct options_spec *completions_next(const struct options_spec *spec);

/*
 * The first sentence of the option's help, each character of `escaped` with a backslash before it.
 * `ret_text` has COMPLETIONS_HELP_BYTES.
 */
enum { COMPLETIONS_HELP_BYTES = 512 };
void completions_help(const struct options_spec *spec, const char *escaped,
                      char ret_text[COMPLETIONS_HELP_BYTES]);

#endif
