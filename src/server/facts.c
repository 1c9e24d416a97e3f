/*
 * facts.c — facts for the metrics and the status page (server/facts.h).
 *
 * Uses: limits, writer.  Used by: server_view.c.
 * Never: waits for the writer's work, or opens a file.
 */
#include "server/facts.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

void facts_tell(struct metrics_facts *facts, enum metrics_fact fact, uint64_t value)
{
    facts->values[fact] = value;
    facts->known[fact] = true;
}

void facts_tell_limits(struct metrics_facts *facts, const struct limits *limits)
{
    struct limits_now now = limits_look(limits);
    facts_tell(facts, METRICS_FACT_CONNECTIONS_MAX, now.max_connections);
    facts_tell(facts, METRICS_FACT_PENDING_BYTES, now.pending_bytes);
    facts_tell(facts, METRICS_FACT_PENDING_MAX_BYTES, now.max_pending_bytes);
    facts_tell(facts, METRICS_FACT_UNFINISHED_BYTES, now.unfinished_bytes);
}

void facts_tell_writer(struct metrics_facts *facts, struct writer *writer)
{
    size_t batches = 0;
    size_t bytes = 0;
    writer_queue(writer, &batches, &bytes);
    facts_tell(facts, METRICS_FACT_QUEUED_BATCHES, batches);
    facts_tell(facts, METRICS_FACT_QUEUED_BYTES, bytes);
    facts_tell(facts, METRICS_FACT_STORE_FAILING_SINCE, (uint64_t)writer_failing_since_ms(writer));
}

static void facts_tell_size(struct metrics_facts *facts, enum metrics_fact fact, const char *path,
                            const char *suffix)
{
    char name[PATH_MAX];
    struct stat found;
    int length = snprintf(name, sizeof name, "%s%s", path, suffix);
    if (length > 0 && (size_t)length < sizeof name && stat(name, &found) == 0)
        facts_tell(facts, fact, (uint64_t)found.st_size);
}

void facts_tell_store(struct metrics_facts *facts, const char *path)
{
    facts_tell_size(facts, METRICS_FACT_STORE_BYTES, path, "");
    facts_tell_size(facts, METRICS_FACT_STORE_LOG_BYTES, path, "-wal");
}
