/*
 * signing.c — the thread that signs receipts (server/signing.h).
 *
 * Uses: receipt/signer, pthread.  Used by: server.c, peer.c.
 * Never: decides what is signed; touches a connection.
 */
#include "server/signing.h"

#include "base/clock.h"
#include "base/error.h"
#include "wire/frame.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

struct signing {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t submitted;
    struct signing_job *first;
    struct signing_job *last;
    bool stopping;
    struct metrics_block *metrics; /* the thread's */
};

struct signing_job *signing_job_new(void)
{
    struct signing_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    atomic_init(&job->is_abandoned, false);
    buffer_init(&job->text, STATEMENT_TEXT_MAX_BYTES);
    buffer_init(&job->signature, FRAME_RECEIPT_MAX_BYTES);
    return job;
}

void signing_job_free(struct signing_job *job)
{
    if (job == NULL)
        return;
    buffer_free(&job->text);
    buffer_free(&job->signature);
    free(job);
}

void signing_job_abandon(struct signing_job *job)
{
    atomic_store(&job->is_abandoned, true);
}

static void signing_do(const struct signing *signing, struct signing_job *job)
{
    job->status = CERTPOST_INTERRUPTED;
    if (atomic_load(&job->is_abandoned))
        return;
    job->statement.time_ms = clock_wall_ms();
    int64_t began_us = clock_monotonic_us();
    job->status =
        receipt_signer_sign(job->signer, &job->statement, &job->text, &job->signature, &job->error);
    metrics_add(signing->metrics,
                job->status == CERTPOST_OK ? METRICS_RECEIPTS : METRICS_RECEIPTS_FAILED, 1);
    metrics_add_time(signing->metrics, METRICS_SIGNING_TIME, clock_monotonic_us() - began_us);
}

/* Waits for a job; NULL when there is none and none will come. */
static struct signing_job *signing_take(struct signing *signing)
{
    (void)pthread_mutex_lock(&signing->mutex);
    while (signing->first == NULL && !signing->stopping)
        (void)pthread_cond_wait(&signing->submitted, &signing->mutex);
    struct signing_job *job = signing->first;
    if (job != NULL)
        signing->first = job->next;
    if (signing->first == NULL)
        signing->last = NULL;
    (void)pthread_mutex_unlock(&signing->mutex);
    return job;
}

static void *signing_run(void *argument)
{
    struct signing_job *job = NULL;
    while ((job = signing_take(argument)) != NULL) {
        signing_do(argument, job);
        job->deliver(job);
    }
    OPENSSL_thread_stop();
    return NULL;
}

void signing_submit(struct signing *signing, struct signing_job *job)
{
    job->next = NULL;
    (void)pthread_mutex_lock(&signing->mutex);
    if (signing->last != NULL)
        signing->last->next = job;
    else
        signing->first = job;
    signing->last = job;
    (void)pthread_cond_signal(&signing->submitted);
    (void)pthread_mutex_unlock(&signing->mutex);
}

static void signing_free(struct signing *signing)
{
    (void)pthread_cond_destroy(&signing->submitted);
    (void)pthread_mutex_destroy(&signing->mutex);
    free(signing);
}

enum certpost_status signing_start(struct metrics_block *metrics, struct signing **ret_signing,
                                   struct certpost_error *error)
{
    struct signing *signing = calloc(1, sizeof *signing);
    if (signing == NULL)
        return error_no_memory(error);
    signing->metrics = metrics;
    (void)pthread_mutex_init(&signing->mutex, NULL);
    (void)pthread_cond_init(&signing->submitted, NULL);
    int failed = pthread_create(&signing->thread, NULL, signing_run, signing);
    if (failed != 0) {
        signing_free(signing);
        return error_set_errno(error, CERTPOST_SYSTEM, failed, "cannot start a thread");
    }
    *ret_signing = signing;
    return CERTPOST_OK;
}

void signing_stop(struct signing *signing)
{
    if (signing == NULL)
        return;
    (void)pthread_mutex_lock(&signing->mutex);
    signing->stopping = true;
    (void)pthread_cond_signal(&signing->submitted);
    (void)pthread_mutex_unlock(&signing->mutex);
    (void)pthread_join(signing->thread, NULL);
    signing_free(signing);
}
