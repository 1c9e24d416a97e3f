/* The SQLite store as a file: who may have it, what it refuses, how it looks from outside. */
#include "store/database.h"
#include "store/reader.h"
#include "store/schema.h"
#include "support/store_fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

static struct store *open_store(const struct fixture *fixture)
{
    struct store *store = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = store_open_sqlite(fixture->path, NULL, &store, &error);
    if (status != CERTPOST_OK)
        fail_msg("%s", certpost_error_text(&error, status));
    return store;
}

/* Opening must fail as STORE with all of these words. */
static void expect_refusal(const char *path, const char *words, const char *more_words)
{
    struct store *store = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(store_open_sqlite(path, NULL, &store, &error), CERTPOST_STORE);
    if (strstr(error.text, words) == NULL || strstr(error.text, more_words) == NULL)
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", error.text, words, more_words);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_contents_survive_reopening(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    for (uint64_t round = 0; round < 3; round++) {
        struct store *store = open_store(&fixture);
        struct fixture_sender sender;
        assert_ok(fixture_sender_open(&sender, store, "log", NULL));
        assert_int_equal(sender.head.seq, 20 * round);
        assert_ok(fixture_commit(&sender, store, 20, NULL));
        fixture_sender_release(&sender, store);
        store_close(store);
    }
    assert_int_equal(fixture_read_back(fixture.path, "log"), 60);
    fixture_remove(&fixture);
}

static void test_hello_alone_writes_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct store *store = open_store(&fixture);
    struct fixture_sender sender;
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    fixture_sender_release(&sender, store);
    store_close(store);
    struct reader *reader = NULL;
    static struct reader_stream stream;
    bool found = true;
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    assert_ok(reader_next_stream(reader, NULL, 0, &stream, &found, NULL));
    assert_false(found);
    reader_close(reader);
    fixture_remove(&fixture);
}

static void test_file_is_private(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct store *store = open_store(&fixture);
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < 4; i++) {
        char path[200];
        struct stat status;
        fixture_beside(&fixture, suffixes[i], path, sizeof path);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    store_close(store);
    fixture_remove(&fixture);
}

static void test_second_server_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    char process[32];
    fixture_make(&fixture);
    struct store *store = open_store(&fixture);
    snprintf(process, sizeof process, "process %ld", (long)getpid());
    expect_refusal(fixture.path, "in use", process);
    store_close(store);
    store_close(open_store(&fixture));
    fixture_remove(&fixture);
}

static void test_missing_directory(void **state)
{
    (void)state;
    expect_refusal("no-such-directory/store.db", "no-such-directory/store.db",
                   "No such file or directory");
    expect_refusal("", "no file name", "");
}

static void test_foreign_files_are_refused_and_untouched(void **state)
{
    (void)state;
    static const char text[] = "This is a text file, and somebody wants to keep it as it is.\n";
    struct fixture fixture;
    fixture_make(&fixture);
    FILE *file = fopen(fixture.path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, sizeof text - 1, file), sizeof text - 1);
    assert_int_equal(fclose(file), 0);
    expect_refusal(fixture.path, fixture.path, "not an SQLite database");
    char back[100] = {0};
    file = fopen(fixture.path, "r");
    assert_non_null(file);
    assert_int_equal(fread(back, 1, sizeof back, file), sizeof text - 1);
    fclose(file);
    assert_string_equal(back, text);
    assert_int_equal(unlink(fixture.path), 0);

    run_sql(fixture.path, "CREATE TABLE bookmarks (url TEXT)");
    expect_refusal(fixture.path, fixture.path, "no certpost store");
    sqlite3 *db = NULL;
    sqlite3_stmt *mode = NULL;
    assert_int_equal(sqlite3_open(fixture.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &mode, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(mode), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(mode, 0), "delete");
    sqlite3_finalize(mode);
    sqlite3_close(db);
    fixture_remove(&fixture);
}

