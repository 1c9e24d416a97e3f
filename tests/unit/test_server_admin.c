/*
 * test_server_admin.c — the admin endpoint's own part: places, time, answers of handlers.
 *
 * The clock is wrapped, so that ten seconds pass when a case says so.
 */
#include "base/clock.h"
#include "server/admin.h"
#include "support/unit.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Shorter than the library's own timeout, which would else do what is tested here. */
enum { WAIT_MS = ADMIN_DEADLINE_MS / 2, ANSWER_BYTES = 4096 };

static _Atomic int64_t passed_ms;

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);

int64_t __wrap_clock_monotonic_ms(void)
{
    return __real_clock_monotonic_ms() + atomic_load(&passed_ms);
}

static unsigned fill_hello(void *context, struct buffer *body)
{
    return buffer_append(body, context, strlen(context)) == CERTPOST_OK ? 200 : 500;
}

static unsigned fill_failure(void *context, struct buffer *body)
{
    assert_int_equal(buffer_append(body, context, strlen(context)), CERTPOST_OK);
    return 500;
}

static const struct admin_route routes[] = {
    {.path = "/hello", .content_type = "text/html", .content_policy = "ours", .fill = fill_hello},
    {.path = "/failure", .content_type = "text/html", .fill = fill_failure},
    {0},
};

struct scene {
    char folder[32];
    char address[64];
    struct admin *admin;
};

static int set_up_with(void **state, size_t places)
{
    struct scene *scene = calloc(1, sizeof *scene);
    char words[] = "hello";
    static char context[sizeof words];
    memcpy(context, words, sizeof words);
    atomic_store(&passed_ms, 0);
    memcpy(scene->folder, "/tmp/certpost-XXXXXX", sizeof "/tmp/certpost-XXXXXX");
    if (mkdtemp(scene->folder) == NULL)
        return -1;
    snprintf(scene->address, sizeof scene->address, "unix:%s/socket", scene->folder);
    const struct admin_setup setup = {
        .address = scene->address, .places = places, .routes = routes, .context = context};
    if (admin_open(&setup, &scene->admin, NULL) != CERTPOST_OK ||
        admin_start(scene->admin, NULL) != CERTPOST_OK)
        return -1;
    *state = scene;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, ADMIN_PLACES);
}

static int set_up_few(void **state)
{
    return set_up_with(state, ADMIN_PLACES_MIN);
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    admin_stop(scene->admin);
    (void)unlink(scene->address + strlen("unix:"));
    (void)rmdir(scene->folder);
    free(scene);
    return 0;
}

static int connect_to(const struct scene *scene)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(name.sun_path, sizeof name.sun_path, "%s", scene->address + strlen("unix:"));
    assert_true(made >= 0);
    assert_int_equal(connect(made, (struct sockaddr *)&name, sizeof name), 0);
    return made;
}

static void say(int connection, const char *text)
{
    assert_int_equal(send(connection, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that comes until the other side ends. */
static const char *hear(int connection)
{
    static char answer[ANSWER_BYTES];
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < sizeof answer - 1) {
        struct pollfd waited = {.fd = connection, .events = POLLIN};
        assert_int_equal(poll(&waited, 1, WAIT_MS), 1);
        got = recv(connection, answer + length, sizeof answer - 1 - length, 0);
        length += got > 0 ? (size_t)got : 0;
    }
    answer[length] = '\0';
    return answer;
}

static void expect(const char *answer, const char *piece)
{
    if (strstr(answer, piece) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", piece, answer);
}

static void test_a_route_answers_with_its_own_headers(void **state)
{
    int connection = connect_to(*state);
    say(connection, "GET /hello?unused HTTP/1.1\r\nHost: any\r\n\r\n");
    const char *answer = hear(connection);
    expect(answer, "HTTP/1.1 200 ");
    expect(answer, "Content-Type: text/html\r\n");
    expect(answer, "Content-Security-Policy: ours\r\n");
    expect(answer, "\r\n\r\nhello");
    close(connection);
}

static void test_a_handler_that_fails_shows_nothing_of_its_body(void **state)
{
    int connection = connect_to(*state);
    say(connection, "GET /failure HTTP/1.1\r\nHost: any\r\n\r\n");
    const char *answer = hear(connection);
    expect(answer, "HTTP/1.1 500 ");
    assert_null(strstr(answer, "hello"));
    close(connection);
}

/* Each byte is news to the library, and none is to the deadline. */
static void test_a_client_that_drips_is_cut(void **state)
{
    int connection = connect_to(*state);
    int fresh = connect_to(*state);
    say(connection, "G");
    atomic_store(&passed_ms, ADMIN_DEADLINE_MS / 2);
    say(connection, "E");
    atomic_store(&passed_ms, ADMIN_DEADLINE_MS + 1);
    say(connection, "T");
    assert_string_equal(hear(connection), "");
    assert_string_equal(hear(fresh), "");
    close(connection);
    close(fresh);
    atomic_store(&passed_ms, 0);
    connection = connect_to(*state);
    say(connection, "GET /hello HTTP/1.1\r\nHost: any\r\n\r\n");
    expect(hear(connection), "HTTP/1.1 200 ");
    close(connection);
}

static void check_oldest_gives_way(const struct scene *scene, size_t places)
{
    int silent[2 * ADMIN_PLACES];
    for (size_t i = 0; i < 2 * places; i++) {
        silent[i] = connect_to(scene);
        say(silent[i], "GET ");
    }
    /* Half of them were too many: exactly the older half. */
    for (size_t i = 0; i < places; i++)
        assert_string_equal(hear(silent[i]), "");
    for (size_t i = places; i < 2 * places; i++) {
        say(silent[i], "/hello HTTP/1.1\r\nHost: any\r\n\r\n");
        expect(hear(silent[i]), "HTTP/1.1 200 ");
    }
    for (size_t i = 0; i < 2 * places; i++)
        close(silent[i]);
}

static void test_the_oldest_gives_way(void **state)
{
    check_oldest_gives_way(*state, ADMIN_PLACES);
}

static void test_the_oldest_of_few_gives_way(void **state)
{
    const struct scene *scene = *state;
    check_oldest_gives_way(scene, ADMIN_PLACES_MIN);
    assert_in_range(admin_descriptors_to_come(scene->admin), 2 * ADMIN_PLACES_MIN,
                    2 * ADMIN_PLACES_MIN + 4);
}

/* It takes little where there is little, and always enough to be asked. */
static void test_places_fit_the_descriptors(void **state)
{
    (void)state;
    assert_int_equal(admin_places(0), ADMIN_PLACES_MIN);
    assert_int_equal(admin_places(100), ADMIN_PLACES_MIN);
    assert_int_equal(admin_places(512), 16);
    assert_int_equal(admin_places(1024), ADMIN_PLACES);
    assert_int_equal(admin_places(SIZE_MAX), ADMIN_PLACES);
    assert_int_equal(admin_descriptors_to_come(NULL), 0);
}

static void test_it_stops_with_connections(void **state)
{
    (void)connect_to(*state); /* tear_down stops it; the process's end closes this one */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

UNIT_MAIN(CASE(test_a_route_answers_with_its_own_headers),
          CASE(test_a_handler_that_fails_shows_nothing_of_its_body),
          CASE(test_a_client_that_drips_is_cut), CASE(test_the_oldest_gives_way),
          cmocka_unit_test_setup_teardown(test_the_oldest_of_few_gives_way, set_up_few, tear_down),
          cmocka_unit_test(test_places_fit_the_descriptors), CASE(test_it_stops_with_connections))
