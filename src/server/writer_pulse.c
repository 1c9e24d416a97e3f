/*
 * writer_pulse.c — whether the writer is alive (server/writer.h).
 *
 * Uses: writer_internal.h, clocks.  Used by: writer.c, writer_group.c; server.c asks.
 * Never: waits for the medium.
 *
 * A disk that stands still is told from a writer that does by the processor time: a thread that
 * waits uses none.
 */
#include "base/clock.h"
#include "server/writer_internal.h"

#include <time.h>

/*
 * A full group takes a tenth of a second of processor time at most, and a recovery not much more.
 * Not a share of the time that has passed: on a busy machine a loop without end gets little of it.
 */
enum { WRITER_PROCESSOR_MAX_MS = 1000 };

void writer_beat(struct writer *writer)
{
    atomic_store(&writer->pulse_asked, false);
}

void writer_go_to_medium(struct writer *writer)
{
    atomic_store(&writer->at_medium_since_ms, clock_monotonic_ms());
}

void writer_leave_medium(struct writer *writer)
{
    atomic_store(&writer->at_medium_since_ms, 0);
}

int64_t writer_at_medium_ms(const struct writer *writer)
{
    int64_t since_ms = atomic_load(&writer->at_medium_since_ms);
    return since_ms == 0 ? 0 : clock_monotonic_ms() - since_ms;
}

/* What the writer's thread has used; 0 where the system does not say, which reads as waiting. */
static int64_t writer_processor_ms(const struct writer *writer)
{
    clockid_t clock = 0;
    struct timespec used = {0};
    if (pthread_getcpuclockid(writer->thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

void writer_ask_pulse(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->mutex);
    atomic_store(&writer->pulse_asked, true);
    (void)pthread_cond_signal(&writer->submitted);
    (void)pthread_mutex_unlock(&writer->mutex);
    writer->asked_processor_ms = writer_processor_ms(writer);
}

bool writer_has_pulse(const struct writer *writer)
{
    if (!atomic_load(&writer->pulse_asked))
        return true;
    if (atomic_load(&writer->at_medium_since_ms) == 0)
        return false;
    return writer_processor_ms(writer) - writer->asked_processor_ms < WRITER_PROCESSOR_MAX_MS;
}
