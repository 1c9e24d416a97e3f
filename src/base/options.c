/*
 * options.c — command-line options from one table (base/options.h).
 *
 * Uses: text, getopt_long(3).  Used by: the mains of certpostd and certpost.
 * Never: exits, or prints anything but the help it is asked for.
 */
#include "base/options.h"

#include "base/error.h"
#include "base/text.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* getopt values of long options start here, above every short option's letter. */
enum { OPTIONS_LONG_BASE = 256, OPTIONS_MAX = 128, OPTIONS_HELP_COLUMN = 30, OPTIONS_WIDTH = 80 };

/* Of the words of one option; tables are ours, so more than this is a defect of ours. */
enum { OPTIONS_WORDS_MAX = 16, OPTIONS_WORD_BYTES = 32 };

struct options_tables {
    struct option long_options[OPTIONS_MAX + 1];
    char short_options[2 * OPTIONS_MAX + 3];
    const char *names[OPTIONS_MAX + 1];
};

static int options_has_argument(const struct options_spec *spec)
{
    if (spec->argument == NULL)
        return no_argument;
    return spec->argument_is_optional ? optional_argument : required_argument;
}

static void options_build_tables(const struct options_spec *specs, struct options_tables *tables)
{
    size_t short_length = 0;
    size_t name_count = 0;
    /* A leading colon makes getopt tell a missing value from an unknown option. */
    tables->short_options[short_length++] = ':';
    for (size_t i = 0; specs[i].name != NULL && i < OPTIONS_MAX; i++) {
        if (specs[i].name[0] == '\0')
            continue;
        struct option *option = &tables->long_options[name_count];
        option->name = specs[i].name;
        option->has_arg = options_has_argument(&specs[i]);
        option->val = OPTIONS_LONG_BASE + (int)i;
        tables->names[name_count++] = specs[i].name;
        if (specs[i].short_name != 0) {
            tables->short_options[short_length++] = specs[i].short_name;
            if (specs[i].argument != NULL)
                tables->short_options[short_length++] = ':';
        }
    }
}

static const struct options_spec *options_by_name(const struct options_spec *specs,
                                                  const char *name)
{
    for (; specs->name != NULL; specs++) {
        if (strcmp(specs->name, name) == 0)
            return specs;
    }
    return NULL;
}

static const char *options_nearest_name(const struct options_spec *specs, const char *name)
{
    const char *names[OPTIONS_MAX + 1] = {NULL};
    size_t count = 0;
    for (; specs->name != NULL && count < OPTIONS_MAX; specs++) {
        if (specs->name[0] != '\0')
            names[count++] = specs->name;
    }
    return text_nearest(name, names);
}

static const struct options_spec *options_resolve_alias(const struct options_spec *specs,
                                                        const struct options_spec *spec)
{
    while (spec != NULL && spec->apply == NULL && spec->take == NULL && spec->alias_of != NULL)
        spec = options_by_name(specs, spec->alias_of);
    return spec;
}

/* The spec that getopt's value stands for, aliases followed; NULL if it is none of ours. */
static const struct options_spec *options_by_value(const struct options_spec *specs, int value)
{
    const struct options_spec *found = NULL;
    if (value >= OPTIONS_LONG_BASE) {
        found = &specs[value - OPTIONS_LONG_BASE];
    } else {
        for (size_t i = 0; specs[i].name != NULL && found == NULL; i++) {
            if (specs[i].short_name != 0 && specs[i].short_name == value)
                found = &specs[i];
        }
    }
    return options_resolve_alias(specs, found);
}

/* The full names that `abbreviation` could stand for, as text; false unless there are two or more.
 */
static bool options_list_ambiguous(const char *abbreviation, const char *const *names,
                                   char *ret_list, size_t capacity)
{
    size_t used = 0;
    size_t count = 0;
    ret_list[0] = '\0';
    for (; *names != NULL; names++) {
        if (strncmp(*names, abbreviation, strlen(abbreviation)) != 0)
            continue;
        int written =
            snprintf(ret_list + used, capacity - used, "%s--%s", count > 0 ? " or " : "", *names);
        used += (size_t)written < capacity - used ? (size_t)written : capacity - used - 1;
        count++;
    }
    return count >= 2;
}

