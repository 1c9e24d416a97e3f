/*
 * bash.c — the completions of bash (completions/completions.h).
 *
 * They need nothing but bash itself. Three functions are tables; one, the same for each program,
 * looks things up in them.
 *
 * Uses: values.  Used by: main.c.  Never: writes what the shell could take for more than a word.
 */
#include "completions/completions.h"

/* The functions' names begin with _PROGRAM, which stands as @ in this text, but not in [@]. */
static const char bash_engine[] =
    "# Whether $1 and $2 are pieces of one value: readline cuts it at colons.\n"
    "_@_joins() {\n"
    "    [ \"$1\" != = ] && [ \"${1#-}\" = \"$1\" ] && [ -n \"$2\" ] &&\n"
    "        { [ -z \"${1//:/}\" ] || [ -z \"${2//:/}\" ]; }\n"
    "}\n"
    "\n"
    "# Completes $2 with the words of $1; @file, @folder, @host, @user and @any are what they "
    "say,\n"
    "# NAME: is only a beginning, and after NAME:@file a file follows.\n"
    "_@_reply() {\n"
    "    local word found cut= begun=\n"
    "    COMPREPLY=()\n"
    "    for word in $1; do\n"
    "        case $word in\n"
    "        @file | @folder)\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            while IFS= read -r found; do\n"
    "                COMPREPLY+=(\"$found\")\n"
    "            done < <(if [ \"$word\" = @file ]; then compgen -f -- \"$2\"; else compgen -d -- "
    "\"$2\"; fi)\n"
    "            ;;\n"
    "        @host) COMPREPLY+=($(compgen -A hostname -- \"$2\")) ;;\n"
    "        @user) COMPREPLY+=($(compgen -u -- \"$2\")) ;;\n"
    "        @any) ;;\n"
    "        *:@file)\n"
    "            word=${word%@file}\n"
    "            case $2 in\n"
    "            \"$word\"*)\n"
    "                compopt -o filenames 2>/dev/null\n"
    "                while IFS= read -r found; do\n"
    "                    COMPREPLY+=(\"$word$found\")\n"
    "                done < <(compgen -f -- \"${2#\"$word\"}\")\n"
    "                ;;\n"
    "            *) case $word in \"$2\"*) COMPREPLY+=(\"$word\") begun=1 ;; esac ;;\n"
    "            esac\n"
    "            ;;\n"
    "        \"$2\"*)\n"
    "            COMPREPLY+=(\"$word\")\n"
    "            [ \"${word%:}\" = \"$word\" ] || begun=1\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "    [ -z \"$begun\" ] || compopt -o nospace 2>/dev/null\n"
    "    # What readline has cut off is not to be typed again.\n"
    "    [[ $COMP_WORDBREAKS != *:* || $2 != *:* ]] || cut=${2%\"${2##*:}\"}\n"
    "    [ -z \"$cut\" ] || [ ${#COMPREPLY[@]} -eq 0 ] || "
    "COMPREPLY=(\"${COMPREPLY[@]#\"$cut\"}\")\n"
    "}\n"
    "\n"
    "_@() {\n"
    "    local at=$COMP_CWORD word=${COMP_WORDS[COMP_CWORD]} before command= takes\n"
    "    while [ \"$at\" -gt 1 ] && _@_joins \"${COMP_WORDS[at - 1]}\" \"${COMP_WORDS[at]}\"; do\n"
    "        at=$((at - 1))\n"
    "        word=${COMP_WORDS[at]}$word\n"
    "    done\n"
    "    before=${COMP_WORDS[at - 1]}\n"
    "    # --option=value comes as three words.\n"
    "    if [ \"$word\" = = ]; then\n"
    "        word=\n"
    "    elif [ \"$before\" = = ]; then\n"
    "        before=${COMP_WORDS[at - 2]}\n"
    "    fi\n"
    "    [ \"$(_@_operands '')\" != @commands ] || [ \"$COMP_CWORD\" -lt 2 ] || "
    "command=${COMP_WORDS[1]}\n"
    "    takes=$(_@_takes \"$command $before\")\n"
    "    if [ -n \"$takes\" ]; then\n"
    "        _@_reply \"$takes\" \"$word\"\n"
    "    elif [ \"${word#-}\" != \"$word\" ]; then\n"
    "        _@_reply \"$(_@_options \"$command\")\" \"$word\"\n"
    "    else\n"
    "        takes=$(_@_operands \"$command\")\n"
    "        [ \"$takes\" != @commands ] || takes=$(_@_commands)\n"
    "        _@_reply \"$takes\" \"$word\"\n"
    "    fi\n"
    "}\n"
    "complete -F _@ @\n";

static void bash_write_engine(const char *program, FILE *out)
{
    for (const char *next = bash_engine; *next != '\0'; next++) {
        bool is_kind = next[1] >= 'a' && next[1] <= 'z';
        bool is_name = next[0] == '@' && next[1] != ']' && !is_kind;
        if (is_name)
            fputs(program, out);
        else
            fputc(*next, out);
    }
}

/* ---- tables ---- */

static void bash_write_options(const struct completions_program *program, FILE *out)
{
    fprintf(out, "# The options of a command.\n_%s_options() {\n    case $1 in\n", program->name);
    if (program->has_subcommands)
        fprintf(out, "    '') echo '--help --version -V' ;;\n");
    for (const struct client_command *command = program->commands; command->name != NULL;
         command++) {
        const char *between = "";
        fprintf(out, "    '%s') echo '", command->name);
        for (const struct options_spec *spec = completions_next(command->options); spec != NULL;
             spec = completions_next(spec + 1)) {
            fprintf(out, "%s--%s", between, spec->name);
            if (spec->short_name != 0)
                fprintf(out, " -%c", spec->short_name);
            between = " ";
        }
        fprintf(out, "' ;;\n");
    }
    fprintf(out, "    esac\n}\n\n");
}

static void bash_write_value(const char *command, const struct options_spec *spec, FILE *out)
{
    static const char *const kinds[] = {
        [COMPLETIONS_NONE] = "", [COMPLETIONS_FILES] = "@file", [COMPLETIONS_FOLDERS] = "@folder"};
    const char *kind = kinds[completions_kind_of(spec)];
    bool has_both = spec->words != NULL && kind[0] != '\0';
    fprintf(out, "    '%s --%s'", command, spec->name);
    if (spec->short_name != 0)
        fprintf(out, " | '%s -%c'", command, spec->short_name);
    const char *words = spec->words != NULL ? spec->words : spec->hints;
    if (words == NULL && kind[0] == '\0')
        words = "@any";
    fprintf(out, ") echo '%s%s%s' ;;\n", words == NULL ? "" : words, has_both ? " " : "", kind);
}

static void bash_write_values(const struct completions_program *program, FILE *out)
{
    fprintf(
        out,
        "# What an option takes, given as COMMAND OPTION; nothing where it takes no value of its "
        "own.\n_%s_takes() {\n    case $1 in\n",
        program->name);
    for (const struct client_command *command = program->commands; command->name != NULL;
         command++) {
        for (const struct options_spec *spec = completions_next(command->options); spec != NULL;
             spec = completions_next(spec + 1)) {
            if (spec->argument != NULL && !spec->argument_is_optional)
                bash_write_value(command->name, spec, out);
        }
    }
    fprintf(out, "    esac\n}\n\n");
}

static void bash_write_operands(const struct completions_program *program, FILE *out)
{
    fprintf(out,
            "# What else may stand in the command line of a command.\n_%s_operands() {\n    "
            "case $1 in\n",
            program->name);
    if (program->has_subcommands)
        fprintf(out, "    '') echo @commands ;;\n");
    for (const struct client_command *command = program->commands; command->name != NULL;
         command++) {
        struct completions_operands operands = completions_operands_of(command);
        fprintf(out, "    '%s') echo '%.*s%s%s' ;;\n", command->name, operands.words_length,
                operands.words, operands.files ? "@file" : "", operands.hosts ? "@host" : "");
    }
    fprintf(out, "    esac\n}\n\n_%s_commands() {\n    echo '", program->name);
    for (const struct client_command *command = program->commands; command->name != NULL; command++)
        fprintf(out, "%s%s", command == program->commands ? "" : " ", command->name);
    fprintf(out, "'\n}\n\n");
}

void completions_write_bash(const struct completions_program *program, FILE *out)
{
    fprintf(out, "# bash completion of %s, made from the tables of its options.\n\n",
            program->name);
    bash_write_options(program, out);
    bash_write_values(program, out);
    bash_write_operands(program, out);
    bash_write_engine(program->name, out);
}
