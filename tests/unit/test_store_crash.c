/*
 * The power goes, or the process dies, at each operation on the disk in turn. What was acknowledged
 * is on the disk, once, in order, byte for byte; so is what a restarted server said in a WELCOME.
 */
#include "store/reader.h"
#include "store/spool.h"
#include "support/fault_vfs.h"
#include "support/store_fixture.h"

#include <stdlib.h>
#include <unistd.h>

enum { COMMITS = 6, OPERATIONS_MAX = 2000 };

static const struct store_sqlite_options options = {
    .vfs = FAULT_VFS_NAME, .busy_timeout_ms = 1, .checkpoint_pages = 4};

/* Commits until the disk stands still; returns what was acknowledged, and what was tried. */
static uint64_t commit_until_standstill(const struct fixture *fixture, uint64_t *ret_tried)
{
    struct store *store = NULL;
    uint64_t acked = 0;
    if (store_open_sqlite(fixture->path, &options, &store, NULL) != CERTPOST_OK)
        return 0;
    struct fixture_sender sender;
    enum certpost_status status = fixture_sender_open(&sender, store, "log", NULL);
    if (status == CERTPOST_OK) {
        for (size_t i = 0; i < COMMITS && status == CERTPOST_OK; i++) {
            size_t count = 1 + 9 * i;
            *ret_tried = sender.head.seq + count;
            status = fixture_commit(&sender, store, count, NULL);
            acked = store_committed(&sender.lease).seq;
        }
        fixture_sender_release(&sender, store);
    }
    store_close(store);
    return acked;
}

static void expect_on_disk(uint64_t seed, uint64_t acked, uint64_t tried)
{
    struct fixture after;
    fixture_make(&after);
    fault_vfs_lose_power(after.directory, seed);
    struct store *store = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = store_open_sqlite(after.path, NULL, &store, &error);
    if (status != CERTPOST_OK)
        fail_msg("after a loss of power: %s", certpost_error_text(&error, status));
    struct fixture_sender sender;
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    uint64_t head = sender.head.seq;
    if (head < acked || head > tried)
        fail_msg("seed %llu: %llu messages, %llu acknowledged, %llu sent", (unsigned long long)seed,
                 (unsigned long long)head, (unsigned long long)acked, (unsigned long long)tried);
    assert_ok(fixture_commit(&sender, store, 3, NULL));
    fixture_sender_release(&sender, store);
    store_close(store);
    assert_int_equal(fixture_read_back(after.path, "log"), head + 3);
    fixture_remove(&after);
}

/* For every operation: up to it, then the power goes; `manner` is how much unsynced data survives.
 */
static void lose_power_at_each(unsigned manner)
{
    uint64_t at = 1;
    for (bool struck = true; struck && at < OPERATIONS_MAX; at++) {
        struct fixture fixture;
        uint64_t tried = 0;
        fixture_make(&fixture);
        fault_vfs_reset();
        fault_vfs_arm(FAULT_CHANGES, at, FAULT_STANDSTILL);
        uint64_t acked = commit_until_standstill(&fixture, &tried);
        struck = fault_vfs_has_struck();
        expect_on_disk(4 * at + manner, acked, tried);
        (void)fault_vfs_heal();
        fixture_remove(&fixture);
    }
    assert_in_range(at, 50, OPERATIONS_MAX - 1);
}

static void test_power_lost_nothing_unsynced_survives(void **state)
{
    (void)state;
    lose_power_at_each(0);
}

static void test_power_lost_everything_unsynced_survives(void **state)
{
    (void)state;
    lose_power_at_each(1);
}

static void test_power_lost_half_the_sectors_survive(void **state)
{
    (void)state;
    lose_power_at_each(2);
}

static void test_power_lost_few_sectors_survive(void **state)
{
    (void)state;
    lose_power_at_each(3);
}

/*
 * The process is killed; the next one finds what is in the page cache, tells a client about it in a
 * WELCOME, and then the power goes. The WELCOME was an acknowledgement.
 */
