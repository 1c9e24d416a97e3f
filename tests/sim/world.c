/* world.c — one schedule: chance, time, what goes wrong when, and whether all came right. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SIM_CALM_STEPS_MAX = 20000 };

/* SplitMix64: every seed, also 0 and 1, gives an unrelated sequence. */
uint64_t sim_random(struct sim *sim, uint64_t bound)
{
    sim->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = sim->random;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bound == 0 ? 0 : (mixed ^ (mixed >> 31)) % bound;
}

bool sim_chance(struct sim *sim, unsigned percent)
{
    return sim_random(sim, 100) < percent;
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
    if (!sim->verbose)
        return;
    printf("%6u %8u ms  ", (unsigned)sim->step, (unsigned)sim->now_ms);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    if (sim->failed)
        return;
    sim->failed = true;
    fprintf(stderr, "seed %llu, step %llu: ", (unsigned long long)sim->seed,
            (unsigned long long)sim->step);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n  replay with: sim --seed %llu --verbose\n", (unsigned long long)sim->seed);
}

void sim_check(struct sim *sim, bool holds, const char *what)
{
    if (!holds)
        sim_fail(sim, "broken: %s", what);
}

/* ---- the cast ---- */

static void sim_make_stream(struct sim *sim, size_t index)
{
    struct sim_stream *stream = &sim->streams[index];
    unsigned char name = (unsigned char)('0' + index);
    stream->total = sim_random(sim, SIM_MESSAGES_MAX + 1);
    enum certpost_status status =
        chain_first(sim->chain, "dns:sim", 7, &name, 1, stream->points[0].digest);
    for (uint64_t i = 0; i < stream->total && status == CERTPOST_OK; i++) {
        struct sim_text *text = &stream->input[i];
        text->length = sim_random(sim, SIM_MESSAGE_MAX_BYTES + 1);
        for (size_t k = 0; k < text->length; k++)
            text->bytes[k] = (unsigned char)sim_random(sim, 256);
        stream->points[i + 1].seq = i + 1;
        status = chain_next(sim->chain, stream->points[i].digest, text->bytes, text->length,
                            stream->points[i + 1].digest);
    }
    if (status != CERTPOST_OK)
        sim_fail(sim, "no digests");
}

/* One client a stream, or two that read the same input and take the stream from each other. */
static void sim_make_clients(struct sim *sim)
{
    static const enum sender_start modes[] = {SENDER_APPEND, SENDER_CONTINUE, SENDER_RESUME};
    sim->client_count = sim->stream_count;
    for (size_t i = 0; i < sim->stream_count; i++) {
        sim->clients[i].stream = i;
        sim->clients[i].mode = modes[sim_random(sim, 3)];
    }
    if (sim_chance(sim, 35)) {
        sim->clients[0].mode = sim->clients[sim->client_count].mode = SENDER_RESUME;
        sim->clients[sim->client_count++].stream = 0;
    }
    for (size_t i = 0; i < sim->client_count; i++)
        sim->clients[i].wants_receipt = sim_chance(sim, 40);
    for (size_t i = 0; i < sim->client_count && !sim->failed; i++)
        sim_client_start(sim, &sim->clients[i]);
}

/* ---- what goes wrong ---- */

static void sim_misfortunes(struct sim *sim)
{
    uint64_t dice = sim_random(sim, 1000);
    struct sim_client *client = &sim->clients[sim_random(sim, sim->client_count)];
    if (dice < 60)
        sim_links_misfortune(sim);
    else if (dice < 70 && sim->server.up)
        sim_server_crash(sim);
    else if (dice < 76 && sim->server.up)
        sim_server_drain(sim);
    else if (dice < 88)
        sim_client_crash(sim, client);
    else if (dice < 96)
        sim_client_half_close(sim, client);
}

static void sim_pass_time(struct sim *sim)
{
    sim->now_ms += (int64_t)sim_random(sim, sim_chance(sim, 3) ? 4000 : 40);
}

static void sim_step(struct sim *sim)
{
    sim->step++;
    sim_pass_time(sim);
    if (!sim->calm)
        sim_misfortunes(sim);
    sim_links_deliver(sim);
    for (size_t i = 0; i < sim->client_count && !sim->failed; i++) {
        if (sim_chance(sim, 60))
            sim_client_work(sim, &sim->clients[i]);
    }
    if (!sim->failed)
        sim_server_work(sim);
    if (!sim->failed && sim->server.up && sim_chance(sim, 50))
        sim_store_work(sim);
}

static bool sim_is_over(const struct sim *sim)
{
    for (size_t i = 0; i < sim->client_count; i++) {
        if (!sim->clients[i].done)
            return false;
    }
    return true;
}

static void sim_judge(struct sim *sim)
{
    sim_check(sim, sim_is_over(sim), "in the end everything arrives");
    for (size_t i = 0; i < sim->stream_count; i++)
        sim_check(sim, sim->streams[i].durable == sim->streams[i].total,
                  "in the end everything is stored");
}

static void sim_free(struct sim *sim)
{
    for (size_t i = 0; i < sim->client_count; i++)
        sim_client_free(&sim->clients[i]);
    sim_server_free(sim);
    chain_free(sim->chain);
    sim->chain = NULL;
}

bool sim_run(struct sim *sim, uint64_t seed, bool verbose)
{
    memset(sim, 0, sizeof *sim);
    sim->seed = sim->random = seed;
    sim->verbose = verbose;
    if (chain_new(&sim->chain, NULL) != CERTPOST_OK)
        return false;
    sim->now_ms = 1000;
    sim->stream_count = 1 + sim_random(sim, SIM_STREAMS_MAX);
    sim->max_unacked = 1 + sim_random(sim, 10);
    sim->pipe_bytes = 16 + sim_random(sim, SIM_PIPE_BYTES - 16);
    for (size_t i = 0; i < sim->stream_count; i++)
        sim_make_stream(sim, i);
    if (sim_server_init(sim))
        sim_make_clients(sim);
    uint64_t chaos_steps = sim_random(sim, 400);
    while (!sim->failed && sim->step < chaos_steps && !sim_is_over(sim))
        sim_step(sim);
    sim->calm = true;
    sim_trace(sim, "calm");
    uint64_t last_step = sim->step + SIM_CALM_STEPS_MAX;
    while (!sim->failed && sim->step < last_step && !sim_is_over(sim))
        sim_step(sim);
    if (!sim->failed)
        sim_judge(sim);
    sim_free(sim);
    return !sim->failed;
}
