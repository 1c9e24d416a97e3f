/*
 * Each allocation fails in turn: an error, never a crash or a leak (under the sanitizers), and
 * never an acknowledgement of what is not there.
 */
#include "store/reader.h"
#include "store/spool.h"
#include "support/fault_memory.h"
#include "support/fault_vfs.h"
#include "support/store_fixture.h"

/* Runs `work` with the n-th allocation failing, for each n until none is left to fail. */
static void fail_each(void (*work)(const struct fixture *fixture))
{
    fault_memory_install();
    uint64_t at = 1;
    for (bool struck = true; struck; at++) {
        struct fixture fixture;
        fixture_make(&fixture);
        fault_vfs_reset(); /* for its speed: it makes no real syncs */
        fault_memory_arm(at);
        work(&fixture);
        struck = fault_memory_heal();
        fixture_remove(&fixture);
    }
    assert_true(at > 100);
    print_message("%llu allocations\n", (unsigned long long)at);
}

static void expect_memory_error(enum certpost_status status, const struct certpost_error *error)
{
    assert_true(status == CERTPOST_NO_MEMORY || status == CERTPOST_STORE ||
                status == CERTPOST_LOCAL_IO);
    assert_true(error->text[0] != '\0');
}

static void work_on_store(const struct fixture *fixture)
{
    const struct store_sqlite_options options = {.vfs = FAULT_VFS_NAME, .busy_timeout_ms = 1};
    struct store *store = NULL;
    struct fixture_sender sender;
    struct certpost_error error;
    certpost_error_clear(&error);
    uint64_t acked = 0;
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
    (void)fault_memory_heal();
    if (store == NULL)
        assert_ok(store_open_sqlite(fixture->path, &options, &store, NULL));
    assert_ok(store_recover(store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_in_range(sender.head.seq, acked, 24);
    assert_true(status != CERTPOST_OK || sender.head.seq == 24);
    fixture_sender_release(&sender, store);
    store_close(store);
}

/* As above, but what was armed is needed again afterwards. */
static void work_on_recovery(const struct fixture *fixture)
{
    const struct store_sqlite_options options = {.vfs = FAULT_VFS_NAME, .busy_timeout_ms = 1};
    struct store *store = NULL;
    struct fixture_sender sender;
    struct certpost_error error;
    static uint64_t at = 0;
    certpost_error_clear(&error);
    (void)fault_memory_heal();
    at++;
    assert_ok(store_open_sqlite(fixture->path, &options, &store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(fixture_commit(&sender, store, 8, NULL));
    fault_vfs_arm(FAULT_SYNC, 1, FAULT_ONCE);
    assert_status(fixture_commit(&sender, store, 8, NULL), CERTPOST_STORE);
    fixture_sender_release(&sender, store);
    fault_memory_arm(at);
    enum certpost_status status = store_recover(store, &error);
    if (status != CERTPOST_OK) {
        expect_memory_error(status, &error);
        assert_ok(store_recover(store, NULL));
    }
    uint64_t left = fault_memory_heal() ? 1 : 0;
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_true(sender.head.seq == 8 || sender.head.seq == 16);
    fixture_sender_release(&sender, store);
    store_close(store);
    fault_memory_arm(left); /* fail_each asks whether there was something to fail */
    if (left != 0)
        assert_status(store_open_memory(1, &store, NULL), CERTPOST_NO_MEMORY);
}

static void work_on_reader(const struct fixture *fixture)
{
    static uint64_t at = 0;
    struct store *store = NULL;
    struct fixture_sender sender;
    const struct store_sqlite_options options = {.vfs = FAULT_VFS_NAME};
    (void)fault_memory_heal();
    assert_ok(store_open_sqlite(fixture->path, &options, &store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(fixture_commit(&sender, store, 20, NULL));
    fixture_sender_release(&sender, store);
    store_close(store);
    fault_memory_arm(++at);
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
}

static void work_on_spool(const struct fixture *fixture)
{
    static const unsigned char digest[CHAIN_DIGEST_BYTES] = {1};
    struct spool *spool = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    uint64_t durable = 0;
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
    fault_memory_arm(0);
    assert_true(struck || status == CERTPOST_OK);
    if (struck) { /* as in work_on_recovery */
        fault_memory_arm(1);
        struct store *none = NULL;
        assert_status(store_open_memory(1, &none, NULL), CERTPOST_NO_MEMORY);
    }
}

static void test_store(void **state)
{
    (void)state;
    fail_each(work_on_store);
}

static void test_recovery(void **state)
{
    (void)state;
    fail_each(work_on_recovery);
}

static void test_reader(void **state)
{
    (void)state;
    fail_each(work_on_reader);
}

static void test_spool(void **state)
{
    (void)state;
    fail_each(work_on_spool);
}

UNIT_MAIN(cmocka_unit_test(test_store), cmocka_unit_test(test_recovery),
          cmocka_unit_test(test_reader), cmocka_unit_test(test_spool))
