/* The sender's spool: numbers, what may be sent when, whose it is, and how fast it takes lines. */
#include "base/clock.h"
#include "store/spool.h"
#include "support/fault_vfs.h"
#include "support/store_fixture.h"

#include <unistd.h>

static const unsigned char digest_a[CHAIN_DIGEST_BYTES] = {0xa};
static const unsigned char digest_b[CHAIN_DIGEST_BYTES] = {0xb};

static struct spool *open_spool(const struct fixture *fixture, const char *stream)
{
    struct spool *spool = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = spool_open(fixture->path, stream, NULL, &spool, &error);
    if (status != CERTPOST_OK)
        fail_msg("%s", certpost_error_text(&error, status));
    return spool;
}

static void put(struct spool *spool, const char *text)
{
    assert_ok(spool_put(spool, text, strlen(text), NULL));
}

static void expect_message(struct spool *spool, uint64_t seq, const char *text)
{
    const void *bytes = NULL;
    size_t length = 0;
    assert_ok(spool_get(spool, seq, &bytes, &length, NULL));
    assert_int_equal(length, strlen(text));
    assert_memory_equal(bytes, text, length);
}

static void expect_not_to_be_sent(struct spool *spool, uint64_t seq)
{
    const void *bytes = NULL;
    size_t length = 0;
    assert_status(spool_get(spool, seq, &bytes, &length, NULL), CERTPOST_INTERNAL);
}

static void test_a_message_from_put_to_acknowledged(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct spool *spool = open_spool(&fixture, "log");
    assert_ok(spool_commit(spool, NULL)); /* nothing to do */
    assert_ok(spool_adopt(spool, 0, digest_a, "mail.example", NULL));
    put(spool, "one");
    expect_not_to_be_sent(spool, 1);
    assert_ok(spool_commit(spool, NULL));
    put(spool, "");
    put(spool, "three");
    assert_ok(spool_commit(spool, NULL));
    expect_message(spool, 3, "three");
    expect_message(spool, 1, "one");
    expect_message(spool, 2, "");
    expect_not_to_be_sent(spool, 4);
    assert_ok(spool_acked(spool, 2, digest_b, "mail.example", NULL));
    expect_not_to_be_sent(spool, 2);
    assert_ok(spool_commit(spool, NULL));
    spool_close(spool);

    spool = open_spool(&fixture, NULL);
    const struct spool_state *found = spool_state(spool);
    assert_string_equal(found->stream, "log");
    assert_string_equal(found->server, "mail.example");
    assert_int_equal(found->acked_seq, 2);
    assert_int_equal(found->last_seq, 3);
    assert_true(found->is_adopted);
    assert_memory_equal(found->digest, digest_b, CHAIN_DIGEST_BYTES);
    expect_message(spool, 3, "three");
    assert_ok(spool_acked(spool, 3, digest_a, "mail.example", NULL));
    assert_ok(spool_commit(spool, NULL));
    put(spool, "four");
    assert_ok(spool_commit(spool, NULL));
    expect_message(spool, 4, "four");
    spool_close(spool);
    spool_close(NULL);
    fixture_remove(&fixture);
}

/* An empty spool still knows its place in the stream. */
static void test_numbers_go_on_after_everything_left(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct spool *spool = open_spool(&fixture, "log");
    assert_ok(spool_adopt(spool, 0, digest_a, "s", NULL));
    put(spool, "one");
    assert_ok(spool_commit(spool, NULL));
    assert_ok(spool_acked(spool, 1, digest_b, "s", NULL));
    assert_ok(spool_commit(spool, NULL));
    spool_close(spool);
    spool = open_spool(&fixture, "log");
    assert_int_equal(spool_state(spool)->last_seq, 1);
    put(spool, "two");
    assert_ok(spool_commit(spool, NULL));
    expect_message(spool, 2, "two");
    spool_close(spool);
    fixture_remove(&fixture);
}

static void test_nothing_is_sent_before_the_first_welcome(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct spool *spool = open_spool(&fixture, "log");
    put(spool, "a");
    put(spool, "b");
    put(spool, "c");
    assert_ok(spool_commit(spool, NULL));
    expect_not_to_be_sent(spool, 1);
    assert_status(spool_acked(spool, 1, digest_a, "s", NULL), CERTPOST_INTERNAL);
    spool_close(spool);
    spool = open_spool(&fixture, "log");
    assert_false(spool_state(spool)->is_adopted);
    put(spool, "d");
    assert_status(spool_adopt(spool, 2, digest_a, "s", NULL), CERTPOST_INTERNAL); /* open put */
    assert_ok(spool_commit(spool, NULL));
    assert_ok(spool_adopt(spool, 2, digest_a, "s", NULL));
    assert_status(spool_adopt(spool, 2, digest_a, "s", NULL), CERTPOST_INTERNAL);
    assert_int_equal(spool_state(spool)->acked_seq, 2);
    assert_int_equal(spool_state(spool)->last_seq, 6);
    expect_message(spool, 3, "a");
    expect_message(spool, 6, "d");
    spool_close(spool);
    spool = open_spool(&fixture, "log");
    expect_message(spool, 4, "b");
    spool_close(spool);
    fixture_remove(&fixture);
}

static void test_uncommitted_is_gone_after_closing(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct spool *spool = open_spool(&fixture, "log");
    assert_ok(spool_adopt(spool, 0, digest_a, "s", NULL));
    put(spool, "one");
    assert_ok(spool_commit(spool, NULL));
    put(spool, "two");
    spool_close(spool);
    spool = open_spool(&fixture, "log");
    assert_int_equal(spool_state(spool)->last_seq, 1);
    spool_close(spool);
    fixture_remove(&fixture);
}

