/* test_base_error.c — statuses as names and groups; the first error wins and keeps its reason. */
#include "base/error.h"
#include "support/unit.h"

#include <errno.h>

static const enum certpost_status all_statuses[] = {
#define STATUS_VALUE(constant, name, group, sentence) CERTPOST_##constant,
    CERTPOST_STATUS_LIST(STATUS_VALUE)
#undef STATUS_VALUE
};
enum { STATUS_COUNT = sizeof all_statuses / sizeof all_statuses[0] };

static void test_every_status_has_its_own_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        const char *name = certpost_status_name(all_statuses[i]);
        assert_string_not_equal(name, "unknown");
        assert_true(strspn(name, "abcdefghijklmnopqrstuvwxyz-") == strlen(name));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(name, certpost_status_name(all_statuses[j]));
    }
}

static void test_every_status_has_a_sentence_without_full_stop(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        const char *sentence = certpost_status_sentence(all_statuses[i]);
        assert_true(strlen(sentence) > 0);
        assert_null(strchr(sentence, '\n'));
        assert_true(sentence[strlen(sentence) - 1] != '.');
    }
}

static void test_groups(void **state)
{
    (void)state;
    assert_int_equal(certpost_status_group(CERTPOST_OK), CERTPOST_GROUP_SUCCESS);
    assert_int_equal(certpost_status_group(CERTPOST_WANT_READ), CERTPOST_GROUP_WAIT);
    assert_int_equal(certpost_status_group(CERTPOST_WANT_WRITE), CERTPOST_GROUP_WAIT);
    assert_int_equal(certpost_status_group(CERTPOST_CLOSED), CERTPOST_GROUP_ENDED);
    assert_int_equal(certpost_status_group(CERTPOST_TRUNCATED), CERTPOST_GROUP_ENDED);
    assert_int_equal(certpost_status_group(CERTPOST_TIMEOUT), CERTPOST_GROUP_NETWORK);
    assert_int_equal(certpost_status_group(CERTPOST_HANDSHAKE), CERTPOST_GROUP_PEER);
    assert_int_equal(certpost_status_group(CERTPOST_NO_MEMORY), CERTPOST_GROUP_LOCAL);
    assert_int_equal(certpost_status_group(CERTPOST_USAGE), CERTPOST_GROUP_USAGE);
    /* Only success may look like success. */
    for (size_t i = 1; i < STATUS_COUNT; i++)
        assert_int_not_equal(certpost_status_group(all_statuses[i]), CERTPOST_GROUP_SUCCESS);
}

static void test_value_that_is_no_status(void **state)
{
    (void)state;
    volatile int beyond = STATUS_COUNT;
    assert_string_equal(certpost_status_name((enum certpost_status)beyond), "unknown");
    assert_int_equal(certpost_status_group((enum certpost_status)beyond), CERTPOST_GROUP_USAGE);
    assert_string_equal(certpost_status_sentence((enum certpost_status)beyond), "unknown status");
}

static void test_set_returns_the_status_and_takes_null(void **state)
{
    (void)state;
    assert_status(error_set(NULL, CERTPOST_LIMIT, "%s", "text"), CERTPOST_LIMIT);
    assert_status(error_set_errno(NULL, CERTPOST_LOCAL_IO, ENOENT, "text"), CERTPOST_LOCAL_IO);
    assert_status(error_no_memory(NULL), CERTPOST_NO_MEMORY);
    certpost_error_clear(NULL);
    assert_string_equal(certpost_error_text(NULL, CERTPOST_TIMEOUT), "time is up");
}

static void test_first_error_wins(void **state)
{
    (void)state;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(error_set_errno(&error, CERTPOST_LOCAL_IO, ENOENT, "cannot open %s", "a.pem"),
                  CERTPOST_LOCAL_IO);
    assert_status(error_set(&error, CERTPOST_USAGE, "less specific"), CERTPOST_USAGE);
    assert_status(error.status, CERTPOST_LOCAL_IO);
    assert_int_equal(error.system_errno, ENOENT);
    assert_string_equal(certpost_error_text(&error, CERTPOST_USAGE),
                        "cannot open a.pem: No such file or directory");
    certpost_error_clear(&error);
    assert_status(error_no_memory(&error), CERTPOST_NO_MEMORY);
    assert_string_equal(error.text, "out of memory");
    assert_int_equal(error.system_errno, 0);
}

