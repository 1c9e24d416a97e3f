/*
 * Each operation on the disk fails in turn, in several ways. Whatever happens: what was committed
 * is there, nothing else but whole unacknowledged messages in order is, and once the disk works
 * again the store comes back by itself.
 */
#include "store/reader.h"
#include "support/fault_vfs.h"
#include "support/store_fixture.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { COMMITS = 6 };

/* Checkpoints start after a few pages, so that their operations fail, too. */
static const struct store_sqlite_options options = {
    .vfs = FAULT_VFS_NAME, .busy_timeout_ms = 1, .checkpoint_pages = 4};

/* A reader that looks on keeps the shared index of the log alive over a recovery. */
enum company { ALONE, WITH_READER };

struct run {
    struct fixture fixture;
    enum company company;
    struct reader *reader;
    struct store *store;
    struct fixture_sender sender;
    bool has_sender;
    uint64_t acked; /* what a sender would have been told */
    uint64_t tried; /* the highest number that was ever appended */
};

static void run_start(struct run *run, enum company company)
{
    *run = (struct run){.company = company};
    fixture_make(&run->fixture);
    fault_vfs_reset();
}

/* A failure must be one of the machine's own, with words that name the file. */
static void run_expect_failure(const struct run *run, enum certpost_status status,
                               const struct certpost_error *error)
{
    assert_status(status, CERTPOST_STORE);
    if (strstr(error->text, run->fixture.path) == NULL)
        fail_msg("the words do not name the file: %s", error->text);
}

/* The reader has its own VFS, which works, and reads once, so that it holds what readers hold. */
static void run_let_reader_in(struct run *run)
{
    bool found = false;
    struct reader_message message;
    if (run->company == ALONE || run->reader != NULL)
        return;
    assert_ok(reader_open(run->fixture.path, NULL, &run->reader, NULL));
    assert_ok(reader_next(run->reader, &message, &found, NULL));
}

static void run_send_reader_away(struct run *run)
{
    reader_close(run->reader);
    run->reader = NULL;
}

/* One step towards COMMITS commits; returns its status. */
static enum certpost_status run_step(struct run *run, struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    if (run->store == NULL) {
        status = store_open_sqlite(run->fixture.path, &options, &run->store, error);
        if (status == CERTPOST_OK)
            run_let_reader_in(run);
    } else if (!run->has_sender) {
        status = fixture_sender_open(&run->sender, run->store, "log", error);
        run->has_sender = status == CERTPOST_OK;
        if (run->has_sender) {
            /* WELCOME is an acknowledgement, too. */
            assert_in_range(run->sender.head.seq, run->acked, run->tried);
            run->acked = run->sender.head.seq;
        }
    } else {
        size_t count = 1 + run->acked % 40;
        if (run->tried < run->acked + count)
            run->tried = run->acked + count;
        status = fixture_commit(&run->sender, run->store, count, error);
        struct committed committed = store_committed(&run->sender.lease);
        assert_in_range(committed.seq, run->acked, run->tried);
        assert_true(status != CERTPOST_OK || committed.seq == run->sender.head.seq);
        run->acked = committed.seq;
    }
    return status;
}

/* What a server does after a failure: ends the connection, recovers when it can. */
static void run_after_failure(struct run *run)
{
    if (run->has_sender)
        fixture_sender_release(&run->sender, run->store);
    run->has_sender = false;
    if (run->store == NULL)
        return;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_false(store_is_ready(run->store));
    enum certpost_status status = store_recover(run->store, &error);
    if (status == CERTPOST_OK)
        return; /* it was a fault that has passed */
    run_expect_failure(run, status, &error);
    (void)fault_vfs_heal();
    run_send_reader_away(run); /* after an I/O error the store must have the file to itself */
    assert_ok(store_recover(run->store, NULL));
}

