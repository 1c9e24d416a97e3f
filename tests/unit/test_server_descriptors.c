/*
 * test_server_descriptors.c — how many connections there are descriptors for. Each case runs in a
 * child process, because a lowered hard limit cannot be raised again.
 */
#include "server/descriptors.h"
#include "support/unit.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 99 };

/* What `question` returns in a process with these limits; at most FAILED - 1. */
static int ask(rlim_t soft, rlim_t hard, int (*question)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
        _exit(setrlimit(RLIMIT_NOFILE, &limit) == 0 ? question() : FAILED);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), FAILED);
    return WEXITSTATUS(status);
}

static int soft_limit(void)
{
    struct rlimit limit = {0};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int)limit.rlim_cur : FAILED;
}

static int fit_10(void)
{
    return (int)descriptors_fit(10, 8, true);
}

static int fit_1000(void)
{
    return (int)descriptors_fit(1000, 8, true);
}

static int soft_after_10(void)
{
    return descriptors_fit(10, 8, true) == 10 ? soft_limit() : FAILED;
}

static int soft_after_1000(void)
{
    return descriptors_fit(1000, 8, true) < 1000 ? soft_limit() : FAILED;
}

static void test_all_fit(void **state)
{
    (void)state;
    assert_int_equal(ask(64, 64, fit_10), 10);
}

static void test_what_is_left_of_the_hard_limit(void **state)
{
    (void)state;
    assert_int_equal(ask(64, 64, fit_1000), 64 - 8 - 24);
    assert_int_equal(ask(16, 64, fit_1000), 64 - 8 - 24);
}

static void test_the_soft_limit_is_raised_as_far_as_needed(void **state)
{
    (void)state;
    assert_int_equal(ask(16, 90, soft_after_10), 10 + 8 + 24);
    assert_int_equal(ask(16, 90, soft_after_1000), 90);
}

static void test_it_is_never_lowered(void **state)
{
    (void)state;
    assert_int_equal(ask(90, 90, soft_after_10), 90);
}

static void test_at_least_one(void **state)
{
    (void)state;
    assert_int_equal(ask(20, 20, fit_1000), 1);
    assert_int_equal(ask(32, 32, fit_10), 1);
}

static int most_that_may_be_raised(void)
{
    return (int)descriptors_most(true);
}

static int most_that_may_not(void)
{
    return (int)descriptors_most(false);
}

static void test_the_most_that_there_can_be(void **state)
{
    (void)state;
    assert_int_equal(ask(40, 90, most_that_may_be_raised), 90);
    assert_int_equal(ask(40, 90, most_that_may_not), 40);
}

static void test_open_ones_are_counted(void **state)
{
    (void)state;
    size_t before = descriptors_open();
    int copies[10];
    for (size_t i = 0; i < 10; i++)
        copies[i] = dup(STDERR_FILENO);
    assert_int_equal(descriptors_open(), before + 10);
    for (size_t i = 0; i < 10; i++)
        close(copies[i]);
    assert_int_equal(descriptors_open(), before);
}

UNIT_MAIN(cmocka_unit_test(test_all_fit), cmocka_unit_test(test_what_is_left_of_the_hard_limit),
          cmocka_unit_test(test_the_soft_limit_is_raised_as_far_as_needed),
          cmocka_unit_test(test_it_is_never_lowered), cmocka_unit_test(test_at_least_one),
          cmocka_unit_test(test_the_most_that_there_can_be),
          cmocka_unit_test(test_open_ones_are_counted))
