#include "agent/events.h"
#include "support/unit.h"

static struct events events;

static int set_up(void **state)
{
    (void)state;
    memset(&events, 0, sizeof events);
    return 0;
}

static void test_in_order(void **state)
{
    (void)state;
    struct certpost_event event;
    assert_false(events_take(&events, &event));
    events_add(&events, CERTPOST_EVENT_CONNECTING)->seq = 1;
    events_add(&events, CERTPOST_EVENT_CONNECTED)->seq = 2;
    assert_true(events_take(&events, &event));
    assert_int_equal(event.type, CERTPOST_EVENT_CONNECTING);
    assert_true(events_take(&events, &event));
    assert_int_equal(event.seq, 2);
    assert_false(events_take(&events, &event));
}

static void test_acknowledgements_are_merged(void **state)
{
    (void)state;
    struct certpost_event event;
    events_merge(&events, CERTPOST_EVENT_ACKED)->seq = 1;
    events_merge(&events, CERTPOST_EVENT_ACKED)->seq = 2;
    (void)events_add(&events, CERTPOST_EVENT_DISCONNECTED);
    events_merge(&events, CERTPOST_EVENT_ACKED)->seq = 3;
    assert_true(events_take(&events, &event));
    assert_int_equal(event.seq, 2);
    assert_true(events_take(&events, &event));
    assert_true(events_take(&events, &event));
    assert_int_equal(event.seq, 3);
}

static void test_the_oldest_give_way_to_the_last(void **state)
{
    (void)state;
    struct certpost_event event;
    for (uint64_t i = 1; i <= EVENTS_MAX + 5; i++)
        events_add(&events, CERTPOST_EVENT_DISCONNECTED)->seq = i;
    (void)events_add(&events, CERTPOST_EVENT_FAILED);
    for (uint64_t i = 7; i <= EVENTS_MAX + 5; i++) {
        assert_true(events_take(&events, &event));
        assert_int_equal(event.seq, i);
    }
    assert_true(events_take(&events, &event));
    assert_int_equal(event.type, CERTPOST_EVENT_FAILED);
    assert_false(events_take(&events, &event));
}

UNIT_MAIN(cmocka_unit_test_setup(test_in_order, set_up),
          cmocka_unit_test_setup(test_acknowledgements_are_merged, set_up),
          cmocka_unit_test_setup(test_the_oldest_give_way_to_the_last, set_up))
