/*
 * store.c — the disk and the writer of the simulation: group commit, failing commits, a crash that
 * loses the open transaction or just its answer, and the fence between connections.
 */
#include "sim/sim.h"

#include <string.h>

void sim_store_put(struct sim *sim, const struct sim_job *job)
{
    struct sim_store *store = &sim->store;
    if (store->job_count == SIM_JOBS_MAX) {
        sim_fail(sim, "the writer's queue is not bounded by the windows");
        return;
    }
    store->jobs[store->job_count++] = *job;
}

static void sim_tell_lost(struct sim *sim, uint64_t serial, uint16_t code)
{
    struct sim_peer *peer = sim_server_peer(sim, serial);
    if (peer == NULL || peer->lost_due)
        return;
    peer->lost_due = true;
    peer->lost_code = code;
}

/* From here on nothing of the owner before is stored: what it has is in `durable` or never. */
static void sim_store_open(struct sim *sim, const struct sim_job *job)
{
    struct sim_stream *stream = &sim->streams[job->stream];
    if (stream->owner != 0 && stream->owner != job->serial) {
        sim->supersedes++;
        sim_tell_lost(sim, stream->owner, MESSAGE_CODE_SUPERSEDED);
    }
    stream->owner = job->serial;
    struct sim_peer *peer = sim_server_peer(sim, job->serial);
    if (peer == NULL)
        return;
    peer->opened_due = true;
    peer->head = stream->points[stream->durable];
}

static void sim_store_append(struct sim *sim, const struct sim_job *job)
{
    struct sim_stream *stream = &sim->streams[job->stream];
    if (stream->owner != job->serial) {
        sim_tell_lost(sim, job->serial, MESSAGE_CODE_SUPERSEDED);
        return;
    }
    sim_trace(sim, "store: stream %zu message %u", job->stream, (unsigned)job->seq);
    sim_check(sim, job->seq == stream->pending + 1, "stored once, in order, without a gap");
    sim_check(sim, job->seq <= stream->total, "only what was sent is stored");
    if (sim->failed)
        return;
    const struct sim_text *sent = &stream->input[job->seq - 1];
    sim_check(sim,
              sent->length == job->message.length &&
                  memcmp(sent->bytes, job->message.bytes, sent->length) == 0,
              "stored byte for byte as sent");
    sim_check(sim, memcmp(stream->points[job->seq].digest, job->digest, CHAIN_DIGEST_BYTES) == 0,
              "the receiver's digest is that of what is stored");
    stream->pending = job->seq;
    sim->store.batch[sim->store.batch_count++] = *job;
}

static void sim_store_begin(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    size_t taken = 0, most = 1 + sim_random(sim, 12);
    store->batch_count = 0;
    while (taken < store->job_count && taken < most && !store->jobs[taken].open)
        sim_store_append(sim, &store->jobs[taken++]);
    if (taken == 0 && store->job_count > 0)
        sim_store_open(sim, &store->jobs[taken++]);
    store->committing = store->batch_count > 0;
    store->job_count -= taken;
    memmove(store->jobs, store->jobs + taken, store->job_count * sizeof store->jobs[0]);
}

static void sim_store_make_durable(struct sim *sim)
{
    for (size_t i = 0; i < sim->stream_count; i++)
        sim->streams[i].durable = sim->streams[i].pending;
}

static void sim_store_forget(struct sim *sim)
{
    for (size_t i = 0; i < sim->stream_count; i++)
        sim->streams[i].pending = sim->streams[i].durable;
}

static void sim_store_commit(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    sim_store_make_durable(sim);
    for (size_t i = 0; i < store->batch_count; i++) {
        const struct sim_job *job = &store->batch[i];
        struct sim_peer *peer = sim_server_peer(sim, job->serial);
        if (peer == NULL)
            continue;
        peer->committed_due = true;
        peer->committed = sim->streams[job->stream].points[job->seq];
    }
}

/* All leases end: whoever owned a stream must come again and be told what is really stored. */
static void sim_store_fail(struct sim *sim)
{
    sim_trace(sim, "store: the commit fails");
    sim_store_forget(sim);
    for (size_t i = 0; i < sim->stream_count; i++) {
        if (sim->streams[i].owner != 0)
            sim_tell_lost(sim, sim->streams[i].owner, MESSAGE_CODE_STORE_FAILED);
        sim->streams[i].owner = 0;
    }
}

void sim_store_work(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    if (!store->committing) {
        sim_store_begin(sim);
        return;
    }
    store->committing = false;
    if (!sim->calm && sim_chance(sim, 4))
        sim_store_fail(sim);
    else
        sim_store_commit(sim);
    store->batch_count = 0;
}

void sim_store_crash(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    bool commit_reached_the_disk = store->committing && sim_chance(sim, 50);
    if (commit_reached_the_disk)
        sim_store_make_durable(sim);
    sim_store_forget(sim);
    for (size_t i = 0; i < sim->stream_count; i++)
        sim->streams[i].owner = 0;
    store->committing = false;
    store->batch_count = store->job_count = 0;
}
