/*
 * test_net_conn.c — a connection from its handshake to its end: data, pauses, drains, endings.
 */
#include "support/conn_world.h"

static void act_pause(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_pause(owner->conn);
}

static void act_reply_and_close(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_send(owner->conn, "the reply", 9);
    net_conn_close(owner->conn);
    net_conn_close(owner->conn);
    net_conn_send(owner->conn, "too late", 8);
}

static void test_data_goes_both_ways(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_act(world, ON_DATA, act_echo);
    world_connect(world, 1);
    struct client *client = &world->clients[0];
    assert_string_equal(net_conn_state_name(world->owners[0].conn), "open");
    assert_non_null(strstr(net_conn_peer(world->owners[0].conn), "127.0.0.1:"));
    assert_string_equal(SSL_get_version(net_conn_ssl(world->owners[0].conn)), "TLSv1.3");
    client_say(client, "hello");
    run_until(world, client->received.length == 5);
    client_say(client, " again");
    run_until(world, client->received.length == 11);
    assert_text(&client->received, "hello again");
    world_free(world);
}

static void test_clean_end(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_act(world, ON_END, act_reply_and_close);
    world_connect(world, 1);
    struct owner *owner = &world->owners[0];
    client_say_bye(&world->clients[0]);
    run_until(world, world->clients[0].ended);
    assert_int_equal(world->clients[0].failed, 0);
    assert_true(world->clients[0].ended_cleanly);
    assert_text(&world->clients[0].received, "the reply");
    client_close(&world->clients[0]);
    run_until(world, owner->closes == 1);
    assert_status(owner->end_status, CERTPOST_CLOSED);
    assert_status(owner->result.status, CERTPOST_CLOSED);
    assert_true(owner->result.handshake_done);
    world_free(world);
}

static void test_truncated_end(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_act(world, ON_END, act_close);
    world_connect(world, 1);
    struct owner *owner = &world->owners[0];
    client_say(&world->clients[0], "data");
    client_shut(&world->clients[0]);
    run_until(world, owner->closes == 1);
    assert_text(&owner->received, "data");
    assert_status(owner->end_status, CERTPOST_TRUNCATED);
    assert_status(owner->result.status, CERTPOST_TRUNCATED);
    world_free(world);
}

static void test_reset(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 1);
    struct client *client = &world->clients[0];
    client->closing = true;
    assert_int_equal(uv_tcp_close_reset(&client->socket, client_on_closed), 0);
    run_until(world, world->owners[0].closes == 1);
    assert_int_equal(world->owners[0].ends, 0);
    assert_status(world->owners[0].result.status, CERTPOST_RESET);
    assert_non_null(strstr(world->owners[0].error_text, "receiving failed"));
    world_free(world);
}

