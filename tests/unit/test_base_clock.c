/* test_base_clock.c — deadlines that saturate, and times as text. */
#include "base/clock.h"
#include "support/unit.h"

#include <limits.h>

static void test_monotonic_clock_never_goes_back(void **state)
{
    (void)state;
    int64_t last_ms = clock_monotonic_ms();
    assert_true(last_ms > 0);
    for (int i = 0; i < 10000; i++) {
        int64_t now_ms = clock_monotonic_ms();
        assert_true(now_ms >= last_ms);
        last_ms = now_ms;
    }
}

static void test_deadline_is_timeout_from_now(void **state)
{
    (void)state;
    int64_t before_ms = clock_monotonic_ms();
    int64_t deadline_ms = clock_deadline_ms(5000);
    int64_t after_ms = clock_monotonic_ms();
    assert_true(deadline_ms >= before_ms + 5000);
    assert_true(deadline_ms <= after_ms + 5000);
}

static void test_negative_timeout_is_never(void **state)
{
    (void)state;
    assert_true(clock_deadline_ms(-1) == CLOCK_NEVER_MS);
    assert_true(clock_deadline_ms(INT64_MIN) == CLOCK_NEVER_MS);
    assert_int_equal(clock_poll_timeout_ms(CLOCK_NEVER_MS), -1);
}

static void test_deadline_saturates(void **state)
{
    (void)state;
    assert_true(clock_deadline_ms(INT64_MAX) == CLOCK_NEVER_MS);
    assert_true(clock_deadline_ms(INT64_MAX - 1) == CLOCK_NEVER_MS);
}

static void test_poll_timeout_of_a_past_deadline_is_zero(void **state)
{
    (void)state;
    assert_int_equal(clock_poll_timeout_ms(clock_deadline_ms(0)), 0);
    assert_int_equal(clock_poll_timeout_ms(0), 0);
    assert_int_equal(clock_poll_timeout_ms(-1), 0);
    assert_int_equal(clock_poll_timeout_ms(INT64_MIN), 0);
}

static void test_poll_timeout_is_what_is_left(void **state)
{
    (void)state;
    int left_ms = clock_poll_timeout_ms(clock_deadline_ms(600000));
    assert_true(left_ms > 500000);
    assert_true(left_ms <= 600000);
}

static void test_poll_timeout_saturates(void **state)
{
    (void)state;
    int64_t far_ms = clock_deadline_ms((int64_t)INT_MAX * 1000);
    assert_int_equal(clock_poll_timeout_ms(far_ms), INT_MAX);
    assert_int_equal(clock_poll_timeout_ms(CLOCK_NEVER_MS - 1), INT_MAX);
}

static void assert_utc(int64_t wall_ms, const char *expected)
{
    char text[CLOCK_UTC_TEXT_BYTES];
    clock_format_utc(wall_ms, text);
    assert_string_equal(text, expected);
}

static void test_utc_text(void **state)
{
    (void)state;
    assert_utc(0, "1970-01-01T00:00:00.000Z");
    assert_utc(1, "1970-01-01T00:00:00.001Z");
    assert_utc(951782400999, "2000-02-29T00:00:00.999Z");
    assert_utc(1795354877123, "2026-11-22T13:41:17.123Z");
    assert_utc(253402300799999, "9999-12-31T23:59:59.999Z");
}

static void test_utc_text_before_1970(void **state)
{
    (void)state;
    assert_utc(-1, "1969-12-31T23:59:59.999Z");
    assert_utc(-1000, "1969-12-31T23:59:59.000Z");
    assert_utc(-1001, "1969-12-31T23:59:58.999Z");
}

static void test_utc_text_of_any_number_fits(void **state)
{
    (void)state;
    assert_utc(INT64_MAX, "292278994-08-17T07:12:55.807Z");
    assert_utc(INT64_MIN, "-292275055-05-16T16:47:04.192Z");
}

UNIT_MAIN(cmocka_unit_test(test_monotonic_clock_never_goes_back),
          cmocka_unit_test(test_deadline_is_timeout_from_now),
          cmocka_unit_test(test_negative_timeout_is_never),
          cmocka_unit_test(test_deadline_saturates),
          cmocka_unit_test(test_poll_timeout_of_a_past_deadline_is_zero),
          cmocka_unit_test(test_poll_timeout_is_what_is_left),
          cmocka_unit_test(test_poll_timeout_saturates), cmocka_unit_test(test_utc_text),
          cmocka_unit_test(test_utc_text_before_1970),
          cmocka_unit_test(test_utc_text_of_any_number_fits))
