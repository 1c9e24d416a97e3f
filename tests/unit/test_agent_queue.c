#include "agent/queue.h"
#include "support/unit.h"

#include <stdlib.h>

enum { LONGEST = 3000 };

/* What the message at a position is: its length and its bytes follow from the position. */
static size_t message_at(uint64_t position, unsigned char bytes[LONGEST])
{
    size_t length = (size_t)(position * 7919 % LONGEST);
    memset(bytes, (int)(position % 251), length);
    return length;
}

static void push(struct queue *queue, uint64_t position)
{
    unsigned char bytes[LONGEST];
    size_t length = message_at(position, bytes);
    assert_ok(queue_push(queue, bytes, length));
}

static void check(struct queue *queue, uint64_t position)
{
    unsigned char wanted[LONGEST];
    const unsigned char *bytes = NULL;
    size_t length = 0;
    size_t wanted_length = message_at(position, wanted);
    assert_true(queue_get(queue, position, &bytes, &length));
    assert_int_equal(length, wanted_length);
    assert_memory_equal(bytes, wanted, length);
}

static void test_first_in_first_out(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, 1 << 20);
    for (uint64_t i = 0; i < 100; i++)
        push(&queue, i);
    for (uint64_t i = 0; i < 100; i++)
        check(&queue, i);
    queue_release(&queue, 60);
    check(&queue, 60);
    check(&queue, 99);
    check(&queue, 61);
    queue_free(&queue);
}

static void test_what_is_not_held(void **state)
{
    (void)state;
    struct queue queue;
    const unsigned char *bytes = NULL;
    size_t length = 0;
    queue_init(&queue, 1 << 20);
    assert_false(queue_get(&queue, 0, &bytes, &length));
    push(&queue, 0);
    push(&queue, 1);
    queue_release(&queue, 1);
    assert_false(queue_get(&queue, 0, &bytes, &length));
    assert_false(queue_get(&queue, 2, &bytes, &length));
    check(&queue, 1);
    queue_free(&queue);
}

static void test_the_bound_counts_length_and_64(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, 300);
    assert_ok(queue_push(&queue, "0123456789", 10));
    assert_int_equal(queue.cost_bytes, 74);
    assert_ok(queue_push(&queue, NULL, 0));
    assert_ok(queue_push(&queue, NULL, 0));
    assert_true(queue_has_room(&queue, 34));
    assert_false(queue_has_room(&queue, 35));
    assert_status(queue_push(&queue, "", 35), CERTPOST_WANT_WRITE);
    queue_release(&queue, 1);
    assert_true(queue_has_room(&queue, 35));
    queue_free(&queue);
}

static void test_one_message_of_any_length_is_taken(void **state)
{
    (void)state;
    struct queue queue;
    size_t length = 5 << 20;
    unsigned char *bytes = calloc(1, length);
    assert_non_null(bytes);
    queue_init(&queue, 1000);
    assert_ok(queue_push(&queue, bytes, length));
    assert_status(queue_push(&queue, "", 0), CERTPOST_WANT_WRITE);
    queue_release(&queue, 1);
    /* What it needed is given back. */
    assert_int_equal(queue.capacity, 0);
    push(&queue, 1);
    check(&queue, 1);
    queue_free(&queue);
    free(bytes);
}

static uint32_t random_state;

static uint32_t random_below(uint64_t bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((random_state >> 8) % bound);
}

/* Pushes, gets and releases at random; a model says what must be there. */
static void wander(unsigned seed, uint64_t bound)
{
    struct queue queue;
    uint64_t first = 0;
    uint64_t next = 0;
    uint64_t sent = 0;
    queue_init(&queue, bound);
    random_state = seed;
    for (int step = 0; step < 20000; step++) {
        uint32_t choice = random_below(10);
        unsigned char bytes[LONGEST];
        if (choice < 5 && queue_has_room(&queue, message_at(next, bytes)))
            push(&queue, next++);
        else if (choice < 8 && sent < next)
            check(&queue, sent++);
        else if (choice == 8 && sent > first)
            queue_release(&queue, first += random_below(sent - first + 1));
        else if (choice == 9 && random_below(20) == 0)
            sent = first; /* a new connection begins again */
        assert_int_equal(queue.count, next - first);
        assert_true(queue.count <= 1 || queue.cost_bytes <= bound);
        assert_true(queue.capacity <= 4 * (bound + 65536));
    }
    for (uint64_t i = first; i < next; i++)
        check(&queue, i);
    queue_free(&queue);
}

static void test_wandering_through_small_and_large_bounds(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++)
        wander(seed, seed % 2 == 0 ? 20000 : 400000);
}

UNIT_MAIN(cmocka_unit_test(test_first_in_first_out), cmocka_unit_test(test_what_is_not_held),
          cmocka_unit_test(test_the_bound_counts_length_and_64),
          cmocka_unit_test(test_one_message_of_any_length_is_taken),
          cmocka_unit_test(test_wandering_through_small_and_large_bounds))
