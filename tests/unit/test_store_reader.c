/* Reading and auditing: what is there, in which order, and every kind of damage by its name. */
#include "store/reader.h"
#include "support/store_fixture.h"

#include <sqlite3.h>
#include <stdlib.h>

/* Three commits of stream "log" (1 to 3, 4, 5 to 6), the last shared with "other" (1 to 2). */
static void make_store(struct fixture *fixture)
{
    struct store *store = NULL;
    struct fixture_sender log;
    struct fixture_sender other;
    fixture_make(fixture);
    assert_ok(store_open_sqlite(fixture->path, NULL, &store, NULL));
    assert_ok(fixture_sender_open(&log, store, "log", NULL));
    assert_ok(fixture_sender_open(&other, store, "other", NULL));
    assert_ok(fixture_commit(&log, store, 3, NULL));
    assert_ok(fixture_commit(&log, store, 1, NULL));
    assert_ok(store_begin(store, NULL));
    assert_ok(fixture_append(&log, store, NULL));
    assert_ok(fixture_append(&other, store, NULL));
    assert_ok(fixture_append(&log, store, NULL));
    assert_ok(fixture_append(&other, store, NULL));
    assert_ok(store_commit(store, NULL));
    fixture_sender_release(&log, store);
    fixture_sender_release(&other, store);
    store_close(store);
}

static void damage(const struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_changes(db) > 0);
    sqlite3_close(db);
}

struct faults {
    size_t count;
    uint64_t first_seq[8];
    uint64_t last_seq[8];
    char text[8][CERTPOST_ERROR_TEXT_BYTES];
};

static void note_fault(void *context, const struct reader_fault *fault)
{
    struct faults *faults = context;
    assert_true(faults->count < 8);
    faults->first_seq[faults->count] = fault->first_seq;
    faults->last_seq[faults->count] = fault->last_seq;
    snprintf(faults->text[faults->count], CERTPOST_ERROR_TEXT_BYTES, "%s", fault->text);
    faults->count++;
}

/* Applies the damage to a fresh store, audits it, and expects one fault with these numbers. */
static void expect_fault(const char *sql, uint64_t first_seq, uint64_t last_seq, const char *words)
{
    static struct faults faults;
    struct fixture fixture;
    make_store(&fixture);
    damage(&fixture, sql);
    struct reader *reader = NULL;
    struct reader_audit audit;
    struct certpost_error error;
    for (int64_t stream_id = 0; stream_id <= 1; stream_id++) {
        memset(&faults, 0, sizeof faults);
        certpost_error_clear(&error);
        assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
        assert_status(reader_verify(reader, stream_id, note_fault, &faults, &audit, &error),
                      CERTPOST_DIGEST);
        assert_int_equal(faults.count, 1);
        assert_int_equal(audit.faults, 1);
        assert_int_equal(faults.first_seq[0], first_seq);
        assert_int_equal(faults.last_seq[0], last_seq);
        assert_non_null(strstr(faults.text[0], words));
        assert_string_equal(error.text, faults.text[0]);
        reader_close(reader);
    }
    fixture_remove(&fixture);
}

static void test_whole_store_verifies(void **state)
{
    (void)state;
    struct fixture fixture;
    make_store(&fixture);
    struct reader *reader = NULL;
    struct reader_audit audit;
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    assert_ok(reader_verify(reader, 0, NULL, NULL, &audit, NULL));
    assert_int_equal(audit.streams, 2);
    assert_int_equal(audit.messages, 8);
    assert_int_equal(audit.commits, 4);
    assert_int_equal(audit.faults, 0);
    assert_ok(reader_verify(reader, 1, NULL, NULL, &audit, NULL));
    assert_int_equal(audit.messages, 6);
    assert_status(reader_verify(reader, 77, NULL, NULL, &audit, NULL), CERTPOST_USAGE);
    reader_close(reader);
    reader_close(NULL);
    fixture_remove(&fixture);
}

/* Appends `count` messages of "log" as a server would that starts and ends. */
static void serve(const struct fixture *fixture, size_t count)
{
    struct store *store = NULL;
    struct fixture_sender log;
    assert_ok(store_open_sqlite(fixture->path, NULL, &store, NULL));
    assert_ok(fixture_sender_open(&log, store, "log", NULL));
    assert_ok(fixture_commit(&log, store, count, NULL));
    fixture_sender_release(&log, store);
    store_close(store);
}

static void expect_messages(struct reader *reader, uint64_t first_seq, uint64_t last_seq)
{
    struct reader_message message;
    bool found = false;
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        assert_ok(reader_next(reader, &message, &found, NULL));
        assert_true(found);
        assert_int_equal(message.seq, seq);
    }
    assert_ok(reader_next(reader, &message, &found, NULL));
    assert_false(found);
}

