/*
 * Each allocation of the client fails in turn, before and between and within connections: an error
 * or a delivery, never a crash or a leak (under the sanitizers), and never an acknowledgement of
 * what the server does not have.
 */
#include "support/fault_memory.h"
#include "support/stream_server.h"
#include "support/unit.h"

#include "certpost/client.h"

#include <stdlib.h>
#include <unistd.h>

enum { MESSAGES = 40, CUT_AFTER = 15 };

static enum certpost_status deliver(struct certpost_client *client, struct certpost_error *error)
{
    char message[200] = {0};
    enum certpost_status status = certpost_client_start(client, error);
    for (int i = 0; i < MESSAGES && status == CERTPOST_OK; i++) {
        snprintf(message, sizeof message, "message %d", i);
        /* Not certpost_client_send, which looks at the clock: each run is to go the same way. */
        status = certpost_client_offer(client, message, sizeof message, NULL, error);
        for (; status == CERTPOST_WANT_WRITE;) {
            status = certpost_client_wait(client, 20000, error);
            if (status == CERTPOST_OK)
                status = certpost_client_offer(client, message, sizeof message, NULL, error);
        }
    }
    return status == CERTPOST_OK ? certpost_client_close(client, 20000, error) : status;
}

static enum certpost_status set_up(struct certpost_client *client,
                                   const struct stream_server *server, const char *stream,
                                   const char *spool, struct certpost_error *error)
{
    char host[32];
    snprintf(host, sizeof host, "127.0.0.1:%u", (unsigned)server->port);
    const char *const options[][2] = {{"host", host},          {"cacert", server->ca_path},
                                      {"stream", stream},      {"retry-for", "5s"},
                                      {"max-buffered", "4kB"}, {"spool", spool}};
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < sizeof options / sizeof options[0] && status == CERTPOST_OK; i++) {
        if (options[i][1] != NULL)
            status = certpost_client_set(client, options[i][0], options[i][1], error);
    }
    return status;
}

static void check_facts(const struct certpost_client *client, const struct stream_server *server,
                        enum certpost_status status)
{
    struct certpost_client_facts facts;
    certpost_client_facts(client, &facts);
    assert_true(facts.acknowledged <= server->facts->head.seq);
    assert_true(facts.acknowledged <= facts.offered);
    if (status != CERTPOST_OK)
        return;
    assert_true(facts.finished);
    assert_int_equal(facts.acknowledged, MESSAGES);
    assert_int_equal(server->facts->head.seq, MESSAGES);
    assert_memory_equal(facts.digest, server->facts->head.digest, CERTPOST_DIGEST_BYTES);
}

/* False when no allocation was left to fail. */
static bool run_with_fault(const struct stream_server *server, const char *spool, uint64_t at)
{
    char stream[32];
    struct certpost_client *client = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    snprintf(stream, sizeof stream, "fault %llu", (unsigned long long)at);
    server->facts->head.seq = 0;
    fault_memory_arm(at);
    enum certpost_status status = certpost_client_new(&client, &error);
    if (status == CERTPOST_OK)
        status = set_up(client, server, stream, spool, &error);
    if (status == CERTPOST_OK)
        status = deliver(client, &error);
    bool struck = fault_memory_heal();
    if (status != CERTPOST_OK)
        assert_true(error.text[0] != '\0');
    if (!struck)
        assert_ok(status);
    if (client != NULL)
        check_facts(client, server, status);
    certpost_client_free(client);
    return struck;
}

static void test_each_allocation_with_messages_in_memory(void **state)
{
    (void)state;
    struct stream_server server;
    fault_memory_install();
    stream_server_start(&server, CUT_AFTER);
    uint64_t at = 1;
    while (run_with_fault(&server, NULL, at))
        at++;
    assert_true(at > 10);
    print_message("up to allocation %llu\n", (unsigned long long)at);
    stream_server_stop(&server);
}

static void remove_spool(const char *folder)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock", "-lock"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s/spool%s", folder, suffixes[i]);
        (void)unlink(path);
    }
}

/*
 * SQLite's allocations are many, and each of those below the spool fails in turn in
 * test_store_memory_fault.c; so here every STRIDE-th is enough, and the stride is prime, so that no
 * rhythm of the code escapes it.
 */
enum { STRIDE = 23 };

static void test_allocations_with_a_spool(void **state)
{
    (void)state;
    struct stream_server server;
    char folder[] = "/tmp/certpost-unit-XXXXXX";
    char path[64];
    fault_memory_install();
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/spool", folder);
    stream_server_start(&server, 0);
    uint64_t at = 1;
    for (; run_with_fault(&server, path, at); at += STRIDE)
        remove_spool(folder);
    assert_true(at > 500);
    print_message("up to allocation %llu\n", (unsigned long long)at);
    stream_server_stop(&server);
    remove_spool(folder);
    assert_int_equal(rmdir(folder), 0);
}

UNIT_MAIN(cmocka_unit_test(test_each_allocation_with_messages_in_memory),
          cmocka_unit_test(test_allocations_with_a_spool))
