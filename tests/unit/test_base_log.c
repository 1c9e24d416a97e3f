/*
 * test_base_log.c — log lines: always one line, always readable for their reader, never in the way.
 *
 * Lines go into a pipe of which the test holds both ends. The JSON reader below is strict on
 * purpose and shares nothing with the code that writes.
 */
#include "base/clock.h"
#include "base/log.h"
#include "support/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Wrapped by the linker (tests/CMakeLists.txt): lets other threads in between poll and write. */
static bool poll_yields;

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker names them */
int __real_poll(struct pollfd *descriptors, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *descriptors, nfds_t count, int timeout_ms);

int __wrap_poll(struct pollfd *descriptors, nfds_t count, int timeout_ms)
{
    int ready = __real_poll(descriptors, count, timeout_ms);
    for (int i = 0; poll_yields && i < 20; i++)
        sched_yield();
    return ready;
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

struct log_pipe {
    int read_end;
    int write_end;
};

static struct log_pipe log_pipe_open(enum log_format format)
{
    int ends[2] = {-1, -1};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    log_configure(ends[1], format);
    log_set_level(LOG_LEVEL_INFO);
    return (struct log_pipe){ends[0], ends[1]};
}

static void log_pipe_close(const struct log_pipe *ends)
{
    log_configure(STDERR_FILENO, LOG_FORMAT_TEXT);
    close(ends->read_end);
    close(ends->write_end);
}

/* What is in the pipe now, NUL-terminated; "" when nothing is. */
static const char *log_pipe_read(const struct log_pipe *ends)
{
    static char text[1 << 17];
    size_t used = 0;
    for (;;) {
        ssize_t length = read(ends->read_end, text + used, sizeof text - 1 - used);
        if (length <= 0)
            break;
        used += (size_t)length;
    }
    text[used] = '\0';
    return text;
}

/* One line that ends with a newline and has no other. */
static void assert_one_line(const char *text)
{
    size_t length = strlen(text);
    assert_true(length > 0);
    assert_true(length <= LOG_LINE_BYTES);
    assert_ptr_equal(strchr(text, '\n'), text + length - 1);
}

static bool json_utf8(const unsigned char **next)
{
    const unsigned char *at = *next;
    size_t length = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc2 ? 2 : 0;
    if (length == 0 || *at > 0xf4)
        return false;
    for (size_t i = 1; i < length; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf)
            return false;
    }
    *next += length;
    return true;
}

static bool json_string(const char **text)
{
    const unsigned char *next = (const unsigned char *)*text;
    if (*next++ != '"')
        return false;
    while (*next != '"') {
        if (*next == '\\') {
            if (next[1] == '\0' || strchr("\"\\/bfnrt", next[1]) == NULL)
                return false;
            next += 2;
        } else if (*next >= 0x80) {
            if (!json_utf8(&next))
                return false;
        } else if (*next++ < 0x20) {
            return false;
        }
    }
    *text = (const char *)next + 1;
    return true;
}

static bool json_value(const char **text)
{
    if (**text == '"')
        return json_string(text);
    size_t length = strncmp(*text, "true", 4) == 0 ? 4 : strspn(*text, "0123456789");
    *text += length;
    return length > 0;
}

/* A flat object of strings, numbers and true, and a newline: nothing else. */
static bool json_line(const char *text)
{
    char opening = '{';
    do {
        if (*text++ != opening || !json_string(&text) || *text++ != ':' || !json_value(&text))
            return false;
        opening = ',';
    } while (*text == ',');
    return strcmp(text, "}\n") == 0;
}

static void assert_json_line(const char *text)
{
    assert_one_line(text);
    if (!json_line(text))
        fail_msg("not JSON: %s", text);
}

static void test_json_reader_of_this_test_is_strict(void **state)
{
    (void)state;
    assert_true(json_line("{\"a\":\"b\\n\xc3\xbc\",\"c\":12,\"d\":true}\n"));
    assert_false(json_line("{\"a\":\"b\"}"));
    assert_false(json_line("{\"a\":\"b\\x41\"}\n"));
    assert_false(json_line("{\"a\":\"b\\\"}\n"));
    assert_false(json_line("{\"a\":\"\xc3\"}\n"));
    assert_false(json_line("{\"a\":\"b\tc\"}\n"));
    assert_false(json_line("{\"a\":12\",\"cut\":true}\n"));
    assert_false(json_line("{\"a\",\"cut\":true}\n"));
    assert_false(json_line("{\"a\":}\n"));
}

