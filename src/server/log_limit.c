/*
 * log_limit.c — a bounded rate of log lines (server/log_limit.h).
 *
 * Uses: base, OpenSSL (random numbers).  Used by: plain_peer.c, worker_accept.c, server.c.
 * Never: allocates after it was made, or waits under its lock (logging does not block).
 *
 * An address gets an entry with the first of its lines that passes, so there are never more live
 * entries than lines that pass in a window. They lie in a table of small sets; the hash is keyed,
 * so that nobody can choose addresses that crowd one set. Where a set is full all the same, the
 * bound of the reason still holds.
 */
#include "server/log_limit.h"

#include "base/clock.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOG_LIMIT_REASONS = 64, /* the last one stands for all that find no place */
    LOG_LIMIT_REASON_BYTES = 64,
    LOG_LIMIT_SETS = 2048,
    LOG_LIMIT_WAYS = 8,
};

/* What counts as one peer: an IPv4 address, or the upper half of an IPv6 address. */
struct log_limit_network {
    uint64_t prefix;
    sa_family_t family;
};

struct log_limit_count {
    int64_t begun_ms; /* of the window */
    uint32_t passed;  /* in the window */
    uint64_t suppressed;
    int64_t suppressed_since_ms;
};

struct log_limit_reason {
    char text[LOG_LIMIT_REASON_BYTES];
    enum log_level level;
    struct log_limit_count count; /* suppressed: those that no address's bound has left out */
};

struct log_limit_entry {
    struct log_limit_reason *reason; /* NULL: free */
    struct log_limit_network network;
    struct log_limit_count count;
};

struct log_limit {
    pthread_mutex_t mutex;
    uint64_t hash_key[2];
    size_t reason_count;
    struct log_limit_reason reasons[LOG_LIMIT_REASONS];
    struct log_limit_entry sets[LOG_LIMIT_SETS][LOG_LIMIT_WAYS];
};

enum certpost_status log_limit_new(struct log_limit **ret_limit, struct certpost_error *error)
{
    struct log_limit *limit = calloc(1, sizeof *limit);
    if (limit == NULL)
        return error_no_memory(error);
    if (RAND_bytes((unsigned char *)limit->hash_key, sizeof limit->hash_key) != 1) {
        free(limit);
        return error_set(error, CERTPOST_SYSTEM, "the system gives no random numbers");
    }
    (void)pthread_mutex_init(&limit->mutex, NULL);
    *ret_limit = limit;
    return CERTPOST_OK;
}

void log_limit_free(struct log_limit *limit)
{
    if (limit == NULL)
        return;
    (void)pthread_mutex_destroy(&limit->mutex);
    free(limit);
}

/* ------------------------------------------------------------------------------ counts */

static void log_limit_roll(struct log_limit_count *count, int64_t now_ms)
{
    if (now_ms - count->begun_ms < LOG_LIMIT_WINDOW_MS)
        return;
    count->begun_ms = now_ms;
    count->passed = 0;
}

static void log_limit_suppress(struct log_limit_count *count, int64_t now_ms)
{
    if (count->suppressed++ == 0)
        count->suppressed_since_ms = now_ms;
}

static bool log_limit_is_over(const struct log_limit_count *count, int64_t now_ms)
{
    return count->suppressed == 0 && now_ms - count->begun_ms >= LOG_LIMIT_WINDOW_MS;
}

/* ------------------------------------------------------------------------------ tables */

static struct log_limit_network log_limit_network_of(const struct sockaddr *peer)
{
    struct log_limit_network network = {.family = AF_UNSPEC};
    if (peer != NULL && peer->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, peer, sizeof v4);
        network.family = AF_INET;
        network.prefix = v4.sin_addr.s_addr;
    } else if (peer != NULL && peer->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, peer, sizeof v6);
        network.family = AF_INET6;
        memcpy(&network.prefix, &v6.sin6_addr, sizeof network.prefix);
    }
    return network;
}

static void log_limit_network_format(const struct log_limit_network *network, char *ret_text,
                                     size_t capacity)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (network->family == AF_INET) {
        uint32_t address = (uint32_t)network->prefix;
        (void)inet_ntop(AF_INET, &address, text, sizeof text);
        snprintf(ret_text, capacity, "%s", text);
        return;
    }
    struct in6_addr address = {0};
    memcpy(&address, &network->prefix, sizeof network->prefix);
    (void)inet_ntop(AF_INET6, &address, text, sizeof text);
    snprintf(ret_text, capacity, "%s/64", text);
}

static struct log_limit_reason *
log_limit_find_reason(struct log_limit *limit, const struct log_limit_event *event, int64_t now_ms)
{
    char text[LOG_LIMIT_REASON_BYTES];
    snprintf(text, sizeof text, "%s", event->reason);
    for (size_t i = 0; i < limit->reason_count; i++) {
        if (strcmp(limit->reasons[i].text, text) == 0)
            return &limit->reasons[i];
    }
    if (limit->reason_count == LOG_LIMIT_REASONS)
        return &limit->reasons[LOG_LIMIT_REASONS - 1];
    struct log_limit_reason *reason = &limit->reasons[limit->reason_count++];
    bool is_last = limit->reason_count == LOG_LIMIT_REASONS;
    snprintf(reason->text, sizeof reason->text, "%s", is_last ? "other" : text);
    reason->level = event->level;
    reason->count.begun_ms = now_ms;
    return reason;
}

