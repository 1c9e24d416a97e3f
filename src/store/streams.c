/*
 * streams.c — the table of streams (store/streams.h): a chained hash table and a list of the idle.
 *
 * Names come from peers, so the bucket is chosen by a secret factor: nobody can aim at one bucket.
 *
 * Uses: base.  Used by: store/store.c.
 * Never: touches an engine, or decides who owns a stream.
 */
#include "store/streams.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { STREAMS_FIRST_BUCKETS = 64 };

void streams_init(struct streams *streams, size_t idle_max)
{
    *streams = (struct streams){.idle_max = idle_max};
    /* Without entropy at hand (early boot) any factor still works, it is only easier to guess. */
    if (getrandom(&streams->hash_factor, sizeof streams->hash_factor, GRND_NONBLOCK) < 0)
        streams->hash_factor = (uint64_t)(uintptr_t)streams;
    streams->hash_factor |= 1;
}

void streams_free(struct streams *streams)
{
    for (size_t i = 0; i < streams->bucket_count; i++) {
        struct store_stream *next = NULL;
        for (struct store_stream *stream = streams->buckets[i]; stream != NULL; stream = next) {
            next = stream->next_in_bucket;
            free(stream);
        }
    }
    free(streams->buckets);
    *streams = (struct streams){0};
}

static uint64_t streams_hash(const struct streams *streams,
                             const unsigned char origin[CHAIN_DIGEST_BYTES])
{
    uint64_t folded = 0;
    memcpy(&folded, origin, sizeof folded);
    uint64_t product = folded * streams->hash_factor;
    return product ^ (product >> 32); /* the high bits are the well-mixed ones */
}

static struct store_stream **streams_bucket(const struct streams *streams, uint64_t hash)
{
    return &streams->buckets[hash & (streams->bucket_count - 1)];
}

static bool stream_has_key(const struct store_stream *stream, const struct stream_key *key)
{
    return stream->identity_length == key->identity_length &&
           stream->name_length == key->name_length &&
           (key->identity_length == 0 ||
            memcmp(stream_identity(stream), key->identity, key->identity_length) == 0) &&
           (key->name_length == 0 || memcmp(stream_name(stream), key->name, key->name_length) == 0);
}

struct store_stream *streams_find(const struct streams *streams, const struct stream_key *key,
                                  const unsigned char origin[CHAIN_DIGEST_BYTES])
{
    if (streams->bucket_count == 0)
        return NULL;
    uint64_t hash = streams_hash(streams, origin);
    struct store_stream *stream = *streams_bucket(streams, hash);
    while (stream != NULL && !(stream->hash == hash && stream_has_key(stream, key)))
        stream = stream->next_in_bucket;
    return stream;
}

static void streams_insert(struct streams *streams, struct store_stream *stream)
{
    struct store_stream **bucket = streams_bucket(streams, stream->hash);
    stream->next_in_bucket = *bucket;
    *bucket = stream;
}

/* Doubles the buckets. Without memory the table stays as it is and is merely slower. */
static void streams_grow(struct streams *streams)
{
    struct streams old = *streams;
    size_t wanted = old.bucket_count == 0 ? STREAMS_FIRST_BUCKETS : 2 * old.bucket_count;
    struct store_stream **buckets = calloc(wanted, sizeof(struct store_stream *));
    if (buckets == NULL)
        return;
    streams->buckets = buckets;
    streams->bucket_count = wanted;
    for (size_t i = 0; i < old.bucket_count; i++) {
        struct store_stream *next = NULL;
        for (struct store_stream *stream = old.buckets[i]; stream != NULL; stream = next) {
            next = stream->next_in_bucket;
            streams_insert(streams, stream);
        }
    }
    free(old.buckets);
}

static void streams_link_idle(struct streams *streams, struct store_stream *stream)
{
    stream->older_idle = streams->newest_idle;
    stream->newer_idle = NULL;
    if (streams->newest_idle != NULL)
        streams->newest_idle->newer_idle = stream;
    else
        streams->oldest_idle = stream;
    streams->newest_idle = stream;
    streams->idle_count++;
}

static void streams_unlink_idle(struct streams *streams, struct store_stream *stream)
{
    if (stream->newer_idle != NULL)
        stream->newer_idle->older_idle = stream->older_idle;
    else
        streams->newest_idle = stream->older_idle;
    if (stream->older_idle != NULL)
        stream->older_idle->newer_idle = stream->newer_idle;
    else
        streams->oldest_idle = stream->newer_idle;
    streams->idle_count--;
}

void streams_forget(struct streams *streams, struct store_stream *stream)
{
    streams_unlink_idle(streams, stream);
    struct store_stream **link = streams_bucket(streams, stream->hash);
    while (*link != stream)
        link = &(*link)->next_in_bucket;
    *link = stream->next_in_bucket;
    streams->count--;
    free(stream);
}

struct store_stream *streams_add(struct streams *streams, const struct stream_key *key,
                                 const unsigned char origin[CHAIN_DIGEST_BYTES])
{
    if (streams->count >= streams->bucket_count)
        streams_grow(streams);
    if (streams->bucket_count == 0)
        return NULL;
    struct store_stream *stream =
        calloc(1, sizeof *stream + key->identity_length + key->name_length);
    if (stream == NULL)
        return NULL;
    stream->hash = streams_hash(streams, origin);
    memcpy(stream->origin, origin, CHAIN_DIGEST_BYTES);
    memcpy(stream->durable.digest, origin, CHAIN_DIGEST_BYTES);
    stream->pending = stream->durable;
    stream->identity_length = key->identity_length;
    stream->name_length = key->name_length;
    if (key->identity_length > 0)
        memcpy(stream->key, key->identity, key->identity_length);
    if (key->name_length > 0)
        memcpy(stream->key + key->identity_length, key->name, key->name_length);
    streams_insert(streams, stream);
    streams->count++;
    streams_link_idle(streams, stream);
    return stream;
}

void streams_hold(struct streams *streams, struct store_stream *stream)
{
    if (stream->leases++ == 0)
        streams_unlink_idle(streams, stream);
}

/* An idle stream that the open transaction has touched is still needed: its turn comes later. */
void streams_trim_idle(struct streams *streams)
{
    struct store_stream *stream = streams->oldest_idle;
    while (streams->idle_count > streams->idle_max && stream != NULL) {
        struct store_stream *newer = stream->newer_idle;
        if (!stream->touched)
            streams_forget(streams, stream);
        stream = newer;
    }
}

void streams_release(struct streams *streams, struct store_stream *stream)
{
    if (--stream->leases > 0)
        return;
    streams_link_idle(streams, stream);
    streams_trim_idle(streams);
}

enum certpost_status streams_each(struct streams *streams,
                                  enum certpost_status (*visit)(struct store_stream *stream,
                                                                void *context),
                                  void *context)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < streams->bucket_count && status == CERTPOST_OK; i++) {
        struct store_stream *stream = streams->buckets[i];
        for (; stream != NULL && status == CERTPOST_OK; stream = stream->next_in_bucket)
            status = visit(stream, context);
    }
    return status;
}
