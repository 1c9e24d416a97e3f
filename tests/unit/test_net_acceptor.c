/*
 * test_net_acceptor.c — taking connections off a listening socket: in batches, only with a place
 * kept, and after a rest when the machine has run out of something.
 *
 * accept4 is wrapped by the linker (tests/CMakeLists.txt): it counts, and fails on demand.
 */
#include "net/acceptor.h"
#include "support/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { CLIENTS_MAX = 200, BATCH = 64, GUARD_MS = 20 * 1000 };

static int accept_calls;
static int accept_failures; /* so many calls fail */
static int accept_errno;    /* with this */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker names them */
int __real_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

int __wrap_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags)
{
    accept_calls++;
    if (accept_failures > 0) {
        accept_failures--;
        errno = accept_errno;
        return -1;
    }
    return __real_accept4(descriptor, address, length, flags);
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

struct stage {
    uv_loop_t loop;
    uv_timer_t guard;
    struct net_acceptor acceptor;
    struct sockaddr_in address;
    int clients[CLIENTS_MAX];
    int client_count;
    int accepted;
    int stop_at; /* the loop stops when so many have been accepted */
    int places;
    int reserved;
    int released;
    int refused;
    int exhausted;
    int exhausted_errno;
    int accepted_in_turn;
    int most_in_turn;
    uv_prepare_t turn;
};

static bool stage_reserve(void *owner)
{
    struct stage *stage = owner;
    if (stage->places == 0) {
        stage->refused++;
        uv_stop(&stage->loop);
        return false;
    }
    stage->places--;
    stage->reserved++;
    return true;
}

static void stage_release(void *owner)
{
    struct stage *stage = owner;
    stage->places++;
    stage->released++;
}

static void stage_on_accepted(void *owner, int descriptor, const struct sockaddr *peer)
{
    struct stage *stage = owner;
    assert_int_equal(peer->sa_family, AF_INET);
    close(descriptor);
    if (++stage->accepted_in_turn > stage->most_in_turn)
        stage->most_in_turn = stage->accepted_in_turn;
    if (++stage->accepted == stage->stop_at)
        uv_stop(&stage->loop);
}

static void stage_on_exhausted(void *owner, int system_errno)
{
    struct stage *stage = owner;
    stage->exhausted++;
    stage->exhausted_errno = system_errno;
}

static const struct net_acceptor_handler stage_handler = {
    .reserve = stage_reserve,
    .release = stage_release,
    .on_accepted = stage_on_accepted,
    .on_exhausted = stage_on_exhausted,
};

static void stage_on_turn(uv_prepare_t *turn)
{
    ((struct stage *)turn->data)->accepted_in_turn = 0;
}

static void stage_on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing has happened for too long");
}

static void stage_init(struct stage *stage, int places)
{
    *stage = (struct stage){.places = places, .address.sin_family = AF_INET};
    struct certpost_error error;
    certpost_error_clear(&error);
    accept_calls = 0;
    accept_failures = 0;
    stage->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof stage->address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&stage->address, length), 0);
    assert_int_equal(uv_loop_init(&stage->loop), 0);
    assert_ok(net_acceptor_start(&stage->acceptor, &stage->loop, descriptor, &stage_handler, stage,
                                 &error));
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&stage->address, &length), 0);
    assert_int_equal(uv_timer_init(&stage->loop, &stage->guard), 0);
    assert_int_equal(uv_timer_start(&stage->guard, stage_on_guard, GUARD_MS, 0), 0);
    assert_int_equal(uv_prepare_init(&stage->loop, &stage->turn), 0);
    stage->turn.data = stage;
    assert_int_equal(uv_prepare_start(&stage->turn, stage_on_turn), 0);
}

static void stage_connect(struct stage *stage, int count)
{
    for (int i = 0; i < count; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&stage->address, sizeof stage->address),
                         0);
        stage->clients[stage->client_count++] = client;
    }
}

static void stage_run_until(struct stage *stage, int accepted)
{
    stage->stop_at = accepted;
    (void)uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(stage->accepted, accepted);
}

static void stage_end(struct stage *stage)
{
    net_acceptor_close(&stage->acceptor);
    net_acceptor_close(&stage->acceptor); /* twice does no harm */
    uv_close((uv_handle_t *)&stage->guard, NULL);
    uv_close((uv_handle_t *)&stage->turn, NULL);
    (void)uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
    for (int i = 0; i < stage->client_count; i++)
        close(stage->clients[i]);
    /* Every place that was kept was used or given back. */
    assert_int_equal(stage->reserved, stage->accepted + stage->released);
}

static void test_accepts_all_in_batches(void **state)
{
    (void)state;
    struct stage stage;
    stage_init(&stage, CLIENTS_MAX * 2);
    stage_connect(&stage, CLIENTS_MAX);
    stage_run_until(&stage, CLIENTS_MAX);
    assert_int_equal(stage.most_in_turn, BATCH);
    stage_end(&stage);
}

static void test_a_shared_socket_gives_one_in_a_turn(void **state)
{
    (void)state;
    struct stage stage;
    stage_init(&stage, CLIENTS_MAX);
    net_acceptor_share(&stage.acceptor);
    stage_connect(&stage, BATCH);
    stage_run_until(&stage, BATCH);
    assert_int_equal(stage.most_in_turn, 1);
    stage_end(&stage);
}

