/*
 * test_server_expiry.c — which lines a watch writes, and when (server/expiry.h).
 *
 * The calendar is the test's, and so is the timer: linked with --wrap=clock_wall_ms and
 * --wrap=uv_timer_start.
 */
#include "base/clock.h"
#include "base/log.h"
#include "server/expiry.h"
#include "support/server_files.h"
#include "support/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { DAY_S = TLS_VALIDITY_DAY_S, HOUR_S = 3600, LEAF_DAYS = 40 };

static int64_t wall_s;
static uv_timer_t *timer;
static uv_timer_cb on_timer;

int64_t __wrap_clock_wall_ms(void);
int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb callback, uint64_t timeout_ms,
                          uint64_t repeat_ms);

int64_t __wrap_clock_wall_ms(void)
{
    return wall_s * 1000;
}

int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb callback, uint64_t timeout_ms,
                          uint64_t repeat_ms)
{
    assert_int_equal(timeout_ms, HOUR_S * 1000);
    assert_int_equal(repeat_ms, HOUR_S * 1000);
    timer = handle;
    on_timer = callback;
    return 0;
}

/* ------------------------------------------------------------------------------ stage */

struct stage {
    struct test_pki pki;
    struct server_files files;
    struct server_state *state; /* the server's certificate ends first, in LEAF_DAYS */
    int64_t end_s;
    uv_loop_t loop;
    struct expiry_watch *watch;
    int log[2];
};

static struct server_state *state_of(struct tls_server_setup *setup)
{
    struct server_state *state = calloc(1, sizeof *state);
    assert_non_null(state);
    atomic_init(&state->references, 1);
    assert_ok(tls_server_material_load(setup, &state->material, NULL));
    return state;
}

static void stage_set(struct stage *stage)
{
    *stage = (struct stage){0};
    wall_s = time(NULL);
    stage->pki = test_pki_make((struct test_leaf){.ends_in_s = LEAF_DAYS * (long)DAY_S});
    server_files_write(&stage->files, &stage->pki);
    stage->state = state_of(&stage->files.setup);
    stage->end_s = tls_server_material_validities(stage->state->material)->items[0].not_after_s;
    assert_int_equal(pipe2(stage->log, O_CLOEXEC | O_NONBLOCK), 0);
    log_configure(stage->log[1], LOG_FORMAT_JSON);
    log_set_level(LOG_LEVEL_INFO);
    assert_int_equal(uv_loop_init(&stage->loop), 0);
    assert_ok(expiry_watch_new(&stage->loop, &stage->watch, NULL));
}

static void stage_clear(struct stage *stage)
{
    uv_close((uv_handle_t *)timer, NULL);
    (void)uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
    expiry_watch_free(stage->watch);
    state_release(stage->state);
    log_configure(STDERR_FILENO, LOG_FORMAT_TEXT);
    close(stage->log[0]);
    close(stage->log[1]);
    server_files_remove(&stage->files);
    test_pki_free(&stage->pki);
}

