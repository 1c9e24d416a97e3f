/*
 * store/commit_row.h — the row of `commits` that covers a message, as the reader uses it.
 *
 * Private to store/.
 */
#ifndef STORE_COMMIT_ROW_H
#define STORE_COMMIT_ROW_H

#include "base/committed.h"
#include "store/database.h"

struct commit_row {
    int64_t stream_id; /* 0: none loaded */
    uint64_t first_seq;
    uint64_t last_seq;
    int64_t first_row;
    int64_t last_row;
    int64_t time_ms;
    unsigned char digest[CHAIN_DIGEST_BYTES];
};

/* Takes the columns in this order; ?1 is the stream, ?2 a number: the first commit that reaches it.
 */
#define COMMIT_ROW_SQL                                                                             \
    "SELECT first_seq, last_seq, first_row, last_row, time_ms, digest FROM commits"                \
    " WHERE stream = ?1 AND last_seq >= ?2 ORDER BY last_seq LIMIT 1"

/* Without one, `ret_row->stream_id` is 0. */
CERTPOST_MUST_CHECK
enum certpost_status commit_row_load(struct database *db, sqlite3_stmt *statement,
                                     int64_t stream_id, uint64_t seq, struct commit_row *ret_row,
                                     struct certpost_error *error);

#endif
