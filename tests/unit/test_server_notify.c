/*
 * test_server_notify.c — what a service manager is told, in which order, and that telling it never
 * waits.
 *
 * send is wrapped by the linker (tests/CMakeLists.txt), so that one can fail.
 */
#include "base/clock.h"
#include "server/notify.h"
#include "support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DATAGRAM_BYTES = 1024, STUFFING_MAX = 100 * 1000 };

static int send_errno; /* of the next; 0: it is sent */

ssize_t __real_send(int descriptor, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int descriptor, const void *bytes, size_t length, int flags);

ssize_t __wrap_send(int descriptor, const void *bytes, size_t length, int flags)
{
    /* Without these two, the server could wait, or be ended by a signal. */
    assert_int_equal(flags, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (send_errno == 0)
        return __real_send(descriptor, bytes, length, flags);
    errno = send_errno;
    send_errno = 0;
    return -1;
}

struct manager {
    char folder[64];
    char path[96];
    char address[97]; /* as NOTIFY_SOCKET has it */
    int socket;
    struct notify *notify;
};

static void manager_listen(struct manager *manager, const struct sockaddr_un *address,
                           size_t name_length)
{
    manager->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager->socket >= 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_length);
    assert_return_code(bind(manager->socket, (const struct sockaddr *)address, length), errno);
}

static void manager_begin(struct manager *manager, bool is_abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *manager = (struct manager){.folder = "/tmp/certpost-notify-XXXXXX"};
    assert_non_null(mkdtemp(manager->folder));
    snprintf(manager->path, sizeof manager->path, "%s/socket", manager->folder);
    manager->address[0] = '@';
    memcpy(manager->address + is_abstract, manager->path, strlen(manager->path) + 1);
    memcpy(address.sun_path + is_abstract, manager->path, strlen(manager->path) + 1);
    /* A path ends with a NUL; an abstract name begins with one, and its length is its end. */
    manager_listen(manager, &address, strlen(manager->path) + 1);
    assert_ok(notify_open(manager->address, &manager->notify, NULL));
    assert_true(notify_is_heard(manager->notify));
}

static void manager_end(struct manager *manager)
{
    notify_close(manager->notify);
    if (manager->socket >= 0)
        close(manager->socket);
    (void)unlink(manager->path);
    assert_return_code(rmdir(manager->folder), errno);
}

/* The next datagram; "" when there is none. */
static const char *hear(const struct manager *manager)
{
    static char text[DATAGRAM_BYTES];
    ssize_t length = recv(manager->socket, text, sizeof text - 1, MSG_DONTWAIT);
    text[length < 0 ? 0 : length] = '\0';
    return text;
}

/* The number that a datagram of this one line has after so much. */
static int64_t number_after(const char *datagram, const char *before)
{
    char *end = NULL;
    assert_int_equal(strncmp(datagram, before, strlen(before)), 0);
    long long number = strtoll(datagram + strlen(before), &end, 10);
    assert_string_equal(end, "\n");
    return number;
}

/* As many datagrams of somebody else as the manager's queue takes. */
static void stuff(const struct manager *manager)
{
    struct notify *other = NULL;
    assert_ok(notify_open(manager->address, &other, NULL));
    int sent = 0;
    do
        notify_alive(other);
    while (notify_flush(other) && ++sent < STUFFING_MAX);
    assert_true(sent > 0 && sent < STUFFING_MAX);
    notify_close(other);
}

static void unstuff(const struct manager *manager)
{
    while (strcmp(hear(manager), "WATCHDOG=1\n") == 0)
        ;
}

static void test_each_fact_is_a_line(void **state)
{
    struct manager manager;
    (void)state;
    manager_begin(&manager, false);
    notify_ready(manager.notify);
    assert_string_equal(hear(&manager), "READY=1\n");
    notify_status(manager.notify, "all is well");
    assert_string_equal(hear(&manager), "STATUS=all is well\n");
    notify_alive(manager.notify);
    assert_string_equal(hear(&manager), "WATCHDOG=1\n");
    notify_stopping(manager.notify);
    assert_string_equal(hear(&manager), "STOPPING=1\n");
    assert_string_equal(hear(&manager), "");
    manager_end(&manager);
}

