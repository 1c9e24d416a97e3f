/*
 * test_server_refusals.c — the newest refusals are kept, in order, within their bounds, from many
 * threads.
 */
#include "server/refusals.h"
#include "support/unit.h"

#include <pthread.h>

enum { THREADS = 4, NOTES_EACH = 2000 };

static struct refusals *make_refusals(void)
{
    struct refusals *refusals = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_ok(refusals_new(&refusals, &error));
    return refusals;
}

static void note(struct refusals *refusals, const char *address, const char *reason,
                 int64_t wall_ms)
{
    const struct refusal_event event = {.address = address, .reason = reason};
    refusals_note(refusals, &event, wall_ms);
}

static void test_newest_first_and_no_more_than_fit(void **state)
{
    (void)state;
    struct refusals *refusals = make_refusals();
    struct refusal list[REFUSALS_MAX];
    char address[40];
    assert_int_equal(refusals_copy(refusals, list), 0);
    for (int i = 0; i < 2 * REFUSALS_MAX; i++) {
        snprintf(address, sizeof address, "192.0.2.%d:1000", i);
        note(refusals, address, "handshake", i);
    }
    assert_int_equal(refusals_copy(refusals, list), REFUSALS_MAX);
    assert_string_equal(list[0].address, "192.0.2.99:1000");
    assert_string_equal(list[REFUSALS_MAX - 1].address, "192.0.2.50:1000");
    assert_int_equal(list[0].count, 1);
    refusals_free(refusals);
}

static void test_the_same_again_is_counted_in_its_place(void **state)
{
    (void)state;
    struct refusals *refusals = make_refusals();
    struct refusal list[REFUSALS_MAX];
    note(refusals, "[2001:db8::1]:1", "handshake", 10);
    note(refusals, "[2001:db8::1]:2", "timeout: idle", 20);
    note(refusals, "[2001:db8::2]:3", "handshake", 30);
    note(refusals, "[2001:db8::1]:4", "handshake", 40);
    assert_int_equal(refusals_copy(refusals, list), 3);
    assert_string_equal(list[0].address, "[2001:db8::1]:4");
    assert_int_equal(list[0].count, 2);
    assert_int_equal(list[0].first_wall_ms, 10);
    assert_int_equal(list[0].last_wall_ms, 40);
    assert_string_equal(list[1].address, "[2001:db8::2]:3");
    assert_string_equal(list[2].reason, "timeout: idle");
    assert_int_equal(list[2].count, 1);
    refusals_free(refusals);
}

static void test_identities_are_told_apart(void **state)
{
    (void)state;
    struct refusals *refusals = make_refusals();
    struct refusal list[REFUSALS_MAX];
    struct refusal_event event = {.address = "192.0.2.1:1", .reason = "refused", .name = "dns:a"};
    event.name_length = 5;
    refusals_note(refusals, &event, 1);
    event.name = "dns:b";
    refusals_note(refusals, &event, 2);
    assert_int_equal(refusals_copy(refusals, list), 2);
    assert_int_equal(list[0].name_length, 5);
    assert_memory_equal(list[0].name, "dns:b", 5);
    refusals_free(refusals);
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    struct refusals *refusals = make_refusals();
    struct refusal list[REFUSALS_MAX];
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const struct refusal_event event = {
        .address = text, .reason = text, .detail = text, .name = text, .name_length = 999};
    refusals_note(refusals, &event, 1);
    assert_int_equal(refusals_copy(refusals, list), 1);
    assert_int_equal(strlen(list[0].address), REFUSALS_ADDRESS_BYTES - 1);
    assert_int_equal(strlen(list[0].reason), REFUSALS_REASON_BYTES - 1);
    assert_int_equal(strlen(list[0].detail), REFUSALS_DETAIL_BYTES - 1);
    assert_int_equal(list[0].name_length, REFUSALS_NAME_BYTES);
    refusals_free(refusals);
}

static void *note_many(void *argument)
{
    struct refusals *refusals = argument;
    for (int i = 0; i < NOTES_EACH; i++)
        note(refusals, "192.0.2.1:1", "handshake", i);
    return NULL;
}

static void test_many_threads_lose_no_count(void **state)
{
    (void)state;
    struct refusals *refusals = make_refusals();
    struct refusal list[REFUSALS_MAX];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, refusals), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(refusals_copy(refusals, list), 1);
    assert_int_equal(list[0].count, THREADS * NOTES_EACH);
    refusals_free(refusals);
}

static void test_nobody_to_note_for(void **state)
{
    (void)state;
    note(NULL, "192.0.2.1:1", "handshake", 1);
    refusals_free(NULL);
}

UNIT_MAIN(cmocka_unit_test(test_newest_first_and_no_more_than_fit),
          cmocka_unit_test(test_the_same_again_is_counted_in_its_place),
          cmocka_unit_test(test_identities_are_told_apart),
          cmocka_unit_test(test_long_texts_are_cut),
          cmocka_unit_test(test_many_threads_lose_no_count),
          cmocka_unit_test(test_nobody_to_note_for))
