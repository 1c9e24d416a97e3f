/*
 * options_take.c — the usual kinds of option values (base/options.h).
 *
 * Uses: text.  Used by: the option tables of certpostd and certpost.
 * Never: changes the field when the value is wrong.
 */
#include "base/error.h"
#include "base/options.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

void options_list_free(struct options_list *list)
{
    free(list->items);
    *list = (struct options_list){0};
}

enum certpost_status options_take_any_text(const struct options_spec *spec, void *field,
                                           const char *value, struct certpost_error *error)
{
    const char **text = field;
    if (spec->max != 0 && strlen(value) > spec->max)
        return error_set(error, CERTPOST_USAGE, "the value has more than %llu bytes",
                         (unsigned long long)spec->max);
    *text = value;
    return CERTPOST_OK;
}

enum certpost_status options_take_text(const struct options_spec *spec, void *field,
                                       const char *value, struct certpost_error *error)
{
    if (value[0] == '\0')
        return error_set(error, CERTPOST_USAGE, "the value is empty");
    return options_take_any_text(spec, field, value, error);
}

enum certpost_status options_take_list(const struct options_spec *spec, void *field,
                                       const char *value, struct certpost_error *error)
{
    struct options_list *list = field;
    if (value[0] == '\0')
        return error_set(error, CERTPOST_USAGE, "the value is empty");
    if (list->count >= spec->max)
        return error_set(error, CERTPOST_USAGE, "at most %llu of them",
                         (unsigned long long)spec->max);
    bool full = (list->count & (list->count - 1)) == 0; /* 0, or a power of two: room doubles */
    if (full) {
        size_t room = list->count == 0 ? 1 : 2 * list->count;
        const char **items = realloc(list->items, room * sizeof *items);
        if (items == NULL)
            return error_no_memory(error);
        list->items = items;
    }
    list->items[list->count++] = value;
    return CERTPOST_OK;
}

enum certpost_status options_take_switch(const struct options_spec *spec, void *field,
                                         const char *value, struct certpost_error *error)
{
    (void)spec;
    bool *on = field;
    if (value[0] == '\0' || strcmp(value, "yes") == 0)
        *on = true;
    else if (strcmp(value, "no") == 0)
        *on = false;
    else
        return error_set(error, CERTPOST_USAGE, "the value is yes or no");
    return CERTPOST_OK;
}

enum certpost_status options_take_count(const struct options_spec *spec, void *field,
                                        const char *value, struct certpost_error *error)
{
    uint64_t count = 0;
    if (!text_parse_u64(value, spec->max, &count) || count == 0)
        return error_set(error, CERTPOST_USAGE, "the number is 1 to %llu",
                         (unsigned long long)spec->max);
    *(size_t *)field = (size_t)count;
    return CERTPOST_OK;
}

enum certpost_status options_take_size(const struct options_spec *spec, void *field,
                                       const char *value, struct certpost_error *error)
{
    uint64_t bytes = 0;
    if (!text_parse_size(value, spec->max, &bytes) || bytes == 0)
        return error_set(error, CERTPOST_USAGE,
                         "a size is 1 to %llu bytes, such as 4096, 64KiB or 1MiB",
                         (unsigned long long)spec->max);
    *(size_t *)field = (size_t)bytes;
    return CERTPOST_OK;
}

enum certpost_status options_take_duration(const struct options_spec *spec, void *field,
                                           const char *value, struct certpost_error *error)
{
    int64_t ms = 0;
    if (!text_parse_duration(value, (int64_t)spec->max, &ms) || ms == 0)
        return error_set(error, CERTPOST_USAGE,
                         "a duration is 1ms to %llus, such as 500ms, 10s or 2m",
                         (unsigned long long)(spec->max / 1000));
    *(int64_t *)field = ms;
    return CERTPOST_OK;
}
