/*
 * test_net_conn.c — connections on a libuv loop against TLS clients in the same loop.
 *
 * The clients are OpenSSL between bytes in memory (support/memory_client.h), each behind a real
 * socket on the loopback. The test turns the loop by hand until what it waits for has happened.
 */
#include "net/acceptor.h"
#include "net/conn.h"
#include "support/memory_client.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/settings.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { CLIENTS = 2, DEADLINE_MS = 20000, NEVER_MS = 600000, TURN_MS = 10, PATTERN_BYTES = 251 };
enum { SMALL_SOCKET_BYTES = 16 * 1024, BURST_BYTES = 4 * 1024 * 1024 };

enum callback { ON_NOTHING, ON_OPEN, ON_DATA, ON_END, ON_WRITABLE };

struct world;

/* The server's end of a connection. */
struct owner {
    bool busy;
    struct world *world;
    struct net_conn *conn;
    struct buffer received;
    unsigned opens, reads, ends, writables, closes;
    enum certpost_status end_status;
    struct net_conn_result result;
    char error_text[CERTPOST_ERROR_TEXT_BYTES];
};

/* The client's end. */
struct client {
    struct world *world;
    uv_tcp_t socket;
    struct memory_client tls;
    struct buffer received;
    size_t read_limit_bytes; /* stops to read when it has so many; 0: never */
    bool connected, open, ended_cleanly, ended, closing, closed, only_tcp;
    int failed;
};

struct world {
    uv_loop_t loop;
    uv_timer_t turn;
    struct net_acceptor acceptor;
    struct net_scratch scratch;
    struct net_limits limits;
    struct test_pki pki;
    SSL_CTX *server_context;
    SSL_CTX *client_context;
    struct owner owners[CLIENTS];
    size_t owner_count;
    struct client clients[CLIENTS];
    void (*act)(struct owner *owner, enum callback callback);
    enum callback act_on;
    size_t burst_bytes;
};

/* ------------------------------------------------------------------------------ server's end */

static void act(struct owner *owner, enum callback callback)
{
    if (owner->world->act != NULL && owner->world->act_on == callback)
        owner->world->act(owner, callback);
}

static void on_open(struct net_conn *conn, void *context)
{
    struct owner *owner = context;
    assert_ptr_equal(conn, owner->conn);
    owner->opens++;
    act(owner, ON_OPEN);
}

static void on_data(struct net_conn *conn, void *context, const unsigned char *bytes, size_t length)
{
    struct owner *owner = context;
    (void)conn;
    assert_in_range(length, 1, NET_PLAINTEXT_BYTES);
    assert_int_equal(owner->ends, 0);
    owner->reads++;
    assert_ok(buffer_append(&owner->received, bytes, length));
    act(owner, ON_DATA);
}

static void on_end(struct net_conn *conn, void *context, enum certpost_status status)
{
    struct owner *owner = context;
    (void)conn;
    assert_int_equal(owner->ends, 0);
    owner->ends++;
    owner->end_status = status;
    act(owner, ON_END);
}

static void on_writable(struct net_conn *conn, void *context)
{
    struct owner *owner = context;
    (void)conn;
    owner->writables++;
    act(owner, ON_WRITABLE);
}

static void on_closed(struct net_conn *conn, void *context, const struct net_conn_result *result)
{
    struct owner *owner = context;
    assert_ptr_equal(conn, owner->conn);
    assert_string_equal(net_conn_state_name(conn), "closed");
    assert_int_equal(owner->closes, 0);
    owner->closes++;
    owner->conn = NULL;
    owner->result = *result;
    memcpy(owner->error_text, result->error->text, sizeof owner->error_text);
}

static bool is_busy(const void *context)
{
    return ((const struct owner *)context)->busy;
}

static const struct net_conn_handler handler = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .is_busy = is_busy,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

static bool reserve(void *context)
{
    (void)context;
    return true;
}

static void release(void *context)
{
    (void)context;
}

static void on_exhausted(void *context, int system_errno)
{
    (void)context;
    fail_msg("accept failed: %s", strerror(system_errno));
}