/* Without a log the reader takes no locks; it must notice who comes, also if he has gone already.
 */
static void test_server_that_starts_meanwhile_is_noticed(void **state)
{
    (void)state;
    struct fixture fixture;
    make_store(&fixture);
    struct reader *reader = NULL;
    static struct reader_stream stream;
    struct reader_audit audit;
    struct reader_filter filter = {.name = "log"};
    bool found = false;
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    reader_select(reader, 1, 1, UINT64_MAX);
    expect_messages(reader, 1, 6);
    serve(&fixture, 700);
    expect_messages(reader, 7, 706);
    reader_close(reader);

    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    serve(&fixture, 1);
    assert_ok(reader_next_stream(reader, &filter, 0, &stream, &found, NULL));
    assert_int_equal(stream.last_seq, 707);
    reader_close(reader);

    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    assert_ok(reader_verify(reader, 0, NULL, NULL, &audit, NULL));
    assert_int_equal(audit.messages, 709);
    serve(&fixture, 1);
    assert_ok(reader_verify(reader, 0, NULL, NULL, &audit, NULL));
    assert_int_equal(audit.messages, 710);
    reader_close(reader);
    fixture_remove(&fixture);
}

static void test_changed_byte_is_found(void **state)
{
    (void)state;
    expect_fault("UPDATE messages SET body = x'00' || substr(body, 2) WHERE stream = 1 AND seq = 4",
                 4, 4, "the digest differs");
    expect_fault("UPDATE messages SET body = body || x'00' WHERE stream = 1 AND seq = 2", 1, 3,
                 "the digest differs");
}

static void test_missing_message_is_found(void **state)
{
    (void)state;
    expect_fault("DELETE FROM messages WHERE stream = 1 AND seq = 2", 2, 2, "missing");
    expect_fault("DELETE FROM messages WHERE stream = 1 AND seq >= 5", 5, 6, "missing");
}

static void test_repeated_message_is_found(void **state)
{
    (void)state;
    expect_fault(
        "UPDATE messages SET seq = 3 WHERE stream = 1 AND seq = 4;"
        "DELETE FROM commits WHERE stream = 1 AND last_seq = 4;"
        "UPDATE commits SET first_row = 4, first_seq = 3 WHERE stream = 1 AND last_seq = 6;"
        "DELETE FROM messages WHERE stream = 1 AND seq > 3;"
        "UPDATE commits SET last_row = 4, last_seq = 3, first_seq = 1, first_row = 1"
        " WHERE stream = 1 AND last_seq = 3;"
        "DELETE FROM commits WHERE stream = 1 AND last_seq = 6;"
        "UPDATE streams SET last_seq = 3, digest = (SELECT digest FROM commits"
        " WHERE stream = 1 AND last_seq = 3) WHERE id = 1",
        3, 3, "twice");
}

static void test_wrong_head_is_found(void **state)
{
    (void)state;
    expect_fault("UPDATE streams SET digest = zeroblob(32) WHERE id = 1", 6, 6, "head");
    expect_fault("UPDATE streams SET last_seq = 7 WHERE id = 1", 7, 7, "missing");
}

/* A wrong checkpoint is found, and as the audit goes on from it, so is the next one. */
static void test_wrong_checkpoint_is_found(void **state)
{
    (void)state;
    static struct faults faults;
    struct fixture fixture;
    make_store(&fixture);
    damage(&fixture, "UPDATE commits SET digest = zeroblob(32) WHERE stream = 1 AND last_seq = 4");
    struct reader *reader = NULL;
    struct reader_audit audit;
    memset(&faults, 0, sizeof faults);
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    assert_status(reader_verify(reader, 1, note_fault, &faults, &audit, NULL), CERTPOST_DIGEST);
    assert_int_equal(faults.count, 2);
    assert_int_equal(faults.first_seq[0], 4);
    assert_int_equal(faults.first_seq[1], 5);
    reader_close(reader);
    fixture_remove(&fixture);
}

/* After a fault the audit goes on: two bad messages are two faults. */
static void test_second_fault_is_not_hidden(void **state)
{
    (void)state;
    static struct faults faults;
    struct fixture fixture;
    make_store(&fixture);
    damage(&fixture, "UPDATE messages SET body = 'x' WHERE seq IN (1, 6)");
    struct reader *reader = NULL;
    struct reader_audit audit;
    memset(&faults, 0, sizeof faults);
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    assert_status(reader_verify(reader, 0, note_fault, &faults, &audit, NULL), CERTPOST_DIGEST);
    assert_int_equal(faults.count, 3); /* log 1-3, other 1-2, log 5-6 */
    reader_close(reader);
    fixture_remove(&fixture);
}