static void test_newer_schema_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    store_close(open_store(&fixture));
    run_sql(fixture.path, "PRAGMA user_version=99");
    expect_refusal(fixture.path, "version 99", "newer certpost");
    struct reader *reader = NULL;
    assert_status(reader_open(fixture.path, NULL, &reader, NULL), CERTPOST_STORE);
    fixture_remove(&fixture);
}

/* A kind of file of its own, with a past: version 1 has no colour, version 2 has. */
static void test_older_schema_is_migrated(void **state)
{
    (void)state;
    static const char *const migrations[] = {
        "CREATE TABLE things (name TEXT); INSERT INTO things VALUES ('ball');",
        "ALTER TABLE things ADD COLUMN colour TEXT; UPDATE things SET colour = 'red';",
        "CREATE VIEW red AS SELECT name FROM things WHERE colour = 'red';",
    };
    const struct schema old = {"thing", 0x7777, 1, migrations};
    const struct schema new = {"thing", 0x7777, 3, migrations};
    struct fixture fixture;
    fixture_make(&fixture);
    const struct database_place place = {fixture.path, NULL, "store", CERTPOST_STORE, 0};
    assert_ok(database_create(&place, NULL));
    assert_ok(schema_settle(&place, &old, false, NULL));
    struct database db = {0};
    int64_t count = 0;
    assert_ok(database_open(&db, &place, DATABASE_SHARED, NULL));
    assert_ok(schema_check(&db, &old, NULL));
    assert_status(schema_check(&db, &new, NULL), CERTPOST_STORE);
    database_close(&db, true);

    assert_ok(schema_settle(&place, &new, false, NULL));
    assert_ok(schema_settle(&place, &new, false, NULL)); /* nothing left to do */
    assert_status(schema_settle(&place, &old, false, NULL), CERTPOST_STORE);
    assert_ok(database_open(&db, &place, DATABASE_SHARED, NULL));
    assert_ok(schema_check(&db, &new, NULL));
    assert_ok(database_number(&db, "SELECT count(*) FROM red", &count, NULL));
    assert_int_equal(count, 1);
    database_close(&db, true);
    fixture_remove(&fixture);
}

/* A migration that fails leaves the file at the version before it. */
static void test_failed_migration_changes_nothing(void **state)
{
    (void)state;
    static const char *const migrations[] = {
        "CREATE TABLE things (name TEXT);",
        "ALTER TABLE things ADD COLUMN colour TEXT; UPDATE nothing SET colour = 'red';",
    };
    const struct schema good = {"thing", 0x7777, 1, migrations};
    const struct schema bad = {"thing", 0x7777, 2, migrations};
    struct fixture fixture;
    fixture_make(&fixture);
    const struct database_place place = {fixture.path, NULL, "store", CERTPOST_STORE, 0};
    assert_ok(database_create(&place, NULL));
    assert_status(schema_settle(&place, &bad, false, NULL), CERTPOST_STORE);
    struct database db = {0};
    int64_t columns = 0;
    assert_ok(database_open(&db, &place, DATABASE_SHARED, NULL));
    assert_ok(schema_check(&db, &good, NULL));
    assert_ok(
        database_number(&db, "SELECT count(*) FROM pragma_table_info('things')", &columns, NULL));
    assert_int_equal(columns, 1);
    database_close(&db, true);
    fixture_remove(&fixture);
}

