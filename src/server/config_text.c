/*
 * config_text.c — the lines of a configuration file (server/config_file.h).
 *
 * Uses: base/options.  Used by: config_file.c.
 * Never: opens a file; knows what a key means, which the table of options does.
 */
#include "base/error.h"
#include "base/text.h"
#include "server/config_file.h"

#include <string.h>

#define CONFIG_LISTENER_WORD "listener"

enum { CONFIG_SECTIONS_MAX = 32, CONFIG_SAFE_BYTES = 128 };

struct config_reader {
    struct server_config *config;
    struct config_place place;          /* of the line at work */
    const struct options_spec *section; /* the group's row; NULL: none has begun */
    size_t listener;                    /* as of config_entry */
};

/* Cuts white space off both ends, in place. */
static char *config_trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

/* ------------------------------------------------------------------------------ sections */

/* The section that is nearest to the first word of a name; NULL: none is near. */
static const char *config_nearest_section(const char *name)
{
    const char *names[CONFIG_SECTIONS_MAX + 2] = {CONFIG_LISTENER_WORD};
    char word[CONFIG_SAFE_BYTES];
    size_t count = 1;
    for (const struct options_spec *spec = config_options; spec->name != NULL; spec++) {
        if (spec->section != NULL && count <= CONFIG_SECTIONS_MAX)
            names[count++] = spec->section;
    }
    snprintf(word, sizeof word, "%.*s", (int)strcspn(name, " \t"), name);
    const char *nearest = text_nearest(word, names);
    return nearest == names[0] ? CONFIG_LISTENER_WORD " NAME" : nearest;
}

static enum certpost_status config_report_section(const char *name, struct certpost_error *error)
{
    char safe[CONFIG_SAFE_BYTES];
    text_escape(name, strlen(name), safe, sizeof safe);
    const char *nearest = config_nearest_section(name);
    if (nearest != NULL)
        return error_set(error, CERTPOST_USAGE, "unknown section [%s]; did you mean [%s]?", safe,
                         nearest);
    return error_set(error, CERTPOST_USAGE,
                     "unknown section [%s]; certpostd.conf(5) lists them all", safe);
}

static enum certpost_status config_begin_group(struct config_reader *reader, const char *name,
                                               struct certpost_error *error)
{
    for (const struct options_spec *spec = config_options; spec->name != NULL; spec++) {
        if (spec->section == NULL || strcmp(spec->section, name) != 0)
            continue;
        reader->section = spec;
        reader->listener = 0;
        return CERTPOST_OK;
    }
    return config_report_section(name, error);
}

static enum certpost_status config_begin_listener(struct config_reader *reader, const char *name,
                                                  struct certpost_error *error)
{
    struct config_listeners *listeners = &reader->config->listeners;
    if (*name == '\0')
        return error_set(error, CERTPOST_USAGE, "a listener has a name: [listener NAME]");
    enum certpost_status status = config_listeners_add(listeners, name, &reader->place, error);
    if (status == CERTPOST_OK)
        reader->listener = listeners->count;
    return status;
}

static enum certpost_status config_begin_section(struct config_reader *reader, char *line,
                                                 struct certpost_error *error)
{
    char *end = strchr(line, ']');
    if (end == NULL)
        return error_set(error, CERTPOST_USAGE, "the section's ] is missing");
    if (end[1] != '\0')
        return error_set(error, CERTPOST_USAGE, "nothing may follow the section's ]");
    *end = '\0';
    char *name = config_trim(line + 1);
    size_t word = strcspn(name, " \t");
    if (word == strlen(CONFIG_LISTENER_WORD) && strncmp(name, CONFIG_LISTENER_WORD, word) == 0)
        return config_begin_listener(reader, config_trim(name + word), error);
    return config_begin_group(reader, name, error);
}

/* ------------------------------------------------------------------------------ keys */

const struct options_spec *config_group_of(const struct options_spec *spec)
{
    while (spec->name[0] != '\0')
        spec--;
    return spec;
}

static enum certpost_status config_check_section(const struct config_reader *reader,
                                                 const struct options_spec *spec,
                                                 struct certpost_error *error)
{
    struct options_spec own;
    const struct options_spec *group = config_group_of(spec);
    bool fits = reader->listener != 0 ? config_listener_spec(spec, &own)
                                      : reader->section == NULL || reader->section == group;
    if (fits)
        return CERTPOST_OK;
    if (reader->listener != 0)
        return error_set(error, CERTPOST_USAGE,
                         "%s holds for all listeners; it belongs in [%s], or before all sections",
                         spec->name, group->section);
    return error_set(error, CERTPOST_USAGE,
                     "%s belongs in [%s], or before all sections, and not in [%s]", spec->name,
                     group->section, reader->section->section);
}

