/*
 * test_server_limits.c — what all workers together may hold: counts, addresses, and wake-ups, also
 * from many threads at once.
 */
#include "server/limits.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

enum { WORKERS = 4, TAKES_EACH = 20 * 1000, PLACES = 2, WAIT_S = 30 };

struct woken {
    atomic_uint count[WORKERS];
};

static void note_wake(void *argument, size_t worker)
{
    struct woken *woken = argument;
    atomic_fetch_add(&woken->count[worker], 1);
}

static struct limits *make_limits(void (*wake)(void *, size_t), void *argument, size_t connections,
                                  size_t per_address, size_t pending)
{
    struct limits *limits = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_ok(limits_new(WORKERS, wake, argument, &limits, &error));
    const struct config_limits values = {
        .max_connections = connections,
        .max_connections_per_address = per_address,
        .max_pending_total_bytes = pending,
    };
    limits_set(limits, &values);
    return limits;
}

static void set_address(struct sockaddr_storage *address, const char *text)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        return;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    v6->sin6_family = AF_INET6;
}

static bool take(struct limits *limits, const char *text)
{
    struct sockaddr_storage address;
    set_address(&address, text);
    return limits_take_address(limits, (struct sockaddr *)&address);
}

static void give_back(struct limits *limits, const char *text)
{
    struct sockaddr_storage address;
    set_address(&address, text);
    limits_return_address(limits, (struct sockaddr *)&address);
}

static void test_connections(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 3, 1, 1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++)
            assert_true(limits_take_connection(limits));
        assert_false(limits_take_connection(limits));
        assert_false(limits_take_connection(limits)); /* a refusal takes nothing */
        for (int i = 0; i < 3; i++)
            limits_return_connection(limits);
    }
    limits_free(limits);
    limits_free(NULL);
}

static void test_lowered_below_what_is_taken(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 3, 1, 1);
    for (int i = 0; i < 3; i++)
        assert_true(limits_take_connection(limits));
    limits_set(limits, &(struct config_limits){.max_connections = 1});
    for (int i = 0; i < 3; i++) {
        assert_false(limits_take_connection(limits));
        limits_return_connection(limits);
    }
    assert_true(limits_take_connection(limits));
    limits_free(limits);
}

static void test_addresses(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 2, 1);
    assert_true(take(limits, "192.0.2.1"));
    assert_true(take(limits, "192.0.2.1"));
    assert_false(take(limits, "192.0.2.1"));
    assert_true(take(limits, "192.0.2.2"));
    assert_true(take(limits, "1.2.0.192"));
    give_back(limits, "192.0.2.1");
    assert_true(take(limits, "192.0.2.1"));
    assert_false(take(limits, "192.0.2.1"));
    give_back(limits, "198.51.100.1"); /* never taken: nothing happens */
    limits_free(limits);               /* and what is still taken is freed */
}

static void test_ipv6_is_counted_by_its_upper_half(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 2, 1);
    assert_true(take(limits, "2001:db8:0:1::1"));
    assert_true(take(limits, "2001:db8:0:1:ffff:ffff:ffff:ffff"));
    assert_false(take(limits, "2001:db8:0:1::2"));
    assert_true(take(limits, "2001:db8:0:2::1"));
    give_back(limits, "2001:db8:0:1::77");
    assert_true(take(limits, "2001:db8:0:1::2"));
    limits_free(limits);
}

static void test_mapped_ipv4_is_counted_as_ipv4(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 1, 1);
    assert_true(take(limits, "::ffff:192.0.2.1"));
    assert_false(take(limits, "192.0.2.1"));
    assert_true(take(limits, "::ffff:192.0.2.2"));
    assert_true(take(limits, "::1")); /* of the same /64, and no IPv4 address */
    assert_false(take(limits, "::2"));
    give_back(limits, "192.0.2.1");
    assert_true(take(limits, "::ffff:192.0.2.1"));
    limits_free(limits);
}

/* IPv4 addresses and IPv6 networks with the same bytes are not the same. */
static void test_families_do_not_meet(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 1, 1);
    assert_true(take(limits, "32.1.13.184"));
    assert_true(take(limits, "2001:db8::"));
    assert_false(take(limits, "2001:db8::1"));
    limits_free(limits);
}

/* More addresses than the table has chains: each keeps its own count. */
static void test_many_addresses(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 1, 1);
    struct sockaddr_in address = {.sin_family = AF_INET};
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 20000; i++) {
            address.sin_addr.s_addr = htonl(0x0a000000U + i);
            assert_true(limits_take_address(limits, (struct sockaddr *)&address));
            assert_false(limits_take_address(limits, (struct sockaddr *)&address));
        }
        for (uint32_t i = 20000; i-- > 0;) {
            address.sin_addr.s_addr = htonl(0x0a000000U + i);
            limits_return_address(limits, (struct sockaddr *)&address);
        }
    }
    limits_free(limits);
}

static void test_pending_bytes(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 1, 100);
    limits_add_pending(limits, 99);
    assert_false(limits_pending_is_full(limits));
    limits_add_pending(limits, 1);
    assert_true(limits_pending_is_full(limits));
    limits_add_pending(limits, 1000); /* one message may pass the limit */
    assert_true(limits_pending_is_full(limits));
    limits_remove_pending(limits, 1000);
    assert_true(limits_pending_is_full(limits));
    limits_remove_pending(limits, 1);
    assert_false(limits_pending_is_full(limits));
    limits_free(limits);
}

