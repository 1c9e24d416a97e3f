/*
 * test_server_roster.c — workers tell who is connected: on threads of their own, late, never, and
 * after their end.
 */
#include "server/roster.h"
#include "support/unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { WORKERS = 3, ROUNDS = 200, LONG_MS = 30 * 1000, AT_ONCE_MS = 0 };

/* A worker's loop: each wake-up looks whether a sheet is wanted. */
struct loop {
    struct roster *roster;
    size_t index;
    sem_t woken;
    atomic_bool stops;
    size_t connections;
    pthread_t thread;
};

static struct loop loops[WORKERS];

static void wake_loop(void *argument, size_t worker)
{
    (void)argument;
    (void)sem_post(&loops[worker].woken);
}

static void set_address(struct roster_row *row, size_t worker, size_t number)
{
    snprintf(row->address, sizeof row->address, "worker %zu connection %zu", worker, number);
}

static void answer(struct roster *roster, size_t worker, size_t connections)
{
    struct roster_sheet *sheet = roster_wanted_sheet(roster, worker);
    if (sheet == NULL)
        return;
    sheet->connection_count = connections;
    sheet->row_count = connections < ROSTER_ROWS_MAX ? connections : ROSTER_ROWS_MAX;
    for (size_t i = 0; i < sheet->row_count; i++) {
        sheet->rows[i] = (struct roster_row){.unacked_count = i, .age_ms = worker};
        set_address(&sheet->rows[i], worker, i);
    }
    roster_hand_in(roster, worker);
}

static void *run_loop(void *argument)
{
    struct loop *loop = argument;
    while (!atomic_load(&loop->stops)) {
        while (sem_wait(&loop->woken) != 0)
            ;
        answer(loop->roster, loop->index, loop->connections);
    }
    roster_leave(loop->roster, loop->index);
    return NULL;
}

static struct roster *make_roster(void)
{
    struct roster *roster = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_ok(roster_new(WORKERS, wake_loop, NULL, &roster, &error));
    for (size_t i = 0; i < WORKERS; i++) {
        loops[i].roster = roster;
        loops[i].index = i;
        loops[i].connections = i + 1;
        atomic_init(&loops[i].stops, false);
        assert_int_equal(sem_init(&loops[i].woken, 0, 0), 0);
    }
    return roster;
}

static void start_loops(void)
{
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&loops[i].thread, NULL, run_loop, &loops[i]), 0);
}

static void stop_loop(size_t worker)
{
    atomic_store(&loops[worker].stops, true);
    (void)sem_post(&loops[worker].woken);
    assert_int_equal(pthread_join(loops[worker].thread, NULL), 0);
}

static void stop_loops(void)
{
    for (size_t i = 0; i < WORKERS; i++)
        stop_loop(i);
}

static void end_roster(struct roster *roster)
{
    for (size_t i = 0; i < WORKERS; i++)
        (void)sem_destroy(&loops[i].woken);
    roster_free(roster);
}

static enum roster_answer answer_of(const struct roster *roster, size_t worker)
{
    size_t connections = 0;
    return roster_worker(roster, worker, &connections);
}

static void test_all_workers_answer(void **state)
{
    (void)state;
    struct roster *roster = make_roster();
    struct roster_view view;
    start_loops();
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_ok(roster_collect(roster, LONG_MS, &view));
        assert_int_equal(view.worker_count, WORKERS);
        assert_int_equal(view.connection_count, 1 + 2 + 3);
        assert_int_equal(view.row_count, 6);
        assert_string_equal(view.rows[0]->address, "worker 2 connection 2");
        assert_string_equal(view.rows[1]->address, "worker 1 connection 1");
        assert_string_equal(view.rows[5]->address, "worker 2 connection 0");
    }
    stop_loops();
    end_roster(roster);
}

/* A worker may end while it is asked, and between two questions. */
static void test_workers_that_end_while_they_are_asked(void **state)
{
    (void)state;
    struct roster *roster = make_roster();
    struct roster_view view;
    start_loops();
    assert_ok(roster_collect(roster, LONG_MS, &view));
    stop_loop(1);
    assert_ok(roster_collect(roster, LONG_MS, &view));
    assert_int_equal(answer_of(roster, 0), ROSTER_ANSWERED);
    assert_int_equal(answer_of(roster, 1), ROSTER_ENDED);
    assert_int_equal(view.connection_count, 1 + 3);
    stop_loop(0);
    stop_loop(2);
    assert_ok(roster_collect(roster, LONG_MS, &view));
    assert_int_equal(view.row_count, 0);
    end_roster(roster);
}

static void test_a_silent_worker_is_told_as_such_and_may_answer_late(void **state)
{
    (void)state;
    struct roster *roster = make_roster();
    struct roster_view view;
    size_t connections = 99;
    assert_ok(roster_collect(roster, AT_ONCE_MS, &view));
    assert_int_equal(roster_worker(roster, 1, &connections), ROSTER_SILENT);
    assert_int_equal(connections, 0);
    assert_int_equal(view.row_count, 0);
    /* Two answer now, after the question was given up; their sheets are still theirs to fill. */
    answer(roster, 0, 4);
    answer(roster, 1, 5);
    assert_null(roster_wanted_sheet(roster, 1));
    assert_ok(roster_collect(roster, AT_ONCE_MS, &view));
    assert_int_equal(answer_of(roster, 2), ROSTER_SILENT);
    assert_non_null(roster_wanted_sheet(roster, 2));
    end_roster(roster);
}

static void test_nothing_is_wanted_unless_somebody_asks(void **state)
{
    (void)state;
    struct roster *roster = make_roster();
    for (size_t i = 0; i < WORKERS; i++)
        assert_null(roster_wanted_sheet(roster, i));
    end_roster(roster);
}

static void test_the_view_is_bounded(void **state)
{
    (void)state;
    struct roster *roster = make_roster();
    struct roster_view view;
    for (size_t i = 0; i < WORKERS; i++)
        loops[i].connections = 5000;
    start_loops();
    assert_ok(roster_collect(roster, LONG_MS, &view));
    assert_int_equal(view.connection_count, WORKERS * 5000);
    assert_int_equal(view.row_count, ROSTER_ROWS_MAX);
    for (size_t i = 1; i < view.row_count; i++)
        assert_true(view.rows[i - 1]->unacked_count >= view.rows[i]->unacked_count);
    assert_int_equal(view.rows[0]->unacked_count, ROSTER_ROWS_MAX - 1);
    stop_loops();
    end_roster(roster);
}

static void test_long_names_are_cut_and_keep_their_length(void **state)
{
    (void)state;
    char text[2 * ROSTER_NAME_BYTES];
    struct roster_name name = {0};
    memset(text, 'x', sizeof text);
    roster_name_set(&name, text, sizeof text);
    assert_int_equal(name.length, sizeof text);
    assert_int_equal(roster_name_kept(&name), ROSTER_NAME_BYTES);
    roster_name_set(&name, NULL, 0);
    assert_int_equal(roster_name_kept(&name), 0);
}

UNIT_MAIN(cmocka_unit_test(test_all_workers_answer),
          cmocka_unit_test(test_workers_that_end_while_they_are_asked),
          cmocka_unit_test(test_a_silent_worker_is_told_as_such_and_may_answer_late),
          cmocka_unit_test(test_nothing_is_wanted_unless_somebody_asks),
          cmocka_unit_test(test_the_view_is_bounded),
          cmocka_unit_test(test_long_names_are_cut_and_keep_their_length))