static enum certpost_status options_report_unknown(const char *word, const char *const *names,
                                                   struct certpost_error *error)
{
    char name[64] = {0};
    char safe[4 * sizeof name];
    char could_be[256];
    /* What follows "=" is left out: it may be a secret. */
    size_t length = strcspn(word + 2, "=");
    memcpy(name, word + 2, length < sizeof name ? length : sizeof name - 1);
    text_escape(name, strlen(name), safe, sizeof safe);
    if (options_list_ambiguous(name, names, could_be, sizeof could_be))
        return error_set(error, CERTPOST_USAGE, "option --%s could be %s; spell it out", safe,
                         could_be);
    const char *nearest = text_nearest(name, names);
    if (nearest != NULL)
        return error_set(error, CERTPOST_USAGE, "unknown option --%s; did you mean --%s?", safe,
                         nearest);
    return error_set(error, CERTPOST_USAGE, "unknown option --%s; see --help", safe);
}

/*
 * Says what getopt_long did not like. `word` is the last word that getopt has passed: inside a
 * cluster of short options that is the word before it, so only a long option is looked up there.
 * optopt tells them apart: 0 for a long option that is unknown or ambiguous, the value of a long
 * one whose value is missing or too many, else the letter.
 */
static enum certpost_status options_report(const struct options_spec *specs, int reported,
                                           const char *word, const char *const *names,
                                           struct certpost_error *error)
{
    if (optopt == 0)
        return options_report_unknown(word, names, error);
    if (optopt >= OPTIONS_LONG_BASE) {
        const char *name = specs[optopt - OPTIONS_LONG_BASE].name;
        return reported == ':'
                   ? error_set(error, CERTPOST_USAGE, "option --%s needs a value; see --help", name)
                   : error_set(error, CERTPOST_USAGE, "option --%s takes no value", name);
    }
    char letter = (char)optopt;
    char safe[TEXT_ESCAPE_MAX + 1];
    text_escape(&letter, 1, safe, sizeof safe);
    return reported == ':'
               ? error_set(error, CERTPOST_USAGE, "option -%s needs a value; see --help", safe)
               : error_set(error, CERTPOST_USAGE, "unknown option -%s; see --help", safe);
}

/* The value that was probably meant, where there is a list of them. Numbers are no typing errors.
 */
static bool options_nearest_word(const struct options_spec *spec, const char *value,
                                 char ret_word[OPTIONS_WORD_BYTES])
{
    char words[OPTIONS_WORDS_MAX][OPTIONS_WORD_BYTES];
    const char *names[OPTIONS_WORDS_MAX + 1] = {NULL};
    size_t count = 0;
    for (const char *at = spec->words; at != NULL && *at != '\0' && count < OPTIONS_WORDS_MAX;) {
        size_t length = strcspn(at, " ");
        snprintf(words[count], sizeof words[count], "%.*s", (int)length, at);
        names[count] = words[count];
        count++;
        at += length;
        at += strspn(at, " ");
    }
    bool is_number = value[0] >= '0' && value[0] <= '9';
    const char *nearest = is_number ? NULL : text_nearest(value, names);
    if (nearest != NULL)
        snprintf(ret_word, OPTIONS_WORD_BYTES, "%s", nearest);
    return nearest != NULL;
}

enum certpost_status options_apply_value(const struct options_spec *spec, void *config,
                                         const char *value, struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status =
        spec->take != NULL ? spec->take(spec, (char *)config + spec->offset, value, &cause)
                           : spec->apply(config, value, &cause);
    if (status == CERTPOST_OK)
        return status;
    char near[OPTIONS_WORD_BYTES];
    bool suggests = status == CERTPOST_USAGE && options_nearest_word(spec, value, near);
    return error_set(error, status, "--%s: %s%s%s%s", spec->name,
                     certpost_error_text(&cause, status), suggests ? "; did you mean " : "",
                     suggests ? near : "", suggests ? "?" : "");
}

/* NULL: there is no such option for a file, and the error is recorded. */
static const struct options_spec *options_find_settable(const struct options_spec *specs,
                                                        const char *name,
                                                        struct certpost_error *error)
{
    const struct options_spec *spec =
        options_resolve_alias(specs, name[0] == '\0' ? NULL : options_by_name(specs, name));
    if (spec != NULL && !spec->command_line_only)
        return spec;
    char safe[128];
    text_escape(name, strlen(name), safe, sizeof safe);
    const char *nearest = spec == NULL ? options_nearest_name(specs, name) : NULL;
    if (spec != NULL)
        (void)error_set(error, CERTPOST_USAGE, "%s belongs on the command line", safe);
    else if (nearest != NULL)
        (void)error_set(error, CERTPOST_USAGE, "unknown key %s; did you mean %s?", safe, nearest);
    else
        (void)error_set(error, CERTPOST_USAGE, "unknown key %s; certpostd --help lists them all",
                        safe);
    return NULL;
}

