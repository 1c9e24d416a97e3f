/*
 * Real limits: a file system that is full, and a limit on the size of a file. The first needs the
 * right to mount; without it the case ends with status 77, which ctest shows as skipped.
 */
#include "support/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SKIPPED = 77, COMMITS_MAX = 20000, BALLAST_BYTES = 2 << 20 };

/* Puts a file system of 4 MiB on the fixture's directory, in a mount namespace of this process. */
static void mount_small_disk(const struct fixture *fixture)
{
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("small", fixture->directory, "tmpfs", 0, "size=4m") == 0)
        return;
    int failed = errno;
    (void)rmdir(fixture->directory);
    fprintf(stderr, "SKIPPED: mounting a small file system is not allowed here: %s\n",
            strerror(failed));
    exit(SKIPPED);
}

static void write_ballast(const char *path)
{
    static const unsigned char zeros[4096];
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    for (int i = 0; i < BALLAST_BYTES / (int)sizeof zeros; i++)
        assert_int_equal(write(file, zeros, sizeof zeros), (ssize_t)sizeof zeros);
    close(file);
}

/* Commits until the store fails, also if recovery finds a little room again; returns what is acked.
 */
static uint64_t commit_until_failure(struct store *store, const char *words)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    struct fixture_sender sender;
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    enum certpost_status status = CERTPOST_OK;
    for (int i = 0; i < COMMITS_MAX && status == CERTPOST_OK; i++)
        status = fixture_commit(&sender, store, 20, &error);
    assert_status(status, CERTPOST_STORE);
    if (strstr(error.text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", error.text, words);
    uint64_t acked = store_committed(&sender.lease).seq;
    fixture_sender_release(&sender, store);
    return acked;
}

/* The cause has gone: the store goes on by itself, and has what it had acknowledged. */
static void expect_goes_on(struct store *store, uint64_t acked)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = store_recover(store, &error);
    if (status != CERTPOST_OK)
        fail_msg("%s", certpost_error_text(&error, status));
    struct fixture_sender sender;
    assert_ok(fixture_sender_open(&sender, store, "log", NULL));
    assert_in_range(sender.head.seq, acked, acked + 20);
    assert_ok(fixture_commit(&sender, store, 100, NULL));
    fixture_sender_release(&sender, store);
}

static void test_full_file_system(void **state)
{
    (void)state;
    struct fixture fixture;
    char ballast[200];
    fixture_make(&fixture);
    mount_small_disk(&fixture);
    store_prepare_process();
    fixture_beside(&fixture, ".ballast", ballast, sizeof ballast);
    write_ballast(ballast);
    struct store *store = NULL;
    assert_ok(store_open_sqlite(fixture.path, NULL, &store, NULL));
    uint64_t acked = commit_until_failure(store, "the disk is full");
    assert_true(acked > 0);
    struct certpost_error error;
    certpost_error_clear(&error);
    while (store_recover(store, &error) == CERTPOST_OK) /* a little room was left in the log */
        acked = commit_until_failure(store, "the disk is full");
    assert_non_null(strstr(error.text, "the disk is full"));
    assert_int_equal(unlink(ballast), 0);
    expect_goes_on(store, acked);
    store_close(store);
    assert_true(fixture_read_back(fixture.path, "log") >= acked + 100);
    assert_int_equal(umount(fixture.directory), 0);
    assert_int_equal(rmdir(fixture.directory), 0);
}

static void test_file_size_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    struct rlimit before;
    fixture_make(&fixture);
    store_prepare_process();
    struct store *store = NULL;
    assert_ok(store_open_sqlite(fixture.path, NULL, &store, NULL));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    uint64_t acked = commit_until_failure(store, "the disk failed while writing");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    expect_goes_on(store, acked);
    store_close(store);
    assert_true(fixture_read_back(fixture.path, "log") >= acked + 100);
    fixture_remove(&fixture);
}

UNIT_MAIN(cmocka_unit_test(test_full_file_system), cmocka_unit_test(test_file_size_limit))
