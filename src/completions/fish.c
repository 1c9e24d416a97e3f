/*
 * fish.c — the completions of fish (completions/completions.h).
 *
 * Uses: values.  Used by: main.c.  Never: offers files where there can be none.
 */
#include "completions/completions.h"

/* What fish runs when it completes; the files of PREFIX: are those after it in the word. */
static void fish_write_hints(const char *hints, FILE *out)
{
    enum completions_hint kind = COMPLETIONS_WORD;
    const char *text = NULL;
    int length = 0;
    fputs(" -a \"", out);
    for (const char *next = hints; completions_next_hint(&next, &kind, &text, &length);) {
        switch (kind) {
        case COMPLETIONS_WORD:
        case COMPLETIONS_BEGINNING:
            fprintf(out, "%.*s ", length, text);
            break;
        case COMPLETIONS_BEGINNING_FILES:
            fprintf(out,
                    "%.*s %.*s(__fish_complete_path (string replace -r '^(--[^=]*=)?(%.*s)?' '' -- "
                    "(commandline -ct))) ",
                    length, text, length, text, length, text);
            break;
        case COMPLETIONS_HOSTS:
            fputs("(__fish_print_hostnames) ", out);
            break;
        case COMPLETIONS_USERS:
            fputs("(__fish_complete_users) ", out);
            break;
        }
    }
    fputc('"', out);
}

static void fish_write_value(const struct options_spec *spec, FILE *out)
{
    if (spec->argument == NULL || spec->argument_is_optional)
        return;
    switch (completions_kind_of(spec)) {
    case COMPLETIONS_FILES:
        fputs(" -r -F", out);
        break;
    case COMPLETIONS_FOLDERS:
        fputs(" -x -a '(__fish_complete_directories)'", out);
        break;
    case COMPLETIONS_NONE:
        fputs(" -x", out);
        break;
    }
    if (spec->words != NULL)
        fprintf(out, " -a '%s'", spec->words);
    else if (spec->hints != NULL)
        fish_write_hints(spec->hints, out);
}

static void fish_write_option(const struct completions_program *program, const char *condition,
                              const struct options_spec *spec, FILE *out)
{
    char help[COMPLETIONS_HELP_BYTES];
    completions_help(spec, "\\", help);
    fprintf(out, "complete -c %s%s -l %s", program->name, condition, spec->name);
    if (spec->short_name != 0)
        fprintf(out, " -s %c", spec->short_name);
    fish_write_value(spec, out);
    fprintf(out, " -d '%s'\n", help);
}

static void fish_write_operands(const struct completions_program *program, const char *condition,
                                const struct client_command *command, FILE *out)
{
    struct completions_operands operands = completions_operands_of(command);
    if (operands.words_length > 0)
        fprintf(out, "complete -c %s%s -a '%.*s'\n", program->name, condition,
                operands.words_length, operands.words);
    if (operands.hosts)
        fprintf(out, "complete -c %s%s -a '(__fish_print_hostnames)'\n", program->name, condition);
    if (operands.files)
        fprintf(out, "complete -c %s%s -F\n", program->name, condition);
}

static void fish_write_command(const struct completions_program *program,
                               const struct client_command *command, FILE *out)
{
    char condition[64] = "";
    if (program->has_subcommands)
        snprintf(condition, sizeof condition, " -n '__%s_is %s'", program->name, command->name);
    fish_write_operands(program, condition, command, out);
    for (const struct options_spec *spec = completions_next(command->options); spec != NULL;
         spec = completions_next(spec + 1))
        fish_write_option(program, condition, spec, out);
}

static void fish_write_subcommands(const struct completions_program *program, FILE *out)
{
    const char *name = program->name;
    fprintf(out,
            "# The first word decides: verify is a command, and a word of another one.\n"
            "function __%s_is\n"
            "    set -l words (commandline -opc)\n"
            "    test (count $words) -ge 2; and test \"$words[2]\" = \"$argv[1]\"\n"
            "end\n\n"
            "function __%s_begins\n"
            "    test (count (commandline -opc)) -eq 1\n"
            "end\n\n",
            name, name);
    for (const struct client_command *command = program->commands; command->name != NULL; command++)
        fprintf(out, "complete -c %s -n __%s_begins -a %s -d \"%s\"\n", name, name, command->name,
                command->help);
    fprintf(out, "complete -c %s -n __%s_begins -l help -d 'Print all commands and end'\n", name,
            name);
    fprintf(out, "complete -c %s -n __%s_begins -l version -s V -d 'Print the version and end'\n",
            name, name);
}

void completions_write_fish(const struct completions_program *program, FILE *out)
{
    fprintf(out, "# fish completion of %s, made from the tables of its options.\n\n",
            program->name);
    fprintf(out, "complete -c %s -f\n", program->name);
    if (program->has_subcommands)
        fish_write_subcommands(program, out);
    for (const struct client_command *command = program->commands; command->name != NULL; command++)
        fish_write_command(program, command, out);
}