static void test_unfinished_bytes(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 1, 100);
    limits_add_pending(limits, 1000); /* a budget of its own */
    assert_true(limits_take_unfinished(limits, 99));
    assert_false(limits_take_unfinished(limits, 2));
    assert_true(limits_take_unfinished(limits, 1));
    assert_false(limits_take_unfinished(limits, 1));
    limits_return_unfinished(limits, 50);
    assert_true(limits_take_unfinished(limits, 50));
    limits_free(limits);
}

static void test_only_who_waits_is_woken_and_once(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 1, 100);
    assert_true(limits_take_connection(limits));
    limits_wait(limits, 1);
    limits_wait(limits, 3);
    limits_wait(limits, 3);
    limits_return_connection(limits);
    limits_return_connection(limits);
    assert_int_equal(atomic_load(&woken.count[0]), 0);
    assert_int_equal(atomic_load(&woken.count[1]), 1);
    assert_int_equal(atomic_load(&woken.count[2]), 0);
    assert_int_equal(atomic_load(&woken.count[3]), 1);
    limits_free(limits);
}

static void test_pending_wakes_when_there_is_room_again(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 1, 100);
    limits_add_pending(limits, 150);
    limits_wait(limits, 0);
    limits_remove_pending(limits, 50);
    assert_int_equal(atomic_load(&woken.count[0]), 0);
    limits_remove_pending(limits, 1);
    assert_int_equal(atomic_load(&woken.count[0]), 1);
    limits_free(limits);
}

static void test_new_limits_wake(void **state)
{
    (void)state;
    struct woken woken = {0};
    struct limits *limits = make_limits(note_wake, &woken, 1, 1, 100);
    limits_wait(limits, 2);
    limits_set(limits, &(struct config_limits){.max_connections = 2});
    assert_int_equal(atomic_load(&woken.count[2]), 1);
    assert_true(limits_take_connection(limits));
    assert_true(limits_take_connection(limits));
    limits_free(limits);
}

/* ------------------------------------------------------------------------------ threads */

struct race {
    struct limits *limits;
    sem_t wake[WORKERS];
    atomic_int inside;
    atomic_int most_inside;
    atomic_bool stuck;
};

struct runner {
    struct race *race;
    size_t worker;
};

static void race_wake(void *argument, size_t worker)
{
    struct race *race = argument;
    (void)sem_post(&race->wake[worker]);
}

/* As worker_accept.c does: ask, say that we wait, ask again, and only then sleep. */
static bool race_take(struct race *race, size_t worker)
{
    for (;;) {
        if (limits_take_connection(race->limits))
            return true;
        limits_wait(race->limits, worker);
        if (limits_take_connection(race->limits))
            return true;
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += WAIT_S;
        if (sem_timedwait(&race->wake[worker], &until) != 0)
            return false; /* a wake-up was missed: nobody would ever have come */
    }
}

static void *race_run(void *argument)
{
    struct runner *runner = argument;
    struct race *race = runner->race;
    struct sockaddr_storage address;
    set_address(&address, "192.0.2.1");
    for (int i = 0; i < TAKES_EACH && !atomic_load(&race->stuck); i++) {
        if (!race_take(race, runner->worker)) {
            atomic_store(&race->stuck, true);
            break;
        }
        int inside = atomic_fetch_add(&race->inside, 1) + 1;
        int most = atomic_load(&race->most_inside);
        while (inside > most && !atomic_compare_exchange_weak(&race->most_inside, &most, inside)) {
        }
        bool counted = limits_take_address(race->limits, (struct sockaddr *)&address);
        limits_add_pending(race->limits, 10);
        (void)limits_pending_is_full(race->limits);
        limits_remove_pending(race->limits, 10);
        if (counted)
            limits_return_address(race->limits, (struct sockaddr *)&address);
        atomic_fetch_sub(&race->inside, 1);
        limits_return_connection(race->limits);
    }
    return NULL;
}

static void test_threads_miss_no_wake_up(void **state)
{
    (void)state;
    struct race race = {0};
    struct runner runners[WORKERS];
    pthread_t threads[WORKERS];
    race.limits = make_limits(race_wake, &race, PLACES, PLACES, 15);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(sem_init(&race.wake[i], 0, 0), 0);
    for (size_t i = 0; i < WORKERS; i++) {
        runners[i] = (struct runner){&race, i};
        assert_int_equal(pthread_create(&threads[i], NULL, race_run, &runners[i]), 0);
    }
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(atomic_load(&race.stuck));
    assert_in_range(atomic_load(&race.most_inside), 1, PLACES);
    /* All is given back. */
    for (int i = 0; i < PLACES; i++)
        assert_true(limits_take_connection(race.limits));
    assert_false(limits_take_connection(race.limits));
    limits_add_pending(race.limits, 14);
    assert_false(limits_pending_is_full(race.limits));
    limits_free(race.limits);
}

UNIT_MAIN(cmocka_unit_test(test_connections), cmocka_unit_test(test_lowered_below_what_is_taken),
          cmocka_unit_test(test_addresses),
          cmocka_unit_test(test_ipv6_is_counted_by_its_upper_half),
          cmocka_unit_test(test_mapped_ipv4_is_counted_as_ipv4),
          cmocka_unit_test(test_families_do_not_meet), cmocka_unit_test(test_many_addresses),
          cmocka_unit_test(test_pending_bytes), cmocka_unit_test(test_unfinished_bytes),
          cmocka_unit_test(test_only_who_waits_is_woken_and_once),
          cmocka_unit_test(test_pending_wakes_when_there_is_room_again),
          cmocka_unit_test(test_new_limits_wake), cmocka_unit_test(test_threads_miss_no_wake_up))
