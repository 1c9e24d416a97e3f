/*
 * config_listeners.c — listeners with a name and with settings of their own (server/config_file.h).
 *
 * Uses: base/options.  Used by: config.c, config_text.c, config_entries.c, server.c.
 * Never: knows where a listener's name came from; a socket's name from systemd is as good.
 *
 * Which options one listener can have is said here; what they mean, in the table of options.
 */
#include "base/error.h"
#include "base/text.h"
#include "server/config_file.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    size_t offset;     /* in struct server_config */
    size_t own_offset; /* in struct config_listener */
} config_listener_fields[] = {
    {offsetof(struct server_config, listen), offsetof(struct config_listener, listen)},
    {offsetof(struct server_config, framing), offsetof(struct config_listener, framing)},
    {offsetof(struct server_config, proxy_from), offsetof(struct config_listener, proxy_from)},
};
enum { CONFIG_LISTENER_FIELDS = sizeof config_listener_fields / sizeof config_listener_fields[0] };

bool config_listener_spec(const struct options_spec *spec, struct options_spec *ret_own)
{
    for (size_t i = 0; spec->take != NULL && i < CONFIG_LISTENER_FIELDS; i++) {
        if (spec->offset != config_listener_fields[i].offset)
            continue;
        *ret_own = *spec;
        ret_own->offset = config_listener_fields[i].own_offset;
        return true;
    }
    return false;
}

static enum certpost_status config_check_listener_name(const char *name,
                                                       struct certpost_error *error)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strlen(name);
    if (length > 0 && length < CONFIG_LISTENER_NAME_BYTES && strspn(name, allowed) == length)
        return CERTPOST_OK;
    char safe[128];
    text_escape(name, length, safe, sizeof safe);
    return error_set(error, CERTPOST_USAGE,
                     "[listener %s]: the name has 1 to %d letters, digits, dashes, underscores or "
                     "dots",
                     safe, CONFIG_LISTENER_NAME_BYTES - 1);
}

static enum certpost_status config_check_new_listener(const struct config_listeners *listeners,
                                                      const char *name,
                                                      const struct config_place *place,
                                                      struct certpost_error *error)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct config_listener *other = &listeners->items[i];
        if (strcmp(other->name, name) != 0)
            continue;
        if (other->place.path == place->path)
            return error_set(error, CERTPOST_USAGE, "[listener %s] is there already in line %u",
                             name, other->place.line);
        return error_set(error, CERTPOST_USAGE, "[listener %s] is there already at %s:%u", name,
                         other->place.path, other->place.line);
    }
    if (listeners->count >= CONFIG_LISTENERS_MAX)
        return error_set(error, CERTPOST_USAGE, "at most %d listeners", CONFIG_LISTENERS_MAX);
    return CERTPOST_OK;
}

enum certpost_status config_listeners_add(struct config_listeners *listeners, const char *name,
                                          const struct config_place *place,
                                          struct certpost_error *error)
{
    enum certpost_status status = config_check_listener_name(name, error);
    if (status == CERTPOST_OK)
        status = config_check_new_listener(listeners, name, place, error);
    if (status != CERTPOST_OK)
        return status;
    struct config_listener *items =
        reallocarray(listeners->items, listeners->count + 1, sizeof *items);
    if (items == NULL)
        return error_no_memory(error);
    listeners->items = items;
    items[listeners->count++] = (struct config_listener){.name = name, .place = *place};
    return CERTPOST_OK;
}

static bool config_listener_says(const struct server_config *config, size_t index,
                                 size_t own_offset)
{
    struct options_spec own;
    for (size_t i = 0; i < config->entries.count; i++) {
        const struct config_entry *entry = &config->entries.items[i];
        if (entry->listener == index + 1 && config_listener_spec(entry->spec, &own) &&
            own.offset == own_offset)
            return true;
    }
    return false;
}

static enum certpost_status config_copy_list(const struct options_list *from,
                                             struct options_list *to, struct certpost_error *error)
{
    static const struct options_spec any = {.max = CONFIG_LIST_MAX};
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < from->count && status == CERTPOST_OK; i++)
        status = options_take_list(&any, to, from->items[i], error);
    return status;
}

enum certpost_status config_listeners_complete(struct server_config *config,
                                               struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    size_t addresses = config->listen.count;
    for (size_t i = 0; i < config->listeners.count && status == CERTPOST_OK; i++) {
        struct config_listener *listener = &config->listeners.items[i];
        addresses += listener->listen.count;
        if (listener->listen.count == 0)
            return error_set(error, CERTPOST_USAGE, "%s:%u: [listener %s] has no `listen`",
                             listener->place.path, listener->place.line, listener->name);
        if (!config_listener_says(config, i, offsetof(struct config_listener, framing)))
            listener->framing = config->framing;
        if (listener->proxy_from.count == 0)
            status = config_copy_list(&config->proxy_from, &listener->proxy_from, error);
    }
    if (addresses > CONFIG_LIST_MAX)
        return error_set(error, CERTPOST_USAGE, "%zu addresses to listen on; at most %d", addresses,
                         CONFIG_LIST_MAX);
    return status;
}

void config_listeners_free(struct config_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        options_list_free(&listeners->items[i].listen);
        options_list_free(&listeners->items[i].proxy_from);
    }
    free(listeners->items);
    *listeners = (struct config_listeners){0};
}
