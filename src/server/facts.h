/*
 * server/facts.h — facts for the metrics and the status page: what is not counted, but looked at
 * when somebody asks. Each function adds to `facts`, which {0} begins. Threads: any.
 */
#ifndef SERVER_FACTS_H
#define SERVER_FACTS_H

#include "server/limits.h"
#include "server/metrics_table.h"
#include "server/writer.h"

void facts_tell(struct metrics_facts *facts, enum metrics_fact fact, uint64_t value);
void facts_tell_limits(struct metrics_facts *facts, const struct limits *limits);
void facts_tell_writer(struct metrics_facts *facts, struct writer *writer);

/* The sizes of the store's files; one that cannot be looked at is left out. */
void facts_tell_store(struct metrics_facts *facts, const char *path);

#endif
