/*
 * ticket_server.c — a certpost/1 server's TLS for real clients, with a clock that a test moves.
 *
 *     ticket_server CERTIFICATE KEY LIFETIME_MS
 *
 * Prints its port, then obeys lines on standard input: `serve N` serves one connection with the
 * context of worker N and prints `worker N resumed` or `worker N full`; `advance MS` moves the
 * clock that ticket keys age by; `reload` loads everything but the keys anew. What is tested is the
 * server's own material, contexts and keys; only the sockets are simpler than certpostd's.
 */
#include "tls/server_material.h"
#include "tls/tickets.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 2, LINE_BYTES = 64 };

static int64_t now_ms = 1000;

static int64_t test_clock(void)
{
    return now_ms;
}

static void must(enum certpost_status status, const struct certpost_error *error)
{
    if (status == CERTPOST_OK)
        return;
    fprintf(stderr, "ticket_server: %s\n", certpost_error_text(error, status));
    exit(EXIT_FAILURE);
}

struct ticket_server {
    struct tls_server_setup setup;
    struct tls_server_material *material;
    SSL_CTX *workers[WORKERS];
    int listener;
};

static void load(struct ticket_server *server)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    must(tls_server_material_load(&server->setup, &server->material, &error), &error);
    for (int i = 0; i < WORKERS; i++)
        must(tls_context_server(server->material, &server->workers[i], &error), &error);
}

static void unload(struct ticket_server *server)
{
    for (int i = 0; i < WORKERS; i++)
        SSL_CTX_free(server->workers[i]);
    tls_server_material_free(server->material);
}

static void listen_anywhere(struct ticket_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(server->listener, 4) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &length) != 0)
        must(CERTPOST_SYSTEM, NULL);
    printf("port %d\n", ntohs(address.sin_port));
}

/* One connection: handshake, one message and its reply, close_notify both ways. */
static void serve(struct ticket_server *server, int worker)
{
    char bytes[256];
    int descriptor = accept(server->listener, NULL, NULL);
    SSL *ssl = SSL_new(server->workers[worker]);
    if (descriptor < 0 || ssl == NULL || SSL_set_fd(ssl, descriptor) != 1)
        must(CERTPOST_SYSTEM, NULL);
    if (SSL_accept(ssl) == 1) {
        int received = SSL_read(ssl, bytes, sizeof bytes);
        if (received > 0)
            (void)SSL_write(ssl, bytes, received);
        while (SSL_read(ssl, bytes, sizeof bytes) > 0)
            continue;
        (void)SSL_shutdown(ssl);
        printf("worker %d %s\n", worker, SSL_session_reused(ssl) == 1 ? "resumed" : "full");
    } else {
        printf("worker %d refused\n", worker);
    }
    SSL_free(ssl);
    close(descriptor);
}

static void obey(struct ticket_server *server, const char *line)
{
    if (strncmp(line, "serve ", 6) == 0)
        serve(server, (int)strtol(line + 6, NULL, 10) % WORKERS);
    else if (strncmp(line, "advance ", 8) == 0)
        now_ms += strtoll(line + 8, NULL, 10);
    else if (strncmp(line, "reload", 6) == 0) {
        unload(server);
        load(server);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return EXIT_FAILURE;
    struct certpost_error error;
    certpost_error_clear(&error);
    const char *certificates[] = {argv[1]};
    const char *keys[] = {argv[2]};
    int64_t lifetime_ms = strtoll(argv[3], NULL, 10);
    struct ticket_server server = {
        .setup =
            {
                .settings.min_version = TLS1_2_VERSION,
                .certificates = {certificates, 1},
                .keys = {keys, 1},
                .ticket_lifetime_ms = lifetime_ms,
                .serve_certpost_1 = true,
            },
    };
    struct tls_ticket_keys *ticket_keys = NULL;
    must(tls_ticket_keys_new(lifetime_ms, test_clock, &ticket_keys, &error), &error);
    server.setup.ticket_keys = ticket_keys;
    setvbuf(stdout, NULL, _IOLBF, 0);
    load(&server);
    listen_anywhere(&server);
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL)
        obey(&server, line);
    unload(&server);
    tls_ticket_keys_free(ticket_keys);
    close(server.listener);
    return EXIT_SUCCESS;
}
