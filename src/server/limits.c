/*
 * limits.c — what all workers together may hold (server/limits.h).
 *
 * Uses: base.  Used by: worker.c, plain_peer.c, server.c.
 * Never: holds its lock while it calls out.
 *
 * Addresses lie in a hash table with chains; its hash is keyed, so that nobody can choose addresses
 * that meet in one chain. An entry lives as long as its address has a connection, so the table is
 * bounded by the number of connections.
 */
#include "server/limits.h"

#include "base/error.h"

#include <netinet/in.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A power of two; chains stay short up to the default number of connections. */
enum { LIMITS_BUCKETS = 4096 };

/* What is counted as one peer: an IPv4 address, or the upper half of an IPv6 address (a /64 is what
 * one customer gets, so its lower half is free to choose). */
struct limits_key {
    uint64_t prefix;
    bool is_v6;
};

struct limits_entry {
    struct limits_entry *next;
    struct limits_key key;
    size_t count;
};

struct limits {
    atomic_size_t connections;
    atomic_size_t max_connections;
    atomic_size_t pending_bytes;
    atomic_size_t max_pending_bytes;
    atomic_size_t unfinished_bytes;
    pthread_mutex_t mutex; /* for what follows */
    struct limits_entry *buckets[LIMITS_BUCKETS];
    size_t max_per_address;
    uint64_t hash_key[2];
    void (*wake)(void *argument, size_t worker);
    void *argument;
    size_t worker_count;
    atomic_bool waiting[]; /* one for each worker */
};

enum certpost_status limits_new(size_t worker_count, void (*wake)(void *argument, size_t worker),
                                void *argument, struct limits **ret_limits,
                                struct certpost_error *error)
{
    struct limits *limits = calloc(1, sizeof *limits + worker_count * sizeof limits->waiting[0]);
    if (limits == NULL)
        return error_no_memory(error);
    if (RAND_bytes((unsigned char *)limits->hash_key, sizeof limits->hash_key) != 1) {
        free(limits);
        return error_set(error, CERTPOST_SYSTEM, "the system gives no random numbers");
    }
    (void)pthread_mutex_init(&limits->mutex, NULL);
    limits->wake = wake;
    limits->argument = argument;
    limits->worker_count = worker_count;
    *ret_limits = limits;
    return CERTPOST_OK;
}

void limits_free(struct limits *limits)
{
    if (limits == NULL)
        return;
    for (size_t i = 0; i < LIMITS_BUCKETS; i++) {
        while (limits->buckets[i] != NULL) {
            struct limits_entry *entry = limits->buckets[i];
            limits->buckets[i] = entry->next;
            free(entry);
        }
    }
    (void)pthread_mutex_destroy(&limits->mutex);
    free(limits);
}

static void limits_wake_waiting(struct limits *limits)
{
    for (size_t i = 0; i < limits->worker_count; i++) {
        if (atomic_load(&limits->waiting[i]) && atomic_exchange(&limits->waiting[i], false))
            limits->wake(limits->argument, i);
    }
}

void limits_set(struct limits *limits, const struct config_limits *values)
{
    atomic_store(&limits->max_connections, values->max_connections);
    atomic_store(&limits->max_pending_bytes, values->max_pending_total_bytes);
    (void)pthread_mutex_lock(&limits->mutex);
    limits->max_per_address = values->max_connections_per_address;
    (void)pthread_mutex_unlock(&limits->mutex);
    limits_wake_waiting(limits);
}

void limits_wait(struct limits *limits, size_t worker)
{
    atomic_store(&limits->waiting[worker], true);
}

bool limits_take_connection(struct limits *limits)
{
    size_t taken = atomic_fetch_add(&limits->connections, 1);
    if (taken < atomic_load(&limits->max_connections))
        return true;
    atomic_fetch_sub(&limits->connections, 1);
    return false;
}

void limits_return_connection(struct limits *limits)
{
    atomic_fetch_sub(&limits->connections, 1);
    limits_wake_waiting(limits);
}

size_t limits_connection_count(const struct limits *limits)
{
    return atomic_load(&limits->connections);
}