static void restart_at_each(bool with_reader)
{
    uint64_t at = 1;
    for (bool struck = true; struck && at < OPERATIONS_MAX; at++) {
        struct fixture fixture;
        uint64_t tried = 0;
        struct reader *reader = NULL;
        fixture_make(&fixture);
        fault_vfs_reset();
        fault_vfs_arm(FAULT_CHANGES, at, FAULT_STANDSTILL);
        uint64_t acked = commit_until_standstill(&fixture, &tried);
        struck = fault_vfs_heal();
        /* A reader that looks on keeps the store from having the file to itself. */
        struct reader_message message;
        bool found = false;
        if (with_reader && reader_open(fixture.path, NULL, &reader, NULL) == CERTPOST_OK)
            assert_ok(reader_next(reader, &message, &found, NULL));
        struct store *store = NULL;
        struct fixture_sender sender;
        assert_ok(store_open_sqlite(fixture.path, &options, &store, NULL));
        assert_ok(fixture_sender_open(&sender, store, "log", NULL));
        assert_in_range(sender.head.seq, acked, tried);
        expect_on_disk(4 * at, sender.head.seq, tried);
        fixture_sender_release(&sender, store);
        store_close(store);
        reader_close(reader);
        fixture_remove(&fixture);
    }
    assert_in_range(at, 50, OPERATIONS_MAX - 1);
}

static void test_killed_restarted_then_power_lost(void **state)
{
    (void)state;
    restart_at_each(false);
}

static void test_killed_restarted_with_a_reader_then_power_lost(void **state)
{
    (void)state;
    restart_at_each(true);
}

/* The spool: what spool_commit said is durable is, and the numbers are kept. */
static void spool_until_standstill(const char *path, uint64_t *ret_durable, uint64_t *ret_put)
{
    static const unsigned char digest[CHAIN_DIGEST_BYTES] = {1};
    static unsigned char bytes[FIXTURE_MESSAGE_MAX_BYTES];
    struct spool *spool = NULL;
    if (spool_open(path, "log", FAULT_VFS_NAME, &spool, NULL) != CERTPOST_OK)
        return;
    enum certpost_status status = CERTPOST_OK;
    if (!spool_state(spool)->is_adopted)
        status = spool_adopt(spool, 0, digest, "server", NULL);
    for (int i = 0; i < 6 && status == CERTPOST_OK; i++) {
        for (int k = 0; k < 5 && status == CERTPOST_OK; k++) {
            size_t length = fixture_message(*ret_put + 1, bytes);
            status = spool_put(spool, bytes, length, NULL);
            *ret_put += status == CERTPOST_OK;
        }
        if (status == CERTPOST_OK)
            status = spool_commit(spool, NULL);
        *ret_durable = spool_state(spool)->last_seq;
        if (status == CERTPOST_OK && i % 2 == 1)
            status = spool_acked(spool, *ret_durable - 3, digest, "server", NULL);
    }
    spool_close(spool);
}

static void test_spool_keeps_what_it_committed(void **state)
{
    (void)state;
    static unsigned char bytes[FIXTURE_MESSAGE_MAX_BYTES];
    uint64_t at = 1;
    for (bool struck = true; struck && at < OPERATIONS_MAX; at++) {
        struct fixture fixture;
        struct fixture after;
        uint64_t durable = 0;
        uint64_t put = 0;
        fixture_make(&fixture);
        fixture_make(&after);
        fault_vfs_reset();
        fault_vfs_arm(FAULT_CHANGES, at, FAULT_STANDSTILL);
        spool_until_standstill(fixture.path, &durable, &put);
        struck = fault_vfs_has_struck();
        fault_vfs_lose_power(after.directory, at);
        struct spool *spool = NULL;
        assert_ok(spool_open(after.path, "log", NULL, &spool, NULL));
        const struct spool_state *found = spool_state(spool);
        assert_in_range(found->last_seq, durable, put);
        assert_true(durable == 0 || found->is_adopted);
        for (uint64_t seq = found->acked_seq + 1; seq <= found->last_seq; seq++) {
            const void *message = NULL;
            size_t length = 0;
            assert_ok(spool_get(spool, seq, &message, &length, NULL));
            assert_int_equal(length, fixture_message(seq, bytes));
            assert_memory_equal(message, bytes, length);
        }
        spool_close(spool);
        (void)fault_vfs_heal();
        fixture_remove(&after);
        fixture_remove(&fixture);
    }
    assert_in_range(at, 30, OPERATIONS_MAX - 1);
}

UNIT_MAIN(cmocka_unit_test(test_power_lost_nothing_unsynced_survives),
          cmocka_unit_test(test_power_lost_everything_unsynced_survives),
          cmocka_unit_test(test_power_lost_half_the_sectors_survive),
          cmocka_unit_test(test_power_lost_few_sectors_survive),
          cmocka_unit_test(test_killed_restarted_then_power_lost),
          cmocka_unit_test(test_killed_restarted_with_a_reader_then_power_lost),
          cmocka_unit_test(test_spool_keeps_what_it_committed))
