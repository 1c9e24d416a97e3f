/*
 * store/reader.h — reading and auditing a store, also while the server writes it.
 *
 * A reader has its own connection, opened for reading only. What it returns was committed. It reads
 * in batches and holds no lock and no snapshot between calls, so a reader that is slow (`certpost
 * read | less`) does not keep the server's log from being checkpointed.
 *
 * Where there is no log beside the file, no server runs, and the last one ended well: the file is
 * then read as it is, with no locks, and nothing is made beside it. Should a server start
 * meanwhile, the reader notices and goes on as follows. Where there is a log (a server runs, or was
 * killed), it and its index must be readable, or the directory writable if there is no index.
 *
 * Threads: one at a time per reader.
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "base/committed.h"
#include "store/store.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader;

/*
 * Opens the store at `path`, which must exist. `vfs` is for tests, NULL else. Errors: STORE: not
 * there, no store, of another schema version, damaged, not readable. NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status reader_open(const char *path, const char *vfs, struct reader **ret_reader,
                                 struct certpost_error *error);

/* NULL does nothing. */
void reader_close(struct reader *reader);

/* A copy, not a promise: an acknowledgement takes a `struct committed`, which only a store makes.
 */
struct reader_stream {
    int64_t id; /* of this store, > 0; rises with the stream's age */
    uint64_t last_seq;
    unsigned char digest[CHAIN_DIGEST_BYTES];
    size_t identity_length;
    size_t name_length;
    unsigned char identity[STORE_KEY_PART_MAX_BYTES];
    unsigned char name[STORE_KEY_PART_MAX_BYTES];
};

/* Which streams; NULL means any. NUL-terminated. */
struct reader_filter {
    const char *identity;
    const char *name;
};

/*
 * The stream with the smallest id above `after_id` that passes `filter` (NULL: all pass). When
 * there is none, `*ret_found` is false and `*ret_stream` not touched. Errors: STORE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status reader_next_stream(struct reader *reader, const struct reader_filter *filter,
                                        int64_t after_id, struct reader_stream *ret_stream,
                                        bool *ret_found, struct certpost_error *error);

struct reader_message {
    int64_t row; /* place in the order of arrival over all streams */
    int64_t stream_id;
    uint64_t seq;
    int64_t time_ms;   /* of the commit, since 1970; 0 when no commit covers the message */
    const void *bytes; /* until the next reader_next, reader_select or reader_verify */
    size_t length;
};

/*
 * Sets what reader_next returns: messages `first_seq` to `last_seq` (UINT64_MAX: no end) of stream
 * `stream_id` in their order, or with 0 those of all streams in the order of arrival.
 */
void reader_select(struct reader *reader, int64_t stream_id, uint64_t first_seq, uint64_t last_seq);

/*
 * The next message. At the end `*ret_found` is false; a later call finds what has been stored
 * since. Errors: STORE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status reader_next(struct reader *reader, struct reader_message *ret_message,
                                 bool *ret_found, struct certpost_error *error);

/*
 * For a reader that waits for more: STORE when the file was deleted or replaced since it was
 * opened, and so nothing more will come.
 */
CERTPOST_MUST_CHECK
enum certpost_status reader_in_place(struct reader *reader, struct certpost_error *error);

/* What the store says of a commit's messages of one stream. */
struct reader_checkpoint {
    uint64_t first_seq;
    uint64_t last_seq;
    unsigned char digest[CHAIN_DIGEST_BYTES]; /* D(last_seq); zeros if the store has no digest */
};

/*
 * The first checkpoint of a stream that reaches message `seq`. When there is none, `*ret_found` is
 * false and `*ret_checkpoint` not touched. It does not disturb what reader_next goes through.
 * Errors: STORE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status reader_find_checkpoint(struct reader *reader, int64_t stream_id, uint64_t seq,
                                            struct reader_checkpoint *ret_checkpoint,
                                            bool *ret_found, struct certpost_error *error);

/* Something that is not as it was acknowledged. The pointers live during the report. */
struct reader_fault {
    const struct reader_stream *stream; /* NULL: a message of no stream */
    uint64_t first_seq; /* the fault lies within first_seq to last_seq: of a wrong digest, the */
    uint64_t last_seq;  /* messages of one commit; of a gap, the missing ones */
    int64_t time_ms;    /* of that commit, 0 when unknown */
    const char *what;   /* what is wrong there, as in "missing" */
    const char *text;   /* all of this in one line, for people */
};
typedef void (*reader_report)(void *context, const struct reader_fault *fault);

struct reader_audit {
    uint64_t streams;
    uint64_t messages;
    uint64_t commits; /* checkpoints compared */
    uint64_t faults;
};

/*
 * Recomputes every digest of stream `stream_id`, or of all with 0, and compares it with each
 * checkpoint and with the head; finds gaps, repetitions and messages that belong nowhere. Looks at
 * what is stored at the start of the call. `report` may be NULL. After a fault it goes on at the
 * stream's next checkpoint. Ends what reader_select began.
 *
 * Errors: DIGEST: at least one fault; `*ret_audit` is set, the text is that of the first. STORE:
 * the file cannot be read. NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status reader_verify(struct reader *reader, int64_t stream_id, reader_report report,
                                   void *context, struct reader_audit *ret_audit,
                                   struct certpost_error *error);

#endif