static void test_a_failed_handshake_sends_its_alert(void **state)
{
    (void)state;
    struct world *world = world_new();
    SSL_CTX_set_min_proto_version(world->client_context, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(world->client_context, TLS1_2_VERSION);
    client_connect(&world->clients[0]);
    run_until(world, world->clients[0].ended);
    assert_int_equal(world->clients[0].failed, 0); /* no reset destroyed the alert */
    assert_int_equal(memory_client_handshake(&world->clients[0].tls), -1);
    client_close(&world->clients[0]);
    run_until(world, world->owners[0].closes == 1);
    assert_status(world->owners[0].result.status, CERTPOST_HANDSHAKE);
    assert_int_equal(world->owners[0].opens, 0);
    world_free(world);
}

/* A close with unread input would send a reset, which can destroy the reply on its way. */
static void test_a_reply_arrives_although_the_peer_sent_more(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_act(world, ON_DATA, act_reply_and_close);
    world_connect(world, 1);
    struct client *client = &world->clients[0];
    struct owner *owner = &world->owners[0];
    client_stop_reading(client);
    client_say(client, "first");
    run_until(world, owner->reads == 1);
    for (int i = 0; i < 50; i++)
        client_say(client, "more that nobody reads");
    run_until(world, strcmp(net_conn_state_name(owner->conn), "lingering") == 0);
    client_start_reading(client);
    run_until(world, client->ended);
    assert_int_equal(client->failed, 0);
    assert_true(client->ended_cleanly);
    assert_text(&client->received, "the reply");
    assert_int_equal(owner->closes, 0);
    client_close(client);
    run_until(world, owner->closes == 1);
    assert_int_equal(owner->reads, 1);
    assert_status(owner->result.status, CERTPOST_CLOSED);
    world_free(world);
}

static void test_pause_keeps_what_was_received(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_act(world, ON_DATA, act_pause);
    world_connect(world, 2);
    struct owner *owner = &world->owners[0];
    client_write(&world->clients[0], "one ");
    client_write(&world->clients[0], "two ");
    client_say(&world->clients[0], "three ");
    run_until(world, owner->reads == 1);
    client_say(&world->clients[1], "the memory of the loop is used again, for another connection");
    run_until(world, world->owners[1].reads == 1);
    client_say(&world->clients[0], "four");
    assert_text(&owner->received, "one ");
    net_conn_resume(owner->conn);
    assert_text(&owner->received, "one two ");
    net_conn_resume(owner->conn);
    assert_text(&owner->received, "one two three ");
    net_conn_resume(owner->conn);
    run_until(world, owner->reads == 4);
    assert_text(&owner->received, "one two three four");
    world_free(world);
}

static void test_a_paused_connection_reads_nothing(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_act(world, ON_DATA, act_pause);
    world_connect(world, 1);
    struct owner *owner = &world->owners[0];
    client_say(&world->clients[0], "one ");
    run_until(world, owner->reads == 1);
    assert_false(uv_is_active((uv_handle_t *)owner->conn)); /* its socket comes first in it */
    client_say(&world->clients[0], "two");
    client_say_bye(&world->clients[0]);
    client_shut(&world->clients[0]);
    world_act(world, ON_END, act_close);
    net_conn_resume(owner->conn);
    run_until(world, owner->closes == 1);
    assert_text(&owner->received, "one two");
    assert_status(owner->end_status, CERTPOST_CLOSED);
    world_free(world);
}

static void test_drain_delivers_what_was_received(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_act(world, ON_DATA, act_pause);
    world_connect(world, 1);
    struct owner *owner = &world->owners[0];
    client_write(&world->clients[0], "one ");
    client_write(&world->clients[0], "two ");
    client_say(&world->clients[0], "three");
    run_until(world, owner->reads == 1);
    net_conn_drain(owner->conn);
    assert_int_equal(owner->ends, 0);
    world_act(world, ON_END, act_reply_and_close);
    net_conn_resume(owner->conn);
    assert_text(&owner->received, "one two three");
    assert_int_equal(owner->ends, 1);
    assert_status(owner->end_status, CERTPOST_INTERRUPTED);
    run_until(world, world->clients[0].ended);
    assert_text(&world->clients[0].received, "the reply");
    assert_true(world->clients[0].ended_cleanly);
    world_free(world);
}

static void test_drain_of_an_idle_connection_ends_at_once(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 1);
    net_conn_drain(world->owners[0].conn);
    assert_int_equal(world->owners[0].ends, 1);
    net_conn_drain(world->owners[0].conn);
    assert_int_equal(world->owners[0].ends, 1);
    world_free(world);
}

static void test_drain_in_the_handshake_ends_it(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->clients[0].only_tcp = true;
    client_connect(&world->clients[0]);
    run_until(world, world->owner_count == 1);
    net_conn_drain(world->owners[0].conn);
    run_until(world, world->owners[0].closes == 1);
    assert_status(world->owners[0].result.status, CERTPOST_INTERRUPTED);
    assert_string_equal(world->owners[0].error_text, "the server stops");
    world_free(world);
}

UNIT_MAIN(cmocka_unit_test(test_data_goes_both_ways), cmocka_unit_test(test_clean_end),
          cmocka_unit_test(test_truncated_end), cmocka_unit_test(test_reset),
          cmocka_unit_test(test_a_failed_handshake_sends_its_alert),
          cmocka_unit_test(test_a_reply_arrives_although_the_peer_sent_more),
          cmocka_unit_test(test_pause_keeps_what_was_received),
          cmocka_unit_test(test_a_paused_connection_reads_nothing),
          cmocka_unit_test(test_drain_delivers_what_was_received),
          cmocka_unit_test(test_drain_of_an_idle_connection_ends_at_once),
          cmocka_unit_test(test_drain_in_the_handshake_ends_it))
