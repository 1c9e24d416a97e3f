/*
 * zsh.c — the completions of zsh (completions/completions.h).
 *
 * Uses: values.  Used by: main.c.  Never: relies on an option of the user's zsh.
 */
#include "completions/completions.h"

#include <string.h>

/* Hints as base/options.h has them; PROGRAM stands as %s. */
static const char zsh_values[] = "_%s_values() {\n"
                                 "  local word\n"
                                 "  for word in $@; do\n"
                                 "    case $word in\n"
                                 "    @host) _hosts ;;\n"
                                 "    @user) _users ;;\n"
                                 "    *:@file)\n"
                                 "      word=${word%%@file}\n"
                                 "      if compset -P $word; then _files; return; fi\n"
                                 "      compadd -S '' -- $word\n"
                                 "      ;;\n"
                                 "    *:) compadd -S '' -- $word ;;\n"
                                 "    *) compadd -- $word ;;\n"
                                 "    esac\n"
                                 "  done\n"
                                 "}\n\n";

/* In an action, a colon would end it. */
static void zsh_write_hints(const char *program, const char *hints, FILE *out)
{
    fprintf(out, "{_%s_values ", program);
    for (const char *next = hints; *next != '\0'; next++)
        fprintf(out, "%s%c", *next == ':' ? "\\" : "", *next);
    fputc('}', out);
}

static void zsh_write_action(const char *program, const struct options_spec *spec, FILE *out)
{
    static const char *const kinds[] = {[COMPLETIONS_NONE] = "",
                                        [COMPLETIONS_FILES] = "_files",
                                        [COMPLETIONS_FOLDERS] = "_files -/"};
    const char *kind = kinds[completions_kind_of(spec)];
    if (spec->words == NULL && spec->hints != NULL)
        zsh_write_hints(program, spec->hints, out);
    else if (spec->words == NULL)
        fprintf(out, "%s", kind[0] == '\0' ? " " : kind);
    else if (kind[0] == '\0')
        fprintf(out, "(%s)", spec->words);
    else
        fprintf(out, "{compadd %s; %s}", spec->words, kind);
}

/* The value: "+" and "=" take it in the same word or in the next, "=-" in the same one only. */
static void zsh_write_option(const char *program, const struct options_spec *spec, bool is_short,
                             FILE *out)
{
    char help[COMPLETIONS_HELP_BYTES];
    completions_help(spec, "[]\\", help);
    if (is_short)
        fprintf(out, " \\\n    '*-%c%s[%s]", spec->short_name, spec->argument != NULL ? "+" : "",
                help);
    else
        fprintf(out, " \\\n    '*--%s%s[%s]", spec->name,
                spec->argument == NULL       ? ""
                : spec->argument_is_optional ? "=-"
                                             : "=",
                help);
    if (spec->argument != NULL) {
        const char *bar = strchr(spec->argument, '|');
        fprintf(out, "%s:%.*s:", spec->argument_is_optional ? ":" : "",
                (int)(bar == NULL ? strcspn(spec->argument, ":") : (size_t)(bar - spec->argument)),
                spec->argument);
        zsh_write_action(program, spec, out);
    }
    fputc('\'', out);
}

/* No row for operands that there cannot be: it would only keep zsh from inserting an option. */
static void zsh_write_operands(const struct client_command *command, FILE *out)
{
    struct completions_operands operands = completions_operands_of(command);
    if (operands.words_length > 0)
        fprintf(out, " \\\n    '1:what:(%.*s)'", operands.words_length, operands.words);
    if (operands.files)
        fprintf(out, " \\\n    '*:file:_files'");
    if (operands.hosts)
        fprintf(out, " \\\n    '*:host:_hosts'");
}

static void zsh_write_arguments(const char *program, const struct client_command *command,
                                FILE *out)
{
    fprintf(out, "  _arguments -s");
    for (const struct options_spec *spec = completions_next(command->options); spec != NULL;
         spec = completions_next(spec + 1)) {
        zsh_write_option(program, spec, false, out);
        if (spec->short_name != 0)
            zsh_write_option(program, spec, true, out);
    }
    zsh_write_operands(command, out);
    fputc('\n', out);
}

static void zsh_write_subcommands(const struct completions_program *program, FILE *out)
{
    for (const struct client_command *command = program->commands; command->name != NULL;
         command++) {
        fprintf(out, "_%s_%s() {\n", program->name, command->name);
        zsh_write_arguments(program->name, command, out);
        fprintf(out, "}\n\n");
    }
    fprintf(out,
            "_%s() {\n"
            "  local context state state_descr line\n"
            "  typeset -A opt_args\n"
            "  local -a commands\n"
            "  commands=(\n",
            program->name);
    for (const struct client_command *command = program->commands; command->name != NULL; command++)
        fprintf(out, "    \"%s:%s\"\n", command->name, command->help);
    fprintf(out,
            "  )\n"
            "  _arguments -C '(- *)--help[Print all commands and end]' \\\n"
            "    '(- *)--version[Print the version and end]' '(- *)-V[Print the version and end]' "
            "\\\n"
            "    '1:command:->command' '*::argument:->arguments' && return\n"
            "  case $state in\n"
            "  command) _describe command commands ;;\n"
            "  arguments) (( $+functions[_%s_$words[1]] )) && _%s_$words[1] ;;\n"
            "  esac\n"
            "}\n\n",
            program->name, program->name);
}

void completions_write_zsh(const struct completions_program *program, FILE *out)
{
    fprintf(out, "#compdef %s\n# zsh completion of %s, made from the tables of its options.\n\n",
            program->name, program->name);
    fprintf(out, zsh_values, program->name);
    if (program->has_subcommands) {
        zsh_write_subcommands(program, out);
    } else {
        fprintf(out, "_%s() {\n", program->name);
        zsh_write_arguments(program->name, program->commands, out);
        fprintf(out, "}\n\n");
    }
    fprintf(out, "_%s \"$@\"\n", program->name);
}
