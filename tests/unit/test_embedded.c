/*
 * test_embedded.c — a server in this very process: options, starts without end, starts that fail at
 * each allocation in turn. Peers are the integration tests' (test_embedded.py).
 */
#include "support/fault_memory.h"
#include "support/server_files.h"
#include "support/unit.h"

#include "certpost/server.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* A sanitizer makes a start thirty times as long. */
#ifdef CERTPOST_SANITIZED
enum { ROUNDS = 20 };
#else
enum { ROUNDS = 100 };
#endif
enum { SETTLED_ROUND = 9, RELOAD_EVERY = 10, GROWTH_MAX_BYTES = 64 * 1024 };

static atomic_size_t threads_made, threads_joined;

/* The linker's names for what is wrapped, and for our replacements (tests/CMakeLists.txt). */
int __real_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);
int __real_pthread_join(pthread_t thread, void **ret_result);
int __wrap_pthread_join(pthread_t thread, void **ret_result);

int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument)
{
    int failed = __real_pthread_create(ret_thread, attributes, run, argument);
    atomic_fetch_add(&threads_made, failed == 0);
    return failed;
}

int __wrap_pthread_join(pthread_t thread, void **ret_result)
{
    int failed = __real_pthread_join(thread, ret_result);
    atomic_fetch_add(&threads_joined, failed == 0);
    return failed;
}

struct place {
    struct test_pki pki;
    struct server_files files;
    char store[SERVER_FILES_PATH_BYTES];
};

static void remove_store(const struct place *place)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        char path[SERVER_FILES_PATH_BYTES + 8];
        snprintf(path, sizeof path, "%s%s", place->store, tails[i]);
        (void)unlink(path);
    }
}

static void place_make(struct place *place)
{
    place->pki = test_pki_make((struct test_leaf){0});
    server_files_write(&place->files, &place->pki);
    snprintf(place->store, sizeof place->store, "%s/s.db", place->files.folder);
}

static void place_remove(struct place *place)
{
    remove_store(place);
    server_files_remove(&place->files);
    test_pki_free(&place->pki);
}

/* Also counts the descriptor that it takes for that, each time. */
static size_t count_entries(const char *folder)
{
    DIR *opened = opendir(folder);
    size_t count = 0;
    assert_non_null(opened);
    while (readdir(opened) != NULL)
        count++;
    closedir(opened);
    return count;
}

/* Threads that were made and not waited for; the kernel shows them a moment longer than that. */
static size_t count_threads(void)
{
    return atomic_load(&threads_made) - atomic_load(&threads_joined);
}

static enum certpost_status set_all(struct certpost_server *server, const struct place *place,
                                    bool with_store, struct certpost_error *error)
{
    const char *const options[][2] = {
        {"listen", "127.0.0.1:0"},
        {"cert", place->files.certificate},
        {"key", place->files.key},
        {"workers", "2"},
        {"log-level", "error"},
        {with_store ? "store" : "framing", with_store ? place->store : "line"},
    };
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < sizeof options / sizeof options[0] && status == CERTPOST_OK; i++)
        status = certpost_server_set(server, options[i][0], options[i][1], error);
    return status;
}

static struct certpost_server *new_server(const struct place *place, bool with_store)
{
    struct certpost_server *server = NULL;
    assert_ok(certpost_server_new(&server, NULL));
    assert_ok(set_all(server, place, with_store, NULL));
    return server;
}

/* ---- starts without end ---- */

static void start_many_times(bool with_store)
{
    struct place place;
    place_make(&place);
    struct certpost_server *server = new_server(&place, with_store);
    size_t descriptors = 0;
    size_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        assert_ok(certpost_server_start(server, NULL, NULL, NULL));
        assert_true(certpost_server_is_ready(server));
        assert_non_null(certpost_server_address(server, 0));
        if (round % RELOAD_EVERY == 0)
            assert_ok(certpost_server_reload(server, NULL));
        assert_ok(certpost_server_stop(server, NULL));
        assert_int_equal(count_threads(), 0);
        if (round == SETTLED_ROUND) {
            descriptors = count_entries("/proc/self/fd");
            bytes = mallinfo2().uordblks;
        }
    }
    assert_int_equal(count_entries("/proc/self/fd"), descriptors);
    assert_true(mallinfo2().uordblks < bytes + GROWTH_MAX_BYTES);
    certpost_server_free(server);
    place_remove(&place);
}

