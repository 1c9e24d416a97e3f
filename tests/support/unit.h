/*
 * support/unit.h — what every unit test program includes first.
 *
 * A program lists its cases with UNIT_CASES and ends with UNIT_MAIN; with arguments it runs just
 * the cases that they name, which is how ctest runs one case at a time. A name that matches nothing
 * is an error: a renamed case must not turn into a test that passes because it ran nothing.
 */
#ifndef SUPPORT_UNIT_H
#define SUPPORT_UNIT_H

/* cmocka.h uses what the headers before it declare. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
/* clang-format on */

static inline int unit_run(const struct CMUnitTest *cases, size_t count, int argc, char **argv)
{
    int failed = 0;
    if (argc < 2) {
        for (size_t i = 0; i < count; i++)
            failed |= _cmocka_run_group_tests(cases[i].name, &cases[i], 1, NULL, NULL);
        return failed;
    }
    for (int wanted = 1; wanted < argc; wanted++) {
        size_t i = 0;
        while (i < count && strcmp(cases[i].name, argv[wanted]) != 0)
            i++;
        if (i == count) {
            fprintf(stderr, "no case is named %s\n", argv[wanted]);
            return 2;
        }
        failed |= _cmocka_run_group_tests(cases[i].name, &cases[i], 1, NULL, NULL);
    }
    return failed;
}

#define UNIT_MAIN(...)                                                                             \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        const struct CMUnitTest cases[] = {__VA_ARGS__};                                           \
        return unit_run(cases, sizeof cases / sizeof cases[0], argc, argv);                        \
    }

/* CERTPOST_OK, and the name of the status when it is not. */
#define assert_ok(expression) assert_string_equal(certpost_status_name(expression), "ok")
/* Any status, compared by name. */
#define assert_status(expression, status)                                                          \
    assert_string_equal(certpost_status_name(expression), certpost_status_name(status))

#endif
