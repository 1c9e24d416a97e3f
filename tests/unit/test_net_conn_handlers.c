/*
 * test_net_conn_handlers.c — what an owner does to connections from inside its callbacks.
 */
#include "support/conn_world.h"

static void act_abort(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_abort(owner->conn, CERTPOST_LIMIT, "enough");
}

static void act_drain(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_drain(owner->conn);
}

static void check_action_inside(enum callback callback,
                                void (*action)(struct owner *owner, enum callback callback),
                                enum certpost_status expected)
{
    struct world *world = world_new();
    struct client *client = &world->clients[0];
    world->burst_bytes = BURST_BYTES;
    if (callback == ON_WRITABLE)
        world_act(world, ON_DATA, act_burst);
    else
        world_act(world, callback, action);
    client_connect(client);
    run_until(world, client->open || client->ended);
    if (!client->ended && !client->ended_cleanly) {
        client_write(client, "one");
        client_say(client, "two");
        client_say_bye(client);
        run_until(world,
                  world->owners[0].reads > 0 || world->owners[0].closes > 0 || client->ended);
    }
    if (callback == ON_WRITABLE)
        world_act(world, callback, action);
    run_until(world, client->ended || world->owners[0].closes == 1);
    client_close(client);
    run_until(world, world->owners[0].closes == 1);
    assert_status(world->owners[0].result.status, expected);
    world_free(world);
}

static const enum callback callbacks[] = {ON_OPEN, ON_DATA, ON_END, ON_WRITABLE};
enum { CALLBACKS = sizeof callbacks / sizeof callbacks[0] };

static void test_abort_inside_each_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < CALLBACKS; i++)
        check_action_inside(callbacks[i], act_abort,
                            callbacks[i] == ON_END ? CERTPOST_CLOSED : CERTPOST_LIMIT);
}

static void test_close_inside_each_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < CALLBACKS; i++)
        check_action_inside(callbacks[i], act_close, CERTPOST_CLOSED);
}

static void act_send_then_abort(struct owner *owner, enum callback callback)
{
    send_pattern(owner->conn, BURST_BYTES / 8);
    act_abort(owner, callback);
    act_close(owner, callback);
    net_conn_send(owner->conn, "x", 1);
    net_conn_flush(owner->conn);
    net_conn_pause(owner->conn);
    net_conn_resume(owner->conn);
    net_conn_drain(owner->conn);
}

static void test_calls_after_abort_inside_each_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < CALLBACKS; i++)
        check_action_inside(callbacks[i], act_send_then_abort,
                            callbacks[i] == ON_END ? CERTPOST_CLOSED : CERTPOST_LIMIT);
}

static void act_drain_and_go_on(struct owner *owner, enum callback callback)
{
    act_drain(owner, callback);
    world_act(owner->world, ON_END, act_close);
    if (owner->ends > 0)
        net_conn_close(owner->conn);
}

static void test_drain_inside_each_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < CALLBACKS; i++)
        check_action_inside(callbacks[i], act_drain_and_go_on, CERTPOST_CLOSED);
}

static void act_abort_both(struct owner *owner, enum callback callback)
{
    (void)callback;
    for (size_t i = 0; i < CLIENTS; i++) {
        net_conn_send(owner->world->owners[i].conn, "x", 1);
        net_conn_abort(owner->world->owners[i].conn, CERTPOST_SUPERSEDED, "superseded");
    }
}

static void test_abort_of_another_inside_a_handler(void **state)
{
    (void)state;
    struct world *world = world_new();
    world_connect(world, 2);
    world_act(world, ON_DATA, act_abort_both);
    client_say(&world->clients[0], "go");
    run_until(world, world->owners[0].closes == 1 && world->owners[1].closes == 1);
    assert_status(world->owners[0].result.status, CERTPOST_SUPERSEDED);
    assert_status(world->owners[1].result.status, CERTPOST_SUPERSEDED);
    world_free(world);
}

UNIT_MAIN(cmocka_unit_test(test_abort_inside_each_handler),
          cmocka_unit_test(test_close_inside_each_handler),
          cmocka_unit_test(test_calls_after_abort_inside_each_handler),
          cmocka_unit_test(test_drain_inside_each_handler),
          cmocka_unit_test(test_abort_of_another_inside_a_handler))
