/* test_send_give_up.c — how long a run with a spool goes on; the time is an argument. */
#include "base/clock.h"
#include "client/send_give_up.h"
#include "support/unit.h"

enum { RETRY_FOR_MS = 1000 };

static void tell(struct send_give_up *give_up, enum certpost_event_type type, int64_t now_ms)
{
    struct certpost_event event = {.type = type, .error = {.status = CERTPOST_CONNECT}};
    send_give_up_event(give_up, &event, now_ms);
}

static void test_the_time_begins_at_the_end_of_the_input(void **state)
{
    (void)state;
    struct send_give_up give_up;
    send_give_up_init(&give_up, RETRY_FOR_MS);
    tell(&give_up, CERTPOST_EVENT_DISCONNECTED, 10);
    assert_false(send_give_up_is_due(&give_up, 1000000));
    assert_int_equal(send_give_up_deadline_ms(&give_up), CLOCK_NEVER_MS);
    send_give_up_input_ended(&give_up, 2000000);
    assert_int_equal(send_give_up_deadline_ms(&give_up), 2001000);
    assert_false(send_give_up_is_due(&give_up, 2000999));
    assert_true(send_give_up_is_due(&give_up, 2001000));
    assert_int_equal(give_up.reason.status, CERTPOST_CONNECT);
}

static void test_an_acknowledgement_begins_it_anew(void **state)
{
    (void)state;
    struct send_give_up give_up;
    send_give_up_init(&give_up, RETRY_FOR_MS);
    send_give_up_input_ended(&give_up, 0);
    tell(&give_up, CERTPOST_EVENT_ACKED, 900);
    tell(&give_up, CERTPOST_EVENT_DISCONNECTED, 950);
    assert_int_equal(send_give_up_deadline_ms(&give_up), 1900);
}

static void test_an_attempt_under_way_is_not_broken_off(void **state)
{
    (void)state;
    struct send_give_up give_up;
    send_give_up_init(&give_up, 0);
    send_give_up_input_ended(&give_up, 0);
    assert_false(send_give_up_is_due(&give_up, 5000));
    tell(&give_up, CERTPOST_EVENT_CONNECTING, 5000);
    assert_false(send_give_up_is_due(&give_up, 6000));
    tell(&give_up, CERTPOST_EVENT_DISCONNECTED, 6000);
    assert_true(send_give_up_is_due(&give_up, 6000));
    tell(&give_up, CERTPOST_EVENT_CONNECTING, 6001);
    assert_false(send_give_up_is_due(&give_up, 9000));
}

static void test_for_ever(void **state)
{
    (void)state;
    struct send_give_up give_up;
    send_give_up_init(&give_up, CLOCK_NEVER_MS);
    send_give_up_input_ended(&give_up, 0);
    tell(&give_up, CERTPOST_EVENT_DISCONNECTED, 0);
    assert_false(send_give_up_is_due(&give_up, INT64_MAX));
    assert_int_equal(send_give_up_deadline_ms(&give_up), CLOCK_NEVER_MS);
}

UNIT_MAIN(cmocka_unit_test(test_the_time_begins_at_the_end_of_the_input),
          cmocka_unit_test(test_an_acknowledgement_begins_it_anew),
          cmocka_unit_test(test_an_attempt_under_way_is_not_broken_off),
          cmocka_unit_test(test_for_ever))
