/*
 * test_net_conn_output.c — what connections send: all of it, to the right peer, and not too much.
 */
#include "support/conn_world.h"

/* The peer has ended, cleanly, while much is still to be sent to it: all of it arrives. */
static void test_the_end_comes_while_output_waits(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->burst_bytes = BURST_BYTES;
    world_act(world, ON_DATA, act_burst);
    world_connect(world, 1);
    struct client *client = &world->clients[0];
    struct owner *owner = &world->owners[0];
    client_stop_reading(client);
    client_say(client, "go");
    run_until(world, owner->reads == 1);
    assert_true(net_conn_output_is_full(owner->conn));
    client_say_bye(client);
    client_shut(client);
    client_start_reading(client);
    world_act(world, ON_END, act_close);
    run_until(world, client->ended);
    assert_int_equal(client->failed, 0);
    assert_int_equal(client->received.length, BURST_BYTES);
    assert_pattern(&client->received);
    assert_true(client->ended_cleanly);
    run_until(world, owner->closes == 1);
    assert_status(owner->end_status, CERTPOST_CLOSED);
    assert_true(owner->writables > 0);
    world_free(world);
}

static void test_close_sends_all_that_was_gathered(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 1);
    struct client *client = &world->clients[0];
    send_pattern(world->owners[0].conn, BURST_BYTES);
    net_conn_close(world->owners[0].conn);
    run_until(world, client->ended);
    assert_int_equal(client->received.length, BURST_BYTES);
    assert_pattern(&client->received);
    assert_true(client->ended_cleanly);
    world_free(world);
}

/* ------------------------------------------------------------------------------ two connections */

/* What either peer says goes to both, in turns. */
static void act_send_to_both(struct owner *owner, enum callback callback)
{
    (void)callback;
    struct world *world = owner->world;
    for (int round = 0; round < 3; round++) {
        net_conn_send(world->owners[0].conn, "AAAA", 4);
        net_conn_send(world->owners[1].conn, "BBBB", 4);
    }
}

static void test_bytes_of_two_connections_never_mix(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 2);
    world_act(world, ON_DATA, act_send_to_both);
    client_say(&world->clients[0], "go");
    run_until(world, world->owners[0].reads == 1);
    net_scratch_flush(&world->scratch);
    client_say(&world->clients[1], "go");
    run_until(world, world->owners[1].reads == 1);
    net_scratch_flush(&world->scratch);
    run_until(world,
              world->clients[0].received.length == 24 && world->clients[1].received.length == 24);
    assert_text(&world->clients[0].received, "AAAAAAAAAAAAAAAAAAAAAAAA");
    assert_text(&world->clients[1].received, "BBBBBBBBBBBBBBBBBBBBBBBB");
    world_free(world);
}

static void act_send_to_second(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_send(owner->world->owners[1].conn, "for the second", 14);
}

