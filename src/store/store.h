/*
 * store/store.h — where messages are kept, behind one small interface.
 *
 * The writer thread opens a lease for each connection that speaks for a stream, and then repeats:
 * store_begin, store_append for every message that has arrived, store_commit. That is group commit:
 * one transaction, any number of messages and streams. Only after store_commit has returned
 * CERTPOST_OK may it ask store_committed for the proof that an acknowledgement is made from.
 *
 *            +------------- commit ------------+
 *            v                                 |
 *          READY ---------- begin ----------> OPEN
 *            ^                                 |
 *            |                                 | any failure of the engine, in begin, append,
 *         recover                              | commit or a checkpoint
 *            |                                 v
 *            +------------------------------ FAILED
 *
 * In FAILED everything but store_recover, store_lease_release and store_close is refused with
 * CERTPOST_STORE. Nothing of the failed transaction may be acknowledged; all leases are void: end
 * their connections, release them, and call store_recover from time to time (once a second is
 * plenty) until it succeeds. docs/durability.md says what holds in each case.
 *
 * Threads: all calls for one store from one thread, except store_level.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/chain.h"
#include "base/committed.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an acknowledgement of a store means; the values are those of the wire. */
enum store_level {
    STORE_LEVEL_ACCEPTED = 0,
    STORE_LEVEL_STORED = 1,
    STORE_LEVEL_REPLICATED = 2,
};

/* An identity and a stream's name may each be this long; the wire's str8 is shorter. */
#define STORE_KEY_PART_MAX_BYTES 1024

struct store;
struct store_stream;

/* All zero means the defaults. */
struct store_sqlite_options {
    const char *vfs;           /* SQLite VFS by name; NULL: the platform's. For tests. */
    uint32_t busy_timeout_ms;  /* how long to wait for another process's lock; 0: 2000 */
    uint32_t checkpoint_pages; /* pages of 8 KiB in the log that start a checkpoint; 0: 2048 */
};

/*
 * To be called by main once, before threads and before SQLite is used: SQLite stops counting its
 * memory, which costs a lock at each allocation (a tenth of a message); it takes its random numbers
 * while their device can still be opened; and SIGXFSZ is ignored, so that a file-size limit is a
 * failing write and not the end of the process.
 */
void store_prepare_process(void);

/* The version of SQLite that runs. Static. */
const char *store_engine_version(void);

/*
 * The right to append to a stream, until a newer lease of the same stream is opened or the store
 * fails. A value to copy; valid until store_lease_release.
 */
struct store_lease {
    struct store_stream *stream;
    uint64_t epoch;
};

/*
 * Level `accepted`: remembers the heads of streams and keeps no messages. Of streams without a
 * lease, the `idle_streams_max` last used are remembered; an older one starts at 0 again.
 * Errors: NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status store_open_memory(size_t idle_streams_max, struct store **ret_store,
                                       struct certpost_error *error);

/*
 * Level `stored`: one SQLite database at `path`, created (mode 0600) if it is not there; its
 * directory must exist. Beside it live PATH-wal and PATH-shm, which belong to it, and PATH-lock,
 * which keeps a second server out. Brings an older schema up to date. Forces what is found to the
 * disk before it returns. Starts one thread, for checkpoints.
 *
 * `options` may be NULL, and is not kept. Errors: STORE: another server has it; it is not a store,
 * is of a newer version, damaged, read-only; the disk is full or failing: the text says which and
 * what to do. NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status store_open_sqlite(const char *path, const struct store_sqlite_options *options,
                                       struct store **ret_store, struct certpost_error *error);

/* Ends an open transaction without effect, frees everything. All leases die. NULL does nothing. */
void store_close(struct store *store);

/* Never changes in a store's life; any thread. */
enum store_level store_level(const struct store *store);

/* False when the store has FAILED, also in a checkpoint in the background since the last call. */
bool store_is_ready(struct store *store);

/*
 * Makes the caller the owner of the stream (identity, name); `owner` is the caller's own mark for
 * itself, never NULL. `*ret_head` is what of the stream is safe: seq 0 and D(0) for a new one.
 * Nothing is written: a stream comes into being with its first message. `*ret_superseded` is the
 * mark of the owner until now, to be told so, or NULL. The older lease stays valid for release; its
 * appends are refused.
 *
 * Not between begin and commit: a head must be durable (INTERNAL). Other errors: STORE, and the
 * store has FAILED; NO_MEMORY, after which store_is_ready tells whether it has; LIMIT for a key
 * that is too long; SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status store_lease_open(struct store *store, const void *identity,
                                      size_t identity_length, const void *name, size_t name_length,
                                      void *owner, struct store_lease *ret_lease,
                                      struct committed *ret_head, void **ret_superseded,
                                      struct certpost_error *error);

/* Gives a lease back, in any state of the store, and clears it. A cleared lease does nothing. */
void store_lease_release(struct store *store, struct store_lease *lease);

/*
 * Starts a transaction. Waits if a checkpoint must come to its end, and up to the busy timeout for
 * a foreign lock. Errors: STORE, NO_MEMORY: the store has FAILED. INTERNAL: one is open already.
 */
CERTPOST_MUST_CHECK
enum certpost_status store_begin(struct store *store, struct certpost_error *error);

/*
 * Adds message `seq` with D(seq) as the session computed it. `bytes` are not kept after the return.
 *
 * SUPERSEDED: a newer lease owns the stream, or the store has failed since this one was opened.
 * INTERNAL: `seq` is not the next number of the stream, or no transaction is open. After these two
 * the message is not stored, the transaction is as it was, and the lease's connection should end.
 * STORE, NO_MEMORY: the store has FAILED, with all of the transaction.
 */
CERTPOST_MUST_CHECK
enum certpost_status store_append(struct store *store, const struct store_lease *lease,
                                  uint64_t seq, const unsigned char digest[CHAIN_DIGEST_BYTES],
                                  const void *bytes, size_t length, struct certpost_error *error);

/*
 * Makes everything appended since store_begin durable. An empty transaction succeeds and writes
 * nothing. Errors: STORE, NO_MEMORY: the store has FAILED; acknowledge nothing. INTERNAL: no
 * transaction is open.
 */
CERTPOST_MUST_CHECK
enum certpost_status store_commit(struct store *store, struct certpost_error *error);

/*
 * What is safe of the lease's stream, as of the last commit. The lease must not be released yet. In
 * the store's layer the only maker of these values, with store_lease_open.
 */
struct committed store_committed(const struct store_lease *lease);

/*
 * Closes the database, opens it again, forces what is really there to the disk and reads the heads
 * again. Succeeds at once in READY. Errors: STORE, NO_MEMORY, SYSTEM: still FAILED, the text says
 * why; try again later. INTERNAL: a transaction is open.
 */
CERTPOST_MUST_CHECK
enum certpost_status store_recover(struct store *store, struct certpost_error *error);

#endif
