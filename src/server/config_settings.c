/*
 * config_settings.c — the options of a server inside another program (server/config.h).
 *
 * Uses: base/options, and the table of config_options.c.  Used by: embedded.c, state.c.
 * Never: uses getopt, whose state is the process's: the program may be reading its own command line
 * just now, on any thread.
 */
#include "base/error.h"
#include "server/config.h"

#include <stdlib.h>
#include <string.h>

static const struct options_spec *config_find_option(const char *name)
{
    for (size_t i = 0; config_options[i].name != NULL; i++) {
        if (name[0] != '\0' && strcmp(config_options[i].name, name) == 0)
            return &config_options[i];
    }
    return NULL;
}

/* Takes the value into a configuration that nobody uses; an unknown name is refused there too. */
static enum certpost_status config_try_setting(const char *name, const char *value,
                                               struct certpost_error *error)
{
    struct server_config scratch;
    enum certpost_status status = config_set_defaults(&scratch, error);
    if (status == CERTPOST_OK)
        status = options_set(config_options, &scratch, name, value, error);
    config_free(&scratch);
    return status;
}

static void config_setting_free(struct config_setting *setting)
{
    free(setting->name);
    free(setting->value);
}

/* Drops everything that was set for `name`. */
static void config_settings_drop(struct config_settings *settings, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].name, name) == 0)
            config_setting_free(&settings->items[i]);
        else
            settings->items[kept++] = settings->items[i];
    }
    settings->count = kept;
}

static enum certpost_status config_settings_add(struct config_settings *settings, const char *name,
                                                const char *value, bool is_repeatable,
                                                struct certpost_error *error)
{
    struct config_setting setting = {.name = strdup(name), .value = strdup(value)};
    struct config_setting *items =
        reallocarray(settings->items, settings->count + 1, sizeof *settings->items);
    if (items != NULL)
        settings->items = items;
    if (items == NULL || setting.name == NULL || setting.value == NULL) {
        config_setting_free(&setting);
        return error_no_memory(error);
    }
    if (!is_repeatable)
        config_settings_drop(settings, name);
    items[settings->count++] = setting;
    return CERTPOST_OK;
}

enum certpost_status config_settings_set(struct config_settings *settings, const char *name,
                                         const char *value, struct certpost_error *error)
{
    const struct options_spec *spec = config_find_option(name);
    if (spec != NULL && spec->process_only)
        return error_set(error, CERTPOST_USAGE,
                         "%s is about the process, which belongs to the program, not to the server",
                         spec->name);
    if (spec != NULL && !spec->command_line_only && spec->argument != NULL && value == NULL) {
        config_settings_drop(settings, name);
        return CERTPOST_OK;
    }
    if (value == NULL)
        value = "";
    enum certpost_status status = config_try_setting(name, value, error);
    if (status != CERTPOST_OK)
        return status;
    bool is_repeatable = spec != NULL && options_is_repeatable(spec);
    return config_settings_add(settings, name, value, is_repeatable, error);
}

void config_settings_free(struct config_settings *settings)
{
    for (size_t i = 0; i < settings->count; i++)
        config_setting_free(&settings->items[i]);
    free(settings->items);
    *settings = (struct config_settings){0};
}

enum certpost_status config_load_settings(const struct config_settings *settings,
                                          struct server_config *ret_config,
                                          struct certpost_error *error)
{
    enum certpost_status status = config_set_defaults(ret_config, error);
    ret_config->sandbox = false;
    ret_config->print_wish = CONFIG_OFF;
    for (size_t i = 0; i < settings->count && status == CERTPOST_OK; i++)
        status = options_set(config_options, ret_config, settings->items[i].name,
                             settings->items[i].value, error);
    if (status == CERTPOST_OK)
        status = config_complete(ret_config, error);
    return status;
}

enum certpost_status config_load_source(const struct config_source *source,
                                        struct server_config *ret_config,
                                        struct certpost_error *error)
{
    return source->settings != NULL ? config_load_settings(source->settings, ret_config, error)
                                    : config_load(source->argc, source->argv, ret_config, error);
}
