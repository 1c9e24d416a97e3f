/*
 * client_bench.c — how fast the client library delivers, and at what cost.
 *
 *     client_bench [MESSAGES [BYTES [SPOOL]]]
 *
 * The server is support/stream_server.c: it computes digests and acknowledges, and stores nothing.
 * The times are those of this machine: run it on a quiet one.
 */
#include "base/clock.h"
#include "support/stream_server.h"
#include "support/unit.h"

#include "certpost/client.h"

#include <stdlib.h>
#include <sys/resource.h>

static double cpu_us(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void set(struct certpost_client *client, const char *name, const char *value)
{
    assert_ok(certpost_client_set(client, name, value, NULL));
}

static void deliver(const struct stream_server *server, unsigned long messages, size_t length,
                    const char *spool)
{
    char host[32];
    struct certpost_client *client = NULL;
    unsigned char *message = calloc(1, length);
    snprintf(host, sizeof host, "127.0.0.1:%u", (unsigned)server->port);
    assert_non_null(message);
    assert_ok(certpost_client_new(&client, NULL));
    set(client, "host", host);
    set(client, "cacert", server->ca_path);
    set(client, "stream", "bench");
    if (spool != NULL)
        set(client, "spool", spool);
    assert_ok(certpost_client_start(client, NULL));
    double cpu_before = cpu_us();
    int64_t began_ms = clock_monotonic_ms();
    for (unsigned long i = 0; i < messages; i++) {
        memcpy(message, &i, length < sizeof i ? length : sizeof i);
        assert_ok(certpost_client_send(client, message, length, -1, NULL, NULL));
    }
    assert_ok(certpost_client_close(client, -1, NULL));
    double took_s = (double)(clock_monotonic_ms() - began_ms) / 1000;
    assert_int_equal(server->facts->head.seq, messages);
    printf("%lu messages of %zu bytes: %.2f s, %.0f messages/s, client %.2f us CPU a message\n",
           messages, length, took_s, (double)messages / took_s,
           (cpu_us() - cpu_before) / (double)messages);
    certpost_client_free(client);
    free(message);
}

int main(int argc, char **argv)
{
    unsigned long messages = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    size_t length = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
    struct stream_server server;
    stream_server_start(&server, 0);
    deliver(&server, messages, length, argc > 3 ? argv[3] : NULL);
    stream_server_stop(&server);
    return 0;
}
