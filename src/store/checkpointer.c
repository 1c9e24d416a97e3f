/*
 * checkpointer.c — the thread that keeps the write-ahead log short (store/checkpointer.h).
 *
 * `mutex` guards every field but `db`, which is the thread's own; no call into SQLite is made while
 * it is held.
 *
 * Uses: database, pthreads.  Used by: sqlite_store.
 * Never: writes a row, or retries after a failure (docs/durability.md, Failed fsync).
 */
#include "store/checkpointer.h"

#include "base/error.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/*
 * After this many rounds the writer is asked to wait even if much is left; and it has to wait
 * before that when the log is longer than is due by this many times `start_pages`: a thread that
 * gets no processor, or a slow disk, must not let the log grow without end.
 */
enum { CHECKPOINTER_ROUNDS_MAX = 4, CHECKPOINTER_OVERDUE_MAX = 4 };

struct checkpointer {
    struct database db;
    pthread_t thread;
    bool has_thread;
    int start_pages;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int log_pages; /* length of the log after the last commit */
    int due_pages; /* at this length the next checkpoint starts */
    bool writing;  /* the writer is in a transaction */
    bool pausing;  /* the writer must not begin another */
    bool stopping;
    bool failed;
    struct certpost_error cause;
};

/* Waits until there is work; false when the thread shall end. */
static bool checkpointer_wait_for_work(struct checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->mutex);
    while (!checkpointer->stopping && checkpointer->log_pages < checkpointer->due_pages)
        pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex);
    bool stopping = checkpointer->stopping;
    pthread_mutex_unlock(&checkpointer->mutex);
    return !stopping;
}

/* False when the thread shall end instead. */
static bool checkpointer_pause_writer(struct checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->mutex);
    checkpointer->pausing = true;
    while (!checkpointer->stopping && checkpointer->writing)
        pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex);
    bool stopping = checkpointer->stopping;
    pthread_mutex_unlock(&checkpointer->mutex);
    return !stopping;
}

static void checkpointer_resume_writer(struct checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->mutex);
    checkpointer->pausing = false;
    pthread_cond_broadcast(&checkpointer->changed);
    pthread_mutex_unlock(&checkpointer->mutex);
}

static enum certpost_status checkpointer_round(struct checkpointer *checkpointer,
                                               struct database_log *ret_log,
                                               struct certpost_error *error)
{
    enum certpost_status status =
        database_checkpoint(&checkpointer->db, SQLITE_CHECKPOINT_PASSIVE, ret_log, error);
    /* Another process is at it, or recovers the index: the next commit gives the next chance. */
    return status != CERTPOST_OK && checkpointer->db.was_locked ? CERTPOST_OK : status;
}

/* What is left to copy. The writer may have added to the log since the round looked at it. */
static int checkpointer_left_pages(struct checkpointer *checkpointer,
                                   const struct database_log *log)
{
    pthread_mutex_lock(&checkpointer->mutex);
    int left_pages = checkpointer->log_pages - log->done_pages;
    pthread_mutex_unlock(&checkpointer->mutex);
    return left_pages;
}

/* Rounds until little is left, then one in which the writer waits. */
static enum certpost_status checkpointer_work(struct checkpointer *checkpointer,
                                              struct certpost_error *error)
{
    struct database_log log = {0};
    int small_pages = checkpointer->start_pages / 8;
    enum certpost_status status = checkpointer_round(checkpointer, &log, error);
    for (int round = 1; round < CHECKPOINTER_ROUNDS_MAX && status == CERTPOST_OK &&
                        checkpointer_left_pages(checkpointer, &log) > small_pages;
         round++)
        status = checkpointer_round(checkpointer, &log, error);
    if (status == CERTPOST_OK) {
        if (checkpointer_pause_writer(checkpointer))
            status = checkpointer_round(checkpointer, &log, error);
        checkpointer_resume_writer(checkpointer);
    }
    pthread_mutex_lock(&checkpointer->mutex);
    /* If a reader keeps the log from starting anew, it grows: come back only after as much again.
     */
    checkpointer->due_pages = checkpointer->log_pages + checkpointer->start_pages;
    pthread_cond_broadcast(&checkpointer->changed);
    pthread_mutex_unlock(&checkpointer->mutex);
    return status;
}

