/*
 * test_server_metrics.c — what is added is what is read, also while it is being added; and how it
 * is written down.
 */
#include "server/metrics.h"
#include "server/metrics_table.h"
#include "support/unit.h"
#include "wire/message.h"

#include <pthread.h>
#include <stdlib.h>

enum { WORKERS = 2, ROUNDS = 20000, TEXT_BYTES = 256 * 1024 };

static struct metrics *make(void)
{
    struct metrics *metrics = NULL;
    assert_int_equal(metrics_new(WORKERS, &metrics, NULL), CERTPOST_OK);
    return metrics;
}

/* All that is written, as a string to free. */
static char *write_all(const struct metrics *metrics, const struct metrics_facts *facts)
{
    struct buffer body;
    buffer_init(&body, TEXT_BYTES);
    assert_int_equal(metrics_write(metrics, facts, &body), CERTPOST_OK);
    assert_int_equal(buffer_append_u8(&body, 0), CERTPOST_OK);
    char *text = malloc(body.length);
    assert_non_null(text);
    memcpy(text, buffer_bytes(&body), body.length);
    buffer_free(&body);
    return text;
}

static void expect_line(const char *text, const char *line)
{
    if (strstr(text, line) == NULL)
        fail_msg("this is missing: %s", line);
}

static void test_blocks_add_up(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    metrics_add(metrics_block(metrics, METRICS_MAIN), METRICS_RELOADS, 1);
    for (size_t i = 0; i < WORKERS; i++)
        metrics_add(metrics_block(metrics, METRICS_FIRST_WORKER + i), METRICS_RELOADS, 10);
    assert_int_equal(metrics_sum(metrics, METRICS_RELOADS), 21);
    assert_int_equal(metrics_sum(metrics, METRICS_RELOADS_FAILED), 0);
    metrics_add(NULL, METRICS_RELOADS, 1);
    /* What comes on one thread may go on another. */
    metrics_add(metrics_block(metrics, METRICS_WRITER), METRICS_CONNECTIONS_OPEN, 3);
    metrics_subtract(metrics_block(metrics, METRICS_MAIN), METRICS_CONNECTIONS_OPEN, 2);
    assert_int_equal(metrics_sum(metrics, METRICS_CONNECTIONS_OPEN), 1);
    metrics_free(metrics);
}

static void test_blocks_share_no_cache_line(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    for (size_t i = 0; i < METRICS_FIRST_WORKER + WORKERS; i++)
        assert_int_equal((uintptr_t)metrics_block(metrics, i) % METRICS_LINE_BYTES, 0);
    metrics_free(metrics);
}

static void test_places_do_not_overlap(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metrics_block *block = metrics_block(metrics, METRICS_MAIN);
    for (const struct metrics_family *family = metrics_table; family->name != NULL; family++) {
        size_t count = family->count;
        if (family->type == METRICS_TIMES)
            count = METRICS_TIME_BOUNDS + 2;
        else if (family->type == METRICS_SIZES)
            count = METRICS_SIZE_BOUNDS + 2;
        for (size_t i = 0; i < count; i++)
            metrics_add(block, family->place + i, 1);
    }
    for (size_t slot = 0; slot < METRICS_SLOT_COUNT; slot++) {
        if (metrics_sum(metrics, slot) != 1)
            fail_msg("slot %zu is shown %llu times", slot,
                     (unsigned long long)metrics_sum(metrics, slot));
    }
    metrics_free(metrics);
}

static void test_histograms(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metrics_block *block = metrics_block(metrics, METRICS_WRITER);
    const struct metrics_facts facts = {0};
    metrics_add_time(block, METRICS_COMMIT_TIME, 0);
    metrics_add_time(block, METRICS_COMMIT_TIME, 100);
    metrics_add_time(block, METRICS_COMMIT_TIME, 101);
    metrics_add_time(block, METRICS_COMMIT_TIME, 60 * 1000 * 1000);
    metrics_add_size(block, METRICS_COMMIT_SIZE, 10000);
    metrics_add_size(block, METRICS_COMMIT_SIZE, 10001);
    char *text = write_all(metrics, &facts);
    expect_line(text, "\ncertpost_commit_seconds_bucket{le=\"0.0001\"} 2\n");
    expect_line(text, "\ncertpost_commit_seconds_bucket{le=\"0.00025\"} 3\n");
    expect_line(text, "\ncertpost_commit_seconds_bucket{le=\"5\"} 3\n");
    expect_line(text, "\ncertpost_commit_seconds_bucket{le=\"+Inf\"} 4\n");
    expect_line(text, "\ncertpost_commit_seconds_sum 60.000201\n");
    expect_line(text, "\ncertpost_commit_seconds_count 4\n");
    expect_line(text, "\ncertpost_commit_messages_bucket{le=\"5000\"} 0\n");
    expect_line(text, "\ncertpost_commit_messages_bucket{le=\"10000\"} 1\n");
    expect_line(text, "\ncertpost_commit_messages_count 2\n");
    free(text);
    metrics_free(metrics);
}