/* As a reader at `here` is told it. */
static void config_say_place(const struct config_place *place, const struct config_place *here,
                             char *text, size_t capacity)
{
    if (place->path == here->path)
        snprintf(text, capacity, "in line %u", place->line);
    else
        snprintf(text, capacity, "at %s:%u", place->path, place->line);
}

/* Options that may be given once are given once, in all files together. */
static enum certpost_status config_check_first(const struct config_reader *reader,
                                               const struct options_spec *spec,
                                               struct certpost_error *error)
{
    if (options_is_repeatable(spec))
        return CERTPOST_OK;
    const struct config_entry *first =
        config_entries_find(&reader->config->entries, spec, reader->listener);
    if (first == NULL)
        return CERTPOST_OK;
    char place[CERTPOST_ERROR_TEXT_BYTES];
    config_say_place(&first->place, &reader->place, place, sizeof place);
    return error_set(error, CERTPOST_USAGE, "%s is set already %s", spec->name, place);
}

/* print and no-print are two names of one thing, so what they say must be the same. */
static enum certpost_status config_set_key(struct server_config *config,
                                           const struct config_entry *entry,
                                           struct certpost_error *error)
{
    const struct config_entry *found = config_entries_find_twin(&config->entries, entry->spec);
    const struct config_entry twin = found != NULL ? *found : (struct config_entry){0};
    enum config_choice said = config->print_wish;
    enum certpost_status status = config_entries_set(config, entry, error);
    if (status != CERTPOST_OK || twin.spec == NULL || config->print_wish == said)
        return status;
    char place[CERTPOST_ERROR_TEXT_BYTES];
    config_say_place(&twin.place, &entry->place, place, sizeof place);
    return error_set(error, CERTPOST_USAGE, "%s = %s contradicts %s = %s %s", entry->spec->name,
                     entry->value, twin.spec->name, twin.value, place);
}

static enum certpost_status config_take_key(const struct config_reader *reader, char *line,
                                            struct certpost_error *error)
{
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return error_set(error, CERTPOST_USAGE, "a line is `key = value`");
    *equals = '\0';
    const char *key = config_trim(line);
    struct config_entry entry = {
        .value = config_trim(equals + 1), .place = reader->place, .listener = reader->listener};
    if (*key == '\0')
        return error_set(error, CERTPOST_USAGE, "there is no key in front of the =");
    enum certpost_status status = options_look_up(config_options, key, &entry.spec, error);
    if (status == CERTPOST_OK)
        status = config_check_section(reader, entry.spec, error);
    if (status == CERTPOST_OK)
        status = config_check_first(reader, entry.spec, error);
    if (status == CERTPOST_OK && *entry.value == '\0')
        status = error_set(error, CERTPOST_USAGE, "the value is empty");
    return status == CERTPOST_OK ? config_set_key(reader->config, &entry, error) : status;
}

/* ------------------------------------------------------------------------------ lines */

static enum certpost_status config_take_line(struct config_reader *reader, char *text,
                                             struct certpost_error *error)
{
    if (strlen(text) > CONFIG_LINE_MAX_BYTES)
        return error_set(error, CERTPOST_USAGE, "a line has at most %d bytes",
                         CONFIG_LINE_MAX_BYTES);
    char *line = config_trim(text);
    if (*line == '\0' || *line == '#' || *line == ';')
        return CERTPOST_OK;
    return *line == '[' ? config_begin_section(reader, line, error)
                        : config_take_key(reader, line, error);
}

/* Editors of some systems put one in front of a text. */
static char *config_skip_byte_order_mark(char *text)
{
    static const char mark[] = "\xef\xbb\xbf";
    return strncmp(text, mark, strlen(mark)) == 0 ? text + strlen(mark) : text;
}

enum certpost_status config_text_apply(struct server_config *config, struct certpost_error *error)
{
    struct config_file *file = &config->files.items[config->files.count - 1];
    struct config_reader reader = {.config = config, .place.path = file->path};
    enum certpost_status status = CERTPOST_OK;
    char *next = config_skip_byte_order_mark((char *)file->text.memory);
    const char *end = next + strlen(next);
    while (status == CERTPOST_OK && next != NULL) {
        struct certpost_error cause;
        certpost_error_clear(&cause);
        char *here = next;
        next = memchr(here, '\n', (size_t)(end - here));
        if (next != NULL)
            *next++ = '\0';
        reader.place.line++;
        status = config_take_line(&reader, here, &cause);
        if (status != CERTPOST_OK)
            (void)error_set(error, status, "%s:%u: %s", reader.place.path, reader.place.line,
                            certpost_error_text(&cause, status));
    }
    return status;
}
