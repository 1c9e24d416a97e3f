/*
 * test_server_print_sink.c — messages as lines: nothing of a peer's gets out raw, nothing gets
 * lost.
 */
#include "base/text.h"
#include "server/print_sink.h"
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE_BYTES = 4096, LONG_BYTES = 1024 * 1024, PIPE_BYTES = 4096 };

static int output_file(void)
{
    int descriptor = memfd_create("lines", MFD_CLOEXEC);
    assert_true(descriptor >= 0);
    return descriptor;
}

static void assert_file(int descriptor, const char *expected, size_t length)
{
    char *bytes = malloc(length + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(descriptor, bytes, length + 1, 0), length);
    assert_memory_equal(bytes, expected, length);
    free(bytes);
}

/* One message through the sink; what comes out is what escaping it in one go gives. */
static void check_message(const void *message, size_t length)
{
    struct print_sink sink;
    size_t capacity = sizeof "Received: \n" + length * TEXT_ESCAPE_MAX;
    char *expected = malloc(capacity);
    assert_non_null(expected);
    memcpy(expected, "Received: ", 10);
    size_t expected_bytes = 10 + text_escape(message, length, expected + 10, capacity - 11);
    expected[expected_bytes++] = '\n';
    print_sink_init(&sink, output_file());
    assert_ok(print_sink_add(&sink, "Received: ", message, length, NULL));
    assert_ok(print_sink_commit(&sink, NULL));
    assert_file(sink.descriptor, expected, expected_bytes);
    close(sink.descriptor);
    print_sink_free(&sink);
    free(expected);
}

static void test_a_message_is_a_line(void **state)
{
    (void)state;
    struct print_sink sink;
    print_sink_init(&sink, output_file());
    assert_ok(print_sink_add(&sink, "Connected by ", "127.0.0.1:9", 11, NULL));
    assert_ok(print_sink_add(&sink, "Received: ", "Hello, server!", 14, NULL));
    assert_ok(print_sink_add(&sink, "Received: ", NULL, 0, NULL));
    assert_file(sink.descriptor, "", 0); /* nothing leaves before the commit */
    assert_ok(print_sink_commit(&sink, NULL));
    static const char expected[] =
        "Connected by 127.0.0.1:9\nReceived: Hello, server!\nReceived: \n";
    assert_file(sink.descriptor, expected, sizeof expected - 1);
    assert_ok(print_sink_commit(&sink, NULL));
    assert_file(sink.descriptor, expected, sizeof expected - 1);
    close(sink.descriptor);
    print_sink_free(&sink);
}

static void test_a_message_cannot_forge_a_line(void **state)
{
    (void)state;
    struct print_sink sink;
    static const char message[] = "a\nReceived: b\r\x1b[2J\0\x7f\xc2\x85\xff";
    static const char expected[] =
        "Received: a\\nReceived: b\\r\\x1b[2J\\x00\\x7f\\xc2\\x85\\xff\n";
    print_sink_init(&sink, output_file());
    assert_ok(print_sink_add(&sink, "Received: ", message, sizeof message - 1, NULL));
    assert_ok(print_sink_commit(&sink, NULL));
    assert_file(sink.descriptor, expected, sizeof expected - 1);
    close(sink.descriptor);
    print_sink_free(&sink);
}

/* A character that lies across the boundary of two pieces must come out as it is. */
static void test_characters_across_the_boundary_of_pieces(void **state)
{
    (void)state;
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x80",
                                             "\xc3",     "\xf0\x9f\x98", "\xe2\x80\xae"};
    for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++) {
        for (size_t before = PIECE_BYTES - 6; before <= PIECE_BYTES + 1; before++) {
            char message[2 * PIECE_BYTES];
            size_t length = strlen(characters[i]);
            memset(message, 'a', sizeof message);
            for (size_t at = before; at + length <= before + 12; at += length)
                memcpy(message + at, characters[i], length);
            check_message(message, sizeof message);
            check_message(message, before + length);
        }
    }
}

static void test_bytes_that_are_no_characters(void **state)
{
    (void)state;
    static unsigned char message[3 * PIECE_BYTES + 1];
    memset(message, 0x80, sizeof message);
    check_message(message, sizeof message);
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)i;
    check_message(message, sizeof message);
}