/* Commits until `target` is acknowledged, through whatever faults are armed. */
static void run_until(struct run *run, uint64_t target)
{
    for (int failures = 0; run->acked < target;) {
        struct certpost_error error;
        certpost_error_clear(&error);
        enum certpost_status status = run_step(run, &error);
        if (status == CERTPOST_OK)
            continue;
        run_expect_failure(run, status, &error);
        /* Recovery may need none of what fails; somebody mends the disk in the end. */
        assert_true(++failures < 10);
        if (run->store == NULL || failures > 3)
            (void)fault_vfs_heal();
        run_after_failure(run);
    }
}

static void run_end(struct run *run)
{
    run_send_reader_away(run);
    if (run->has_sender)
        fixture_sender_release(&run->sender, run->store);
    store_close(run->store);
}

/* The power goes, once it is all over: only what was really synced counts. */
static void run_expect_on_disk(struct run *run, uint64_t seed)
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
    store_close(store);
    uint64_t found = fixture_read_back(after.path, "log");
    if (found < run->acked || found > run->tried)
        fail_msg("seed %llu: %llu messages after a loss of power, %llu were acknowledged",
                 (unsigned long long)seed, (unsigned long long)found,
                 (unsigned long long)run->acked);
    fixture_remove(&after);
}

/* Runs with the n-th operation failing, for n from 1 until no operation is left to fail. */
static void fail_each(uint32_t mask, enum fault_way way, uint64_t step, enum company company)
{
    uint64_t at = 1;
    for (bool struck = true; struck; at += step) {
        struct run run;
        run_start(&run, company);
        fault_vfs_arm(mask, at, way);
        run_until(&run, 60);
        struck = fault_vfs_has_struck() || fault_vfs_count() >= at;
        (void)fault_vfs_heal();
        run_until(&run, 90); /* it goes on */
        run_expect_on_disk(&run, at);
        run_end(&run);
        assert_in_range(fixture_read_back(run.fixture.path, "log"), run.acked, run.tried);
        fixture_remove(&run.fixture);
    }
    assert_true(at > 2); /* something was there to fail */
}

static void test_each_write_fails_once(void **state)
{
    (void)state;
    fail_each(FAULT_WRITE, FAULT_ONCE, 1, ALONE);
}

static void test_each_write_fails_until_mended(void **state)
{
    (void)state;
    fail_each(FAULT_WRITE, FAULT_LASTING, 3, ALONE);
}

static void test_each_sync_fails_once(void **state)
{
    (void)state;
    fail_each(FAULT_SYNC, FAULT_ONCE, 1, ALONE);
}

static void test_each_sync_fails_while_a_reader_looks_on(void **state)
{
    (void)state;
    fail_each(FAULT_SYNC, FAULT_ONCE, 1, WITH_READER);
    fail_each(FAULT_SYNC, FAULT_LASTING, 1, WITH_READER);
}

static void test_disk_full_while_a_reader_looks_on(void **state)
{
    (void)state;
    fail_each(FAULT_WRITE, FAULT_DISK_FULL, 3, WITH_READER);
}

static void test_each_sync_fails_until_mended(void **state)
{
    (void)state;
    fail_each(FAULT_SYNC, FAULT_LASTING, 1, ALONE);
}

static void test_disk_full_from_each_write_on(void **state)
{
    (void)state;
    fail_each(FAULT_WRITE, FAULT_DISK_FULL, 3, ALONE);
}

static void test_each_open_fails(void **state)
{
    (void)state;
    fail_each(FAULT_OPEN, FAULT_ONCE, 1, ALONE);
    fail_each(FAULT_OPEN, FAULT_LASTING, 1, ALONE);
}

static void test_each_truncate_and_delete_fails(void **state)
{
    (void)state;
    fail_each(FAULT_TRUNCATE | FAULT_DELETE, FAULT_ONCE, 1, ALONE);
    fail_each(FAULT_TRUNCATE | FAULT_DELETE, FAULT_LASTING, 1, ALONE);
}

