/*
 * memory_store.c — the engine of level `accepted`: it keeps no messages and never fails.
 *
 * The heads live in the table of streams (store/streams.h), which is all that this level promises.
 * It is also the simplest engine that the rules in store.c can be tested with.
 *
 * Uses: store/engine.h.  Used by: the server without a store, tests.  Never: files.
 */
#include "base/error.h"
#include "store/engine.h"

#include <stdlib.h>

/* What the table does not know is new, and what it knows stays: there is nothing to look up. */
static enum certpost_status memory_find(struct store_engine *engine, struct store_stream *stream,
                                        struct certpost_error *error)
{
    (void)engine;
    (void)stream;
    (void)error;
    return CERTPOST_OK;
}

static enum certpost_status memory_begin(struct store_engine *engine, struct certpost_error *error)
{
    (void)engine;
    (void)error;
    return CERTPOST_OK;
}

static enum certpost_status memory_append(struct store_engine *engine, struct store_stream *stream,
                                          const void *bytes, size_t length,
                                          struct certpost_error *error)
{
    (void)engine;
    (void)stream;
    (void)bytes;
    (void)length;
    (void)error;
    return CERTPOST_OK;
}

static enum certpost_status memory_commit(struct store_engine *engine, struct store_stream *touched,
                                          struct certpost_error *error)
{
    (void)engine;
    (void)touched;
    (void)error;
    return CERTPOST_OK;
}

static void memory_abort(struct store_engine *engine)
{
    (void)engine;
}

static enum certpost_status memory_recover(struct store_engine *engine,
                                           struct certpost_error *error)
{
    (void)engine;
    (void)error;
    return CERTPOST_OK;
}

static bool memory_has_failed(struct store_engine *engine, struct certpost_error *error)
{
    (void)engine;
    (void)error;
    return false;
}

static void memory_free(struct store_engine *engine)
{
    free(engine);
}

enum certpost_status store_open_memory(size_t idle_streams_max, struct store **ret_store,
                                       struct certpost_error *error)
{
    static const struct store_engine_operations operations = {
        .level = STORE_LEVEL_ACCEPTED,
        .find = memory_find,
        .begin = memory_begin,
        .append = memory_append,
        .commit = memory_commit,
        .abort = memory_abort,
        .recover = memory_recover,
        .has_failed = memory_has_failed,
        .free = memory_free,
    };
    struct store_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return error_no_memory(error);
    engine->operations = &operations;
    return store_new(engine, idle_streams_max, ret_store, error);
}
