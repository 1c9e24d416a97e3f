/* server/writer_internal.h — the writer's memory; for the files writer*.c only. */
#ifndef SERVER_WRITER_INTERNAL_H
#define SERVER_WRITER_INTERNAL_H

#include "server/print_sink.h"
#include "server/writer.h"

#include <pthread.h>
#include <stdatomic.h>

struct writer {
    pthread_t thread;
    pthread_mutex_t mutex; /* for the seven that follow */
    pthread_cond_t submitted;
    struct writer_batch *first;
    struct writer_batch *last;
    size_t queued_batches; /* from `first` to `last` */
    size_t queued_bytes;
    bool stopping;

    _Atomic uint16_t unready_code;    /* the writer's thread sets it, any reads it */
    _Atomic int64_t failing_since_ms; /* wall clock; 0: it works. Likewise */
    _Atomic int64_t print_failed_ms;  /* monotonic; 0: lines can be written. Likewise */
    atomic_bool asks_no_more;         /* any thread sets it, the writer's reads it */

    /* Signs of life: writer_pulse.c. */
    atomic_bool pulse_asked;            /* and not answered yet */
    _Atomic int64_t at_medium_since_ms; /* 0: it is not at the medium */
    int64_t asked_processor_ms;         /* what the thread had used then; who asks has it */

    /* The writer's thread only: */
    struct store *store;
    struct writer_judge judge;
    struct writer_batch *group; /* the one that is being served */
    bool print;
    struct print_sink sink;
    struct writer_stream *leases;  /* all streams that are open, well or not */
    struct writer_stream *touched; /* with a message in the open transaction */
    struct writer_stream *notices; /* to be told apart from an outcome */
    struct metrics_block *metrics;
    size_t appended;    /* messages in the open transaction */
    bool print_fails;   /* the last lines could not be written; said once */
    int64_t look_at_ms; /* when to recover the store, or to ask how it is */
};

/* writer_group.c: makes a group safe, and gives every batch of it back. */
void writer_serve_group(struct writer *writer, struct writer_batch *group);

/* Nothing more of the stream is taken, and the next outcome tells. The first reason stays. */
void writer_lose(struct writer_stream *stream, uint16_t code);

/* writer_judge.c: whether the message is taken; if not, its stream is lost. */
CERTPOST_MUST_CHECK
bool writer_judge_takes(struct writer *writer, const struct writer_entry *entry);

/* writer_pulse.c, on the writer's thread: it is alive; it goes to the medium, and comes back. */
void writer_beat(struct writer *writer);
void writer_go_to_medium(struct writer *writer);
void writer_leave_medium(struct writer *writer);

/* Asks the store how it is, or tries to get it to work again; then gives notice of what it found.
 */
void writer_look_after_store(struct writer *writer);

#endif
