/*
 * fixed_options.c — the options that a running server cannot change (server/fixed_options.h).
 *
 * Uses: base/buffer, config.  Used by: server.c.
 * Never: says that two configurations are the same because of what they share: it has copies.
 *
 * Each option is kept as bytes that differ where its values do; nobody reads them.
 */
#include "server/fixed_options.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* More than a line of a file or an argument can give. */
enum { FIXED_VALUE_MAX_BYTES = 1024 * 1024 };

enum fixed_option {
    FIXED_LISTEN,
    FIXED_ADMIN,
    FIXED_WORKERS,
    FIXED_PRINT,
    FIXED_STORE,
    FIXED_SANDBOX,
    FIXED_USER,
    FIXED_COUNT,
};

static const char *const fixed_names[FIXED_COUNT] = {
    [FIXED_LISTEN] = "listen", [FIXED_ADMIN] = "admin", [FIXED_WORKERS] = "workers",
    [FIXED_PRINT] = "print",   [FIXED_STORE] = "store", [FIXED_SANDBOX] = "no-sandbox",
    [FIXED_USER] = "user",
};

struct fixed_options {
    struct buffer values[FIXED_COUNT];
};

/* With its end; what is not set has no bytes at all. */
static enum certpost_status fixed_add_text(struct buffer *value, const char *text)
{
    return text == NULL ? CERTPOST_OK : buffer_append(value, text, strlen(text) + 1);
}

static enum certpost_status fixed_add_list(struct buffer *value, const struct options_list *list)
{
    enum certpost_status status = buffer_append_u32(value, (uint32_t)list->count);
    for (size_t i = 0; i < list->count && status == CERTPOST_OK; i++)
        status = fixed_add_text(value, list->items[i]);
    return status;
}

static enum certpost_status fixed_add_listeners(struct buffer *value,
                                                const struct server_config *config)
{
    enum certpost_status status = fixed_add_list(value, &config->listen);
    for (size_t i = 0; i < config->listeners.count && status == CERTPOST_OK; i++) {
        status = fixed_add_text(value, config->listeners.items[i].name);
        if (status == CERTPOST_OK)
            status = fixed_add_list(value, &config->listeners.items[i].listen);
    }
    return status;
}

static enum certpost_status fixed_add(enum fixed_option option, const struct server_config *config,
                                      struct buffer *value)
{
    switch (option) {
    case FIXED_LISTEN:
        return fixed_add_listeners(value, config);
    case FIXED_ADMIN:
        return fixed_add_text(value, config->admin);
    case FIXED_WORKERS:
        return buffer_append_u64(value, config->worker_count);
    case FIXED_PRINT:
        return buffer_append_u8(value, config->print);
    case FIXED_STORE:
        return fixed_add_text(value, config->store);
    case FIXED_SANDBOX:
        return buffer_append_u8(value, config->sandbox);
    case FIXED_USER:
        return fixed_add_text(value, config->user);
    case FIXED_COUNT:
        break;
    }
    return CERTPOST_OK;
}

enum certpost_status fixed_options_new(const struct server_config *config,
                                       struct fixed_options **ret_options,
                                       struct certpost_error *error)
{
    struct fixed_options *options = calloc(1, sizeof *options);
    enum certpost_status status = options == NULL ? CERTPOST_NO_MEMORY : CERTPOST_OK;
    for (size_t i = 0; i < FIXED_COUNT && status == CERTPOST_OK; i++) {
        buffer_init(&options->values[i], FIXED_VALUE_MAX_BYTES);
        status = fixed_add((enum fixed_option)i, config, &options->values[i]);
    }
    if (status == CERTPOST_OK) {
        *ret_options = options;
        return CERTPOST_OK;
    }
    fixed_options_free(options);
    return error_no_memory(error);
}

void fixed_options_free(struct fixed_options *options)
{
    for (size_t i = 0; options != NULL && i < FIXED_COUNT; i++)
        buffer_free(&options->values[i]);
    free(options);
}

const char *fixed_options_next_difference(const struct fixed_options *one,
                                          const struct fixed_options *other, size_t *position)
{
    while (*position < FIXED_COUNT) {
        size_t at = (*position)++;
        const struct buffer *left = &one->values[at];
        const struct buffer *right = &other->values[at];
        if (left->length != right->length ||
            (left->length > 0 &&
             memcmp(buffer_bytes(left), buffer_bytes(right), left->length) != 0))
            return fixed_names[at];
    }
    return NULL;
}