static void test_numbers(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metrics_block *block = metrics_block(metrics, METRICS_MAIN);
    struct metrics_facts facts = {0};
    metrics_add(block, METRICS_PAUSED_MS, 1050);
    metrics_add(block, METRICS_PAUSES, UINT64_MAX);
    facts.known[METRICS_FACT_START_TIME] = true;
    facts.values[METRICS_FACT_START_TIME] = 1795381406007;
    char *text = write_all(metrics, &facts);
    expect_line(text, "\ncertpost_paused_seconds_total 1.05\n");
    expect_line(text, "\ncertpost_pauses_total 18446744073709551615\n");
    expect_line(text, "\ncertpost_start_time_seconds 1795381406.007\n");
    /* What is not known is not there, with no line at all. */
    assert_null(strstr(text, "certpost_ready"));
    free(text);
    metrics_free(metrics);
}

static void test_codes(void **state)
{
    (void)state;
    bool seen[METRICS_CODE_COUNT] = {false};
    static const uint16_t codes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 32, 33};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        assert_int_equal(metrics_code_index(codes[i]), i);
        seen[metrics_code_index(codes[i])] = true;
    }
    for (size_t i = 0; i + 1 < METRICS_CODE_COUNT; i++)
        assert_true(seen[i]);
    assert_int_equal(metrics_code_index(MESSAGE_CODE_APPLICATION), METRICS_CODE_COUNT - 1);
    assert_int_equal(metrics_code_index(UINT16_MAX), METRICS_CODE_COUNT - 1);
}

static void test_a_body_that_is_too_small(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    const struct metrics_facts facts = {0};
    struct buffer body;
    buffer_init(&body, 1000);
    assert_int_equal(metrics_write(metrics, &facts, &body), CERTPOST_LIMIT);
    buffer_free(&body);
    metrics_free(metrics);
}

/* Of 0 to 4 letters and then the same character again and again: each place of the cut is met. */
static void expect_label_cut(const char *character, const char *expected, size_t before)
{
    char text[2 * METRICS_LABEL_BYTES];
    char label[METRICS_LABEL_BYTES];
    size_t length = before;
    memset(text, 'a', before);
    for (; length + strlen(character) < sizeof text; length += strlen(character))
        memcpy(text + length, character, strlen(character));
    text[length] = '\0';
    memset(label, 'x', sizeof label);
    metrics_label(text, label);
    size_t count = (METRICS_LABEL_BYTES - 1 - before) / strlen(expected);
    assert_int_equal(strlen(label), before + count * strlen(expected));
    assert_memory_equal(label, text, before);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(label + before + i * strlen(expected), expected, strlen(expected));
}

static void test_labels_are_cut_at_a_whole_character(void **state)
{
    (void)state;
    for (size_t before = 0; before < 5; before++) {
        expect_label_cut("b", "b", before);
        expect_label_cut("\"", "\\\"", before);
        expect_label_cut("\\", "\\\\", before);
        expect_label_cut("\xc3\xa9", "\xc3\xa9", before);
        expect_label_cut("\xe2\x82\xac", "\xe2\x82\xac", before);
        expect_label_cut("\xf0\x9f\x93\xae", "\xf0\x9f\x93\xae", before);
    }
    char label[METRICS_LABEL_BYTES];
    metrics_label("", label);
    assert_string_equal(label, "");
    metrics_label("caf\xc3\xa9 \xe2\x82", label);
    assert_string_equal(label, "caf\xc3\xa9 ");
}

static void *add_many(void *argument)
{
    for (size_t i = 0; i < ROUNDS; i++) {
        metrics_add(argument, METRICS_MESSAGES, 1);
        metrics_add_size(argument, METRICS_COMMIT_SIZE, i % 100);
    }
    return NULL;
}

/* Every reader sees counters that only grow, and at the end all of it. */
static void test_threads_add_while_one_reads(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    const struct metrics_facts facts = {0};
    pthread_t threads[WORKERS];
    uint64_t before = 0;
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many,
                                        metrics_block(metrics, METRICS_FIRST_WORKER + i)),
                         0);
    for (size_t i = 0; i < 20; i++) {
        uint64_t now = metrics_sum(metrics, METRICS_MESSAGES);
        assert_true(now >= before);
        before = now;
        free(write_all(metrics, &facts));
    }
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(metrics_sum(metrics, METRICS_MESSAGES), WORKERS * ROUNDS);
    metrics_free(metrics);
}

UNIT_MAIN(cmocka_unit_test(test_blocks_add_up), cmocka_unit_test(test_blocks_share_no_cache_line),
          cmocka_unit_test(test_places_do_not_overlap), cmocka_unit_test(test_histograms),
          cmocka_unit_test(test_numbers), cmocka_unit_test(test_codes),
          cmocka_unit_test(test_a_body_that_is_too_small),
          cmocka_unit_test(test_labels_are_cut_at_a_whole_character),
          cmocka_unit_test(test_threads_add_while_one_reads))