/* Multiply and fold with secret multipliers: enough against chosen addresses, and cheap. */
static struct log_limit_entry *log_limit_set(struct log_limit *limit,
                                             const struct log_limit_reason *reason,
                                             const struct log_limit_network *network)
{
    uint64_t mixed = (network->prefix ^ limit->hash_key[0]) * (limit->hash_key[1] | 1);
    mixed ^= mixed >> 32;
    mixed += (uint64_t)(reason - limit->reasons) * 2 + (network->family == AF_INET6 ? 1 : 0);
    mixed *= limit->hash_key[0] | 1;
    return limit->sets[(mixed >> 32) % LOG_LIMIT_SETS];
}

/* The entry, or the free place for it (its reason is then NULL), or NULL when the set is full. */
static struct log_limit_entry *log_limit_find_entry(struct log_limit *limit,
                                                    const struct log_limit_reason *reason,
                                                    const struct log_limit_network *network,
                                                    int64_t now_ms)
{
    struct log_limit_entry *set = log_limit_set(limit, reason, network);
    struct log_limit_entry *place = NULL;
    for (size_t i = 0; i < LOG_LIMIT_WAYS; i++) {
        struct log_limit_entry *entry = &set[i];
        if (entry->reason == reason && entry->network.prefix == network->prefix &&
            entry->network.family == network->family)
            return entry;
        if (place == NULL && (entry->reason == NULL || log_limit_is_over(&entry->count, now_ms)))
            place = entry;
    }
    if (place != NULL)
        *place = (struct log_limit_entry){.network = *network, .count.begun_ms = now_ms};
    return place;
}

/* ------------------------------------------------------------------------------ asking */

/* The lock is held. */
static bool log_limit_take(struct log_limit *limit, const struct log_limit_event *event,
                           int64_t now_ms, uint64_t *ret_suppressed)
{
    uint32_t most_per_address =
        event->is_fault ? LOG_LIMIT_FAULTS_PER_ADDRESS : LOG_LIMIT_ENDS_PER_ADDRESS;
    uint32_t most = event->is_fault ? LOG_LIMIT_FAULTS : LOG_LIMIT_ENDS;
    struct log_limit_network network = log_limit_network_of(event->peer);
    struct log_limit_reason *reason = log_limit_find_reason(limit, event, now_ms);
    struct log_limit_entry *entry = log_limit_find_entry(limit, reason, &network, now_ms);
    log_limit_roll(&reason->count, now_ms);
    if (entry != NULL) {
        log_limit_roll(&entry->count, now_ms);
        if (entry->count.passed >= most_per_address) {
            log_limit_suppress(&entry->count, now_ms);
            return false;
        }
    }
    if (reason->count.passed >= most) {
        log_limit_suppress(&reason->count, now_ms);
        return false;
    }
    reason->count.passed++;
    *ret_suppressed = 0;
    if (entry != NULL) {
        entry->reason = reason;
        entry->count.passed++;
        *ret_suppressed = entry->count.suppressed;
        entry->count.suppressed = 0;
    }
    return true;
}

bool log_limit_allows(struct log_limit *limit, const struct log_limit_event *event, int64_t now_ms,
                      uint64_t *ret_suppressed)
{
    if (!log_is_wanted(event->level))
        return false;
    (void)pthread_mutex_lock(&limit->mutex);
    bool allowed = log_limit_take(limit, event, now_ms, ret_suppressed);
    (void)pthread_mutex_unlock(&limit->mutex);
    return allowed;
}

void log_limit_message(struct log_limit *limit, const struct log_limit_event *event,
                       const char *message, const char *key, const char *value)
{
    uint64_t suppressed = 0;
    struct log_limit_event named = *event;
    named.reason = message;
    if (!log_limit_allows(limit, &named, clock_monotonic_ms(), &suppressed))
        return;
    struct log_line line;
    log_begin(&line, event->level, message);
    if (key != NULL)
        log_text(&line, key, value);
    if (suppressed > 0)
        log_u64(&line, "suppressed", suppressed);
    log_end(&line);
}

/* ------------------------------------------------------------------------------ reporting */

static bool log_limit_is_due(const struct log_limit_count *count, int64_t now_ms, bool all)
{
    return count->suppressed > 0 &&
           (all || now_ms - count->suppressed_since_ms >= LOG_LIMIT_WINDOW_MS);
}

static void log_limit_report_count(const struct log_limit_reason *reason,
                                   const struct log_limit_network *network,
                                   struct log_limit_count *count)
{
    char address[INET6_ADDRSTRLEN + sizeof "/64"];
    struct log_line line;
    log_begin(&line, reason->level, "log lines left out");
    log_text(&line, "reason", reason->text);
    if (network != NULL && network->family != AF_UNSPEC) {
        log_limit_network_format(network, address, sizeof address);
        log_text(&line, "address", address);
    }
    log_u64(&line, "suppressed", count->suppressed);
    log_end(&line);
    count->suppressed = 0;
}

void log_limit_report(struct log_limit *limit, int64_t now_ms, bool all)
{
    (void)pthread_mutex_lock(&limit->mutex);
    for (size_t i = 0; i < limit->reason_count; i++) {
        struct log_limit_reason *reason = &limit->reasons[i];
        if (log_limit_is_due(&reason->count, now_ms, all))
            log_limit_report_count(reason, NULL, &reason->count);
    }
    struct log_limit_entry *entries = limit->sets[0];
    for (size_t i = 0; i < (size_t)LOG_LIMIT_SETS * LOG_LIMIT_WAYS; i++) {
        struct log_limit_entry *entry = &entries[i];
        if (log_limit_is_due(&entry->count, now_ms, all))
            log_limit_report_count(entry->reason, &entry->network, &entry->count);
    }
    (void)pthread_mutex_unlock(&limit->mutex);
}
