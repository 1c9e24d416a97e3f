/*
 * values.c — what the writers of all shells ask about an option (completions/completions.h).
 *
 * Uses: base/options.  Used by: bash.c, zsh.c, fish.c.  Never: writes.
 */
#include "completions/completions.h"

#include <string.h>

static bool values_begin_with(const char *text, const char *begin)
{
    return text != NULL && strncmp(text, begin, strlen(begin)) == 0;
}

enum completions_kind completions_kind_of(const struct options_spec *spec)
{
    if (values_begin_with(spec->argument, "FILE"))
        return COMPLETIONS_FILES;
    return values_begin_with(spec->argument, "FOLDER") ? COMPLETIONS_FOLDERS : COMPLETIONS_NONE;
}

static bool values_is(const char *text, size_t length, const char *other)
{
    return strlen(other) == length && strncmp(text, other, length) == 0;
}

bool completions_next_hint(const char **next, enum completions_hint *ret_kind,
                           const char **ret_text, int *ret_length)
{
    static const char files[] = ":@file";
    if (*next == NULL || **next == '\0')
        return false;
    const char *text = *next;
    size_t length = strcspn(text, " ");
    *next = text + length + strspn(text + length, " ");
    size_t tail = sizeof files - 1;
    enum completions_hint kind = COMPLETIONS_WORD;
    if (values_is(text, length, "@host")) {
        kind = COMPLETIONS_HOSTS;
    } else if (values_is(text, length, "@user")) {
        kind = COMPLETIONS_USERS;
    } else if (length > tail && values_is(text + length - tail, tail, files)) {
        kind = COMPLETIONS_BEGINNING_FILES;
        length -= tail - 1;
    } else if (text[length - 1] == ':') {
        kind = COMPLETIONS_BEGINNING;
    }
    *ret_kind = kind;
    *ret_text = text;
    *ret_length = (int)length;
    return true;
}

struct completions_operands completions_operands_of(const struct client_command *command)
{
    const char *words = command->operands;
    const char *kind = words + strcspn(words, "FH");
    return (struct completions_operands){
        .words = words,
        .words_length = (int)(kind - words),
        .files = *kind == 'F',
        .hosts = *kind == 'H',
    };
}

const struct options_spec *completions_next(const struct options_spec *spec)
{
    while (spec->name != NULL && spec->name[0] == '\0')
        spec++;
    return spec->name == NULL ? NULL : spec;
}

/* Up to the first full stop, semicolon or colon that ends a thought. */
static size_t values_sentence_length(const char *help)
{
    size_t length = 0;
    while (help[length] != '\0') {
        bool ends = strchr(".;:", help[length]) != NULL;
        if (ends && (help[length + 1] == ' ' || help[length + 1] == '\0'))
            return length;
        length++;
    }
    return length;
}

void completions_help(const struct options_spec *spec, const char *escaped,
                      char ret_text[COMPLETIONS_HELP_BYTES])
{
    char alias[COMPLETIONS_HELP_BYTES];
    const char *help = spec->help;
    if (help == NULL) {
        snprintf(alias, sizeof alias, "the same as --%s", spec->alias_of);
        help = alias;
    }
    size_t length = values_sentence_length(help);
    size_t used = 0;
    for (size_t i = 0; i < length && used + 2 < COMPLETIONS_HELP_BYTES; i++) {
        if (strchr(escaped, help[i]) != NULL)
            ret_text[used++] = '\\';
        /* An apostrophe cannot stand in a quoted word of every shell in the same way. */
        ret_text[used++] = (char)(help[i] == '\'' ? '`' : help[i]);
    }
    ret_text[used] = '\0';
}