static void test_a_long_message(void **state)
{
    (void)state;
    char *message = malloc(LONG_BYTES);
    assert_non_null(message);
    for (size_t i = 0; i < LONG_BYTES; i++)
        message[i] = (char)('a' + i % 26);
    check_message(message, LONG_BYTES);
    memset(message, '\n', LONG_BYTES);
    check_message(message, LONG_BYTES);
    free(message);
}

struct drain {
    int descriptor;
    char *bytes;
    size_t length;
};

static void *drain_pipe(void *argument)
{
    struct drain *drain = argument;
    ssize_t got = 0;
    while ((got = read(drain->descriptor, drain->bytes + drain->length, 1000)) > 0)
        drain->length += (size_t)got;
    return NULL;
}

static void check_full_pipe(int flags)
{
    int ends[2];
    struct print_sink sink;
    pthread_t thread;
    char *message = malloc(LONG_BYTES);
    struct drain drain = {.bytes = malloc(LONG_BYTES + 4096)};
    assert_true(message != NULL && drain.bytes != NULL);
    memset(message, 'm', LONG_BYTES);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES);
    assert_int_equal(fcntl(ends[1], F_SETFL, flags), 0);
    drain.descriptor = ends[0];
    assert_int_equal(pthread_create(&thread, NULL, drain_pipe, &drain), 0);
    print_sink_init(&sink, ends[1]);
    assert_ok(print_sink_add(&sink, "", message, LONG_BYTES, NULL));
    assert_ok(print_sink_commit(&sink, NULL));
    close(ends[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(ends[0]);
    assert_int_equal(drain.length, LONG_BYTES + 1);
    assert_memory_equal(drain.bytes, message, LONG_BYTES);
    assert_int_equal(drain.bytes[LONG_BYTES], '\n');
    print_sink_free(&sink);
    free(drain.bytes);
    free(message);
}

static void test_a_full_pipe_that_is_drained(void **state)
{
    (void)state;
    check_full_pipe(0);
    check_full_pipe(O_NONBLOCK);
}

static void test_a_reader_that_has_gone(void **state)
{
    (void)state;
    int ends[2];
    struct print_sink sink;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    print_sink_init(&sink, ends[1]);
    assert_ok(print_sink_add(&sink, "Received: ", "lost", 4, NULL));
    assert_status(print_sink_commit(&sink, &error), CERTPOST_LOCAL_IO);
    assert_int_equal(error.system_errno, EPIPE);
    assert_string_equal(error.text, "cannot write to standard output: Broken pipe");
    close(ends[1]);
    sink.descriptor = output_file();
    assert_ok(print_sink_add(&sink, "Received: ", "next", 4, NULL));
    assert_ok(print_sink_commit(&sink, NULL));
    assert_file(sink.descriptor, "Received: next\n", 15); /* what was refused does not come later */
    close(sink.descriptor);
    print_sink_free(&sink);
}

/* The failure shows in the middle of a message, when the gathered lines pass their maximum. */
static void test_a_failure_inside_a_long_message(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct print_sink sink;
    struct certpost_error error;
    certpost_error_clear(&error);
    if (full < 0)
        skip();
    char *message = calloc(1, LONG_BYTES);
    assert_non_null(message);
    print_sink_init(&sink, full);
    assert_status(print_sink_add(&sink, "Received: ", message, LONG_BYTES, &error),
                  CERTPOST_LOCAL_IO);
    assert_int_equal(error.system_errno, ENOSPC);
    assert_int_equal(sink.lines.length, 0);
    close(full);
    print_sink_free(&sink);
    free(message);
}

UNIT_MAIN(cmocka_unit_test(test_a_message_is_a_line),
          cmocka_unit_test(test_a_message_cannot_forge_a_line),
          cmocka_unit_test(test_characters_across_the_boundary_of_pieces),
          cmocka_unit_test(test_bytes_that_are_no_characters),
          cmocka_unit_test(test_a_long_message), cmocka_unit_test(test_a_full_pipe_that_is_drained),
          cmocka_unit_test(test_a_reader_that_has_gone),
          cmocka_unit_test(test_a_failure_inside_a_long_message))
