/*
 * support/conn_world.h — connections on a libuv loop against TLS clients in the same loop.
 *
 * The clients are OpenSSL between bytes in memory (support/memory_client.h), each behind a real
 * socket on the loopback. The test turns the loop by hand until what it waits for has happened.
 */
#ifndef SUPPORT_CONN_WORLD_H
#define SUPPORT_CONN_WORLD_H

#include "net/acceptor.h"
#include "net/conn.h"
#include "support/memory_client.h"
#include "support/test_pki.h"
#include "support/unit.h"

#include <stdbool.h>
#include <uv.h>

enum { CLIENTS = 2, DEADLINE_MS = 20000, NEVER_MS = 600000, TURN_MS = 10, PATTERN_BYTES = 251 };
enum { SMALL_SOCKET_BYTES = 16 * 1024, BURST_BYTES = 4 * 1024 * 1024 };

enum callback { ON_NOTHING, ON_OPEN, ON_DATA, ON_END, ON_TIME, ON_WRITABLE };

struct world;

/* The server's end of a connection. */
struct owner {
    bool busy;
    struct world *world;
    struct net_conn *conn;
    struct buffer received;
    unsigned opens, reads, ends, times, writables, closes;
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

/* Each fails the test when something goes wrong. Limits are set between world_new and the first
 * connection; world_free ends what is left, and checks that each connection is given back, once. */
struct world *world_new(void);
void world_free(struct world *world);

/* Connects the first `count` clients, and turns the loop until both ends are open. */
void world_connect(struct world *world, size_t count);

/* From now on the owners call `action` in the callback, and in no other. */
void world_act(struct world *world, enum callback callback,
               void (*action)(struct owner *owner, enum callback callback));

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

/* Ready-made actions: say back what came, send burst_bytes of the pattern, close. */
void act_echo(struct owner *owner, enum callback callback);
void act_burst(struct owner *owner, enum callback callback);
void act_close(struct owner *owner, enum callback callback);

/* The client's end. With only_tcp, client_connect does not begin the handshake. */
void client_connect(struct client *client);
void client_start_reading(struct client *client);
void client_stop_reading(struct client *client);

/* Encrypts; client_say sends it too, with all that was written before, in one write. */
void client_write(struct client *client, const char *text);
void client_say(struct client *client, const char *text);

/* Sends bytes as they are, without TLS. */
void client_send_bytes(struct client *client, const void *bytes, size_t length);

/* The ends of a connection: close_notify, the end of TCP's one direction, close of the socket. */
void client_say_bye(struct client *client);
void client_shut(struct client *client);
void client_close(struct client *client);
void client_on_closed(uv_handle_t *handle);

/* The pattern: what comes back from it shows a byte that is missing, doubled or moved. */
void send_pattern(struct net_conn *conn, size_t length);
void assert_pattern(const struct buffer *buffer);
void assert_text(const struct buffer *buffer, const char *expected);

#endif