static void test_a_hundred_starts_leave_nothing_behind(void **state)
{
    (void)state;
    start_many_times(false);
}

static void test_a_hundred_starts_with_a_store_leave_nothing_behind(void **state)
{
    (void)state;
    start_many_times(true);
}

static void *start_and_stop(void *argument)
{
    for (int round = 0; round < 10; round++) {
        struct certpost_server *server = new_server(argument, false);
        assert_ok(certpost_server_start(server, NULL, NULL, NULL));
        certpost_server_free(server); /* stops it */
    }
    return NULL;
}

static void test_servers_of_several_threads(void **state)
{
    (void)state;
    struct place place;
    pthread_t threads[3];
    place_make(&place);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_and_stop, &place), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    place_remove(&place);
}

/* ---- options ---- */

static void test_what_does_not_run_says_so(void **state)
{
    (void)state;
    struct certpost_server *server = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    certpost_server_free(NULL);
    assert_ok(certpost_server_new(&server, &error));
    assert_null(certpost_server_address(server, 0));
    assert_false(certpost_server_is_ready(server));
    assert_status(certpost_server_reload(server, &error), CERTPOST_USAGE);
    assert_ok(certpost_server_stop(server, &error));
    certpost_error_clear(&error);
    assert_status(certpost_server_start(server, NULL, NULL, &error), CERTPOST_USAGE);
    assert_non_null(strstr(error.text, "--cert and --key are required"));
    certpost_server_free(server);
}

/* They are the program's. */
static void test_passed_sockets_are_not_taken(void **state)
{
    (void)state;
    struct place place;
    struct certpost_error error;
    place_make(&place);
    certpost_error_clear(&error);
    struct certpost_server *server = new_server(&place, false);
    assert_ok(certpost_server_set(server, "listen", "systemd:certpost", NULL));
    assert_status(certpost_server_start(server, NULL, NULL, &error), CERTPOST_USAGE);
    assert_non_null(strstr(error.text, "not to the server inside it"));
    certpost_server_free(server);
    place_remove(&place);
}

static void test_repeatable_options_add_up_and_can_be_taken_back(void **state)
{
    (void)state;
    struct place place;
    place_make(&place);
    struct certpost_server *server = new_server(&place, false);
    assert_ok(certpost_server_set(server, "listen", "127.0.0.1:0", NULL));
    assert_ok(certpost_server_set(server, "framing", "chunk", NULL)); /* replaces */
    assert_ok(certpost_server_start(server, NULL, NULL, NULL));
    assert_non_null(certpost_server_address(server, 1));
    assert_null(certpost_server_address(server, 2));
    assert_ok(certpost_server_stop(server, NULL));
    assert_ok(certpost_server_set(server, "listen", NULL, NULL));
    assert_ok(certpost_server_set(server, "listen", "127.0.0.2:0", NULL));
    assert_ok(certpost_server_set(server, "sni-strict", NULL, NULL));
    assert_ok(certpost_server_set(server, "sni-strict", "no", NULL));
    assert_ok(certpost_server_start(server, NULL, NULL, NULL));
    assert_memory_equal(certpost_server_address(server, 0), "127.0.0.2:", 10);
    assert_null(certpost_server_address(server, 1));
    certpost_server_free(server);
    place_remove(&place);
}