static void test_text_line(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_TEXT);
    struct log_line line;
    log_begin(&line, LOG_LEVEL_WARNING, "peer gone");
    log_text(&line, "peer", "127.0.0.1:80");
    log_text(&line, "nothing", NULL);
    log_text(&line, "empty", "");
    log_text(&line, "words", "a b");
    log_u64(&line, "count", UINT64_MAX);
    log_end(&line);
    const char *text = log_pipe_read(&ends);
    assert_one_line(text);
    assert_int_equal(text[strlen("2026-11-22T13:21:17")], '.');
    assert_string_equal(text + strlen("2026-11-22T13:21:17.123Z"),
                        " warning peer gone peer=127.0.0.1:80 empty=\"\" words=\"a b\""
                        " count=18446744073709551615\n");
    log_pipe_close(&ends);
}

static void test_journal_line(void **state)
{
    (void)state;
    static const char *const expected[] = {"<3>event key=value\n", "<4>event key=value\n",
                                           "<6>event key=value\n", "<7>event key=value\n"};
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_JOURNAL);
    log_set_level(LOG_LEVEL_DEBUG);
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        log_message((enum log_level)level, "event", "key", "value");
        assert_string_equal(log_pipe_read(&ends), expected[level]);
    }
    log_pipe_close(&ends);
}

static void test_json_line(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_JSON);
    struct log_line line;
    log_begin(&line, LOG_LEVEL_INFO, "event");
    log_text(&line, "text", "a \"b\" \\ \n");
    log_u64(&line, "n", 7);
    log_end(&line);
    const char *text = log_pipe_read(&ends);
    assert_json_line(text);
    assert_memory_equal(text, "{\"time\":\"2", 10);
    assert_non_null(strstr(text, ",\"level\":\"info\",\"event\":\"event\","
                                 "\"text\":\"a \\\"b\\\" \\\\\\\\ \\\\n\",\"n\":7}\n"));
    log_pipe_close(&ends);
}

/* A peer must not be able to start a line, or a field, of its own. */
static void test_hostile_value_stays_inside_its_field(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_TEXT);
    log_message(LOG_LEVEL_INFO, "event", "peer", "x\n2026 error forged\x1b[2J key=\"1\"");
    const char *text = log_pipe_read(&ends);
    assert_one_line(text);
    assert_non_null(strstr(text, " peer=\"x\\n2026 error forged\\x1b[2J key=\\\"1\\\"\"\n"));
    log_message(LOG_LEVEL_INFO, "event", "peer", "a=b");
    assert_non_null(strstr(log_pipe_read(&ends), " peer=\"a=b\"\n"));
    log_pipe_close(&ends);
}

static void test_levels(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_TEXT);
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        log_set_level((enum log_level)level);
        for (int line = LOG_LEVEL_ERROR; line <= LOG_LEVEL_DEBUG; line++) {
            log_message((enum log_level)line, "event", NULL, NULL);
            assert_int_equal(log_pipe_read(&ends)[0] != '\0', line <= level);
            assert_int_equal(log_is_wanted((enum log_level)line), line <= level);
        }
        enum log_level named = LOG_LEVEL_ERROR;
        assert_true(log_level_from_name(log_level_name((enum log_level)level), &named));
        assert_int_equal(named, level);
    }
    enum log_level untouched = LOG_LEVEL_DEBUG;
    assert_false(log_level_from_name("warn", &untouched));
    assert_false(log_level_from_name("", &untouched));
    assert_false(log_level_from_name("INFO", &untouched));
    assert_int_equal(untouched, LOG_LEVEL_DEBUG);
    log_pipe_close(&ends);
}

static void test_random_bytes_make_json(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_JSON);
    uint32_t seed = 4711;
    for (int round = 0; round < 3000; round++) {
        unsigned char bytes[40];
        size_t length = (size_t)round % sizeof bytes;
        for (size_t i = 0; i < length; i++) {
            seed = seed * 1664525U + 1013904223U;
            bytes[i] = (unsigned char)(seed >> 24);
        }
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "event");
        log_bytes(&line, "bytes", bytes, length);
        log_end(&line);
        assert_json_line(log_pipe_read(&ends));
    }
    log_pipe_close(&ends);
}