/* After its handler has gathered bytes for another, the first connection answers a key update. */
static void test_an_answer_of_tls_goes_to_its_own_peer(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 2);
    world_act(world, ON_DATA, act_send_to_second);
    struct client *first = &world->clients[0];
    client_write(first, "go");
    for (int i = 0; i < 2; i++) { /* OpenSSL answers one when it meets the next */
        assert_int_equal(SSL_key_update(first->tls.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(memory_client_handshake(&first->tls), 1);
    }
    client_say(first, "go");
    run_until(world, world->owners[0].reads == 2);
    net_scratch_flush(&world->scratch);
    world_act(world, ON_DATA, act_echo);
    buffer_clear(&world->owners[0].received);
    client_say(first, "echo");
    run_until(world, first->received.length == 4 && world->clients[1].received.length == 28);
    assert_text(&first->received, "echo");
    assert_text(&world->clients[1].received, "for the secondfor the second");
    world_free(world);
}

/* The first connection breaks the rules after its handler has gathered bytes for the second. */
static void test_a_failure_costs_no_other_connection_its_bytes(void **state)
{
    (void)state;
    static const char forged[] = "\x17\x03\x03\x00\x14 this is not encrypted";
    struct world *world = world_new();
    world_connect(world, 2);
    world_act(world, ON_DATA, act_send_to_second);
    struct client *first = &world->clients[0];
    char sent[256];
    client_write(first, "go");
    size_t length = memory_client_take(&first->tls, sent, sizeof sent - sizeof forged);
    memcpy(sent + length, forged, sizeof forged - 1);
    client_send_bytes(first, sent, length + sizeof forged - 1);
    run_until(world, first->ended);
    net_scratch_flush(&world->scratch);
    run_until(world, world->clients[1].received.length == 14);
    assert_text(&world->clients[1].received, "for the second");
    client_close(first);
    run_until(world, world->owners[0].closes == 1);
    assert_status(world->owners[0].result.status, CERTPOST_PROTOCOL);
    world_free(world);
}

/* ------------------------------------------------------------------------------ back-pressure */

/* Whoever was told that the output is full waits for on_writable: it has to come. */
static void test_full_output_is_followed_by_writable(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 1);
    struct owner *owner = &world->owners[0];
    size_t sent = 0;
    while (!net_conn_output_is_full(owner->conn) && sent < 2 * BURST_BYTES) {
        send_pattern(owner->conn, PATTERN_BYTES);
        sent += PATTERN_BYTES;
    }
    bool was_full = net_conn_output_is_full(owner->conn);
    net_scratch_flush(&world->scratch);
    run_until(world, world->clients[0].received.length == sent);
    if (was_full)
        run_until(world, owner->writables > 0);
    assert_false(net_conn_output_is_full(owner->conn));
    assert_pattern(&world->clients[0].received);
    world_free(world);
}

static void test_another_connections_output_does_not_count(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 2);
    client_stop_reading(&world->clients[0]);
    send_pattern(world->owners[0].conn, BURST_BYTES);
    assert_false(net_conn_output_is_full(world->owners[1].conn));
    world_free(world);
}

/* More output, made while the queue shrinks, must not make the waiting owner forgotten. */
static void test_writable_comes_although_more_was_sent_meanwhile(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 1);
    struct client *client = &world->clients[0];
    struct owner *owner = &world->owners[0];
    client_stop_reading(client);
    size_t sent = 0;
    while (!net_conn_output_is_full(owner->conn)) {
        send_pattern(owner->conn, PATTERN_BYTES);
        net_conn_flush(owner->conn);
        sent += PATTERN_BYTES;
    }
    size_t full_bytes = uv_stream_get_write_queue_size((uv_stream_t *)owner->conn);
    client_start_reading(client);
    run_until(world, uv_stream_get_write_queue_size((uv_stream_t *)owner->conn) <
                         full_bytes - NET_CONN_OUTPUT_HIGH_BYTES / 8);
    client_stop_reading(client);
    if (owner->writables == 0)
        assert_true(net_conn_output_is_full(owner->conn));
    send_pattern(owner->conn, PATTERN_BYTES);
    net_conn_flush(owner->conn);
    sent += PATTERN_BYTES;
    client_start_reading(client);
    run_until(world, client->received.length == sent);
    assert_true(owner->writables > 0);
    assert_pattern(&client->received);
    world_free(world);
}

UNIT_MAIN(cmocka_unit_test(test_the_end_comes_while_output_waits),
          cmocka_unit_test(test_close_sends_all_that_was_gathered),
          cmocka_unit_test(test_bytes_of_two_connections_never_mix),
          cmocka_unit_test(test_an_answer_of_tls_goes_to_its_own_peer),
          cmocka_unit_test(test_a_failure_costs_no_other_connection_its_bytes),
          cmocka_unit_test(test_full_output_is_followed_by_writable),
          cmocka_unit_test(test_another_connections_output_does_not_count),
          cmocka_unit_test(test_writable_comes_although_more_was_sent_meanwhile))