enum certpost_status options_look_up(const struct options_spec *specs, const char *name,
                                     const struct options_spec **ret_spec,
                                     struct certpost_error *error)
{
    const struct options_spec *spec = options_find_settable(specs, name, error);
    if (spec == NULL)
        return CERTPOST_USAGE;
    *ret_spec = spec;
    return CERTPOST_OK;
}

enum certpost_status options_set(const struct options_spec *specs, void *config, const char *name,
                                 const char *value, struct certpost_error *error)
{
    const struct options_spec *spec = options_find_settable(specs, name, error);
    return spec == NULL ? CERTPOST_USAGE : options_apply_value(spec, config, value, error);
}

bool options_is_repeatable(const struct options_spec *spec)
{
    return spec->repeatable || spec->take == options_take_list;
}

enum certpost_status options_set_defaults(const struct options_spec *specs, void *config,
                                          struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (; specs->name != NULL && status == CERTPOST_OK; specs++) {
        if (specs->default_text != NULL && !options_is_repeatable(specs))
            status = options_apply_value(specs, config, specs->default_text, error);
    }
    return status;
}

enum certpost_status options_walk(const struct options_spec *specs, int argc, char **argv,
                                  options_visit visit, void *context, int *ret_first_operand,
                                  struct certpost_error *error)
{
    struct options_tables *tables = calloc(1, sizeof *tables);
    if (tables == NULL)
        return error_no_memory(error);
    options_build_tables(specs, tables);
    enum certpost_status status = CERTPOST_OK;
    optind = 0; /* glibc: start afresh, also after an earlier parse */
    opterr = 0;
    while (status == CERTPOST_OK) {
        int value = getopt_long(argc, argv, tables->short_options, tables->long_options, NULL);
        if (value == -1)
            break;
        const struct options_spec *spec = NULL;
        if (value != '?' && value != ':')
            spec = options_by_value(specs, value);
        if (spec == NULL)
            status = options_report(specs, value, argv[optind - 1], tables->names, error);
        else
            status = visit(context, spec, optarg == NULL ? "" : optarg, error);
    }
    if (status == CERTPOST_OK)
        *ret_first_operand = optind;
    free(tables);
    return status;
}

static enum certpost_status options_visit_apply(void *context, const struct options_spec *spec,
                                                const char *value, struct certpost_error *error)
{
    return options_apply_value(spec, context, value, error);
}

enum certpost_status options_parse(const struct options_spec *specs, int argc, char **argv,
                                   void *config, int *ret_first_operand,
                                   struct certpost_error *error)
{
    return options_walk(specs, argc, argv, options_visit_apply, config, ret_first_operand, error);
}

/* Prints `text` from column `column` on, broken at spaces so that lines stay within the width. */
static void options_print_wrapped(const char *text, int column, FILE *out)
{
    int at = column;
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        bool first = at == column;
        if (!first && at + 1 + word > OPTIONS_WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", word, text);
        at += word + (first ? 0 : 1);
        text += word;
        text += strspn(text, " ");
    }
}

static void options_print_one(const struct options_spec *spec, FILE *out)
{
    char left[96];
    char short_part[8] = "    ";
    if (spec->short_name != 0)
        snprintf(short_part, sizeof short_part, "-%c, ", spec->short_name);
    const char *argument = spec->argument != NULL ? spec->argument : "";
    const char *before = spec->argument_is_optional ? "[=" : spec->argument != NULL ? " " : "";
    int width = snprintf(left, sizeof left, "  %s--%s%s%s%s", short_part, spec->name, before,
                         argument, spec->argument_is_optional ? "]" : "");
    fprintf(out, "%s", left);
    if (width > OPTIONS_HELP_COLUMN - 2) {
        fputc('\n', out);
        width = 0;
    }
    fprintf(out, "%*s", OPTIONS_HELP_COLUMN - width, "");
    char text[512];
    if (spec->apply == NULL && spec->take == NULL && spec->alias_of != NULL)
        snprintf(text, sizeof text, "the same as --%s", spec->alias_of);
    else if (spec->default_text != NULL || spec->default_words != NULL)
        snprintf(text, sizeof text, "%s (default: %s)", spec->help,
                 spec->default_text != NULL ? spec->default_text : spec->default_words);
    else
        snprintf(text, sizeof text, "%s", spec->help);
    options_print_wrapped(text, OPTIONS_HELP_COLUMN, out);
    fputc('\n', out);
}

void options_print_help(const struct options_spec *specs, FILE *out)
{
    for (; specs->name != NULL; specs++) {
        if (specs->name[0] == '\0')
            fprintf(out, "\n%s:\n", specs->help);
        else
            options_print_one(specs, out);
    }
}