static void *checkpointer_main(void *argument)
{
    struct checkpointer *checkpointer = argument;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && checkpointer_wait_for_work(checkpointer)) {
        struct certpost_error cause;
        certpost_error_clear(&cause);
        status = checkpointer_work(checkpointer, &cause);
        if (status == CERTPOST_OK)
            continue;
        pthread_mutex_lock(&checkpointer->mutex);
        checkpointer->failed = true;
        checkpointer->cause = cause;
        pthread_cond_broadcast(&checkpointer->changed);
        pthread_mutex_unlock(&checkpointer->mutex);
    }
    return NULL;
}

/* Signals are for the thread that waits for them: this one takes none. */
static int checkpointer_create_thread(struct checkpointer *checkpointer)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int failed = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (failed != 0)
        return failed;
    failed = pthread_create(&checkpointer->thread, NULL, checkpointer_main, checkpointer);
    checkpointer->has_thread = failed == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

enum certpost_status checkpointer_start(const struct database_place *place, int start_pages,
                                        struct checkpointer **ret_checkpointer,
                                        struct certpost_error *error)
{
    struct checkpointer *checkpointer = calloc(1, sizeof *checkpointer);
    if (checkpointer == NULL)
        return error_no_memory(error);
    checkpointer->start_pages = start_pages;
    checkpointer->due_pages = start_pages;
    pthread_mutex_init(&checkpointer->mutex, NULL); /* with no attributes neither can fail */
    pthread_cond_init(&checkpointer->changed, NULL);
    enum certpost_status status = database_open(&checkpointer->db, place, DATABASE_SHARED, error);
    if (status == CERTPOST_OK) /* a connection that has read nothing would not find the log */
        status = database_use_log(&checkpointer->db, error);
    if (status == CERTPOST_OK) {
        int failed = checkpointer_create_thread(checkpointer);
        if (failed != 0)
            status = error_set_errno(error, CERTPOST_SYSTEM, failed, "cannot start a thread");
    }
    if (status != CERTPOST_OK) {
        (void)checkpointer_stop(checkpointer);
        return status;
    }
    *ret_checkpointer = checkpointer;
    return CERTPOST_OK;
}

bool checkpointer_stop(struct checkpointer *checkpointer)
{
    if (checkpointer == NULL)
        return false;
    if (checkpointer->has_thread) {
        pthread_mutex_lock(&checkpointer->mutex);
        checkpointer->stopping = true;
        pthread_cond_broadcast(&checkpointer->changed);
        pthread_mutex_unlock(&checkpointer->mutex);
        pthread_join(checkpointer->thread, NULL);
    }
    bool had_io_error = checkpointer->db.had_io_error;
    database_close(&checkpointer->db, false); /* the writer's connection is the one to tidy up */
    pthread_cond_destroy(&checkpointer->changed);
    pthread_mutex_destroy(&checkpointer->mutex);
    free(checkpointer);
    return had_io_error;
}

void checkpointer_enter(struct checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->mutex);
    int too_long_pages = CHECKPOINTER_OVERDUE_MAX * checkpointer->start_pages;
    while (checkpointer->pausing ||
           (!checkpointer->failed &&
            checkpointer->log_pages > checkpointer->due_pages + too_long_pages))
        pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex);
    checkpointer->writing = true;
    pthread_mutex_unlock(&checkpointer->mutex);
}

void checkpointer_leave(struct checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->mutex);
    checkpointer->writing = false;
    if (checkpointer->pausing) /* otherwise it would wake the thread for nothing at each commit */
        pthread_cond_broadcast(&checkpointer->changed);
    pthread_mutex_unlock(&checkpointer->mutex);
}

void checkpointer_notice(struct checkpointer *checkpointer, int log_pages)
{
    pthread_mutex_lock(&checkpointer->mutex);
    if (log_pages < checkpointer->log_pages)
        checkpointer->due_pages = checkpointer->start_pages; /* the log has started anew */
    checkpointer->log_pages = log_pages;
    if (log_pages >= checkpointer->due_pages)
        pthread_cond_broadcast(&checkpointer->changed);
    pthread_mutex_unlock(&checkpointer->mutex);
}

bool checkpointer_has_failed(struct checkpointer *checkpointer, struct certpost_error *error)
{
    pthread_mutex_lock(&checkpointer->mutex);
    bool failed = checkpointer->failed;
    if (failed)
        (void)error_adopt(error, checkpointer->cause.status, &checkpointer->cause);
    pthread_mutex_unlock(&checkpointer->mutex);
    return failed;
}
