/*
 * test_server_log_limit.c — lines that peers cause are bounded, and none is lost from the count.
 *
 * Time is an argument, so windows end when a case says so.
 */
#include "base/log.h"
#include "server/log_limit.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { START_MS = 5 * 1000 * 1000, LATER_MS = START_MS + LOG_LIMIT_WINDOW_MS };

static struct sockaddr_in v4(uint32_t address)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
}

static struct sockaddr_in6 v6(const char *text)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
    return address;
}

/* What `count` lines of one kind come to. */
struct outcome {
    uint64_t shown;
    uint64_t suppressed; /* as the shown lines say it */
};

static struct outcome ask(struct log_limit *limit, const struct log_limit_event *event,
                          int64_t now_ms, size_t count)
{
    struct outcome outcome = {0};
    for (size_t i = 0; i < count; i++) {
        uint64_t suppressed = 0;
        if (!log_limit_allows(limit, event, now_ms, &suppressed))
            continue;
        outcome.shown++;
        outcome.suppressed += suppressed;
    }
    return outcome;
}

static struct log_limit_event fault(const char *reason, const void *peer)
{
    return (struct log_limit_event){
        .level = LOG_LEVEL_INFO, .reason = reason, .is_fault = true, .peer = peer};
}

static int set_up(void **state)
{
    struct log_limit *limit = NULL;
    log_set_level(LOG_LEVEL_INFO);
    if (log_limit_new(&limit, NULL) != CERTPOST_OK)
        return -1;
    *state = limit;
    return 0;
}

static int tear_down(void **state)
{
    log_configure(STDERR_FILENO, LOG_FORMAT_TEXT);
    log_limit_free(*state);
    return 0;
}

/* What a report writes, into memory of the test. */
static const char *report(struct log_limit *limit, int64_t now_ms, bool all)
{
    static char text[1 << 16];
    int ends[2] = {-1, -1};
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    log_configure(ends[1], LOG_FORMAT_TEXT);
    log_limit_report(limit, now_ms, all);
    log_configure(STDERR_FILENO, LOG_FORMAT_TEXT);
    ssize_t length = read(ends[0], text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    close(ends[0]);
    close(ends[1]);
    return text;
}

/* The sum of all `suppressed` fields. */
static uint64_t reported(const char *text)
{
    static const char field[] = " suppressed=";
    uint64_t sum = 0;
    while ((text = strstr(text, field)) != NULL) {
        text += strlen(field);
        sum += strtoull(text, NULL, 10);
    }
    return sum;
}

static void test_one_address_is_bounded_and_counted(void **state)
{
    struct sockaddr_in peer = v4(0x7f000001);
    struct log_limit_event event = fault("reset", &peer);
    struct outcome first = ask(*state, &event, START_MS, 200);
    assert_int_equal(first.shown, LOG_LIMIT_FAULTS_PER_ADDRESS);
    assert_int_equal(first.suppressed, 0);
    assert_int_equal(ask(*state, &event, LATER_MS - 1, 1).shown, 0);
    struct outcome next = ask(*state, &event, LATER_MS, 1);
    assert_int_equal(next.shown, 1);
    assert_int_equal(next.suppressed, 201 - LOG_LIMIT_FAULTS_PER_ADDRESS);
    assert_int_equal(ask(*state, &event, LATER_MS, 1).suppressed, 0);
    assert_string_equal(report(*state, LATER_MS, true), "");
}

static void test_reasons_and_addresses_are_apart(void **state)
{
    struct sockaddr_in one = v4(0x7f000001);
    struct sockaddr_in other = v4(0x7f000002);
    struct log_limit_event events[] = {fault("reset", &one), fault("reset", &other),
                                       fault("handshake", &one), fault("handshake", NULL)};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        assert_int_equal(ask(*state, &events[i], START_MS, 50).shown, LOG_LIMIT_FAULTS_PER_ADDRESS);
}

static void test_ipv6_counts_by_the_upper_half(void **state)
{
    struct sockaddr_in6 one = v6("2001:db8:1:2::1");
    struct sockaddr_in6 neighbour = v6("2001:db8:1:2:ffff::2");
    struct sockaddr_in6 stranger = v6("2001:db8:1:3::1");
    struct log_limit_event event = fault("reset", &one);
    assert_int_equal(ask(*state, &event, START_MS, 50).shown, LOG_LIMIT_FAULTS_PER_ADDRESS);
    event = fault("reset", &neighbour);
    assert_int_equal(ask(*state, &event, START_MS, 50).shown, 0);
    event = fault("reset", &stranger);
    assert_int_equal(ask(*state, &event, START_MS, 50).shown, LOG_LIMIT_FAULTS_PER_ADDRESS);
    assert_non_null(strstr(report(*state, START_MS, true), " address=2001:db8:1:2::/64 "));
}

static void test_many_addresses_are_bounded_together(void **state)
{
    enum { ADDRESSES = 100 * 1000 };
    uint64_t shown = 0;
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        struct sockaddr_in peer = v4(0x0a000000 + i);
        struct log_limit_event event = fault("reset", &peer);
        shown += ask(*state, &event, START_MS, 1).shown;
    }
    assert_int_equal(shown, LOG_LIMIT_FAULTS);
    const char *text = report(*state, START_MS, true);
    assert_int_equal(reported(text), ADDRESSES - LOG_LIMIT_FAULTS);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_null(strstr(text, "address="));
}

