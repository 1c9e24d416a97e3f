/*
 * main.c — runs schedules of the simulation.
 *
 *   sim --seed N [--verbose]     one schedule, with a trace
 *   sim --first N --count M      the schedules N to N + M - 1
 *
 * CERTPOST_SIM_DIVISOR in the environment divides the count: a sanitizer build runs fewer.
 */
#include "base/text.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_options {
    uint64_t first, count;
    bool verbose;
};

static bool sim_parse(int argc, char **argv, struct sim_options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            options->verbose = true;
            continue;
        }
        bool count = strcmp(argv[i], "--count") == 0;
        bool first = strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--first") == 0;
        uint64_t *value = count ? &options->count : &options->first;
        if ((!count && !first) || ++i == argc || !text_parse_u64(argv[i], UINT64_MAX, value))
            return false;
    }
    const char *divisor_text = getenv("CERTPOST_SIM_DIVISOR");
    uint64_t divisor = 1;
    if (divisor_text != NULL && text_parse_u64(divisor_text, UINT64_MAX, &divisor) && divisor > 1)
        options->count = options->count / divisor + 1;
    return true;
}

struct sim_totals {
    uint64_t steps, acks, resumes, supersedes, crashes, receipts;
};

static void sim_count(struct sim_totals *totals, const struct sim *sim)
{
    totals->steps += sim->step;
    totals->acks += sim->acks;
    totals->resumes += sim->resumes;
    totals->supersedes += sim->supersedes;
    totals->crashes += sim->crashes;
    totals->receipts += sim->receipts;
}

int main(int argc, char **argv)
{
    struct sim_options options = {.first = 1, .count = 1};
    if (!sim_parse(argc, argv, &options)) {
        fprintf(stderr, "usage: sim [--seed N | --first N] [--count M] [--verbose]\n");
        return 2;
    }
    struct sim *sim = malloc(sizeof *sim);
    if (sim == NULL)
        return 1;
    struct sim_totals totals = {0};
    bool held = true;
    for (uint64_t i = 0; i < options.count && held; i++) {
        held = sim_run(sim, options.first + i, options.verbose);
        sim_count(&totals, sim);
    }
    free(sim);
    printf("%llu schedules from %llu: %llu steps, %llu acks, %llu resumes, %llu takeovers, %llu "
           "crashes, %llu receipts\n",
           (unsigned long long)options.count, (unsigned long long)options.first,
           (unsigned long long)totals.steps, (unsigned long long)totals.acks,
           (unsigned long long)totals.resumes, (unsigned long long)totals.supersedes,
           (unsigned long long)totals.crashes, (unsigned long long)totals.receipts);
    /* A simulation in which nothing happens proves nothing. */
    bool lively =
        totals.resumes > 0 && totals.supersedes > 0 && totals.crashes > 0 && totals.receipts > 0;
    return held && (options.count < 100 || lively) ? 0 : 1;
}