static const char *lines(const struct stage *stage)
{
    static char text[1 << 16];
    ssize_t length = read(stage->log[0], text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    return text;
}

static size_t count_of(const char *text, const char *wanted)
{
    size_t count = 0;
    for (; (text = strstr(text, wanted)) != NULL; text++)
        count++;
    return count;
}

/* How many lines the hourly looks write until then; the last look is at that moment. */
static size_t look_until(const struct stage *stage, int64_t left_s)
{
    size_t count = 0;
    int64_t until_s = stage->end_s - left_s;
    while (wall_s < until_s) {
        wall_s = until_s - wall_s > HOUR_S ? wall_s + HOUR_S : until_s;
        on_timer(timer);
        count += count_of(lines(stage), "\n");
    }
    return count;
}

static void set_calendar(const struct stage *stage, int64_t left_s)
{
    wall_s = stage->end_s - left_s;
}

/* ------------------------------------------------------------------------------ cases */

static void test_a_line_once_a_day_from_thirty_days_on(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    expiry_watch_replace(stage.watch, stage.state);
    assert_string_equal(lines(&stage), "");
    assert_int_equal(look_until(&stage, 30 * DAY_S + 1), 0);
    assert_int_equal(look_until(&stage, 30 * DAY_S), 1);
    assert_int_equal(look_until(&stage, 29 * DAY_S + 1), 0);
    assert_int_equal(look_until(&stage, 29 * DAY_S - HOUR_S), 1);
    assert_int_equal(look_until(&stage, 0), 29);
    assert_int_equal(look_until(&stage, -3 * DAY_S), 3);
    stage_clear(&stage);
}

static void test_the_line_as_json(void **state)
{
    (void)state;
    struct stage stage;
    char expected[1024];
    char end[CLOCK_UTC_TEXT_BYTES];
    stage_set(&stage);
    clock_format_utc(stage.end_s * 1000, end);
    set_calendar(&stage, 7 * DAY_S);
    expiry_watch_replace(stage.watch, stage.state);
    (void)snprintf(expected, sizeof expected,
                   "\"level\":\"warning\",\"event\":\"validity ends soon\",\"kind\":"
                   "\"server_certificate\",\"file\":\"%s\",\"position\":1,\"name\":\"localhost\","
                   "\"not_after\":\"%s\",\"days\":7}\n",
                   stage.files.certificate, end);
    assert_string_equal(strstr(lines(&stage), "\"level\""), expected);
    set_calendar(&stage, -5 * DAY_S);
    on_timer(timer);
    (void)snprintf(expected, sizeof expected,
                   "\"level\":\"error\",\"event\":\"validity has ended\",\"kind\":"
                   "\"server_certificate\",\"file\":\"%s\",\"position\":1,\"name\":\"localhost\","
                   "\"not_after\":\"%s\",\"days\":0}\n",
                   stage.files.certificate, end);
    assert_string_equal(strstr(lines(&stage), "\"level\""), expected);
    stage_clear(&stage);
}

/* One jump over all steps is one line, and what was said is said again after the clock was wrong.
 */
static void test_a_calendar_that_is_set(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    expiry_watch_replace(stage.watch, stage.state);
    set_calendar(&stage, -1);
    on_timer(timer);
    assert_int_equal(count_of(lines(&stage), "validity has ended"), 1);
    set_calendar(&stage, 20 * DAY_S);
    for (int i = 0; i < 30; i++)
        on_timer(timer);
    assert_string_equal(lines(&stage), "");
    set_calendar(&stage, 60 * DAY_S);
    on_timer(timer);
    assert_string_equal(lines(&stage), "");
    set_calendar(&stage, DAY_S);
    on_timer(timer);
    assert_int_equal(count_of(lines(&stage), "\"days\":1}\n"), 1);
    stage_clear(&stage);
}

static void test_a_reload_says_it_again_until_it_brings_a_better_one(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    set_calendar(&stage, 3 * DAY_S);
    expiry_watch_replace(stage.watch, stage.state);
    assert_int_equal(count_of(lines(&stage), "\"days\":3}\n"), 1);
    expiry_watch_replace(stage.watch, stage.state);
    assert_int_equal(count_of(lines(&stage), "\"days\":3}\n"), 1);
    test_pki_free(&stage.pki);
    stage.pki = test_pki_make((struct test_leaf){.ends_in_s = 80 * (long)DAY_S});
    server_files_remove(&stage.files);
    server_files_write(&stage.files, &stage.pki);
    struct server_state *renewed = state_of(&stage.files.setup);
    expiry_watch_replace(stage.watch, renewed);
    state_release(renewed);
    assert_string_equal(lines(&stage), "");
    assert_int_equal(look_until(&stage, -DAY_S), 0);
    stage_clear(&stage);
}

/* A file of CAs that all end on one day. */
static void test_many_ends_are_counted(void **state)
{
    (void)state;
    enum { AUTHORITIES = 3 * EXPIRY_LINES_MAX };
    struct stage stage;
    stage_set(&stage);
    FILE *chain = fopen(stage.files.certificate, "ae");
    assert_non_null(chain);
    for (size_t i = 0; i < AUTHORITIES; i++)
        assert_int_equal(PEM_write_X509(chain, stage.pki.ca), 1);
    fclose(chain);
    struct server_state *crowded = state_of(&stage.files.setup);
    set_calendar(&stage, -10000 * (int64_t)DAY_S);
    expiry_watch_replace(stage.watch, crowded);
    const char *text = lines(&stage);
    assert_int_equal(count_of(text, "\n"), EXPIRY_LINES_MAX + 1);
    assert_int_equal(count_of(text, "\"validity has ended\""), EXPIRY_LINES_MAX);
    assert_non_null(strstr(text, "\"event\":\"more validities end soon\",\"suppressed\":41}\n"));
    state_release(crowded);
    stage_clear(&stage);
}

static void test_a_snapshot_outlives_what_it_shows(void **state)
{
    (void)state;
    struct stage stage;
    struct expiry_snapshot empty;
    struct expiry_snapshot old;
    stage_set(&stage);
    expiry_watch_snapshot(stage.watch, &empty);
    assert_int_equal(empty.count, 0);
    expiry_snapshot_release(&empty);
    expiry_watch_replace(stage.watch, stage.state);
    expiry_watch_snapshot(stage.watch, &old);
    struct server_state *newer = state_of(&stage.files.setup);
    expiry_watch_replace(stage.watch, newer);
    state_release(newer);
    state_release(stage.state);
    stage.state = NULL;
    assert_int_equal(old.count, 1);
    assert_string_equal(old.items[0].name, "localhost");
    assert_int_equal(old.items[0].not_after_s, stage.end_s);
    expiry_snapshot_release(&old);
    assert_int_equal(old.count, 0);
    stage_clear(&stage);
}

/* What --test-config says; a level above warnings keeps them away. */
static void test_lines_without_a_watch(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    expiry_log(stage.state, stage.end_s - 31 * DAY_S);
    assert_string_equal(lines(&stage), "");
    expiry_log(stage.state, stage.end_s - 2 * DAY_S);
    assert_int_equal(count_of(lines(&stage), "\"days\":2}\n"), 1);
    log_set_level(LOG_LEVEL_ERROR);
    expiry_log(stage.state, stage.end_s - 2 * DAY_S);
    assert_string_equal(lines(&stage), "");
    stage_clear(&stage);
}

UNIT_MAIN(cmocka_unit_test(test_a_line_once_a_day_from_thirty_days_on),
          cmocka_unit_test(test_the_line_as_json), cmocka_unit_test(test_a_calendar_that_is_set),
          cmocka_unit_test(test_a_reload_says_it_again_until_it_brings_a_better_one),
          cmocka_unit_test(test_many_ends_are_counted),
          cmocka_unit_test(test_a_snapshot_outlives_what_it_shows),
          cmocka_unit_test(test_lines_without_a_watch))
