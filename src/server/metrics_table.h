/*
 * server/metrics_table.h — every metric: its name, its meaning, and where its values are. The one
 * truth for /metrics and, by a test, for docs/metrics.md.
 */
#ifndef SERVER_METRICS_TABLE_H
#define SERVER_METRICS_TABLE_H

#include "base/buffer.h"
#include "server/metrics.h"

#include <stdbool.h>

/* What is not counted, but looked at when somebody asks. */
enum metrics_fact {
    METRICS_FACT_READY,
    METRICS_FACT_START_TIME, /* ms since 1970 */
    METRICS_FACT_WORKERS,
    METRICS_FACT_CONNECTIONS_MAX,
    METRICS_FACT_PENDING_BYTES,
    METRICS_FACT_UNFINISHED_BYTES,
    METRICS_FACT_PENDING_MAX_BYTES,
    METRICS_FACT_QUEUED_BATCHES,
    METRICS_FACT_QUEUED_BYTES,
    METRICS_FACT_STORE_FAILING_SINCE, /* ms since 1970; 0: it works */
    METRICS_FACT_STORE_BYTES,
    METRICS_FACT_STORE_LOG_BYTES,
    METRICS_FACT_COUNT,
};

struct metrics_facts {
    uint64_t values[METRICS_FACT_COUNT];
    bool known[METRICS_FACT_COUNT]; /* the others are left out */
    struct expiry_watch *expiry;    /* NULL: nothing that ends is known */
};

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_TIMES, METRICS_SIZES };

struct metrics_family {
    const char *name; /* NULL ends the table */
    const char *help;
    enum metrics_type type;    /* the last two are histograms */
    const char *const *labels; /* of each place, as `key="value"`; NULL: one place, no label */
    size_t count;              /* of places; 0: a fact */
    size_t place;              /* the first slot, or the fact */
    uint64_t divisor;          /* from what is counted to what is shown: 1, or 1000 for ms */
    /* Instead of all this: writes the samples itself. LIMIT or NO_MEMORY as buffer_append. */
    enum certpost_status (*write)(const struct metrics_family *family,
                                  const struct metrics_facts *facts, struct buffer *body);
};

extern const struct metrics_family metrics_table[];

/* Writes all of it in Prometheus' text format (version 0.0.4). Errors: LIMIT, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status metrics_write(const struct metrics *metrics, const struct metrics_facts *facts,
                                   struct buffer *body);

/* metrics_expiry.c, a `write`: those that end first come first, and so many at most. */
enum { METRICS_EXPIRY_MAX = 100 };
CERTPOST_MUST_CHECK
enum certpost_status metrics_write_expiry(const struct metrics_family *family,
                                          const struct metrics_facts *facts, struct buffer *body);

/*
 * The value of a label for `text`, which is UTF-8 without control characters (text_escape):
 * backslashes and quotes are escaped as the format wants. The end of a longer one is left out, by
 * whole characters; so is all from a byte on that is not UTF-8. Two labels are half of what
 * metrics_print takes.
 */
enum { METRICS_LABEL_BYTES = 256 };
void metrics_label(const char *text, char ret_label[METRICS_LABEL_BYTES]);

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* For `write`: appends as printf does, at most 1 KiB. */
CERTPOST_MUST_CHECK
enum certpost_status metrics_print(struct buffer *body, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
