/* store/reader_internal.h — what reader.c shows to audit.c. Private to the two. */
#ifndef STORE_READER_INTERNAL_H
#define STORE_READER_INTERNAL_H

#include "base/buffer.h"
#include "store/commit_row.h"
#include "store/database.h"
#include "store/reader.h"

enum reader_statement {
    READER_STREAM,
    READER_ARRIVALS,
    READER_COMMITTED,
    READER_COMMIT,
    READER_STATEMENT_COUNT,
};

/* A batch is what one look at the file brings: enough to make looking cheap, and bounded. */
enum { READER_BATCH_MESSAGES = 512, READER_BATCH_BYTES = 1 << 20 };

struct reader_entry {
    int64_t row;
    int64_t stream_id;
    uint64_t seq;
    int64_t time_ms;
    size_t offset; /* in `bytes` */
    size_t length;
};

struct reader {
    char *path;
    char *vfs;
    struct database_place place;
    struct database db;
    sqlite3_stmt *statements[READER_STATEMENT_COUNT];
    /* what reader_select chose */
    int64_t stream_id;
    uint64_t first_seq;
    uint64_t last_seq;
    /* where it is */
    int64_t after_row;        /* rows up to this one are done */
    struct commit_row commit; /* of one stream: the commit being read; of all: the last one seen */
    struct reader_entry batch[READER_BATCH_MESSAGES];
    size_t batch_count;
    size_t batch_next;
    struct buffer bytes;
};

#endif
