/*
 * config_print.c — a configuration as the file that says it (server/config.h).
 *
 * Uses: base/options, config_file.  Used by: main.c.
 * Never: prints what a file would read as something else.
 *
 * What was set is printed as it was written, what was not set from the table's default, which is
 * what is in force: defaults are taken from there. Where each value comes from stands in a comment
 * above it, because a value goes to the end of its line.
 */
#include "base/error.h"
#include "base/text.h"
#include "server/config_file.h"

#include "certpost/version.h"

#include <string.h>

enum { CONFIG_SAFE_PATH_BYTES = 4096 };

/* ------------------------------------------------------------------------------ lines */

static void config_print_path(const char *path, FILE *out)
{
    char safe[CONFIG_SAFE_PATH_BYTES];
    text_escape(path, strlen(path), safe, sizeof safe);
    fputs(safe, out);
}

static void config_print_line(const struct options_spec *spec, const char *value, FILE *out)
{
    fprintf(out, "%s = %s\n", spec->name, *value == '\0' ? "yes" : value);
}

static void config_print_default(const struct options_spec *spec, const char *value, FILE *out)
{
    fprintf(out, "# default%s%s\n", spec->default_words != NULL ? ": " : "",
            spec->default_words != NULL ? spec->default_words : "");
    config_print_line(spec, value, out);
}

static void config_print_unset(const struct options_spec *spec, FILE *out)
{
    fprintf(out, "# %s is not set%s%s\n", spec->name, spec->default_words != NULL ? ": " : "",
            spec->default_words != NULL ? spec->default_words : "");
}

static void config_print_entry(const struct config_entry *entry, const char *remark, FILE *out)
{
    fprintf(out, "# %s", remark);
    if (entry->place.path == NULL) {
        fputs("command line\n", out);
    } else {
        config_print_path(entry->place.path, out);
        fprintf(out, ":%u\n", entry->place.line);
    }
    config_print_line(entry->spec, entry->value, out);
}

/* ------------------------------------------------------------------------------ options */

/* All values of a repeatable option, in order. */
static bool config_print_list(const struct server_config *config, const struct options_spec *spec,
                              size_t listener, const char *remark, FILE *out)
{
    bool any = false;
    for (size_t i = 0; i < config->entries.count; i++) {
        const struct config_entry *entry = &config->entries.items[i];
        if (entry->spec != spec || entry->listener != listener)
            continue;
        config_print_entry(entry, remark, out);
        any = true;
    }
    return any;
}

/* Two options that set one field, as print and no-print, are one: what was said last holds. */
static const struct config_entry *config_find_last(const struct server_config *config,
                                                   const struct options_spec *spec)
{
    for (size_t i = config->entries.count; i > 0; i--) {
        const struct config_entry *entry = &config->entries.items[i - 1];
        if (entry->listener == 0 && entry->spec->take != NULL &&
            entry->spec->offset == spec->offset)
            return entry;
    }
    return NULL;
}

static bool config_is_second_name(const struct options_spec *spec)
{
    for (const struct options_spec *at = spec - 1; at->name[0] != '\0'; at--) {
        if (at->take != NULL && at->offset == spec->offset)
            return true;
    }
    return false;
}

/* What an option that was not given comes to, where the table has no value for it; NULL: nothing.
 */
static const char *config_effective(const struct server_config *config,
                                    const struct options_spec *spec, char *text, size_t capacity)
{
    if (spec->offset == offsetof(struct server_config, worker_count)) {
        snprintf(text, capacity, "%zu", config->worker_count);
        return text;
    }
    if (spec->offset == offsetof(struct server_config, tls.client_verify))
        return config->tls.client_verify == TLS_CLIENT_VERIFY_REQUIRE ? "require" : "none";
    if (spec->offset == offsetof(struct server_config, print_wish))
        return config->print ? "yes" : "no";
    return spec->argument == NULL ? "no" : NULL;
}

static void config_print_one(const struct server_config *config, const struct options_spec *spec,
                             FILE *out)
{
    char text[32];
    const struct config_entry *entry = config_find_last(config, spec);
    const char *value = spec->default_text;
    if (entry != NULL) {
        if (entry->spec == spec)
            config_print_entry(entry, "", out);
        return;
    }
    if (config_is_second_name(spec))
        return;
    if (value == NULL)
        value = config_effective(config, spec, text, sizeof text);
    if (value != NULL)
        config_print_default(spec, value, out);
    else
        config_print_unset(spec, out);
}