static void test_locked_by_another_program(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    const struct store_sqlite_options options = {.busy_timeout_ms = 50};
    struct store *store = NULL;
    assert_ok(store_open_sqlite(fixture.path, &options, &store, NULL));
    struct fixture_sender sender;
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(fixture_commit(&sender, store, 2, NULL));

    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(fixture.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(fixture_commit(&sender, store, 1, &error), CERTPOST_STORE);
    assert_non_null(strstr(error.text, "another process has locked it"));
    assert_false(store_is_ready(store));
    assert_status(store_recover(store, NULL), CERTPOST_STORE);
    assert_int_equal(store_committed(&sender.lease).seq, 2);

    /* The cause goes away: the store comes back, the old lease does not. */
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_ok(store_recover(store, NULL));
    assert_true(store_is_ready(store));
    assert_ok(store_begin(store, NULL));
    assert_status(fixture_append(&sender, store, NULL), CERTPOST_SUPERSEDED);
    assert_ok(store_commit(store, NULL));
    fixture_sender_release(&sender, store);
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_int_equal(sender.head.seq, 2);
    assert_ok(fixture_commit(&sender, store, 3, NULL));
    fixture_sender_release(&sender, store);
    store_close(store);
    assert_int_equal(fixture_read_back(fixture.path, "log"), 5);
    fixture_remove(&fixture);
}

static void test_failed_store_refuses_everything(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    const struct store_sqlite_options options = {.busy_timeout_ms = 1};
    struct store *store = NULL;
    assert_ok(store_open_sqlite(fixture.path, &options, &store, NULL));
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(fixture.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_status(store_begin(store, NULL), CERTPOST_STORE);
    struct fixture_sender sender;
    assert_status(fixture_sender_open(&sender, store, "log", NULL), CERTPOST_STORE);
    assert_status(store_begin(store, NULL), CERTPOST_STORE);
    assert_status(store_commit(store, NULL), CERTPOST_STORE);
    store_close(store); /* in FAILED */
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    fixture_remove(&fixture);
}

static void test_file_deleted_under_the_server(void **state)
{
    (void)state;
    struct fixture fixture;
    char aside[200];
    fixture_make(&fixture);
    struct store *store = open_store(&fixture);
    struct fixture_sender sender;
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(fixture_commit(&sender, store, 2, NULL));
    fixture_beside(&fixture, ".aside", aside, sizeof aside);
    assert_int_equal(rename(fixture.path, aside), 0);
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(fixture_commit(&sender, store, 1, &error), CERTPOST_STORE);
    assert_non_null(strstr(error.text, "deleted or replaced"));
    fixture_sender_release(&sender, store);
    assert_status(store_recover(store, NULL), CERTPOST_STORE);
    assert_int_equal(rename(aside, fixture.path), 0);
    assert_ok(store_recover(store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(fixture_commit(&sender, store, 1, NULL));
    assert_int_equal(sender.head.seq, 3);
    fixture_sender_release(&sender, store);
    store_close(store);
    assert_int_equal(fixture_read_back(fixture.path, "log"), 3);
    fixture_remove(&fixture);
}

static void test_damaged_database(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct store *store = open_store(&fixture);
    struct fixture_sender sender;
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(fixture_commit(&sender, store, 500, NULL));
    fixture_sender_release(&sender, store);
    store_close(store);
    FILE *file = fopen(fixture.path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 8192, SEEK_SET), 0);
    for (int i = 0; i < 8 * 8192; i++)
        assert_int_equal(fputc(0xa5, file), 0xa5);
    assert_int_equal(fclose(file), 0);

    store = open_store(&fixture); /* its first page is whole */
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(fixture_sender_open(&sender, store, "log", &error), CERTPOST_STORE);
    assert_non_null(strstr(error.text, "damaged"));
    assert_false(store_is_ready(store));
    store_close(store);
    fixture_remove(&fixture);
}

static void test_views_show_text(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct store *store = open_store(&fixture);
    struct store_lease lease;
    struct committed head;
    void *superseded = NULL;
    assert_ok(store_lease_open(store, "dns:a.example", 13, "log", 3, &fixture, &lease, &head,
                               &superseded, NULL));
    assert_ok(store_begin(store, NULL));
    assert_ok(store_append(store, &lease, 1, head.digest, "Hello, server!", 14, NULL));
    assert_ok(store_commit(store, NULL));
    store_lease_release(store, &lease);
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_open(fixture.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT identity, stream, seq, text, time >= '2024-01-01',"
                                        " time LIKE '____-__-__T__:__:__.___Z' FROM inbox",
                                        -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(row, 0), "dns:a.example");
    assert_string_equal((const char *)sqlite3_column_text(row, 1), "log");
    assert_int_equal(sqlite3_column_int(row, 2), 1);
    assert_string_equal((const char *)sqlite3_column_text(row, 3), "Hello, server!");
    assert_int_equal(sqlite3_column_int(row, 4), 1);
    assert_int_equal(sqlite3_column_int(row, 5), 1);
    sqlite3_finalize(row);
    sqlite3_close(db);
    store_close(store);
    fixture_remove(&fixture);
}

/* The log stays bounded while the writer never pauses and a reader looks on; for TSan, too. */
static void test_log_stays_short_under_load(void **state)
{
    (void)state;
    enum { COMMITS = 400, CHECKPOINT_PAGES = 64 };
    const struct store_sqlite_options options = {.checkpoint_pages = CHECKPOINT_PAGES};
    struct fixture fixture;
    char log_path[200];
    fixture_make(&fixture);
    fixture_beside(&fixture, "-wal", log_path, sizeof log_path);
    struct store *store = NULL;
    struct reader *reader = NULL;
    struct fixture_sender sender;
    assert_ok(store_open_sqlite(fixture.path, &options, &store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    off_t longest = 0;
    uint64_t seen = 0;
    for (int i = 0; i < COMMITS; i++) {
        struct stat status;
        struct reader_message message;
        bool found = false;
        assert_ok(fixture_commit(&sender, store, 20, NULL));
        assert_ok(reader_next(reader, &message, &found, NULL));
        seen += found;
        assert_int_equal(stat(log_path, &status), 0);
        longest = status.st_size > longest ? status.st_size : longest;
    }
    assert_true(seen > 0);
    reader_close(reader);
    fixture_sender_release(&sender, store);
    store_close(store);
    /* All of it took over 1600 pages; how far the writer runs ahead depends on the machine. */
    if (longest > (off_t)8192 * CHECKPOINT_PAGES * 12)
        fail_msg("the log grew to %lld bytes", (long long)longest);
    assert_int_equal(fixture_read_back(fixture.path, "log"), COMMITS * 20);
    fixture_remove(&fixture);
}

static void test_paths_are_files_only(void **state)
{
    (void)state;
    struct fixture fixture;
    char directory[256];
    fixture_make(&fixture);
    assert_non_null(getcwd(directory, sizeof directory));
    assert_int_equal(chdir(fixture.directory), 0);
    static const char *const names[] = {":memory:", "file:odd?mode=memory"};
    for (size_t i = 0; i < 2; i++) {
        struct store *store = NULL;
        assert_ok(store_open_sqlite(names[i], NULL, &store, NULL));
        store_close(store);
        assert_int_equal(access(names[i], F_OK), 0);
    }
    assert_int_equal(chdir(directory), 0);
    fixture_remove(&fixture);
}

UNIT_MAIN(cmocka_unit_test(test_contents_survive_reopening),
          cmocka_unit_test(test_hello_alone_writes_nothing), cmocka_unit_test(test_file_is_private),
          cmocka_unit_test(test_second_server_is_refused), cmocka_unit_test(test_missing_directory),
          cmocka_unit_test(test_foreign_files_are_refused_and_untouched),
          cmocka_unit_test(test_newer_schema_is_refused),
          cmocka_unit_test(test_older_schema_is_migrated),
          cmocka_unit_test(test_failed_migration_changes_nothing),
          cmocka_unit_test(test_locked_by_another_program),
          cmocka_unit_test(test_failed_store_refuses_everything),
          cmocka_unit_test(test_file_deleted_under_the_server),
          cmocka_unit_test(test_damaged_database), cmocka_unit_test(test_views_show_text),
          cmocka_unit_test(test_log_stays_short_under_load),
          cmocka_unit_test(test_paths_are_files_only))
