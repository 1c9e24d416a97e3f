/* store/reader_internal.h — what reader.c shows to audit.c. Private to the two. */
#ifndef STORE_READER_INTERNAL_H
#define STORE_READER_INTERNAL_H

#include "base/buffer.h"
#include "store/commit_row.h"
#include "store/database.h"
#include "store/reader.h"

#include <sys/stat.h>

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
    char *log_path; /* of the write-ahead log */
    char *vfs;
    struct database_place place;
    struct database db;
    bool is_frozen; /* no log was there, so no server: read without locks and without traces */
    struct stat when_opened; /* of the file, if frozen */
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

/*
 * Opens the file anew, with locks, if it was frozen and no longer is: a server has started on it.
 * `*ret_changed` says whether that was so, and what was just read may then be torn.
 */
CERTPOST_MUST_CHECK
enum certpost_status reader_refresh(struct reader *reader, bool *ret_changed,
                                    struct certpost_error *error);

/* commit_row_load, read again if a server started meanwhile. */
CERTPOST_MUST_CHECK
enum certpost_status reader_load_commit(struct reader *reader, int64_t stream_id, uint64_t seq,
                                        struct commit_row *ret_row, struct certpost_error *error);

/* reader_next_stream without a refresh, for within a transaction. */
CERTPOST_MUST_CHECK
enum certpost_status reader_find_stream(struct reader *reader, const struct reader_filter *filter,
                                        int64_t after_id, struct reader_stream *ret_stream,
                                        bool *ret_found, struct certpost_error *error);

#endif