static void config_print_repeatable(const struct server_config *config,
                                    const struct options_spec *spec, FILE *out)
{
    const struct options_list *list =
        (const struct options_list *)(const void *)((const char *)config + spec->offset);
    if (config_print_list(config, spec, 0, "", out))
        return;
    if (list->count > 0)
        config_print_default(spec, list->items[0], out);
    else
        config_print_unset(spec, out);
}

/* ------------------------------------------------------------------------------ listeners */

#define CONFIG_AS_ALL "as all listeners: "

static void config_print_one_of_listener(const struct server_config *config,
                                         const struct options_spec *spec, size_t listener,
                                         FILE *out)
{
    const struct config_entry *own = config_entries_find(&config->entries, spec, listener);
    const struct config_entry *entry =
        own != NULL ? own : config_entries_find(&config->entries, spec, 0);
    if (entry != NULL)
        config_print_entry(entry, own != NULL ? "" : CONFIG_AS_ALL, out);
    else if (spec->default_text != NULL)
        config_print_default(spec, spec->default_text, out);
    else
        config_print_unset(spec, out);
}

/* `own`: the option as the listener has it. */
static void config_print_repeatable_of_listener(const struct server_config *config,
                                                const struct options_spec *spec,
                                                const struct options_spec *own, size_t listener,
                                                FILE *out)
{
    const void *base = &config->listeners.items[listener - 1];
    const struct options_list *list = (const void *)((const char *)base + own->offset);
    if (config_print_list(config, spec, listener, "", out))
        return;
    if (list->count == 0)
        config_print_unset(spec, out);
    else
        (void)config_print_list(config, spec, 0, CONFIG_AS_ALL, out);
}

static void config_print_listener(const struct server_config *config, size_t listener, FILE *out)
{
    struct options_spec own;
    fprintf(out, "\n[listener %s]\n", config->listeners.items[listener - 1].name);
    for (const struct options_spec *spec = config_options; spec->name != NULL; spec++) {
        if (!config_listener_spec(spec, &own))
            continue;
        if (options_is_repeatable(spec))
            config_print_repeatable_of_listener(config, spec, &own, listener, out);
        else
            config_print_one_of_listener(config, spec, listener, out);
    }
}

/* ------------------------------------------------------------------------------ all */

/* Would a file give the same back? */
static bool config_can_be_written(const struct config_entry *entry)
{
    const char *value = entry->value;
    size_t length = strlen(value);
    size_t line_length = strlen(entry->spec->name) + strlen(" = ") + length;
    return length == 0 ||
           (line_length <= CONFIG_LINE_MAX_BYTES && strchr(value, '\n') == NULL &&
            strchr(" \t", value[0]) == NULL && strchr(" \t\r", value[length - 1]) == NULL);
}

static enum certpost_status config_check_values(const struct config_entries *entries,
                                                struct certpost_error *error)
{
    for (size_t i = 0; i < entries->count; i++) {
        const struct config_entry *entry = &entries->items[i];
        if (!entry->spec->command_line_only && !config_can_be_written(entry))
            return error_set(error, CERTPOST_USAGE,
                             "--%s: a configuration file cannot have this value: it is too long, "
                             "more than a line, or has white space at an end",
                             entry->spec->name);
    }
    return CERTPOST_OK;
}

static void config_print_head(const struct server_config *config, FILE *out)
{
    fputs("# What certpostd " CERTPOST_VERSION " runs with, and where each value was set.\n", out);
    for (size_t i = 0; i < config->files.count; i++) {
        fputs("# read: ", out);
        config_print_path(config->files.items[i].path, out);
        fputc('\n', out);
    }
}

enum certpost_status config_print(const struct server_config *config, FILE *out,
                                  struct certpost_error *error)
{
    enum certpost_status status = config_check_values(&config->entries, error);
    if (status != CERTPOST_OK)
        return status;
    config_print_head(config, out);
    for (const struct options_spec *spec = config_options; spec->name != NULL; spec++) {
        if (spec->section != NULL)
            fprintf(out, "\n[%s]\n", spec->section);
        else if (spec->name[0] == '\0' || spec->command_line_only)
            continue;
        else if (options_is_repeatable(spec))
            config_print_repeatable(config, spec, out);
        else
            config_print_one(config, spec, out);
    }
    for (size_t i = 0; i < config->listeners.count; i++)
        config_print_listener(config, i + 1, out);
    return CERTPOST_OK;
}