static void on_accepted(void *context, int descriptor, const struct sockaddr *peer)
{
    struct world *world = context;
    struct net_conn_origin origin = {.descriptor = descriptor, .peer = peer};
    assert_true(world->owner_count < CLIENTS);
    struct owner *owner = &world->owners[world->owner_count++];
    owner->world = world;
    buffer_init(&owner->received, 16 * 1024 * 1024);
    assert_ok(net_conn_serve(&world->loop, &origin, &world->scratch, world->server_context,
                             &world->limits, &handler, owner, &owner->conn, NULL));
}

static const struct net_acceptor_handler acceptor_handler = {
    .reserve = reserve,
    .release = release,
    .on_accepted = on_accepted,
    .on_exhausted = on_exhausted,
};

/* ------------------------------------------------------------------------------ client's end */

static void client_on_closed(uv_handle_t *handle)
{
    ((struct client *)handle->data)->closed = true;
}

static void client_close(struct client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    uv_close((uv_handle_t *)&client->socket, client_on_closed);
}

static void client_on_written(uv_write_t *request, int failed)
{
    (void)failed;
    free(request);
}

static void client_send_bytes(struct client *client, const void *bytes, size_t length)
{
    struct {
        uv_write_t request;
        char bytes[];
    } *write = malloc(sizeof *write + length);
    assert_non_null(write);
    memcpy(write->bytes, bytes, length);
    uv_buf_t piece = {.base = write->bytes, .len = length};
    assert_int_equal(
        uv_write(&write->request, (uv_stream_t *)&client->socket, &piece, 1, client_on_written), 0);
}

/* Sends all that the TLS client has made, as one write. */
static void client_flush(struct client *client)
{
    size_t length = memory_client_waiting(&client->tls);
    if (length == 0 || client->closing)
        return;
    char *bytes = malloc(length);
    assert_non_null(bytes);
    assert_int_equal(memory_client_take(&client->tls, bytes, length), length);
    client_send_bytes(client, bytes, length);
    free(bytes);
}

static void client_decrypt(struct client *client)
{
    char bytes[4096];
    int reason = 0;
    if (!client->open && memory_client_handshake(&client->tls) == 1)
        client->open = true;
    client_flush(client);
    while (client->open) {
        int length = memory_client_read(&client->tls, bytes, sizeof bytes, &reason);
        if (length < 0)
            break;
        assert_ok(buffer_append(&client->received, bytes, (size_t)length));
    }
    if (client->open && reason == SSL_ERROR_ZERO_RETURN)
        client->ended_cleanly = true;
}

static void client_on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    (void)handle;
    (void)suggested;
    ret_buffer->base = malloc(SMALL_SOCKET_BYTES);
    assert_non_null(ret_buffer->base);
    ret_buffer->len = SMALL_SOCKET_BYTES;
}

static void client_on_read(uv_stream_t *socket, ssize_t length, const uv_buf_t *buffer)
{
    struct client *client = socket->data;
    if (length < 0) {
        client->ended = true;
        client->failed = length == UV_EOF ? 0 : (int)length;
        (void)uv_read_stop(socket);
    } else if (length > 0) {
        memory_client_give(&client->tls, buffer->base, (size_t)length);
        client_decrypt(client);
        if (client->read_limit_bytes > 0 && client->received.length >= client->read_limit_bytes)
            (void)uv_read_stop(socket);
    }
    free(buffer->base);
}

static void client_start_reading(struct client *client)
{
    (void)uv_read_start((uv_stream_t *)&client->socket, client_on_allocate, client_on_read);
}

static void client_stop_reading(struct client *client)
{
    (void)uv_read_stop((uv_stream_t *)&client->socket);
}

static void client_on_connected(uv_connect_t *request, int failed)
{
    struct client *client = request->handle->data;
    free(request);
    assert_int_equal(failed, 0);
    client->connected = true;
    if (client->only_tcp)
        return;
    (void)memory_client_handshake(&client->tls);
    client_flush(client);
    client_start_reading(client);
}

