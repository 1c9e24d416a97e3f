/*
 * server/signing.h — the thread that signs receipts.
 *
 * A signature takes up to some milliseconds of processor time, in which a worker would serve
 * nobody. One thread signs for all workers, in the order of the requests: it takes at most one
 * processor, whatever clients ask for, and what waits is bounded, because a connection has at most
 * one unanswered request (docs/protocol.md, 4.9).
 *
 * Threads: signing_submit and signing_job_abandon may be called by any; `deliver` is called on the
 * signing thread.
 */
#ifndef SERVER_SIGNING_H
#define SERVER_SIGNING_H

#include "base/buffer.h"
#include "receipt/signer.h"
#include "server/metrics.h"
#include "wire/statement.h"

#include "certpost/error.h"

#include <stdatomic.h>
#include <stdbool.h>

struct signing;

/* One receipt on its way. From signing_submit until `deliver` it is the signing thread's. */
struct signing_job {
    struct signing_job *next;
    const struct receipt_signer *signer; /* lives until the job is delivered */
    struct statement statement;          /* the time is filled in when it is signed */
    /* Hands the job back; must not wait for anything but a short lock. */
    void (*deliver)(struct signing_job *job);
    void *owner; /* deliver's */
    atomic_bool is_abandoned;

    /* What came of it: status INTERRUPTED for one that was abandoned; else as
     * receipt_signer_sign. */
    enum certpost_status status;
    struct certpost_error error;
    struct buffer text;
    struct buffer signature;
};

/* A job whose caller fills in signer, statement, deliver and owner; NULL: no memory. */
struct signing_job *signing_job_new(void);
void signing_job_free(struct signing_job *job);

/* Nobody waits for it any more: it is delivered soon, and signed only if that has begun. */
void signing_job_abandon(struct signing_job *job);

/* Starts the thread, which counts in `metrics` (NULL: nowhere). Errors: SYSTEM, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status signing_start(struct metrics_block *metrics, struct signing **ret_signing,
                                   struct certpost_error *error);

void signing_submit(struct signing *signing, struct signing_job *job);

/* Delivers what was submitted, and ends the thread. NULL does nothing. */
void signing_stop(struct signing *signing);

#endif
