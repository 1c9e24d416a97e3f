/*
 * Each allocation fails in turn: an error, never a crash or a leak (under the sanitizers), and
 * never an acknowledgement of what is not there.
 */
#include "store/reader.h"
#include "store/spool.h"
#include "support/fault_memory.h"
#include "support/fault_vfs.h"
#include "support/store_fixture.h"

/* Does its work with the `at`-th allocation of a part of it failing; false when there was none. */
typedef bool (*work_with_fault)(const struct fixture *fixture, uint64_t at);

/* A case takes every SHARES-th allocation, so that each case is short also under the sanitizers. */
enum { SHARES = 4 };

static void fail_share(work_with_fault work, uint64_t share)
{
    fault_memory_install();
    uint64_t at = 1 + share;
    for (bool struck = true; struck; at += SHARES) {
        struct fixture fixture;
        fixture_make(&fixture);
        fault_vfs_reset(); /* for its speed: it makes no real syncs */
        struck = work(&fixture, at);
        fixture_remove(&fixture);
    }
    assert_true(at > 100);
    print_message("up to allocation %llu\n", (unsigned long long)at);
}

static void expect_memory_error(enum certpost_status status, const struct certpost_error *error)
{
    assert_true(status == CERTPOST_NO_MEMORY || status == CERTPOST_STORE ||
                status == CERTPOST_LOCAL_IO);
    assert_true(error->text[0] != '\0');
}

