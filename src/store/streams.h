/*
 * store/streams.h — the streams that have a lease, with their heads and their fences.
 *
 * Private to store/. One table per store; the same for every engine, so that order, once-only and
 * fencing are decided in one place, whatever the engine is.
 */
#ifndef STORE_STREAMS_H
#define STORE_STREAMS_H

#include "base/chain.h"
#include "base/committed.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_stream {
    struct store_stream *next_in_bucket;
    struct store_stream *next_touched; /* list of the open transaction */
    struct store_stream *older_idle;   /* list of streams without a lease */
    struct store_stream *newer_idle;
    size_t leases;
    void *owner;    /* mark of the newest lease's holder; NULL when it is released */
    uint64_t epoch; /* the lease that may append has this number */
    uint64_t hash;
    struct committed durable;
    struct committed pending; /* equals durable while `touched` is false */
    bool touched;
    int64_t id;        /* the engine's; 0 while the stream is not stored */
    int64_t first_row; /* of the open transaction */
    int64_t last_row;
    unsigned char origin[CHAIN_DIGEST_BYTES]; /* D(0) */
    size_t identity_length;
    size_t name_length;
    unsigned char key[]; /* identity, then name */
};

static inline const unsigned char *stream_identity(const struct store_stream *stream)
{
    return stream->key;
}

static inline const unsigned char *stream_name(const struct store_stream *stream)
{
    return stream->key + stream->identity_length;
}

struct stream_key {
    const void *identity;
    size_t identity_length;
    const void *name;
    size_t name_length;
};

struct streams {
    struct store_stream **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    size_t idle_count;
    size_t idle_max; /* how many streams without a lease are remembered */
    struct store_stream *oldest_idle;
    struct store_stream *newest_idle;
    uint64_t hash_factor;
};

void streams_init(struct streams *streams, size_t idle_max);

/* Frees the table and all streams; leases of them are dangling then. */
void streams_free(struct streams *streams);

/* The stream of this key, or NULL. `origin` is its D(0), which serves as the hash. */
struct store_stream *streams_find(const struct streams *streams, const struct stream_key *key,
                                  const unsigned char origin[CHAIN_DIGEST_BYTES]);

/* Adds a stream that is not there, with head (0, D(0)) and no lease. NULL: out of memory. */
struct store_stream *streams_add(struct streams *streams, const struct stream_key *key,
                                 const unsigned char origin[CHAIN_DIGEST_BYTES]);

/* One more lease, and one fewer; with the last one, the stream turns idle or is forgotten. */
void streams_hold(struct streams *streams, struct store_stream *stream);
void streams_release(struct streams *streams, struct store_stream *stream);

/* Takes back a stream that has no lease yet. */
void streams_forget(struct streams *streams, struct store_stream *stream);

/* Forgets the oldest idle streams above the maximum; after a transaction, which keeps its own. */
void streams_trim_idle(struct streams *streams);

/* Calls `visit` for each stream until one fails. `visit` must not add or release streams. */
enum certpost_status streams_each(struct streams *streams,
                                  enum certpost_status (*visit)(struct store_stream *stream,
                                                                void *context),
                                  void *context);

#endif