static void client_connect(struct client *client)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int small = SMALL_SOCKET_BYTES;
    assert_int_equal(
        getsockname(client->world->acceptor.descriptor, (struct sockaddr *)&address, &length), 0);
    uv_connect_t *request = malloc(sizeof *request);
    assert_non_null(request);
    assert_int_equal(uv_tcp_init_ex(&client->world->loop, &client->socket, AF_INET), 0);
    client->socket.data = client;
    client->tls = memory_client_new(client->world->client_context);
    buffer_init(&client->received, 16 * 1024 * 1024);
    assert_int_equal(uv_recv_buffer_size((uv_handle_t *)&client->socket, &small), 0);
    assert_int_equal(
        uv_tcp_connect(request, &client->socket, (struct sockaddr *)&address, client_on_connected),
        0);
}

static void client_write(struct client *client, const char *text)
{
    memory_client_write(&client->tls, text, strlen(text));
}

static void client_say(struct client *client, const char *text)
{
    client_write(client, text);
    client_flush(client);
}

static void client_say_bye(struct client *client)
{
    (void)SSL_shutdown(client->tls.ssl);
    client_flush(client);
}

static void client_on_shut(uv_shutdown_t *request, int failed)
{
    (void)failed;
    free(request);
}

static void client_shut(struct client *client)
{
    uv_shutdown_t *request = malloc(sizeof *request);
    assert_non_null(request);
    assert_int_equal(uv_shutdown(request, (uv_stream_t *)&client->socket, client_on_shut), 0);
}

/* ------------------------------------------------------------------------------ the world */

static void on_turn(uv_timer_t *timer)
{
    (void)timer; /* only so that uv_run returns now and then */
}