static void test_an_abstract_address(void **state)
{
    struct manager manager;
    (void)state;
    manager_begin(&manager, true);
    notify_ready(manager.notify);
    assert_string_equal(hear(&manager), "READY=1\n");
    manager_end(&manager);
}

static void test_a_reload_says_since_when(void **state)
{
    struct manager manager;
    (void)state;
    manager_begin(&manager, false);
    int64_t before_us = clock_monotonic_ms() * 1000;
    notify_reloading(manager.notify);
    int64_t after_us = (clock_monotonic_ms() + 1) * 1000;
    int64_t since_us = number_after(hear(&manager), "RELOADING=1\nMONOTONIC_USEC=");
    assert_true(before_us <= since_us && since_us <= after_us);
    notify_ready(manager.notify);
    assert_string_equal(hear(&manager), "READY=1\n");
    manager_end(&manager);
}

static void test_more_time_is_what_is_left_of_it(void **state)
{
    struct manager manager;
    (void)state;
    manager_begin(&manager, false);
    notify_extend(manager.notify, clock_deadline_ms(60 * 1000));
    int64_t left_us = number_after(hear(&manager), "EXTEND_TIMEOUT_USEC=");
    assert_true(left_us > 50 * 1000000 && left_us <= 60 * 1000000);
    notify_extend(manager.notify, clock_monotonic_ms() - 1);
    assert_string_equal(hear(&manager), "");
    assert_true(notify_flush(manager.notify));
    manager_end(&manager);
}

static void test_the_same_line_is_told_once(void **state)
{
    struct manager manager;
    (void)state;
    manager_begin(&manager, false);
    notify_status(manager.notify, "one");
    notify_status(manager.notify, "one");
    notify_status(manager.notify, "two");
    assert_string_equal(hear(&manager), "STATUS=one\n");
    assert_string_equal(hear(&manager), "STATUS=two\n");
    assert_string_equal(hear(&manager), "");
    manager_end(&manager);
}

static void test_a_long_line_is_cut(void **state)
{
    struct manager manager;
    char line[4 * NOTIFY_STATUS_BYTES];
    (void)state;
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    manager_begin(&manager, false);
    notify_status(manager.notify, line);
    assert_int_equal(strlen(hear(&manager)), strlen("STATUS=\n") + NOTIFY_STATUS_BYTES - 1);
    manager_end(&manager);
}

static void test_a_full_queue_is_never_waited_for(void **state)
{
    struct manager manager;
    (void)state;
    manager_begin(&manager, false);
    stuff(&manager);
    notify_reloading(manager.notify);
    notify_ready(manager.notify);
    notify_status(manager.notify, "old");
    notify_status(manager.notify, "new");
    assert_false(notify_flush(manager.notify));
    assert_true(notify_is_heard(manager.notify));
    unstuff(&manager);
    assert_true(notify_flush(manager.notify));
    /* In order, each once, with the newest line. */
    const char *first = hear(&manager);
    assert_non_null(strstr(first, "RELOADING=1\nMONOTONIC_USEC="));
    assert_non_null(strstr(first, "STATUS=new\n"));
    assert_string_equal(hear(&manager), "READY=1\n");
    assert_string_equal(hear(&manager), "");
    manager_end(&manager);
}

static void test_the_end_overtakes_what_was_not_heard(void **state)
{
    struct manager manager;
    (void)state;
    manager_begin(&manager, false);
    stuff(&manager);
    notify_reloading(manager.notify);
    notify_ready(manager.notify);
    notify_stopping(manager.notify);
    unstuff(&manager);
    assert_true(notify_flush(manager.notify));
    assert_string_equal(hear(&manager), "STOPPING=1\n");
    assert_string_equal(hear(&manager), "");
    manager_end(&manager);
}

