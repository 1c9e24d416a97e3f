#include "agent/backoff.h"
#include "support/unit.h"

static void test_bounds_double_up_to_the_cap(void **state)
{
    (void)state;
    static const int64_t bounds_ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    struct backoff backoff = {0};
    for (size_t i = 0; i < sizeof bounds_ms / sizeof bounds_ms[0]; i++) {
        assert_int_equal(backoff_bound_ms(&backoff), bounds_ms[i]);
        (void)backoff_next_ms(&backoff, 0);
    }
}

static void test_the_delay_goes_from_zero_to_the_bound(void **state)
{
    (void)state;
    struct backoff backoff = {.failures = 3};
    assert_int_equal(backoff_next_ms(&backoff, 0), 0);
    backoff.failures = 3;
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), 800);
    backoff.failures = 3;
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX / 2), 400);
}

static void test_delays_are_spread_evenly(void **state)
{
    (void)state;
    unsigned quarters[4] = {0};
    uint32_t random = 12345;
    for (int i = 0; i < 40000; i++) {
        struct backoff backoff = {.failures = 7};
        random = random * 1664525 + 1013904223;
        int64_t delay_ms = backoff_next_ms(&backoff, random);
        assert_in_range(delay_ms, 0, BACKOFF_CAP_MS);
        quarters[delay_ms >= BACKOFF_CAP_MS ? 3 : delay_ms * 4 / BACKOFF_CAP_MS]++;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(quarters[i], 9500, 10500);
}

static void test_progress_begins_again_at_the_base(void **state)
{
    (void)state;
    struct backoff backoff = {.failures = 9};
    backoff_reset(&backoff);
    assert_int_equal(backoff_bound_ms(&backoff), BACKOFF_BASE_MS);
}

static void test_the_count_of_failures_does_not_overflow(void **state)
{
    (void)state;
    struct backoff backoff = {.failures = UINT32_MAX};
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), BACKOFF_CAP_MS);
    assert_int_equal(backoff_bound_ms(&backoff), BACKOFF_CAP_MS);
}

UNIT_MAIN(cmocka_unit_test(test_bounds_double_up_to_the_cap),
          cmocka_unit_test(test_the_delay_goes_from_zero_to_the_bound),
          cmocka_unit_test(test_delays_are_spread_evenly),
          cmocka_unit_test(test_progress_begins_again_at_the_base),
          cmocka_unit_test(test_the_count_of_failures_does_not_overflow))