static void test_message_of_no_stream_is_found(void **state)
{
    (void)state;
    static struct faults faults;
    struct fixture fixture;
    make_store(&fixture);
    damage(&fixture, "INSERT INTO messages (stream, seq, body) VALUES (9, 1, 'x')");
    struct reader *reader = NULL;
    struct reader_audit audit;
    memset(&faults, 0, sizeof faults);
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    assert_status(reader_verify(reader, 0, note_fault, &faults, &audit, NULL), CERTPOST_DIGEST);
    assert_int_equal(faults.count, 1);
    assert_non_null(strstr(faults.text[0], "no stream"));
    reader_close(reader);
    fixture_remove(&fixture);
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        int64_t stream_id;
        uint64_t first_seq;
        uint64_t last_seq;
        size_t count;
    } cases[] = {
        {1, 1, UINT64_MAX, 6}, {1, 2, 5, 4}, {1, 4, 4, 1},
        {1, 7, UINT64_MAX, 0}, {1, 3, 2, 0}, {2, 1, 1, 1},
        {0, 1, UINT64_MAX, 8}, {0, 2, 3, 3}, {9, 1, UINT64_MAX, 0},
    };
    struct fixture fixture;
    make_store(&fixture);
    struct reader *reader = NULL;
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        reader_select(reader, cases[i].stream_id, cases[i].first_seq, cases[i].last_seq);
        size_t count = 0;
        int64_t row = 0;
        struct reader_message message;
        bool found = true;
        for (;;) {
            assert_ok(reader_next(reader, &message, &found, NULL));
            if (!found)
                break;
            count++;
            assert_true(message.row > row);
            assert_true(message.seq >= cases[i].first_seq && message.seq <= cases[i].last_seq);
            assert_true(message.time_ms > 0);
            row = message.row;
        }
        assert_int_equal(count, cases[i].count);
    }
    reader_close(reader);
    fixture_remove(&fixture);
}

static void test_streams_by_filter(void **state)
{
    (void)state;
    struct fixture fixture;
    make_store(&fixture);
    struct reader *reader = NULL;
    assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
    static struct reader_stream stream;
    bool found = false;
    struct reader_filter filter = {.name = "other"};
    assert_ok(reader_next_stream(reader, &filter, 0, &stream, &found, NULL));
    assert_true(found);
    assert_int_equal(stream.id, 2);
    assert_int_equal(stream.last_seq, 2);
    assert_memory_equal(stream.identity, "dns:sender.example", stream.identity_length);
    assert_ok(reader_next_stream(reader, &filter, stream.id, &stream, &found, NULL));
    assert_false(found);
    filter = (struct reader_filter){.identity = "dns:nobody.example"};
    assert_ok(reader_next_stream(reader, &filter, 0, &stream, &found, NULL));
    assert_false(found);
    reader_close(reader);
    fixture_remove(&fixture);
}

/* What is committed after the end was reached is found by the next call. */
static void test_reading_goes_on_while_the_server_writes(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct store *store = NULL;
    struct fixture_sender sender;
    assert_ok(store_open_sqlite(fixture.path, NULL, &store, NULL));
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    for (int of_one_stream = 0; of_one_stream <= 1; of_one_stream++) {
        assert_ok(fixture_commit(&sender, store, 1, NULL));
        struct reader *reader = NULL;
        assert_ok(reader_open(fixture.path, NULL, &reader, NULL));
        reader_select(reader, of_one_stream, 1, UINT64_MAX);
        uint64_t seen = 0;
        for (int round = 0; round < 5; round++) {
            struct reader_message message;
            bool found = true;
            for (;;) {
                assert_ok(reader_next(reader, &message, &found, NULL));
                if (!found)
                    break;
                assert_int_equal(message.seq, ++seen);
            }
            assert_int_equal(seen, sender.head.seq);
            assert_ok(fixture_commit(&sender, store, 700, NULL)); /* more than a batch */
            struct reader_audit audit;
            if (round == 4)
                assert_ok(reader_verify(reader, of_one_stream, NULL, NULL, &audit, NULL));
        }
        reader_close(reader);
    }
    fixture_sender_release(&sender, store);
    store_close(store);
    fixture_remove(&fixture);
}

UNIT_MAIN(cmocka_unit_test(test_whole_store_verifies),
          cmocka_unit_test(test_server_that_starts_meanwhile_is_noticed),
          cmocka_unit_test(test_changed_byte_is_found),
          cmocka_unit_test(test_missing_message_is_found),
          cmocka_unit_test(test_repeated_message_is_found),
          cmocka_unit_test(test_wrong_head_is_found),
          cmocka_unit_test(test_wrong_checkpoint_is_found),
          cmocka_unit_test(test_second_fault_is_not_hidden),
          cmocka_unit_test(test_message_of_no_stream_is_found), cmocka_unit_test(test_ranges),
          cmocka_unit_test(test_streams_by_filter),
          cmocka_unit_test(test_reading_goes_on_while_the_server_writes))
