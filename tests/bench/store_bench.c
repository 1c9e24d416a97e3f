/*
 * store_bench.c — what the SQLite store costs: rows per second, CPU per row, time of one commit.
 *
 * Usage: store_bench DIRECTORY [SECONDS]. Writes a store of its own into DIRECTORY, which must be
 * on the disk that is to be measured, and removes it again. A program to run by hand, no test.
 */
#include "base/chain.h"
#include "base/text.h"
#include "store/reader.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_ROW_MAX_BYTES = 16384, BENCH_SAMPLES_MAX = 1 << 20 };

struct bench {
    struct store *store;
    struct store_lease lease;
    struct committed head;
    double *samples_s; /* one per commit */
    size_t sample_count;
};

static double bench_clock_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void bench_require(enum certpost_status status, const struct certpost_error *error)
{
    if (status == CERTPOST_OK)
        return;
    fprintf(stderr, "store_bench: %s\n", certpost_error_text(error, status));
    exit(1);
}

static void bench_commit(struct bench *bench, size_t rows, const void *row, size_t row_bytes)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    double start_s = bench_clock_s(CLOCK_MONOTONIC);
    bench_require(store_begin(bench->store, &error), &error);
    for (size_t i = 0; i < rows; i++) {
        bench->head.seq++;
        bench_require(store_append(bench->store, &bench->lease, bench->head.seq, bench->head.digest,
                                   row, row_bytes, &error),
                      &error);
    }
    bench_require(store_commit(bench->store, &error), &error);
    if (bench->sample_count < BENCH_SAMPLES_MAX)
        bench->samples_s[bench->sample_count++] = bench_clock_s(CLOCK_MONOTONIC) - start_s;
}

static int bench_compare(const void *one, const void *other)
{
    double a = *(const double *)one;
    double b = *(const double *)other;
    return (a > b) - (a < b);
}

static double bench_quantile_ms(struct bench *bench, double quantile)
{
    size_t index = (size_t)((double)(bench->sample_count - 1) * quantile);
    return bench->samples_s[index] * 1e3;
}

static void bench_run(struct bench *bench, double duration_s, size_t rows, size_t row_bytes)
{
    static unsigned char row[BENCH_ROW_MAX_BYTES];
    memset(row, 'x', sizeof row);
    bench->sample_count = 0;
    uint64_t first = bench->head.seq;
    double start_s = bench_clock_s(CLOCK_MONOTONIC);
    double writer_start_s = bench_clock_s(CLOCK_THREAD_CPUTIME_ID);
    double process_start_s = bench_clock_s(CLOCK_PROCESS_CPUTIME_ID);
    while (bench_clock_s(CLOCK_MONOTONIC) - start_s < duration_s)
        bench_commit(bench, rows, row, row_bytes);
    double elapsed_s = bench_clock_s(CLOCK_MONOTONIC) - start_s;
    double writer_s = bench_clock_s(CLOCK_THREAD_CPUTIME_ID) - writer_start_s;
    double process_s = bench_clock_s(CLOCK_PROCESS_CPUTIME_ID) - process_start_s;
    double stored = (double)(bench->head.seq - first);
    qsort(bench->samples_s, bench->sample_count, sizeof(double), bench_compare);
    printf("%5zu rows of %5zu B: %9.0f rows/s, CPU %6.2f us/row writer, %6.2f with checkpoints; "
           "commit %.2f ms median, %.2f p99, %.2f p99.9, %.2f max\n",
           rows, row_bytes, stored / elapsed_s, writer_s / stored * 1e6, process_s / stored * 1e6,
           bench_quantile_ms(bench, 0.5), bench_quantile_ms(bench, 0.99),
           bench_quantile_ms(bench, 0.999), bench_quantile_ms(bench, 1.0));
}

/* How fast an audit goes. The digests written above are not real, so its verdict does not matter.
 */
static void bench_verify(const char *path)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    struct reader *reader = NULL;
    struct reader_audit audit = {0};
    bench_require(reader_open(path, NULL, &reader, &error), &error);
    double start_s = bench_clock_s(CLOCK_MONOTONIC);
    enum certpost_status status = reader_verify(reader, 0, NULL, NULL, &audit, NULL);
    double elapsed_s = bench_clock_s(CLOCK_MONOTONIC) - start_s;
    if (status == CERTPOST_OK || status == CERTPOST_DIGEST)
        printf("verify: %.0f messages/s\n", (double)audit.messages / elapsed_s);
    reader_close(reader);
}

static void bench_remove(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

int main(int argc, char **argv)
{
    uint64_t seconds = 3;
    if (argc < 2 || argc > 3 || (argc == 3 && !text_parse_u64(argv[2], 3600, &seconds))) {
        fprintf(stderr, "usage: store_bench DIRECTORY [SECONDS]\n");
        return 2;
    }
    char path[4000];
    snprintf(path, sizeof path, "%s/store_bench.db", argv[1]);
    bench_remove(path);
    store_prepare_process();
    struct bench bench = {.samples_s = calloc(BENCH_SAMPLES_MAX, sizeof(double))};
    if (bench.samples_s == NULL)
        return 1;
    struct certpost_error error;
    certpost_error_clear(&error);
    bench_require(store_open_sqlite(path, NULL, &bench.store, &error), &error);
    void *superseded = NULL;
    bench_require(store_lease_open(bench.store, "dns:bench", 9, "bench", 5, &bench, &bench.lease,
                                   &bench.head, &superseded, &error),
                  &error);
    bench_run(&bench, (double)seconds, 1000, 100);
    bench_run(&bench, (double)seconds, 1000, 1024);
    bench_run(&bench, (double)seconds, 100, 100);
    bench_run(&bench, (double)seconds, 1, 100);
    store_lease_release(bench.store, &bench.lease);
    store_close(bench.store);
    bench_verify(path);
    bench_remove(path);
    free(bench.samples_s);
    return 0;
}