static void test_refusals(void **state)
{
    (void)state;
    struct fixture fixture;
    struct spool *spool = NULL;
    struct certpost_error error;
    char long_name[SPOOL_NAME_MAX_BYTES + 2];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    fixture_make(&fixture);
    certpost_error_clear(&error);
    assert_status(spool_open(fixture.path, NULL, NULL, &spool, &error), CERTPOST_USAGE);
    assert_non_null(strstr(error.text, "name of a stream"));
    assert_status(spool_open(fixture.path, "", NULL, &spool, NULL), CERTPOST_USAGE);
    assert_status(spool_open(fixture.path, long_name, NULL, &spool, NULL), CERTPOST_USAGE);
    assert_status(spool_open("no-such-directory/spool", "log", NULL, &spool, NULL),
                  CERTPOST_LOCAL_IO);
    spool = open_spool(&fixture, "log");
    struct spool *second = NULL;
    certpost_error_clear(&error);
    assert_status(spool_open(fixture.path, "log", NULL, &second, &error), CERTPOST_LOCAL_IO);
    assert_non_null(strstr(error.text, "in use by process"));
    spool_close(spool);
    certpost_error_clear(&error);
    assert_status(spool_open(fixture.path, "other", NULL, &spool, &error), CERTPOST_USAGE);
    assert_non_null(strstr(error.text, "another stream"));
    /* A store is no spool. */
    struct store *store = NULL;
    certpost_error_clear(&error);
    assert_status(store_open_sqlite(fixture.path, NULL, &store, &error), CERTPOST_STORE);
    assert_non_null(strstr(error.text, "no certpost store"));
    fixture_remove(&fixture);
}

static void test_each_operation_fails(void **state)
{
    (void)state;
    uint64_t at = 1;
    for (bool struck = true; struck; at++) {
        struct fixture fixture;
        struct spool *spool = NULL;
        struct certpost_error error;
        fixture_make(&fixture);
        certpost_error_clear(&error);
        fault_vfs_reset();
        fault_vfs_arm(FAULT_ALL, at, FAULT_ONCE);
        uint64_t durable = 0;
        uint64_t tried = 0;
        enum certpost_status status =
            spool_open(fixture.path, "log", FAULT_VFS_NAME, &spool, &error);
        if (status == CERTPOST_OK)
            status = spool_adopt(spool, 0, digest_a, "s", &error);
        for (int i = 0; i < 4 && status == CERTPOST_OK; i++) {
            status = spool_put(spool, "message", 7, &error);
            tried += status == CERTPOST_OK;
            if (status == CERTPOST_OK)
                status = spool_commit(spool, &error);
            durable = spool_state(spool)->last_seq;
        }
        if (status != CERTPOST_OK) {
            assert_status(status, CERTPOST_LOCAL_IO);
            assert_non_null(strstr(error.text, fixture.path));
            if (spool != NULL) /* it stays failed */
                assert_status(spool_put(spool, "x", 1, NULL), CERTPOST_LOCAL_IO);
        }
        spool_close(spool);
        struck = fault_vfs_heal();
        spool = NULL;
        assert_ok(spool_open(fixture.path, "log", FAULT_VFS_NAME, &spool, NULL));
        assert_in_range(spool_state(spool)->last_seq, durable, tried);
        spool_close(spool);
        fixture_remove(&fixture);
    }
    assert_true(at > 20);
}

/* As `certpost send -l --spool` does: lines in and out again, in batches. */
static void test_many_lines(void **state)
{
    (void)state;
    enum { LINES = 200000, BATCH = 5000 };
    struct fixture fixture;
    fixture_make(&fixture);
    struct spool *spool = open_spool(&fixture, "log");
    assert_ok(spool_adopt(spool, 0, digest_a, "s", NULL));
    int64_t start_ms = clock_monotonic_ms();
    for (uint64_t line = 1; line <= LINES; line++) {
        char text[32];
        int length = snprintf(text, sizeof text, "%llu", (unsigned long long)line);
        assert_ok(spool_put(spool, text, (size_t)length, NULL));
        if (line % BATCH == 0)
            assert_ok(spool_commit(spool, NULL));
    }
    int64_t put_ms = clock_monotonic_ms();
    for (uint64_t line = 1; line <= LINES; line++) {
        const void *bytes = NULL;
        size_t length = 0;
        assert_ok(spool_get(spool, line, &bytes, &length, NULL));
        if (line % BATCH == 0) {
            assert_ok(spool_acked(spool, line, digest_b, "s", NULL));
            assert_ok(spool_commit(spool, NULL));
        }
    }
    int64_t end_ms = clock_monotonic_ms();
    print_message("put %lld ms, get and forget %lld ms\n", (long long)(put_ms - start_ms),
                  (long long)(end_ms - put_ms));
    spool_close(spool);
    fixture_remove(&fixture);
}

UNIT_MAIN(cmocka_unit_test(test_a_message_from_put_to_acknowledged),
          cmocka_unit_test(test_numbers_go_on_after_everything_left),
          cmocka_unit_test(test_nothing_is_sent_before_the_first_welcome),
          cmocka_unit_test(test_uncommitted_is_gone_after_closing), cmocka_unit_test(test_refusals),
          cmocka_unit_test(test_each_operation_fails), cmocka_unit_test(test_many_lines))
