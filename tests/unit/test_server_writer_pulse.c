/*
 * test_server_writer_pulse.c — when the writer counts as alive: idle, busy, at its medium, stuck.
 *
 * store_commit is wrapped by the linker (tests/CMakeLists.txt), so that it can wait, or spin.
 */
#include "base/clock.h"
#include "server/writer.h"
#include "support/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* What the writer does next, until it is let go. */
enum hold { HOLD_NOTHING, HOLD_COMMIT, SPIN_IN_COMMIT, HOLD_DELIVERY };

/* So long a disk stands still. */
enum { STANDING_MS = 300, DEADLINE_MS = 30 * 1000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum hold hold;
static bool is_held;
static atomic_bool spins;
static size_t delivered;

enum certpost_status __real_store_commit(struct store *store, struct certpost_error *error);
enum certpost_status __wrap_store_commit(struct store *store, struct certpost_error *error);

static void pass(enum hold here)
{
    (void)pthread_mutex_lock(&mutex);
    while (hold == here) {
        is_held = true;
        (void)pthread_cond_broadcast(&changed);
        (void)pthread_cond_wait(&changed, &mutex);
    }
    is_held = false;
    (void)pthread_mutex_unlock(&mutex);
}

enum certpost_status __wrap_store_commit(struct store *store, struct certpost_error *error)
{
    while (atomic_load(&spins))
        ;
    pass(HOLD_COMMIT);
    return __real_store_commit(store, error);
}

static void on_deliver(struct writer_port *port, struct writer_delivery *delivery)
{
    (void)port;
    (void)delivery;
    pass(HOLD_DELIVERY);
    (void)pthread_mutex_lock(&mutex);
    delivered++;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
}

struct scene {
    struct writer *writer;
    struct writer_port port;
    struct writer_stream stream;
    struct writer_batch *batch;
};

/* A writer with one message, that stops where it is told. */
static void scene_begin(struct scene *scene, enum hold where)
{
    struct writer_setup setup = {0};
    *scene = (struct scene){.port = {.deliver = on_deliver}};
    scene->stream.port = &scene->port;
    scene->batch = writer_batch_new(&scene->port);
    assert_non_null(scene->batch);
    hold = where;
    atomic_store(&spins, where == SPIN_IN_COMMIT);
    assert_ok(store_open_memory(10, &setup.store, NULL));
    assert_ok(writer_start(&setup, &scene->writer, NULL));
}

static void scene_submit(struct scene *scene)
{
    const struct writer_entry entry = {
        .kind = WRITER_MESSAGE,
        .stream = &scene->stream,
        .seq = 1,
        .bytes = (const unsigned char *)"x",
        .length = 1,
    };
    assert_ok(writer_batch_add(scene->batch, &entry));
    writer_submit(scene->writer, scene->batch);
}

static void wait_until_held(void)
{
    (void)pthread_mutex_lock(&mutex);
    while (!is_held)
        (void)pthread_cond_wait(&changed, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

static void let_go(void)
{
    (void)pthread_mutex_lock(&mutex);
    hold = HOLD_NOTHING;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
    atomic_store(&spins, false);
}

static void wait_for_pulse(const struct scene *scene)
{
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (!writer_has_pulse(scene->writer)) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        (void)sched_yield();
    }
}

static void scene_end(struct scene *scene)
{
    let_go();
    writer_stop(scene->writer);
    writer_batch_free(scene->batch);
}

static void test_an_idle_writer_answers(void **state)
{
    struct scene scene;
    (void)state;
    scene_begin(&scene, HOLD_NOTHING);
    for (int i = 0; i < 3; i++) {
        writer_ask_pulse(scene.writer);
        wait_for_pulse(&scene);
    }
    assert_int_equal(writer_at_medium_ms(scene.writer), 0);
    scene_end(&scene);
}

static void test_a_medium_that_stands_still_is_no_stuck_writer(void **state)
{
    struct scene scene;
    (void)state;
    scene_begin(&scene, HOLD_COMMIT);
    scene_submit(&scene);
    wait_until_held();
    writer_ask_pulse(scene.writer);
    int64_t until_ms = clock_deadline_ms(STANDING_MS);
    while (clock_monotonic_ms() < until_ms) {
        assert_true(writer_has_pulse(scene.writer));
        (void)sched_yield();
    }
    assert_true(writer_at_medium_ms(scene.writer) >= STANDING_MS - 1);
    let_go();
    wait_for_pulse(&scene);
    scene_end(&scene);
}

static void test_a_writer_that_stands_still_elsewhere_is_stuck(void **state)
{
    struct scene scene;
    (void)state;
    scene_begin(&scene, HOLD_DELIVERY);
    scene_submit(&scene);
    wait_until_held();
    assert_true(writer_has_pulse(scene.writer)); /* nobody has asked */
    writer_ask_pulse(scene.writer);
    assert_false(writer_has_pulse(scene.writer));
    assert_false(writer_has_pulse(scene.writer));
    assert_int_equal(writer_at_medium_ms(scene.writer), 0);
    let_go();
    wait_for_pulse(&scene);
    scene_end(&scene);
}

static void test_a_writer_that_spins_at_its_medium_is_stuck(void **state)
{
    struct scene scene;
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    (void)state;
    scene_begin(&scene, SPIN_IN_COMMIT);
    scene_submit(&scene);
    while (writer_at_medium_ms(scene.writer) == 0)
        assert_true(clock_monotonic_ms() < deadline_ms);
    writer_ask_pulse(scene.writer);
    while (writer_has_pulse(scene.writer)) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        (void)sched_yield();
    }
    let_go();
    wait_for_pulse(&scene);
    scene_end(&scene);
}

UNIT_MAIN(cmocka_unit_test(test_an_idle_writer_answers),
          cmocka_unit_test(test_a_medium_that_stands_still_is_no_stuck_writer),
          cmocka_unit_test(test_a_writer_that_stands_still_elsewhere_is_stuck),
          cmocka_unit_test(test_a_writer_that_spins_at_its_medium_is_stuck))