static void test_normal_ends_have_more_room(void **state)
{
    struct sockaddr_in peer = v4(0x7f000001);
    struct log_limit_event event = {LOG_LEVEL_INFO, false, "closed", (struct sockaddr *)&peer};
    assert_int_equal(ask(*state, &event, START_MS, 5000).shown, LOG_LIMIT_ENDS_PER_ADDRESS);
    uint64_t shown = 0;
    for (uint32_t i = 0; i < 20 * 1000; i++) {
        struct sockaddr_in other = v4(0x0a000000 + i);
        event.peer = (struct sockaddr *)&other;
        shown += ask(*state, &event, START_MS, 1).shown;
    }
    assert_int_equal(shown, LOG_LIMIT_ENDS - LOG_LIMIT_ENDS_PER_ADDRESS);
}

static void test_count_appears_although_no_line_follows(void **state)
{
    struct sockaddr_in peer = v4(0xc0000201);
    struct log_limit_event event = fault("timeout: handshake", &peer);
    (void)ask(*state, &event, START_MS, LOG_LIMIT_FAULTS_PER_ADDRESS + 3);
    assert_string_equal(report(*state, LATER_MS - 1, false), "");
    const char *text = report(*state, LATER_MS, false);
    assert_non_null(strstr(text, " info log lines left out reason=\"timeout: handshake\" "
                                 "address=192.0.2.1 suppressed=3\n"));
    assert_string_equal(report(*state, LATER_MS, true), "");
}

static void test_end_reports_at_once(void **state)
{
    struct sockaddr_in peer = v4(0xc0000201);
    struct log_limit_event event = fault("reset", &peer);
    (void)ask(*state, &event, START_MS, LOG_LIMIT_FAULTS_PER_ADDRESS + 1);
    assert_int_equal(reported(report(*state, START_MS, true)), 1);
}

static void test_line_below_the_level_is_not_counted(void **state)
{
    struct sockaddr_in peer = v4(0x7f000001);
    struct log_limit_event event = fault("reset", &peer);
    log_set_level(LOG_LEVEL_WARNING);
    assert_int_equal(ask(*state, &event, START_MS, 50).shown, 0);
    log_set_level(LOG_LEVEL_INFO);
    assert_string_equal(report(*state, START_MS, true), "");
    assert_int_equal(ask(*state, &event, START_MS, 1).shown, 1);
}

static void test_more_reasons_than_there_is_room_for(void **state)
{
    enum { REASONS = 1000 };
    uint64_t shown = 0;
    for (int i = 0; i < REASONS; i++) {
        char reason[200];
        snprintf(reason, sizeof reason, "reason %d %0100d", i, i);
        struct log_limit_event event = fault(reason, NULL);
        shown += ask(*state, &event, START_MS, 1).shown;
    }
    assert_in_range(shown, 1, 63 + LOG_LIMIT_FAULTS_PER_ADDRESS);
    assert_int_equal(shown + reported(report(*state, START_MS, true)), REASONS);
}

/* Any mixture of addresses, reasons and time: what was shown and what was said to be left out make
 * all that was asked for. */
static void test_nothing_is_lost_from_the_count(void **state)
{
    enum { LINES = 200 * 1000, PEERS = 3000 };
    static const char *const reasons[] = {"reset", "truncated", "closed", "timeout: idle"};
    struct outcome all = {0};
    int64_t now_ms = START_MS;
    uint64_t seed = 42;
    for (size_t i = 0; i < LINES; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
        struct sockaddr_in peer = v4((uint32_t)((seed >> 33) % PEERS));
        struct log_limit_event event = fault(reasons[(seed >> 60) % 4], &peer);
        event.is_fault = (seed >> 60) % 4 != 2;
        now_ms += (int64_t)((seed >> 20) % 3);
        struct outcome outcome = ask(*state, &event, now_ms, 1);
        all.shown += outcome.shown;
        all.suppressed += outcome.suppressed;
        if (i % 9999 == 0)
            all.suppressed += reported(report(*state, now_ms, false));
    }
    all.suppressed += reported(report(*state, now_ms, true));
    assert_int_equal(all.shown + all.suppressed, LINES);
    assert_true(all.shown < LINES / 2);
}

enum { THREADS = 4, LINES_PER_THREAD = 5000 };

static void *ask_from_thread(void *argument)
{
    struct sockaddr_in peer = v4(0x7f000001);
    struct log_limit_event event = fault("reset", &peer);
    struct outcome *outcome = malloc(sizeof *outcome);
    if (outcome != NULL)
        *outcome = ask(argument, &event, START_MS, LINES_PER_THREAD);
    return outcome;
}

static void test_threads_share_one_bound(void **state)
{
    pthread_t threads[THREADS];
    uint64_t shown = 0;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_from_thread, *state), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *outcome = NULL;
        assert_int_equal(pthread_join(threads[i], &outcome), 0);
        assert_non_null(outcome);
        shown += ((struct outcome *)outcome)->shown;
        free(outcome);
    }
    assert_int_equal(shown, LOG_LIMIT_FAULTS_PER_ADDRESS);
    assert_int_equal(reported(report(*state, START_MS, true)),
                     THREADS * LINES_PER_THREAD - LOG_LIMIT_FAULTS_PER_ADDRESS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

UNIT_MAIN(CASE(test_one_address_is_bounded_and_counted), CASE(test_reasons_and_addresses_are_apart),
          CASE(test_ipv6_counts_by_the_upper_half), CASE(test_many_addresses_are_bounded_together),
          CASE(test_normal_ends_have_more_room), CASE(test_count_appears_although_no_line_follows),
          CASE(test_end_reports_at_once), CASE(test_line_below_the_level_is_not_counted),
          CASE(test_more_reasons_than_there_is_room_for), CASE(test_nothing_is_lost_from_the_count),
          CASE(test_threads_share_one_bound))
