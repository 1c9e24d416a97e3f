/*
 * store.c — the rules of every store: states, fencing, once and in order (store/store.h).
 *
 * The engine below keeps the data. Here is decided whether it may: only the newest lease of a
 * stream appends, only with the next number, only while nothing has failed; and here alone a
 * pending head becomes a durable one, after the engine's commit has succeeded.
 *
 * Uses: base, the engine it was given.  Used by: the server's writer, tests.
 * Never: SQL, files, threads.
 */
#include "store/store.h"

#include "base/error.h"
#include "base/machine.h"
#include "store/engine.h"
#include "store/streams.h"

#include <stdlib.h>
#include <string.h>

enum store_state { STORE_READY, STORE_OPEN, STORE_FAILED };

static const struct machine_state store_states[] = {
    [STORE_READY] = {"ready", MACHINE_TO(STORE_OPEN) | MACHINE_TO(STORE_FAILED)},
    [STORE_OPEN] = {"open", MACHINE_TO(STORE_READY) | MACHINE_TO(STORE_FAILED)},
    [STORE_FAILED] = {"failed", MACHINE_TO(STORE_READY)},
};

struct store {
    struct store_engine *engine;
    struct machine machine;
    struct streams streams;
    struct chain *chain;
    struct store_stream *touched;
    struct certpost_error cause; /* of the failure, for those who come while it lasts */
};

enum certpost_status store_new(struct store_engine *engine, size_t idle_streams_max,
                               struct store **ret_store, struct certpost_error *error)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        engine->operations->free(engine);
        return error_no_memory(error);
    }
    store->engine = engine;
    store->machine = machine_start(store_states, STORE_READY);
    streams_init(&store->streams, idle_streams_max);
    enum certpost_status status = chain_new(&store->chain, error);
    if (status != CERTPOST_OK) {
        store_close(store);
        return status;
    }
    *ret_store = store;
    return CERTPOST_OK;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    store->engine->operations->abort(store->engine);
    store->engine->operations->free(store->engine);
    streams_free(&store->streams);
    chain_free(store->chain);
    free(store);
}

enum store_level store_level(const struct store *store)
{
    return store->engine->operations->level;
}

/* Ends the transaction: every touched stream goes back to its durable head, or makes it new. */
static void store_settle(struct store *store, bool committed)
{
    while (store->touched != NULL) {
        struct store_stream *stream = store->touched;
        store->touched = stream->next_touched;
        stream->next_touched = NULL;
        stream->touched = false;
        if (committed)
            stream->durable = stream->pending;
        else
            stream->pending = stream->durable;
    }
    streams_trim_idle(&store->streams);
}

static enum certpost_status stream_revoke(struct store_stream *stream, void *context)
{
    (void)context;
    stream->epoch++;
    stream->owner = NULL;
    return CERTPOST_OK;
}

/* Enters FAILED and returns `status`. What senders believe about heads may now be wrong. */
static enum certpost_status store_fail(struct store *store, enum certpost_status status,
                                       const struct certpost_error *cause,
                                       struct certpost_error *error)
{
    store->engine->operations->abort(store->engine);
    store_settle(store, false);
    (void)streams_each(&store->streams, stream_revoke, NULL);
    store->cause = *cause;
    (void)error_adopt(error, status, cause);
    enum certpost_status moved = machine_move(&store->machine, STORE_FAILED, NULL);
    return moved == CERTPOST_OK ? status : moved;
}

/* OK when the store is in `state`; else why it is not. Notices failures in the background. */
static enum certpost_status store_expect(struct store *store, enum store_state state,
                                         struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    if (store->machine.state != STORE_FAILED &&
        store->engine->operations->has_failed(store->engine, &cause))
        return store_fail(store, CERTPOST_STORE, &cause, error);
    if (store->machine.state == (unsigned)state)
        return CERTPOST_OK;
    if (store->machine.state == STORE_FAILED)
        return error_adopt(error, CERTPOST_STORE, &store->cause);
    return error_set(error, CERTPOST_INTERNAL, "the store is %s where it should be %s",
                     machine_state_name(&store->machine), store_states[state].name);
}

bool store_is_ready(struct store *store)
{
    enum store_state now = store->machine.state == STORE_OPEN ? STORE_OPEN : STORE_READY;
    return store_expect(store, now, NULL) == CERTPOST_OK;
}

/* Finds the stream in the table, or brings it in with what the engine knows of it. */
static enum certpost_status store_bring_in(struct store *store, const struct stream_key *key,
                                           struct store_stream **ret_stream,
                                           struct certpost_error *error)
{
    unsigned char origin[CHAIN_DIGEST_BYTES];
    enum certpost_status status = chain_first(store->chain, key->identity, key->identity_length,
                                              key->name, key->name_length, origin);
    if (status != CERTPOST_OK) {
        (void)error_set(error, status, "OpenSSL cannot compute SHA-256");
        return status;
    }
    struct store_stream *stream = streams_find(&store->streams, key, origin);
    if (stream != NULL) {
        *ret_stream = stream;
        return CERTPOST_OK;
    }
    stream = streams_add(&store->streams, key, origin);
    if (stream == NULL)
        return error_no_memory(error);
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = store->engine->operations->find(store->engine, stream, &cause);
    if (status == CERTPOST_OK) {
        *ret_stream = stream;
        return CERTPOST_OK;
    }
    streams_forget(&store->streams, stream);
    return store_fail(store, status, &cause, error);
}

