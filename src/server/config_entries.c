/*
 * config_entries.c — what was set, and where (server/config_file.h).
 *
 * Uses: base/options.  Used by: config.c, config_text.c, config_listeners.c, config_print.c.
 * Never: copies a value; it lies in a file's text or on the command line.
 */
#include "base/error.h"
#include "server/config_file.h"

#include <stdlib.h>

static enum certpost_status config_entries_add(struct config_entries *entries,
                                               const struct config_entry *entry,
                                               struct certpost_error *error)
{
    bool full = (entries->count & (entries->count - 1)) == 0; /* 0, or a power of two */
    if (full) {
        size_t room = entries->count == 0 ? 1 : 2 * entries->count;
        struct config_entry *items = reallocarray(entries->items, room, sizeof *items);
        if (items == NULL)
            return error_no_memory(error);
        entries->items = items;
    }
    entries->items[entries->count++] = *entry;
    return CERTPOST_OK;
}

enum certpost_status config_entries_set(struct server_config *config,
                                        const struct config_entry *entry,
                                        struct certpost_error *error)
{
    struct options_spec own;
    enum certpost_status status;
    if (entry->listener == 0)
        status = options_apply_value(entry->spec, config, entry->value, error);
    else if (config_listener_spec(entry->spec, &own))
        status = options_apply_value(&own, &config->listeners.items[entry->listener - 1],
                                     entry->value, error);
    else
        status = error_set(error, CERTPOST_INTERNAL, "no listener has --%s", entry->spec->name);
    return status == CERTPOST_OK ? config_entries_add(&config->entries, entry, error) : status;
}

const struct config_entry *config_entries_find(const struct config_entries *entries,
                                               const struct options_spec *spec, size_t listener)
{
    for (size_t i = entries->count; i > 0; i--) {
        const struct config_entry *entry = &entries->items[i - 1];
        if (entry->spec == spec && entry->listener == listener)
            return entry;
    }
    return NULL;
}

const struct config_entry *config_entries_find_twin(const struct config_entries *entries,
                                                    const struct options_spec *spec)
{
    for (size_t i = entries->count; i > 0; i--) {
        const struct config_entry *entry = &entries->items[i - 1];
        if (entry->spec != spec && entry->listener == 0 && spec->take != NULL &&
            entry->spec->take != NULL && entry->spec->offset == spec->offset)
            return entry;
    }
    return NULL;
}

void config_entries_free(struct config_entries *entries)
{
    free(entries->items);
    *entries = (struct config_entries){0};
}