static void test_cleared_error_shows_the_sentence_of_the_status(void **state)
{
    (void)state;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_string_equal(certpost_error_text(&error, CERTPOST_RESET), "the connection was reset");
}

/* A path may be far longer than the text: the reason behind it must still be seen. */
static void test_long_text_is_cut_and_keeps_its_reason(void **state)
{
    (void)state;
    static const char reason[] = ": Permission denied";
    char path[CERTPOST_ERROR_TEXT_BYTES + 10];
    for (size_t length = sizeof path - 60; length < sizeof path; length++) {
        struct certpost_error error;
        certpost_error_clear(&error);
        memset(path, 'a', length);
        path[length] = '\0';
        assert_status(error_set_errno(&error, CERTPOST_LOCAL_IO, EACCES, "cannot open %s", path),
                      CERTPOST_LOCAL_IO);
        size_t text_length = strlen(error.text);
        assert_true(text_length < sizeof error.text);
        assert_string_equal(error.text + text_length - strlen(reason), reason);
        assert_memory_equal(error.text, "cannot open aaaa", 16);
    }
}

static void test_text_at_its_limit(void **state)
{
    (void)state;
    char text[CERTPOST_ERROR_TEXT_BYTES + 2];
    for (size_t length = sizeof text - 4; length < sizeof text; length++) {
        struct certpost_error error;
        certpost_error_clear(&error);
        memset(text, 'b', length);
        text[length] = '\0';
        assert_status(error_set(&error, CERTPOST_USAGE, "%s", text), CERTPOST_USAGE);
        size_t most = sizeof error.text - 1;
        assert_int_equal(strlen(error.text), length < most ? length : most);
    }
}

/* The cut must not leave half a character for the terminal. */
static void test_cut_falls_between_characters(void **state)
{
    (void)state;
    for (size_t start = 0; start < 3; start++) {
        char text[CERTPOST_ERROR_TEXT_BYTES + 10] = "xxx";
        struct certpost_error error;
        certpost_error_clear(&error);
        for (size_t at = start; at + 3 < sizeof text; at += 3)
            memcpy(text + at, "\xe2\x82\xac", 4);
        assert_status(error_set(&error, CERTPOST_USAGE, "%s", text), CERTPOST_USAGE);
        size_t length = strlen(error.text);
        assert_memory_equal(error.text + length - 3, "\xe2\x82\xac", 3);
        assert_true(length > sizeof error.text - 4);
    }
}

static void test_a_text_from_elsewhere_stays_one_printable_line(void **state)
{
    (void)state;
    struct certpost_error error;
    certpost_error_clear(&error);
    (void)error_set_errno(&error, CERTPOST_LOCAL_IO, ENOENT, "the file \\x07 %s",
                          "a\x1b[2J\nb\xff");
    assert_string_equal(error.text, "the file \\x07 a\\x1b[2J\\nb\\xff: No such file or directory");
    char path[2 * CERTPOST_ERROR_TEXT_BYTES];
    memset(path, '\x1b', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    certpost_error_clear(&error);
    (void)error_set_errno(&error, CERTPOST_LOCAL_IO, ENOENT, "%s", path);
    assert_true(strlen(error.text) < sizeof error.text);
    assert_null(strchr(error.text, '\x1b'));
    assert_non_null(strstr(error.text, "\\x1b: No such file or directory"));
}

static void test_errno_is_left_alone(void **state)
{
    (void)state;
    struct certpost_error error;
    certpost_error_clear(&error);
    errno = EINTR;
    assert_status(error_set_errno(&error, CERTPOST_LOCAL_IO, 99999, "x"), CERTPOST_LOCAL_IO);
    assert_int_equal(errno, EINTR);
}

UNIT_MAIN(cmocka_unit_test(test_every_status_has_its_own_name),
          cmocka_unit_test(test_every_status_has_a_sentence_without_full_stop),
          cmocka_unit_test(test_groups), cmocka_unit_test(test_value_that_is_no_status),
          cmocka_unit_test(test_set_returns_the_status_and_takes_null),
          cmocka_unit_test(test_first_error_wins),
          cmocka_unit_test(test_cleared_error_shows_the_sentence_of_the_status),
          cmocka_unit_test(test_long_text_is_cut_and_keeps_its_reason),
          cmocka_unit_test(test_text_at_its_limit),
          cmocka_unit_test(test_cut_falls_between_characters),
          cmocka_unit_test(test_a_text_from_elsewhere_stays_one_printable_line),
          cmocka_unit_test(test_errno_is_left_alone))
