/*
 * test_net_conn_time.c — the deadlines of a connection: handshake, write, close.
 */
#include "support/conn_world.h"

static void test_handshake_has_a_deadline(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->limits.timeout_ms[NET_DEADLINE_HANDSHAKE] = 30;
    world->clients[0].only_tcp = true;
    client_connect(&world->clients[0]);
    run_until(world, world->owners[0].closes == 1);
    assert_status(world->owners[0].result.status, CERTPOST_TIMEOUT);
    assert_false(world->owners[0].result.handshake_done);
    assert_string_equal(world->owners[0].error_text, "the TLS handshake was not complete in time");
    world_free(world);
}

static bool dripped_until_closed(struct client *client, const struct owner *owner)
{
    unsigned char byte = 0;
    if (owner->closes == 0 && memory_client_take(&client->tls, &byte, 1) == 1)
        client_send_bytes(client, &byte, 1);
    return owner->closes == 1;
}

/* A byte now and then must not keep the deadline away. */
static void test_bytes_do_not_extend_the_handshake(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->limits.timeout_ms[NET_DEADLINE_HANDSHAKE] = 60;
    struct client *client = &world->clients[0];
    client->only_tcp = true;
    client_connect(client);
    run_until(world, client->connected);
    (void)memory_client_handshake(&client->tls);
    run_until(world, dripped_until_closed(client, &world->owners[0]));
    assert_status(world->owners[0].result.status, CERTPOST_TIMEOUT);
    world_free(world);
}

static void test_the_deadline_of_the_handshake_ends_with_it(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->limits.timeout_ms[NET_DEADLINE_HANDSHAKE] = 2000;
    world_connect(world, 1);
    uint64_t until_ms = uv_now(&world->loop) + 2100;
    run_until(world, uv_now(&world->loop) > until_ms);
    assert_int_equal(world->owners[0].closes, 0);
    world_free(world);
}

static void act_mind_silence(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_mind_silence(owner->conn);
    net_conn_wake_at(owner->conn, uv_now(&owner->world->loop) + 30000);
    net_conn_wake_at(owner->conn, uv_now(&owner->world->loop) + 60); /* in place of it */
}

/* An owner that minds the silence itself is called when it asked, once, and nothing else ends it.
 */
static void test_an_owner_can_mind_the_silence_itself(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->limits.timeout_ms[NET_DEADLINE_FIRST_BYTE] = 20;
    world->limits.timeout_ms[NET_DEADLINE_IDLE] = 20;
    world_act(world, ON_OPEN, act_mind_silence);
    world_connect(world, 1);
    uint64_t opened_ms = uv_now(&world->loop);
    client_say(&world->clients[0], "data does not start the idle time");
    run_until(world, world->owners[0].times == 1);
    assert_true(uv_now(&world->loop) >= opened_ms + 50);
    uint64_t until_ms = uv_now(&world->loop) + 100;
    run_until(world, uv_now(&world->loop) > until_ms);
    assert_int_equal(world->owners[0].times, 1);
    assert_int_equal(world->owners[0].ends, 0);
    world_act(world, ON_TIME, act_close);
    net_conn_wake_at(world->owners[0].conn, uv_now(&world->loop) + 10);
    run_until(world, world->owners[0].times == 2 && world->clients[0].ended);
    assert_true(world->clients[0].ended_cleanly);
    world_free(world);
}

static void test_a_peer_that_reads_nothing_is_ended(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->limits.timeout_ms[NET_DEADLINE_WRITE] = 50;
    world->burst_bytes = BURST_BYTES;
    world_act(world, ON_DATA, act_burst);
    world_connect(world, 1);
    client_stop_reading(&world->clients[0]);
    client_say(&world->clients[0], "go");
    run_until(world, world->owners[0].closes == 1);
    assert_status(world->owners[0].result.status, CERTPOST_TIMEOUT);
    assert_string_equal(world->owners[0].error_text, "the peer took no data for too long");
    world_free(world);
}

/* One piece in each turn of the loop's timer; true when all has come. */
static bool read_a_little(struct client *client)
{
    struct world *world = client->world;
    uint64_t until_ms = uv_now(&world->loop) + TURN_MS;
    client->read_limit_bytes = client->received.length + 1;
    client_start_reading(client);
    while (uv_now(&world->loop) < until_ms)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    return client->received.length == world->burst_bytes;
}

/* Slow is not dead: while some of it goes out in every span of the timeout, the peer stays. */
static void test_progress_extends_the_write_deadline(void **state)
{
    (void)state;
    enum { TIMEOUT_MS = 500, SLOW_FOR_MS = 3 * TIMEOUT_MS };
    struct world *world = world_new();
    world->limits.timeout_ms[NET_DEADLINE_WRITE] = TIMEOUT_MS;
    world->burst_bytes = BURST_BYTES * 3;
    world_act(world, ON_DATA, act_burst);
    world_connect(world, 1);
    struct client *client = &world->clients[0];
    client_say(client, "go");
    uint64_t until_ms = uv_now(&world->loop) + SLOW_FOR_MS;
    run_until(world, read_a_little(client) || uv_now(&world->loop) > until_ms ||
                         world->owners[0].closes > 0);
    assert_int_equal(world->owners[0].closes, 0);
    assert_true(client->received.length < world->burst_bytes);
    client_stop_reading(client);
    run_until(world, world->owners[0].closes == 1);
    assert_status(world->owners[0].result.status, CERTPOST_TIMEOUT);
    assert_pattern(&client->received);
    world_free(world);
}

static void test_lingering_has_a_deadline(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->limits.timeout_ms[NET_DEADLINE_CLOSE] = 30;
    world_act(world, ON_DATA, act_close);
    world_connect(world, 1);
    client_say(&world->clients[0], "hello");
    run_until(world, world->owners[0].closes == 1);
    assert_status(world->owners[0].result.status, CERTPOST_CLOSED);
    world_free(world);
}

UNIT_MAIN(cmocka_unit_test(test_an_owner_can_mind_the_silence_itself),
          cmocka_unit_test(test_handshake_has_a_deadline),
          cmocka_unit_test(test_bytes_do_not_extend_the_handshake),
          cmocka_unit_test(test_the_deadline_of_the_handshake_ends_with_it),
          cmocka_unit_test(test_a_peer_that_reads_nothing_is_ended),
          cmocka_unit_test(test_progress_extends_the_write_deadline),
          cmocka_unit_test(test_lingering_has_a_deadline))