static void test_without_a_place_it_waits_for_resume(void **state)
{
    (void)state;
    struct stage stage;
    stage_init(&stage, 3);
    stage_connect(&stage, 5);
    (void)uv_run(&stage.loop, UV_RUN_DEFAULT); /* to the first "no" */
    assert_int_equal(stage.accepted, 3);
    assert_int_equal(stage.refused, 1);
    for (int i = 0; i < 100; i++)
        (void)uv_run(&stage.loop, UV_RUN_NOWAIT);
    assert_int_equal(stage.refused, 1); /* it does not ask again and again */
    assert_int_equal(accept_calls, 3);
    net_acceptor_resume(&stage.acceptor); /* still no place: one more "no" */
    (void)uv_run(&stage.loop, UV_RUN_DEFAULT);
    assert_int_equal(stage.refused, 2);
    stage.places = 10;
    net_acceptor_resume(&stage.acceptor);
    net_acceptor_resume(&stage.acceptor);
    stage_run_until(&stage, 5);
    stage_end(&stage);
}

static void assert_rests_after(int system_errno)
{
    struct stage stage;
    stage_init(&stage, 10);
    stage_connect(&stage, 2);
    accept_errno = system_errno;
    accept_failures = 3;
    uint64_t begin_ns = uv_hrtime();
    stage_run_until(&stage, 2);
    uint64_t took_ms = (uv_hrtime() - begin_ns) / 1000000;
    assert_int_equal(stage.exhausted, 3);
    assert_int_equal(stage.exhausted_errno, system_errno);
    /* Three rests, and not one call more than failures and connections (and a look for more). */
    assert_in_range(took_ms, 3 * NET_ACCEPTOR_REST_MS - 5, GUARD_MS);
    assert_in_range(accept_calls, 5, 6);
    stage_end(&stage);
}

static void test_rests_without_descriptors(void **state)
{
    (void)state;
    assert_rests_after(EMFILE);
    assert_rests_after(ENFILE);
}

static void test_rests_without_memory(void **state)
{
    (void)state;
    assert_rests_after(ENOBUFS);
    assert_rests_after(ENOMEM);
}

static void test_resume_does_not_shorten_the_rest(void **state)
{
    (void)state;
    struct stage stage;
    stage_init(&stage, 10);
    stage_connect(&stage, 1);
    accept_errno = EMFILE;
    accept_failures = 1;
    uint64_t begin_ns = uv_hrtime();
    while (stage.exhausted == 0)
        (void)uv_run(&stage.loop, UV_RUN_ONCE);
    for (int i = 0; i < 100; i++) {
        net_acceptor_resume(&stage.acceptor);
        (void)uv_run(&stage.loop, UV_RUN_NOWAIT);
    }
    stage_run_until(&stage, 1);
    assert_in_range((uv_hrtime() - begin_ns) / 1000000, NET_ACCEPTOR_REST_MS - 5, GUARD_MS);
    stage_end(&stage);
}

/* What concerns one connection only is no reason to rest. */
static void test_a_lost_connection_is_passed_over(void **state)
{
    (void)state;
    static const int lost[] = {ECONNABORTED, EINTR, EPROTO, ENETDOWN, EHOSTUNREACH, EPERM};
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        struct stage stage;
        stage_init(&stage, 10);
        stage_connect(&stage, 1);
        accept_errno = lost[i];
        accept_failures = 2;
        uint64_t begin_ns = uv_hrtime();
        stage_run_until(&stage, 1);
        assert_true((uv_hrtime() - begin_ns) / 1000000 < GUARD_MS);
        assert_int_equal(stage.exhausted, 0);
        stage_end(&stage);
    }
}

static void test_close_during_the_rest(void **state)
{
    (void)state;
    struct stage stage;
    stage_init(&stage, 10);
    stage_connect(&stage, 1);
    accept_errno = EMFILE;
    accept_failures = 1;
    while (stage.exhausted == 0)
        (void)uv_run(&stage.loop, UV_RUN_ONCE);
    stage_end(&stage);
    assert_int_equal(stage.accepted, 0);
}

/* Of a listening socket, Linux shows the bound of its queue there. */
static uint32_t queue_bound(int descriptor)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    assert_int_equal(getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info.tcpi_sacked;
}

static void test_a_socket_that_listens_keeps_its_queue(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct net_acceptor acceptor;
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(descriptor, 7), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_ok(net_acceptor_start(&acceptor, &loop, descriptor, &stage_handler, NULL, NULL));
    assert_int_equal(queue_bound(descriptor), 7);
    net_acceptor_close(&acceptor);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_a_socket_that_cannot_listen(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct net_acceptor acceptor;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_int_equal(uv_loop_init(&loop), 0);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_status(net_acceptor_start(&acceptor, &loop, ends[0], &stage_handler, NULL, &error),
                  CERTPOST_SYSTEM);
    assert_int_equal(close(ends[0]), -1); /* it was taken over, also on failure */
    close(ends[1]);
    assert_int_equal(uv_loop_close(&loop), 0);
}

UNIT_MAIN(cmocka_unit_test(test_accepts_all_in_batches),
          cmocka_unit_test(test_a_shared_socket_gives_one_in_a_turn),
          cmocka_unit_test(test_without_a_place_it_waits_for_resume),
          cmocka_unit_test(test_rests_without_descriptors),
          cmocka_unit_test(test_rests_without_memory),
          cmocka_unit_test(test_resume_does_not_shorten_the_rest),
          cmocka_unit_test(test_a_lost_connection_is_passed_over),
          cmocka_unit_test(test_close_during_the_rest),
          cmocka_unit_test(test_a_socket_that_listens_keeps_its_queue),
          cmocka_unit_test(test_a_socket_that_cannot_listen))