enum certpost_status store_lease_open(struct store *store, const void *identity,
                                      size_t identity_length, const void *name, size_t name_length,
                                      void *owner, struct store_lease *ret_lease,
                                      struct committed *ret_head, void **ret_superseded,
                                      struct certpost_error *error)
{
    if (identity_length > STORE_KEY_PART_MAX_BYTES || name_length > STORE_KEY_PART_MAX_BYTES)
        return error_set(error, CERTPOST_LIMIT,
                         "the identity or the name of a stream is longer than %d bytes",
                         STORE_KEY_PART_MAX_BYTES);
    enum certpost_status status = store_expect(store, STORE_READY, error);
    if (status != CERTPOST_OK)
        return status;
    struct stream_key key = {identity, identity_length, name, name_length};
    struct store_stream *stream = NULL;
    status = store_bring_in(store, &key, &stream, error);
    if (status != CERTPOST_OK)
        return status;
    streams_hold(&store->streams, stream);
    *ret_superseded = stream->owner;
    stream->owner = owner;
    stream->epoch++;
    *ret_lease = (struct store_lease){stream, stream->epoch};
    *ret_head = stream->durable;
    return CERTPOST_OK;
}

void store_lease_release(struct store *store, struct store_lease *lease)
{
    if (lease->stream == NULL)
        return;
    if (lease->epoch == lease->stream->epoch)
        lease->stream->owner = NULL;
    streams_release(&store->streams, lease->stream);
    *lease = (struct store_lease){0};
}

enum certpost_status store_begin(struct store *store, struct certpost_error *error)
{
    enum certpost_status status = store_expect(store, STORE_READY, error);
    if (status != CERTPOST_OK)
        return status;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = store->engine->operations->begin(store->engine, &cause);
    if (status != CERTPOST_OK)
        return store_fail(store, status, &cause, error);
    return machine_move(&store->machine, STORE_OPEN, error);
}

/* The fence, and the last line of defence for once and in order. */
static enum certpost_status store_may_append(const struct store_lease *lease, uint64_t seq,
                                             struct certpost_error *error)
{
    const struct store_stream *stream = lease->stream;
    if (stream == NULL)
        return error_set(error, CERTPOST_INTERNAL, "a message without a lease");
    if (lease->epoch != stream->epoch)
        return error_set(error, CERTPOST_SUPERSEDED, "a newer connection owns the stream");
    if (stream->pending.seq >= INT64_MAX || seq != stream->pending.seq + 1)
        return error_set(error, CERTPOST_INTERNAL,
                         "message %llu does not follow message %llu of its stream",
                         (unsigned long long)seq, (unsigned long long)stream->pending.seq);
    return CERTPOST_OK;
}

enum certpost_status store_append(struct store *store, const struct store_lease *lease,
                                  uint64_t seq, const unsigned char digest[CHAIN_DIGEST_BYTES],
                                  const void *bytes, size_t length, struct certpost_error *error)
{
    if (store->machine.state != STORE_OPEN)
        return store_expect(store, STORE_OPEN, error);
    enum certpost_status status = store_may_append(lease, seq, error);
    if (status != CERTPOST_OK)
        return status;
    struct store_stream *stream = lease->stream;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = store->engine->operations->append(store->engine, stream, bytes, length, &cause);
    if (status != CERTPOST_OK)
        return store_fail(store, status, &cause, error);
    if (!stream->touched) {
        stream->touched = true;
        stream->next_touched = store->touched;
        store->touched = stream;
    }
    stream->pending.seq = seq;
    memcpy(stream->pending.digest, digest, CHAIN_DIGEST_BYTES);
    return CERTPOST_OK;
}

enum certpost_status store_commit(struct store *store, struct certpost_error *error)
{
    enum certpost_status status = store_expect(store, STORE_OPEN, error);
    if (status != CERTPOST_OK)
        return status;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = store->engine->operations->commit(store->engine, store->touched, &cause);
    if (status != CERTPOST_OK)
        return store_fail(store, status, &cause, error);
    store_settle(store, true);
    return machine_move(&store->machine, STORE_READY, error);
}

struct committed store_committed(const struct store_lease *lease)
{
    return lease->stream->durable;
}

struct store_reload {
    struct store *store;
    struct certpost_error *error;
};

/* A stream that the failed transaction was to create may be there, or not. */
static enum certpost_status stream_reload(struct store_stream *stream, void *context)
{
    const struct store_reload *reload = context;
    stream->id = 0;
    stream->durable = (struct committed){0};
    memcpy(stream->durable.digest, stream->origin, CHAIN_DIGEST_BYTES);
    stream->pending = stream->durable;
    struct store_engine *engine = reload->store->engine;
    return engine->operations->find(engine, stream, reload->error);
}

enum certpost_status store_recover(struct store *store, struct certpost_error *error)
{
    if (store->machine.state != STORE_FAILED) {
        enum certpost_status status = store_expect(store, STORE_READY, NULL);
        if (status != CERTPOST_STORE)
            return status == CERTPOST_OK ? status
                                         : error_set(error, status, "not a time to recover");
    }
    struct certpost_error cause;
    certpost_error_clear(&cause);
    struct store_reload reload = {store, &cause};
    enum certpost_status status = store->engine->operations->recover(store->engine, &cause);
    if (status == CERTPOST_OK)
        status = streams_each(&store->streams, stream_reload, &reload);
    if (status == CERTPOST_OK)
        return machine_move(&store->machine, STORE_READY, error);
    store->cause = cause;
    return error_adopt(error, status, &cause);
}