static const char *log_three_fields(const struct log_pipe *ends, const char *unit, size_t count)
{
    static char value[2 * LOG_LINE_BYTES + 16];
    struct log_line line;
    size_t unit_length = strlen(unit);
    for (size_t i = 0; i < count; i++)
        for (size_t byte = 0; byte < unit_length; byte++)
            value[i * unit_length + byte] = unit[byte];
    log_begin(&line, LOG_LEVEL_INFO, "event");
    log_bytes(&line, "first", value, count * unit_length);
    log_u64(&line, "number", UINT64_MAX);
    log_text(&line, "last", "a\"b");
    log_end(&line);
    return log_pipe_read(ends);
}

/* The end of the room moves through a value, a key, a number and a quote; each line must be whole.
 */
static void test_json_that_is_cut_anywhere_is_json(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        size_t width; /* how long it is in the line */
    } rows[] = {{"a", 1}, {"\"", 2}, {"\\", 4}, {"\x01", 5}, {"\xe2\x82\xac", 3}, {"\xff", 5}};
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_JSON);
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        bool was_cut = false;
        size_t least = (LOG_LINE_BYTES - 400) / rows[row].width;
        for (size_t count = least; count < LOG_LINE_BYTES / rows[row].width; count++) {
            const char *text = log_three_fields(&ends, rows[row].unit, count);
            assert_json_line(text);
            bool cut = strstr(text, ",\"cut\":true}") != NULL;
            /* Whatever is not there is announced, and a longer value is never cut less. */
            assert_int_equal(cut, strstr(text, ",\"last\":\"a\\\"b\"}") == NULL);
            assert_true(count > least || !cut);
            assert_true(cut || !was_cut);
            was_cut = cut;
        }
        assert_true(was_cut);
    }
    log_pipe_close(&ends);
}

static void test_cut_text_line_says_so(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_TEXT);
    const char *text = log_three_fields(&ends, "ab ", LOG_LINE_BYTES / 2);
    assert_one_line(text);
    assert_string_equal(text + strlen(text) - strlen("\" (cut)\n"), "\" (cut)\n");
    assert_true(strlen(text) > LOG_LINE_BYTES - 100);
    log_pipe_close(&ends);
}

/* Fills the pipe until a line is dropped; returns how many lines went in. */
static size_t fill_pipe(void)
{
    char value[2000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    /* A pipe holds 64 KiB, or less where memory is short. */
    for (size_t i = 0; i < 100; i++)
        log_message(LOG_LEVEL_INFO, "filler", "value", value);
    return 100;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++)
        lines++;
    return lines;
}

/* The write end is a blocking one: a write into the full pipe would hang and end in a timeout. */
static void assert_drops_are_counted(enum log_format format, const char *key, const char *end)
{
    struct log_pipe ends = log_pipe_open(format);
    size_t sent = fill_pipe();
    size_t arrived = count_lines(log_pipe_read(&ends));
    assert_true(arrived > 0);
    assert_true(arrived < sent);
    log_message(LOG_LEVEL_INFO, "again", NULL, NULL);
    char expected[64];
    snprintf(expected, sizeof expected, "%s%zu%s", key, sent - arrived, end);
    const char *text = log_pipe_read(&ends);
    assert_one_line(text);
    assert_non_null(strstr(text, expected));
    log_message(LOG_LEVEL_INFO, "once", NULL, NULL);
    assert_null(strstr(log_pipe_read(&ends), "dropped_lines"));
    log_pipe_close(&ends);
}

static void test_full_pipe_drops_lines_and_counts_them(void **state)
{
    (void)state;
    assert_drops_are_counted(LOG_FORMAT_TEXT, " dropped_lines=", "\n");
    assert_drops_are_counted(LOG_FORMAT_JSON, ",\"dropped_lines\":", "}\n");
}

static void test_count_of_dropped_lines_survives_a_cut_line(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_JSON);
    size_t sent = fill_pipe();
    size_t arrived = count_lines(log_pipe_read(&ends));
    const char *text = log_three_fields(&ends, "a", LOG_LINE_BYTES);
    assert_json_line(text);
    char expected[64];
    snprintf(expected, sizeof expected, ",\"dropped_lines\":%zu,\"cut\":true}", sent - arrived);
    assert_non_null(strstr(text, expected));
    log_pipe_close(&ends);
}

