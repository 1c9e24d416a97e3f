/*
 * store/engine.h — what an engine does for a store.
 *
 * Private to store/. store.c keeps the rules (states, fencing, order); an engine only keeps the
 * data. An engine is called by the store's thread alone, in the order that the states allow: begin,
 * any number of append, then commit or abort. After any failure but that of `find` for lack of
 * memory the next call is `abort`, then `recover` or `free`.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include "store/store.h"
#include "store/streams.h"

struct store_engine;

struct store_engine_operations {
    enum store_level level;

    /* Sets id, durable and pending of a stream from what is durable; leaves an unknown stream's. */
    enum certpost_status (*find)(struct store_engine *engine, struct store_stream *stream,
                                 struct certpost_error *error);
    enum certpost_status (*begin)(struct store_engine *engine, struct certpost_error *error);
    /* Adds a message behind the pending head, which store.c moves on afterwards. */
    enum certpost_status (*append)(struct store_engine *engine, struct store_stream *stream,
                                   const void *bytes, size_t length, struct certpost_error *error);
    /* `touched` is the list, through next_touched, of the streams with new messages. */
    enum certpost_status (*commit)(struct store_engine *engine, struct store_stream *touched,
                                   struct certpost_error *error);
    /* Drops an open transaction, if there is one. Cannot fail. */
    void (*abort)(struct store_engine *engine);
    enum certpost_status (*recover)(struct store_engine *engine, struct certpost_error *error);
    /* True when something in the background failed, so that the store must not go on. */
    bool (*has_failed)(struct store_engine *engine, struct certpost_error *error);
    void (*free)(struct store_engine *engine);
};

/* First member of each engine's own struct. */
struct store_engine {
    const struct store_engine_operations *operations;
};

/* Makes the store around `engine`, which it owns from then on, also when it fails. */
CERTPOST_MUST_CHECK
enum certpost_status store_new(struct store_engine *engine, size_t idle_streams_max,
                               struct store **ret_store, struct certpost_error *error);

#endif
