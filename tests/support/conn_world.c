#include "support/conn_world.h"

#include "tls/settings.h"

#include <stdlib.h>
#include <sys/socket.h>

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

static void on_time(struct net_conn *conn, void *context)
{
    struct owner *owner = context;
    (void)conn;
    owner->times++;
    act(owner, ON_TIME);
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
    .on_time = on_time,
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

void client_on_closed(uv_handle_t *handle)
{
    ((struct client *)handle->data)->closed = true;
}

void client_close(struct client *client)
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

void client_send_bytes(struct client *client, const void *bytes, size_t length)
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

void client_start_reading(struct client *client)
{
    (void)uv_read_start((uv_stream_t *)&client->socket, client_on_allocate, client_on_read);
}

void client_stop_reading(struct client *client)
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

void client_connect(struct client *client)
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

void client_write(struct client *client, const char *text)
{
    memory_client_write(&client->tls, text, strlen(text));
}

void client_say(struct client *client, const char *text)
{
    client_write(client, text);
    client_flush(client);
}

void client_say_bye(struct client *client)
{
    (void)SSL_shutdown(client->tls.ssl);
    client_flush(client);
}

static void client_on_shut(uv_shutdown_t *request, int failed)
{
    (void)failed;
    free(request);
}

void client_shut(struct client *client)
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

struct world *world_new(void)
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

void world_connect(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        client_connect(&world->clients[i]);
        run_until(world,
                  world->clients[i].open && world->owner_count > i && world->owners[i].opens == 1);
    }
}

/* Ends what is left, and checks that each connection is given back, once. */
void world_free(struct world *world)
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

void assert_text(const struct buffer *buffer, const char *expected)
{
    assert_int_equal(buffer->length, strlen(expected));
    if (buffer->length > 0)
        assert_memory_equal(buffer_bytes(buffer), expected, buffer->length);
}

void assert_pattern(const struct buffer *buffer)
{
    const unsigned char *bytes = buffer_bytes(buffer);
    for (size_t i = 0; i < buffer->length; i++) {
        if (bytes[i] != i % PATTERN_BYTES)
            fail_msg("byte %zu is wrong", i);
    }
}

void send_pattern(struct net_conn *conn, size_t length)
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

void act_echo(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_send(owner->conn, buffer_bytes(&owner->received), owner->received.length);
    buffer_clear(&owner->received);
}

void act_burst(struct owner *owner, enum callback callback)
{
    (void)callback;
    send_pattern(owner->conn, owner->world->burst_bytes);
}

void act_close(struct owner *owner, enum callback callback)
{
    (void)callback;
    net_conn_close(owner->conn);
}

void world_act(struct world *world, enum callback callback,
               void (*action)(struct owner *owner, enum callback callback))
{
    world->act_on = callback;
    world->act = action;
}