/* A program may be in the middle of its own command line. */
static void test_getopt_is_left_alone(void **state)
{
    (void)state;
    struct place place;
    char name[] = "program", first[] = "-a", second[] = "-b", *arguments[] = {name, first, second};
    place_make(&place);
    optind = 1;
    assert_int_equal(getopt(3, arguments, "ab"), 'a');
    struct certpost_server *server = new_server(&place, false);
    assert_ok(certpost_server_start(server, NULL, NULL, NULL));
    assert_int_equal(optind, 2);
    assert_int_equal(getopt(3, arguments, "ab"), 'b');
    certpost_server_free(server);
    place_remove(&place);
}

static void test_the_callers_signals_stay_as_they_are(void **state)
{
    (void)state;
    struct place place;
    place_make(&place);
    struct certpost_server *server = new_server(&place, true);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction before = {0}, after = {0};
        bool exists = sigaction(number, NULL, &before) == 0;
        assert_ok(certpost_server_start(server, NULL, NULL, NULL));
        if (exists) {
            assert_int_equal(sigaction(number, NULL, &after), 0);
            assert_true(before.sa_handler == after.sa_handler);
        }
        assert_ok(certpost_server_stop(server, NULL));
        number += 7; /* a few will do: each costs a start */
    }
    sigset_t blocked;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    assert_int_equal(sigismember(&blocked, SIGPIPE), 0);
    certpost_server_free(server);
    place_remove(&place);
}

/* ---- memory that runs out ---- */

static bool start_with_fault(const struct place *place, bool with_store, uint64_t at)
{
    struct certpost_server *server = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    fault_memory_arm(at);
    enum certpost_status status = certpost_server_new(&server, &error);
    if (status == CERTPOST_OK)
        status = set_all(server, place, with_store, &error);
    if (status == CERTPOST_OK)
        status = certpost_server_start(server, NULL, NULL, &error);
    bool struck = fault_memory_heal();
    if (status != CERTPOST_OK) {
        assert_true(struck);
        assert_true(error.text[0] != '\0');
        assert_int_equal(count_threads(), 0);
        assert_true(server == NULL || !certpost_server_is_ready(server));
    }
    if (server != NULL && status != CERTPOST_OK) {
        for (size_t i = 0; i < 2; i++)
            assert_ok(certpost_server_set(server, i == 0 ? "cert" : "key", NULL, NULL));
        assert_ok(set_all(server, place, with_store, NULL));
        assert_ok(certpost_server_start(server, NULL, NULL, NULL));
    }
    certpost_server_free(server);
    return struck;
}

/* Ours; those of SQLite are test_store_memory_fault.c's. */
static void fail_each(bool with_store)
{
    struct place place;
    uint64_t at = 0;
    place_make(&place);
    (void)start_with_fault(&place, with_store, 0);
    size_t descriptors = count_entries("/proc/self/fd");
    do {
        remove_store(&place);
        at++;
        assert_true(at < 10000);
    } while (start_with_fault(&place, with_store, at));
    assert_int_equal(count_entries("/proc/self/fd"), descriptors);
    assert_true(at > 50);
    print_message("%llu allocations\n", (unsigned long long)at - 1);
    place_remove(&place);
}

static void test_each_allocation_of_a_start_fails_in_turn(void **state)
{
    (void)state;
    fail_each(false);
}

static void test_each_allocation_of_a_start_with_a_store_fails_in_turn(void **state)
{
    (void)state;
    fail_each(true);
}

UNIT_MAIN(cmocka_unit_test(test_a_hundred_starts_leave_nothing_behind),
          cmocka_unit_test(test_a_hundred_starts_with_a_store_leave_nothing_behind),
          cmocka_unit_test(test_servers_of_several_threads),
          cmocka_unit_test(test_what_does_not_run_says_so),
          cmocka_unit_test(test_passed_sockets_are_not_taken),
          cmocka_unit_test(test_repeatable_options_add_up_and_can_be_taken_back),
          cmocka_unit_test(test_getopt_is_left_alone),
          cmocka_unit_test(test_the_callers_signals_stay_as_they_are),
          cmocka_unit_test(test_each_allocation_of_a_start_fails_in_turn),
          cmocka_unit_test(test_each_allocation_of_a_start_with_a_store_fails_in_turn))