static struct limits_key limits_key_of(const struct sockaddr *peer)
{
    struct limits_key key = {0};
    if (peer->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, peer, sizeof v4);
        key.prefix = v4.sin_addr.s_addr;
    } else if (peer->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, peer, sizeof v6);
        /* A balancer may name an IPv4 client as ::ffff:192.0.2.1; these are not one /64. */
        key.is_v6 = !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        if (key.is_v6)
            memcpy(&key.prefix, &v6.sin6_addr, sizeof key.prefix);
        else
            memcpy(&key.prefix, &v6.sin6_addr.s6_addr[12], sizeof(struct in_addr));
    }
    return key;
}

/* Multiply and fold with secret multipliers: enough against chosen addresses, and cheap. */
static size_t limits_bucket(const struct limits *limits, const struct limits_key *key)
{
    uint64_t mixed = (key->prefix ^ limits->hash_key[0]) * (limits->hash_key[1] | 1);
    mixed ^= mixed >> 32;
    mixed *= limits->hash_key[0] | 1;
    return (size_t)((mixed >> 32) ^ (key->is_v6 ? 1U : 0U)) % LIMITS_BUCKETS;
}

/* The pointer to the entry, or to where it would be. The lock is held. */
static struct limits_entry **limits_find(struct limits *limits, const struct limits_key *key)
{
    struct limits_entry **at = &limits->buckets[limits_bucket(limits, key)];
    while (*at != NULL && ((*at)->key.prefix != key->prefix || (*at)->key.is_v6 != key->is_v6))
        at = &(*at)->next;
    return at;
}

bool limits_take_address(struct limits *limits, const struct sockaddr *peer)
{
    struct limits_key key = limits_key_of(peer);
    bool taken = false;
    (void)pthread_mutex_lock(&limits->mutex);
    struct limits_entry **at = limits_find(limits, &key);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL)
            (*at)->key = key;
    }
    if (*at != NULL && (*at)->count < limits->max_per_address) {
        (*at)->count++;
        taken = true;
    }
    (void)pthread_mutex_unlock(&limits->mutex);
    return taken;
}

void limits_return_address(struct limits *limits, const struct sockaddr *peer)
{
    struct limits_key key = limits_key_of(peer);
    (void)pthread_mutex_lock(&limits->mutex);
    struct limits_entry **at = limits_find(limits, &key);
    struct limits_entry *entry = *at;
    if (entry != NULL && --entry->count == 0) {
        *at = entry->next;
        free(entry);
    }
    (void)pthread_mutex_unlock(&limits->mutex);
}

void limits_add_pending(struct limits *limits, size_t bytes)
{
    atomic_fetch_add(&limits->pending_bytes, bytes);
}

void limits_remove_pending(struct limits *limits, size_t bytes)
{
    size_t before = atomic_fetch_sub(&limits->pending_bytes, bytes);
    size_t max = atomic_load(&limits->max_pending_bytes);
    if (before >= max && before - bytes < max)
        limits_wake_waiting(limits);
}

bool limits_pending_is_full(const struct limits *limits)
{
    return atomic_load(&limits->pending_bytes) >= atomic_load(&limits->max_pending_bytes);
}

bool limits_take_unfinished(struct limits *limits, size_t bytes)
{
    size_t before = atomic_fetch_add(&limits->unfinished_bytes, bytes);
    if (before + bytes <= atomic_load(&limits->max_pending_bytes))
        return true;
    atomic_fetch_sub(&limits->unfinished_bytes, bytes);
    return false;
}

void limits_return_unfinished(struct limits *limits, size_t bytes)
{
    atomic_fetch_sub(&limits->unfinished_bytes, bytes);
}

struct limits_now limits_look(const struct limits *limits)
{
    return (struct limits_now){
        .max_connections = atomic_load(&limits->max_connections),
        .pending_bytes = atomic_load(&limits->pending_bytes),
        .max_pending_bytes = atomic_load(&limits->max_pending_bytes),
        .unfinished_bytes = atomic_load(&limits->unfinished_bytes),
    };
}