static bool work_on_store(const struct fixture *fixture, uint64_t at)
{
    const struct store_sqlite_options options = {.vfs = FAULT_VFS_NAME, .busy_timeout_ms = 1};
    struct store *store = NULL;
    struct fixture_sender sender;
    struct certpost_error error;
    certpost_error_clear(&error);
    uint64_t acked = 0;
    fault_memory_arm(at);
    enum certpost_status status = store_open_sqlite(fixture->path, &options, &store, &error);
    if (status == CERTPOST_OK)
        status = fixture_sender_open(&sender, store, "log", &error);
    if (status == CERTPOST_OK) {
        for (int i = 0; i < 3 && status == CERTPOST_OK; i++)
            status = fixture_commit(&sender, store, 8, &error);
        acked = store_committed(&sender.lease).seq;
        fixture_sender_release(&sender, store);
    }
    if (status != CERTPOST_OK)
        expect_memory_error(status, &error);
    bool struck = fault_memory_heal();
    if (store == NULL)
        assert_ok(store_open_sqlite(fixture->path, &options, &store, NULL));
    assert_ok(store_recover(store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_in_range(sender.head.seq, acked, 24);
    assert_true(status != CERTPOST_OK || sender.head.seq == 24);
    fixture_sender_release(&sender, store);
    store_close(store);
    return struck;
}

static bool work_on_recovery(const struct fixture *fixture, uint64_t at)
{
    const struct store_sqlite_options options = {.vfs = FAULT_VFS_NAME, .busy_timeout_ms = 1};
    struct store *store = NULL;
    struct fixture_sender sender;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_ok(store_open_sqlite(fixture->path, &options, &store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(fixture_commit(&sender, store, 8, NULL));
    fault_vfs_arm(FAULT_SYNC, 1, FAULT_ONCE);
    assert_status(fixture_commit(&sender, store, 8, NULL), CERTPOST_STORE);
    fixture_sender_release(&sender, store);
    fault_memory_arm(at);
    enum certpost_status status = store_recover(store, &error);
    bool struck = fault_memory_heal();
    if (status != CERTPOST_OK) {
        expect_memory_error(status, &error);
        assert_ok(store_recover(store, NULL));
    }
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_true(sender.head.seq == 8 || sender.head.seq == 16);
    fixture_sender_release(&sender, store);
    store_close(store);
    return struck;
}

static bool work_on_reader(const struct fixture *fixture, uint64_t at)
{
    struct store *store = NULL;
    struct fixture_sender sender;
    const struct store_sqlite_options options = {.vfs = FAULT_VFS_NAME};
    assert_ok(store_open_sqlite(fixture->path, &options, &store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(fixture_commit(&sender, store, 20, NULL));
    fixture_sender_release(&sender, store);
    store_close(store);
    fault_memory_arm(at);
    struct reader *reader = NULL;
    struct reader_audit audit;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = reader_open(fixture->path, NULL, &reader, &error);
    if (status == CERTPOST_OK)
        status = reader_verify(reader, 0, NULL, NULL, &audit, &error);
    struct reader_message message;
    bool found = true;
    uint64_t seen = 0;
    while (status == CERTPOST_OK && found) {
        status = reader_next(reader, &message, &found, &error);
        seen += status == CERTPOST_OK && found;
    }
    reader_close(reader);
    if (status != CERTPOST_OK)
        expect_memory_error(status, &error);
    else
        assert_int_equal(seen, 20);
    return fault_memory_heal();
}

static bool work_on_spool(const struct fixture *fixture, uint64_t at)
{
    static const unsigned char digest[CHAIN_DIGEST_BYTES] = {1};
    struct spool *spool = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    uint64_t durable = 0;
    fault_memory_arm(at);
    enum certpost_status status = spool_open(fixture->path, "log", FAULT_VFS_NAME, &spool, &error);
    if (status == CERTPOST_OK)
        status = spool_adopt(spool, 0, digest, "s", &error);
    for (int i = 0; i < 3 && status == CERTPOST_OK; i++) {
        const void *bytes = NULL;
        size_t length = 0;
        status = spool_put(spool, "message", 7, &error);
        if (status == CERTPOST_OK)
            status = spool_commit(spool, &error);
        durable = spool_state(spool)->last_seq;
        if (status == CERTPOST_OK)
            status = spool_get(spool, durable, &bytes, &length, &error);
        if (status == CERTPOST_OK)
            status = spool_acked(spool, durable, digest, "s", &error);
    }
    spool_close(spool);
    if (status != CERTPOST_OK)
        expect_memory_error(status, &error);
    bool struck = fault_memory_heal();
    spool = NULL;
    assert_ok(spool_open(fixture->path, "log", FAULT_VFS_NAME, &spool, NULL));
    assert_in_range(spool_state(spool)->last_seq, durable, 3);
    spool_close(spool);
    return struck;
}

static void test_store_share_1_of_4(void **state)
{
    (void)state;
    fail_share(work_on_store, 0);
}

static void test_store_share_2_of_4(void **state)
{
    (void)state;
    fail_share(work_on_store, 1);
}

static void test_store_share_3_of_4(void **state)
{
    (void)state;
    fail_share(work_on_store, 2);
}

static void test_store_share_4_of_4(void **state)
{
    (void)state;
    fail_share(work_on_store, 3);
}

static void test_recovery_share_1_of_4(void **state)
{
    (void)state;
    fail_share(work_on_recovery, 0);
}

static void test_recovery_share_2_of_4(void **state)
{
    (void)state;
    fail_share(work_on_recovery, 1);
}

static void test_recovery_share_3_of_4(void **state)
{
    (void)state;
    fail_share(work_on_recovery, 2);
}

static void test_recovery_share_4_of_4(void **state)
{
    (void)state;
    fail_share(work_on_recovery, 3);
}

static void test_reader_share_1_of_4(void **state)
{
    (void)state;
    fail_share(work_on_reader, 0);
}

static void test_reader_share_2_of_4(void **state)
{
    (void)state;
    fail_share(work_on_reader, 1);
}

static void test_reader_share_3_of_4(void **state)
{
    (void)state;
    fail_share(work_on_reader, 2);
}

static void test_reader_share_4_of_4(void **state)
{
    (void)state;
    fail_share(work_on_reader, 3);
}

static void test_spool_share_1_of_4(void **state)
{
    (void)state;
    fail_share(work_on_spool, 0);
}

static void test_spool_share_2_of_4(void **state)
{
    (void)state;
    fail_share(work_on_spool, 1);
}

static void test_spool_share_3_of_4(void **state)
{
    (void)state;
    fail_share(work_on_spool, 2);
}

static void test_spool_share_4_of_4(void **state)
{
    (void)state;
    fail_share(work_on_spool, 3);
}

UNIT_MAIN(cmocka_unit_test(test_store_share_1_of_4), cmocka_unit_test(test_store_share_2_of_4),
          cmocka_unit_test(test_store_share_3_of_4), cmocka_unit_test(test_store_share_4_of_4),
          cmocka_unit_test(test_recovery_share_1_of_4),
          cmocka_unit_test(test_recovery_share_2_of_4),
          cmocka_unit_test(test_recovery_share_3_of_4),
          cmocka_unit_test(test_recovery_share_4_of_4), cmocka_unit_test(test_reader_share_1_of_4),
          cmocka_unit_test(test_reader_share_2_of_4), cmocka_unit_test(test_reader_share_3_of_4),
          cmocka_unit_test(test_reader_share_4_of_4), cmocka_unit_test(test_spool_share_1_of_4),
          cmocka_unit_test(test_spool_share_2_of_4), cmocka_unit_test(test_spool_share_3_of_4),
          cmocka_unit_test(test_spool_share_4_of_4))