static struct world *world_new(void)
{
    struct sockaddr_in address;
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(uv_timer_init(&world->loop, &world->turn), 0);
    assert_int_equal(uv_timer_start(&world->turn, on_turn, TURN_MS, TURN_MS), 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    assert_ok(net_acceptor_start(&world->acceptor, &world->loop, descriptor, &acceptor_handler,
                                 world, NULL));
    net_scratch_init(&world->scratch);
    for (int kind = 0; kind < NET_DEADLINE_COUNT; kind++)
        world->limits.timeout_ms[kind] = NEVER_MS;
    world->pki = test_pki_make((struct test_leaf){0});
    world->server_context = test_pki_server_context(&world->pki, TLS1_3_VERSION);
    world->client_context = test_pki_client_context(&world->pki, TLS1_3_VERSION);
    struct tls_settings settings = {0};
    assert_ok(tls_settings_apply(world->server_context, &settings, NULL));
    SSL_CTX_set_num_tickets(world->server_context, 0);
    for (size_t i = 0; i < CLIENTS; i++)
        world->clients[i].world = world;
    return world;
}

/* Turns the loop until the condition holds; fails the test when that takes too long. */
#define run_until(world, condition)                                                                \
    do {                                                                                           \
        uint64_t deadline_ms = uv_hrtime() / 1000000 + DEADLINE_MS;                                \
        while (!(condition)) {                                                                     \
            if (uv_hrtime() / 1000000 > deadline_ms)                                               \
                fail_msg("waited in vain for %s", #condition);                                     \
            (void)uv_run(&(world)->loop, UV_RUN_ONCE);                                             \
        }                                                                                          \
    } while (0)

static void world_connect(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        client_connect(&world->clients[i]);
        run_until(world,
                  world->clients[i].open && world->owner_count > i && world->owners[i].opens == 1);
    }
}

/* Ends what is left, and checks that each connection is given back, once. */
static void world_free(struct world *world)
{
    for (size_t i = 0; i < world->owner_count; i++) {
        struct owner *owner = &world->owners[i];
        if (owner->conn != NULL)
            net_conn_abort(owner->conn, CERTPOST_INTERRUPTED, "the test is over");
        run_until(world, owner->closes == 1);
        buffer_free(&owner->received);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &world->clients[i];
        if (client->tls.ssl == NULL)
            continue;
        client_close(client);
        run_until(world, client->closed);
        memory_client_free(&client->tls);
        buffer_free(&client->received);
    }
    net_acceptor_close(&world->acceptor);
    uv_close((uv_handle_t *)&world->turn, NULL);
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    assert_null(world->scratch.working);
    net_scratch_free(&world->scratch);
    SSL_CTX_free(world->server_context);
    SSL_CTX_free(world->client_context);
    test_pki_free(&world->pki);
    free(world);
}

static void assert_text(const struct buffer *buffer, const char *expected)
{
    assert_int_equal(buffer->length, strlen(expected));
    if (buffer->length > 0)
        assert_memory_equal(buffer_bytes(buffer), expected, buffer->length);
}

static void assert_pattern(const struct buffer *buffer)
{
    const unsigned char *bytes = buffer_bytes(buffer);
    for (size_t i = 0; i < buffer->length; i++) {
        if (bytes[i] != i % PATTERN_BYTES)
            fail_msg("byte %zu is wrong", i);
    }
}

static void send_pattern(struct net_conn *conn, size_t length)
{
    unsigned char bytes[PATTERN_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    while (length > 0) {
        size_t piece = length < sizeof bytes ? length : sizeof bytes;
        net_conn_send(conn, bytes, piece);
        length -= piece;
    }
}

static void act_echo(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_send(owner->conn, buffer_bytes(&owner->received), owner->received.length);
    buffer_clear(&owner->received);
}

static void act_burst(struct owner *owner, enum callback callback)
{
    (void)callback;
    send_pattern(owner->conn, owner->world->burst_bytes);
}

static void act_close(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_close(owner->conn);
}

static void act_abort(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_abort(owner->conn, CERTPOST_LIMIT, "enough");
}

static void act_pause(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_pause(owner->conn);
}

static void act_drain(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_drain(owner->conn);
}

static void act_reply_and_close(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_send(owner->conn, "the reply", 9);
    net_conn_close(owner->conn);
    net_conn_close(owner->conn);
    net_conn_send(owner->conn, "too late", 8);
}

static void world_act(struct world *world, enum callback callback,
                      void (*action)(struct owner *owner, enum callback callback))
{
    world->act_on = callback;
    world->act = action;
}

/* ------------------------------------------------------------------------------ cases */

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
    enum { TIMEOUT_MS = 300, SLOW_FOR_MS = 4 * TIMEOUT_MS };
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

/* ------------------------------------------------------------------------------ inside handlers */

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

UNIT_MAIN(cmocka_unit_test(test_data_goes_both_ways), cmocka_unit_test(test_clean_end),
          cmocka_unit_test(test_truncated_end), cmocka_unit_test(test_reset),
          cmocka_unit_test(test_handshake_has_a_deadline),
          cmocka_unit_test(test_bytes_do_not_extend_the_handshake),
          cmocka_unit_test(test_the_deadline_of_the_handshake_ends_with_it),
          cmocka_unit_test(test_a_failed_handshake_sends_its_alert),
          cmocka_unit_test(test_a_peer_that_reads_nothing_is_ended),
          cmocka_unit_test(test_progress_extends_the_write_deadline),
          cmocka_unit_test(test_a_reply_arrives_although_the_peer_sent_more),
          cmocka_unit_test(test_lingering_has_a_deadline),
          cmocka_unit_test(test_the_end_comes_while_output_waits),
          cmocka_unit_test(test_close_sends_all_that_was_gathered),
          cmocka_unit_test(test_pause_keeps_what_was_received),
          cmocka_unit_test(test_a_paused_connection_reads_nothing),
          cmocka_unit_test(test_drain_delivers_what_was_received),
          cmocka_unit_test(test_drain_of_an_idle_connection_ends_at_once),
          cmocka_unit_test(test_drain_in_the_handshake_ends_it),
          cmocka_unit_test(test_bytes_of_two_connections_never_mix),
          cmocka_unit_test(test_an_answer_of_tls_goes_to_its_own_peer),
          cmocka_unit_test(test_a_failure_costs_no_other_connection_its_bytes),
          cmocka_unit_test(test_full_output_is_followed_by_writable),
          cmocka_unit_test(test_another_connections_output_does_not_count),
          cmocka_unit_test(test_writable_comes_although_more_was_sent_meanwhile),
          cmocka_unit_test(test_abort_inside_each_handler),
          cmocka_unit_test(test_close_inside_each_handler),
          cmocka_unit_test(test_calls_after_abort_inside_each_handler),
          cmocka_unit_test(test_drain_inside_each_handler),
          cmocka_unit_test(test_abort_of_another_inside_a_handler))
