/* support/stream_server.c — see the header. */
#include "support/stream_server.h"

#include "session/receiver.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/context.h"

#include "certpost/tls_io.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SERVER_TIMEOUT_MS = 30 * 1000, SERVER_READ_BYTES = 64 * 1024 };

struct conversation {
    struct stream_server_facts *facts;
    struct receiver *receiver;
    struct committed newest; /* stored */
    uint64_t told;           /* up to here the client knows it */
    struct buffer output;
    SSL *ssl;
    unsigned cut_after; /* 0: not */
    unsigned taken;
    bool closing;
};

static int select_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_length,
                       const unsigned char *offered, unsigned length, void *argument)
{
    (void)ssl;
    (void)argument;
    static const unsigned char ours[] = "\x0a" TLS_ALPN_CERTPOST_1;
    unsigned char *name = NULL;
    if (SSL_select_next_proto(&name, ret_length, ours, sizeof ours - 1, offered, length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

static void begin_stream(struct conversation *talk, const struct message_span *name)
{
    static char last[256];
    if (strlen(last) != name->length || memcmp(last, name->bytes, name->length) != 0) {
        struct chain *chain = NULL;
        assert_ok(chain_new(&chain, NULL));
        talk->facts->head.seq = 0;
        assert_ok(chain_first(chain, "", 0, name->bytes, name->length, talk->facts->head.digest));
        chain_free(chain);
        memcpy(last, name->bytes, name->length);
        last[name->length] = '\0';
    }
    talk->newest = talk->facts->head;
    talk->told = talk->newest.seq;
    assert_ok(receiver_opened(talk->receiver, &talk->facts->head, 0, NULL));
}

static void carry_out(struct conversation *talk)
{
    struct receiver_effect effect;
    while (receiver_next_effect(talk->receiver, &effect) != RECEIVER_NONE) {
        if (effect.type == RECEIVER_OPEN_STREAM) {
            begin_stream(talk, &effect.stream);
        } else if (effect.type == RECEIVER_STORE) {
            talk->taken++;
            talk->newest.seq = effect.seq;
            memcpy(talk->newest.digest, effect.digest, CHAIN_DIGEST_BYTES);
            talk->facts->head = talk->newest;
        } else {
            talk->closing = true;
        }
    }
}

/* False when the conversation is over. */
static bool converse(struct conversation *talk)
{
    unsigned char bytes[SERVER_READ_BYTES];
    size_t length = 0;
    enum certpost_status status =
        certpost_tls_read(talk->ssl, bytes, sizeof bytes, SERVER_TIMEOUT_MS, &length, NULL);
    struct cursor input = cursor_over(bytes, status == CERTPOST_OK ? length : 0);
    while (input.left_bytes > 0 && receiver_wants_input(talk->receiver)) {
        (void)!receiver_input(talk->receiver, &input, 0, NULL);
        carry_out(talk);
    }
    if (talk->cut_after > 0 && talk->taken >= talk->cut_after)
        return false;
    if (status != CERTPOST_OK)
        (void)receiver_input_ended(talk->receiver, status == CERTPOST_CLOSED, 0);
    if (talk->newest.seq > talk->told)
        assert_ok(receiver_committed(talk->receiver, &talk->newest, 0, NULL));
    talk->told = talk->newest.seq;
    assert_ok(receiver_output(talk->receiver, &talk->output));
    carry_out(talk);
    enum certpost_status sent = certpost_tls_write_all(
        talk->ssl, buffer_bytes(&talk->output), talk->output.length, SERVER_TIMEOUT_MS, NULL, NULL);
    buffer_clear(&talk->output);
    return status == CERTPOST_OK && sent == CERTPOST_OK && !talk->closing;
}

static void serve(struct stream_server_facts *facts, SSL_CTX *context, int connection,
                  unsigned cut_after)
{
    static const struct receiver_config config = {
        .level = MESSAGE_LEVEL_STORED,
        .max_message_bytes = 1 << 20,
        .window_bytes = 16 << 20,
        .server_name = {(const unsigned char *)"test", 4},
    };
    struct conversation talk = {.facts = facts, .cut_after = cut_after};
    struct chain *chain = NULL;
    buffer_init(&talk.output, 1 << 16);
    talk.ssl = SSL_new(context);
    SSL_set_accept_state(talk.ssl);
    int on = 1;
    (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    assert_ok(certpost_tls_set_socket(talk.ssl, connection));
    assert_ok(chain_new(&chain, NULL));
    assert_ok(
        receiver_new(&config, chain, (struct message_span){NULL, 0}, 0, &talk.receiver, NULL));
    if (certpost_tls_handshake(talk.ssl, SERVER_TIMEOUT_MS, NULL) == CERTPOST_OK) {
        while (converse(&talk))
            ;
        if (talk.closing)
            (void)!certpost_tls_close(talk.ssl, 1000, NULL);
    }
    receiver_free(talk.receiver);
    chain_free(chain);
    buffer_free(&talk.output);
    SSL_free(talk.ssl);
    close(connection);
}

static void run(struct stream_server_facts *facts, int listener, const struct test_pki *pki,
                unsigned cut_after)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    SSL_CTX *context = test_pki_server_context(pki, TLS1_3_VERSION);
    SSL_CTX_set_alpn_select_cb(context, select_alpn, NULL);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_read_ahead(context, 1);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            _exit(1);
        bool cut = facts->connections % 2 == 0;
        facts->connections++;
        serve(facts, context, connection, cut ? cut_after : 0);
    }
}

void stream_server_start(struct stream_server *server, unsigned cut_after)
{
    struct test_pki pki = test_pki_make((struct test_leaf){0});
    snprintf(server->ca_path, sizeof server->ca_path, "/tmp/certpost-unit-XXXXXX");
    int file = mkstemp(server->ca_path);
    assert_true(file >= 0);
    close(file);
    test_pki_write_certificate(pki.ca, server->ca_path);
    server->facts = mmap(NULL, sizeof *server->facts, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(server->facts, MAP_FAILED);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    server->port = ntohs(address.sin_port);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0)
        run(server->facts, listener, &pki, cut_after);
    close(listener);
    test_pki_free(&pki);
}

void stream_server_stop(struct stream_server *server)
{
    assert_int_equal(kill(server->pid, SIGKILL), 0);
    assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
    (void)munmap(server->facts, sizeof *server->facts);
    (void)unlink(server->ca_path);
}
