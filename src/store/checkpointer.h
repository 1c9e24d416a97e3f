/*
 * store/checkpointer.h — the thread that keeps the write-ahead log short.
 *
 * Private to store/. It copies pages from the log into the database over its own connection while
 * the writer goes on. A writer that never pauses would always be a few pages ahead, and only a log
 * that is copied whole can start anew; so for the last few pages the checkpointer asks the writer
 * to wait between two transactions. That wait is what is left after the rounds before:
 * milliseconds.
 *
 * Threads: created and freed by the store's thread, which makes all calls below.
 */
#ifndef STORE_CHECKPOINTER_H
#define STORE_CHECKPOINTER_H

#include "store/database.h"

struct checkpointer;

/* Opens the connection and starts the thread. `place` must outlive it. */
CERTPOST_MUST_CHECK
enum certpost_status checkpointer_start(const struct database_place *place, int start_pages,
                                        struct checkpointer **ret_checkpointer,
                                        struct certpost_error *error);

/*
 * Ends the thread and closes the connection. True when it saw an I/O error, so that the file can no
 * longer be trusted without sole access. NULL does nothing.
 */
bool checkpointer_stop(struct checkpointer *checkpointer);

/* The writer's transaction begins (waits while the log is finished), and has ended. */
void checkpointer_enter(struct checkpointer *checkpointer);
void checkpointer_leave(struct checkpointer *checkpointer);

/* A commit has made the log this long. */
void checkpointer_notice(struct checkpointer *checkpointer, int log_pages);

/* True when a checkpoint failed; `error` says how. The thread does nothing more then. */
bool checkpointer_has_failed(struct checkpointer *checkpointer, struct certpost_error *error);

#endif