static void *log_many(void *unused)
{
    (void)unused;
    fill_pipe();
    return NULL;
}

/*
 * Two threads that both see room for one line must not both write: the second would hang, here for
 * ever, because nobody reads until all have ended. (The case's time limit in ctest ends it then.)
 */
static void test_full_pipe_holds_no_thread_up(void **state)
{
    (void)state;
    enum { THREADS = 4, ROUNDS = 50 };
    poll_yields = true;
    for (int round = 0; round < ROUNDS; round++) {
        struct log_pipe ends = log_pipe_open(LOG_FORMAT_TEXT);
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(count_lines(log_pipe_read(&ends)) > 0);
        log_message(LOG_LEVEL_INFO, "takes the count", NULL, NULL);
        log_pipe_close(&ends);
    }
    poll_yields = false;
}

static void test_reader_that_is_gone_is_harmless(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_TEXT);
    signal(SIGPIPE, SIG_IGN);
    close(ends.read_end);
    log_message(LOG_LEVEL_INFO, "nobody reads", NULL, NULL);
    close(ends.write_end);
    log_message(LOG_LEVEL_INFO, "closed", NULL, NULL);
    struct log_pipe fresh = log_pipe_open(LOG_FORMAT_TEXT);
    log_message(LOG_LEVEL_INFO, "again", NULL, NULL);
    assert_non_null(strstr(log_pipe_read(&fresh), " dropped_lines=2\n"));
    log_pipe_close(&fresh);
}

static void test_form_changes_between_lines_only(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_TEXT);
    struct log_line line;
    log_begin(&line, LOG_LEVEL_INFO, "begun as text");
    log_set_format(LOG_FORMAT_JSON);
    log_u64(&line, "count", 3);
    log_end(&line);
    assert_non_null(strstr(log_pipe_read(&ends), " info begun as text count=3\n"));
    log_message(LOG_LEVEL_INFO, "json now", NULL, NULL);
    assert_true(json_line(log_pipe_read(&ends)));
    log_pipe_close(&ends);
}

static void set_journal_stream(unsigned long long device, unsigned long long inode)
{
    char text[64];
    snprintf(text, sizeof text, "%llu:%llu", device, inode);
    assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
}

static void test_journal_is_known_by_device_and_inode(void **state)
{
    (void)state;
    struct log_pipe ends = log_pipe_open(LOG_FORMAT_TEXT);
    struct stat found;
    assert_int_equal(fstat(ends.write_end, &found), 0);
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    assert_false(log_is_journal(ends.write_end));
    set_journal_stream(found.st_dev, found.st_ino);
    assert_true(log_is_journal(ends.write_end));
    assert_false(log_is_journal(-1));
    set_journal_stream(found.st_dev, found.st_ino + 1);
    assert_false(log_is_journal(ends.write_end));
    set_journal_stream(found.st_dev + 1, found.st_ino);
    assert_false(log_is_journal(ends.write_end));
    static const char *const wrong[] = {
        "", ":", "1", "1:", ":1", "x:y", "1:1:1", "0000000000000000000000000000000000:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(setenv("JOURNAL_STREAM", wrong[i], 1), 0);
        assert_false(log_is_journal(ends.write_end));
    }
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    log_pipe_close(&ends);
}

UNIT_MAIN(cmocka_unit_test(test_json_reader_of_this_test_is_strict),
          cmocka_unit_test(test_text_line), cmocka_unit_test(test_journal_line),
          cmocka_unit_test(test_json_line),
          cmocka_unit_test(test_hostile_value_stays_inside_its_field),
          cmocka_unit_test(test_levels), cmocka_unit_test(test_form_changes_between_lines_only),
          cmocka_unit_test(test_journal_is_known_by_device_and_inode),
          cmocka_unit_test(test_random_bytes_make_json),
          cmocka_unit_test(test_json_that_is_cut_anywhere_is_json),
          cmocka_unit_test(test_cut_text_line_says_so),
          cmocka_unit_test(test_full_pipe_drops_lines_and_counts_them),
          cmocka_unit_test(test_count_of_dropped_lines_survives_a_cut_line),
          cmocka_unit_test(test_full_pipe_holds_no_thread_up),
          cmocka_unit_test(test_reader_that_is_gone_is_harmless))