static void test_a_manager_that_goes_is_given_up(void **state)
{
    struct manager manager;
    (void)state;
    manager_begin(&manager, false);
    close(manager.socket);
    manager.socket = -1;
    notify_alive(manager.notify);
    assert_false(notify_is_heard(manager.notify));
    notify_ready(manager.notify);
    assert_true(notify_flush(manager.notify));
    manager_end(&manager);
}

static void test_errors_that_pass_are_waited_out(void **state)
{
    static const int passing[] = {EAGAIN, EINTR, ENOBUFS, ENOMEM};
    struct manager manager;
    (void)state;
    manager_begin(&manager, false);
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        send_errno = passing[i];
        notify_alive(manager.notify);
        assert_string_equal(hear(&manager), "");
        assert_true(notify_flush(manager.notify));
        assert_string_equal(hear(&manager), "WATCHDOG=1\n");
    }
    send_errno = EPERM;
    notify_alive(manager.notify);
    assert_false(notify_is_heard(manager.notify));
    manager_end(&manager);
}

static void check_refused(const char *address, enum certpost_status status, const char *words)
{
    struct notify *notify = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(notify_open(address, &notify, &error), status);
    assert_null(notify);
    assert_non_null(strstr(certpost_error_text(&error, status), words));
}

static void test_addresses_that_cannot_be_reached(void **state)
{
    char address[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    (void)state;
    check_refused("/nowhere/at/all", CERTPOST_SYSTEM, "/nowhere/at/all: No such file");
    check_refused("@nobody listens here", CERTPOST_SYSTEM, "Connection refused");
    check_refused("relative", CERTPOST_USAGE, "neither a path");
    check_refused("vsock:2:1234", CERTPOST_USAGE, "neither a path");
    check_refused("/", CERTPOST_USAGE, "neither a path");
    check_refused("@", CERTPOST_USAGE, "neither a path");
    memset(address, 'x', sizeof address - 1);
    address[0] = '/';
    address[sizeof address - 1] = '\0';
    check_refused(address, CERTPOST_USAGE, "108 bytes, and a socket's address at most 107");
    /* The longest that is possible is only not there. */
    address[sizeof address - 2] = '\0';
    check_refused(address, CERTPOST_SYSTEM, "No such file");
}

static void test_nobody_to_tell(void **state)
{
    struct notify *notify = (struct notify *)1;
    (void)state;
    assert_ok(notify_open("", &notify, NULL));
    assert_null(notify);
    assert_ok(notify_open(NULL, &notify, NULL));
    assert_null(notify);
    assert_false(notify_is_heard(NULL));
    notify_ready(NULL);
    notify_reloading(NULL);
    notify_stopping(NULL);
    notify_extend(NULL, 1);
    notify_status(NULL, "x");
    notify_alive(NULL);
    assert_true(notify_flush(NULL));
    notify_close(NULL);
}

UNIT_MAIN(cmocka_unit_test(test_each_fact_is_a_line), cmocka_unit_test(test_an_abstract_address),
          cmocka_unit_test(test_a_reload_says_since_when),
          cmocka_unit_test(test_more_time_is_what_is_left_of_it),
          cmocka_unit_test(test_the_same_line_is_told_once),
          cmocka_unit_test(test_a_long_line_is_cut),
          cmocka_unit_test(test_a_full_queue_is_never_waited_for),
          cmocka_unit_test(test_the_end_overtakes_what_was_not_heard),
          cmocka_unit_test(test_a_manager_that_goes_is_given_up),
          cmocka_unit_test(test_errors_that_pass_are_waited_out),
          cmocka_unit_test(test_addresses_that_cannot_be_reached),
          cmocka_unit_test(test_nobody_to_tell))
