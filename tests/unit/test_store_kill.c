/*
 * A process is killed with SIGKILL at a random moment, many times over on the same file. What it
 * had reported as committed before is there, and the next process goes on from there.
 */
#include "store/reader.h"
#include "store/spool.h"
#include "support/store_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 25, REPORT_TIMEOUT_MS = 20000 };

/* In the child: never returns. Reports each number that became durable. */
typedef void (*victim_main)(const char *path, int report_to);

static void report(int report_to, uint64_t seq)
{
    if (write(report_to, &seq, sizeof seq) != (ssize_t)sizeof seq)
        _exit(2);
}

static void store_victim(const char *path, int report_to)
{
    /* Small checkpoints, so that some kills come within one. */
    const struct store_sqlite_options options = {.checkpoint_pages = 16};
    struct store *store = NULL;
    struct fixture_sender sender;
    if (store_open_sqlite(path, &options, &store, NULL) != CERTPOST_OK ||
        fixture_sender_open(&sender, store, "log", NULL) != CERTPOST_OK)
        _exit(3);
    report(report_to, sender.head.seq);
    for (size_t i = 0;; i++) {
        if (fixture_commit(&sender, store, 1 + i % 50, NULL) != CERTPOST_OK)
            _exit(4);
        report(report_to, store_committed(&sender.lease).seq);
    }
}

static void spool_victim(const char *path, int report_to)
{
    static const unsigned char digest[CHAIN_DIGEST_BYTES] = {1};
    static unsigned char bytes[FIXTURE_MESSAGE_MAX_BYTES];
    struct spool *spool = NULL;
    if (spool_open(path, "log", NULL, &spool, NULL) != CERTPOST_OK)
        _exit(3);
    const struct spool_state *state = spool_state(spool);
    if (!state->is_adopted && spool_adopt(spool, 0, digest, "s", NULL) != CERTPOST_OK)
        _exit(4);
    for (uint64_t seq = state->last_seq;;) {
        for (int i = 0; i < 20; i++) {
            size_t length = fixture_message(++seq, bytes);
            if (spool_put(spool, bytes, length, NULL) != CERTPOST_OK)
                _exit(5);
        }
        if (spool_commit(spool, NULL) != CERTPOST_OK)
            _exit(6);
        report(report_to, state->last_seq);
        if (spool_acked(spool, state->acked_seq + 15, digest, "s", NULL) != CERTPOST_OK)
            _exit(7);
    }
}

/* The last number that can be read without waiting, or `last` when there is none. */
static uint64_t drain(int report_from, uint64_t last)
{
    uint64_t seq = 0;
    while (read(report_from, &seq, sizeof seq) == (ssize_t)sizeof seq)
        last = seq;
    return last;
}

/* Starts the victim, kills it after `reports` reports; returns the last number it reported. */
static uint64_t kill_after(victim_main victim, const char *path, unsigned reports)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        victim(path, ends[1]);
        _exit(9);
    }
    close(ends[1]);
    uint64_t last = 0;
    for (unsigned i = 0; i < reports; i++) {
        struct pollfd wait = {.fd = ends[0], .events = POLLIN};
        if (poll(&wait, 1, REPORT_TIMEOUT_MS) != 1 ||
            read(ends[0], &last, sizeof last) != (ssize_t)sizeof last)
            break; /* the child has failed: its exit status tells, below */
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    last = drain(ends[0], last);
    close(ends[0]);
    return last;
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return *seed >> 16;
}

static void test_store_is_killed(void **state)
{
    (void)state;
    unsigned seed = (unsigned)getpid();
    struct fixture fixture;
    fixture_make(&fixture);
    print_message("seed %u\n", seed);
    for (int i = 0; i < KILLS; i++) {
        uint64_t reported = kill_after(store_victim, fixture.path, 1 + next_random(&seed) % 30);
        if (fixture_read_back(fixture.path, "log") < reported)
            fail_msg("kill %d: %llu had been committed", i, (unsigned long long)reported);
    }
    fixture_remove(&fixture);
}

static void test_spool_is_killed(void **state)
{
    (void)state;
    static unsigned char bytes[FIXTURE_MESSAGE_MAX_BYTES];
    unsigned seed = (unsigned)getpid();
    struct fixture fixture;
    fixture_make(&fixture);
    print_message("seed %u\n", seed);
    for (int i = 0; i < KILLS; i++) {
        uint64_t reported = kill_after(spool_victim, fixture.path, 1 + next_random(&seed) % 30);
        struct spool *spool = NULL;
        assert_ok(spool_open(fixture.path, NULL, NULL, &spool, NULL));
        const struct spool_state *found = spool_state(spool);
        assert_true(found->last_seq >= reported);
        for (uint64_t seq = found->acked_seq + 1; seq <= found->last_seq; seq++) {
            const void *message = NULL;
            size_t length = 0;
            assert_ok(spool_get(spool, seq, &message, &length, NULL));
            assert_int_equal(length, fixture_message(seq, bytes));
            assert_memory_equal(message, bytes, length);
        }
        spool_close(spool);
    }
    fixture_remove(&fixture);
}

UNIT_MAIN(cmocka_unit_test(test_store_is_killed), cmocka_unit_test(test_spool_is_killed))