static void test_each_read_fails(void **state)
{
    (void)state;
    fail_each(FAULT_READ, FAULT_ONCE, 1, ALONE);
    fail_each(FAULT_READ, FAULT_LASTING, 2, ALONE);
}

static void test_each_map_lock_and_size_fails(void **state)
{
    (void)state;
    fail_each(FAULT_SHARED_MEMORY | FAULT_LOCK | FAULT_SIZE, FAULT_ONCE, 1, ALONE);
}

static sqlite3 *open_foreign(const struct run *run)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(run->fixture.path, &db, SQLITE_OPEN_READWRITE, FAULT_VFS_NAME),
                     SQLITE_OK);
    return db;
}

static void run_foreign(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/*
 * SQLite notes how far a checkpoint came before it syncs the database, when a reader's snapshot
 * keeps it from coming to the end. If the sync that comes later fails, the pages are lost, the note
 * says they are there, and the log that still has them is about to be emptied.
 */
static void fail_after_partial_checkpoint(bool reader_stays)
{
    struct run run;
    run_start(&run, ALONE);
    const struct store_sqlite_options late = {
        .vfs = FAULT_VFS_NAME, .busy_timeout_ms = 1, .checkpoint_pages = 60};
    assert_ok(store_open_sqlite(run.fixture.path, &late, &run.store, NULL));
    assert_ok(fixture_sender_open(&run.sender, run.store, "log", NULL));
    assert_ok(fixture_commit(&run.sender, run.store, 30, NULL));
    sqlite3 *reader = open_foreign(&run);
    run_foreign(reader, "BEGIN; SELECT count(*) FROM messages;");
    assert_ok(fixture_commit(&run.sender, run.store, 5, NULL));
    sqlite3 *checkpoint = open_foreign(&run);
    run_foreign(checkpoint, "SELECT count(*) FROM streams"); /* it must have seen the log */
    int pages = 0;
    int done = 0;
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(checkpoint, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &done),
        SQLITE_OK);
    assert_in_range(done, 1, pages - 1);
    sqlite3_close(checkpoint);
    run_foreign(reader, "COMMIT");
    if (!reader_stays)
        sqlite3_close(reader);

    fault_vfs_arm(FAULT_SYNC_DATABASE, 1, FAULT_ONCE);
    enum certpost_status status = CERTPOST_OK;
    for (int i = 0; i < 10000 && status == CERTPOST_OK; i++)
        status = fixture_commit(&run.sender, run.store, 1, NULL);
    assert_status(status, CERTPOST_STORE);
    run.acked = store_committed(&run.sender.lease).seq;
    run.tried = run.acked + 1;
    fixture_sender_release(&run.sender, run.store);
    if (reader_stays) {
        assert_status(store_recover(run.store, NULL), CERTPOST_STORE);
        sqlite3_close(reader);
    }
    assert_ok(store_recover(run.store, NULL));
    run_expect_on_disk(&run, 0);
    run_end(&run);
    fixture_remove(&run.fixture);
}

static void test_sync_fails_after_a_partial_checkpoint(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) { /* where the writer is when the sync fails differs */
        fail_after_partial_checkpoint(false);
        fail_after_partial_checkpoint(true);
    }
}

UNIT_MAIN(cmocka_unit_test(test_sync_fails_after_a_partial_checkpoint),
          cmocka_unit_test(test_each_write_fails_once),
          cmocka_unit_test(test_each_write_fails_until_mended),
          cmocka_unit_test(test_each_sync_fails_once),
          cmocka_unit_test(test_each_sync_fails_until_mended),
          cmocka_unit_test(test_each_sync_fails_while_a_reader_looks_on),
          cmocka_unit_test(test_disk_full_while_a_reader_looks_on),
          cmocka_unit_test(test_disk_full_from_each_write_on),
          cmocka_unit_test(test_each_open_fails),
          cmocka_unit_test(test_each_truncate_and_delete_fails),
          cmocka_unit_test(test_each_read_fails),
          cmocka_unit_test(test_each_map_lock_and_size_fails))
