/*
 * test_tls_peer.c — who the peer of a resumed session is, and when a session is not resumed
 * (tls/peer.h, tls/context_verify.h).
 *
 * Client and server talk through memory. The server's contexts are certpostd's own, with tickets
 * turned on, and share their ticket keys, as they do across a reload.
 */
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/context.h"
#include "tls/peer.h"
#include "tls/server_material.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

enum { TICKET_KEY_BYTES = 80, PATH_BYTES = 64, ROUNDS_MAX = 20 };

struct stage {
    struct test_pki pki;
    char folder[PATH_BYTES];
    char certificate[PATH_BYTES + 8];
    char key[PATH_BYTES + 8];
    char ca[PATH_BYTES + 8];
    SSL_CTX *client;
    unsigned char ticket_keys[TICKET_KEY_BYTES];
    int has_ticket_keys;
};

struct service {
    struct tls_server_setup setup;
    struct tls_server_material *material;
    SSL_CTX *context;
};

static void stage_open(struct stage *stage)
{
    *stage = (struct stage){.folder = "/tmp/certpost-test-peer-XXXXXX"};
    stage->pki = test_pki_make((struct test_leaf){.names = "DNS:localhost"});
    assert_non_null(mkdtemp(stage->folder));
    snprintf(stage->certificate, sizeof stage->certificate, "%s/crt", stage->folder);
    snprintf(stage->key, sizeof stage->key, "%s/key", stage->folder);
    snprintf(stage->ca, sizeof stage->ca, "%s/ca", stage->folder);
    test_pki_write_certificate(stage->pki.leaf, stage->certificate);
    test_pki_write_key(stage->pki.leaf_key, stage->key);
    test_pki_write_certificate(stage->pki.ca, stage->ca);
    stage->client = test_pki_client_context(&stage->pki, TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_use_certificate(stage->client, stage->pki.leaf), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(stage->client, stage->pki.leaf_key), 1);
}

static void stage_close(struct stage *stage)
{
    unlink(stage->certificate);
    unlink(stage->key);
    unlink(stage->ca);
    rmdir(stage->folder);
    SSL_CTX_free(stage->client);
    test_pki_free(&stage->pki);
}

static void service_open(struct service *service, struct stage *stage, const char **allowed)
{
    static const char *items[2];
    items[0] = stage->certificate;
    items[1] = stage->key;
    service->setup = (struct tls_server_setup){
        .certificates = {.items = &items[0], .count = 1},
        .keys = {.items = &items[1], .count = 1},
        .client_ca = stage->ca,
        .client_verify = TLS_CLIENT_VERIFY_REQUIRE,
        .ticket_lifetime_ms = 60 * 1000,
        .allow_dns = {.items = allowed, .count = allowed == NULL ? 0 : 1},
    };
    assert_ok(tls_server_material_load(&service->setup, &service->material, NULL));
    assert_ok(tls_context_server(service->material, &service->context, NULL));
    SSL_CTX_clear_options(service->context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(service->context, 1);
    if (stage->has_ticket_keys)
        assert_int_equal(
            SSL_CTX_set_tlsext_ticket_keys(service->context, stage->ticket_keys, TICKET_KEY_BYTES),
            1);
    else
        assert_int_equal(
            SSL_CTX_get_tlsext_ticket_keys(service->context, stage->ticket_keys, TICKET_KEY_BYTES),
            1);
    stage->has_ticket_keys = 1;
}

static void service_close(struct service *service)
{
    SSL_CTX_free(service->context);
    tls_server_material_free(service->material);
}

struct talk {
    SSL *client;
    SSL *server;
    bool done;
};

/* A handshake, and what the server still had to say after it (a ticket). */
static struct talk talk_open(const struct stage *stage, const struct service *service,
                             SSL_SESSION *session)
{
    struct talk talk = {SSL_new(stage->client), SSL_new(service->context), false};
    BIO *client_side = NULL;
    BIO *server_side = NULL;
    assert_int_equal(BIO_new_bio_pair(&client_side, 1 << 16, &server_side, 1 << 16), 1);
    SSL_set_bio(talk.client, client_side, client_side);
    SSL_set_bio(talk.server, server_side, server_side);
    SSL_set_connect_state(talk.client);
    SSL_set_accept_state(talk.server);
    if (session != NULL)
        assert_int_equal(SSL_set_session(talk.client, session), 1);
    for (int round = 0; round < ROUNDS_MAX && !talk.done; round++) {
        int client_done = SSL_do_handshake(talk.client);
        int server_done = SSL_do_handshake(talk.server);
        talk.done = client_done == 1 && server_done == 1;
    }
    char byte = 0;
    (void)SSL_read(talk.client, &byte, 1);
    ERR_clear_error();
    return talk;
}

static void talk_close(struct talk *talk)
{
    SSL_free(talk->client);
    SSL_free(talk->server);
}

static void check_identity(struct talk *talk)
{
    static const char expected[] = "dns:localhost";
    assert_true(talk->done);
    assert_ok(tls_peer_complete(talk->server, NULL));
    const struct tls_identity *identity = tls_peer_identity(talk->server);
    assert_int_equal(identity->kind, TLS_IDENTITY_DNS);
    assert_int_equal(identity->length, sizeof expected - 1);
    assert_memory_equal(identity->bytes, expected, identity->length);
    assert_null(tls_peer_refused_certificate(talk->server));
}

static SSL_SESSION *first_session(const struct stage *stage, const struct service *service)
{
    struct talk talk = talk_open(stage, service, NULL);
    check_identity(&talk);
    assert_int_equal(SSL_session_reused(talk.server), 0);
    SSL_SESSION *session = SSL_get1_session(talk.client);
    assert_int_equal(SSL_SESSION_is_resumable(session), 1);
    /* Else OpenSSL takes the session for a broken one. */
    SSL_set_shutdown(talk.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    talk_close(&talk);
    return session;
}

static void test_a_resumed_session_keeps_its_identity(void **state)
{
    (void)state;
    struct stage stage;
    struct service service;
    stage_open(&stage);
    service_open(&service, &stage, NULL);
    SSL_SESSION *session = first_session(&stage, &service);
    struct talk talk = talk_open(&stage, &service, session);
    assert_int_equal(SSL_session_reused(talk.server), 1);
    check_identity(&talk);
    talk_close(&talk);
    SSL_SESSION_free(session);
    service_close(&service);
    stage_close(&stage);
}

/* With the same rules a reload changes nothing: the session is resumed. */
static void test_a_session_is_resumed_after_a_reload_of_the_same(void **state)
{
    (void)state;
    struct stage stage;
    struct service before;
    struct service after;
    const char *allowed[] = {"localhost"};
    stage_open(&stage);
    service_open(&before, &stage, allowed);
    service_open(&after, &stage, allowed);
    SSL_SESSION *session = first_session(&stage, &before);
    struct talk talk = talk_open(&stage, &after, session);
    assert_int_equal(SSL_session_reused(talk.server), 1);
    check_identity(&talk);
    talk_close(&talk);
    SSL_SESSION_free(session);
    service_close(&before);
    service_close(&after);
    stage_close(&stage);
}

static void test_a_session_does_not_outlive_the_rules_it_was_verified_under(void **state)
{
    (void)state;
    struct stage stage;
    struct service before;
    struct service after;
    const char *allowed[] = {"other.example"};
    stage_open(&stage);
    service_open(&before, &stage, NULL);
    service_open(&after, &stage, allowed);
    SSL_SESSION *session = first_session(&stage, &before);
    struct talk talk = talk_open(&stage, &after, session);
    assert_int_equal(SSL_session_reused(talk.server), 0);
    assert_false(talk.done);
    assert_non_null(tls_peer_refused_certificate(talk.server));
    assert_int_equal(tls_peer_identity(talk.server)->kind, TLS_IDENTITY_NONE);
    talk_close(&talk);
    SSL_SESSION_free(session);
    service_close(&before);
    service_close(&after);
    stage_close(&stage);
}

static void test_nobody_is_of_no_kind(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage);
    SSL *ssl = SSL_new(stage.client);
    assert_int_equal(tls_peer_identity(ssl)->kind, TLS_IDENTITY_NONE);
    assert_int_equal(tls_peer_identity(ssl)->length, 0);
    assert_null(tls_peer_refused_certificate(ssl));
    SSL_free(ssl);
    stage_close(&stage);
}

UNIT_MAIN(cmocka_unit_test(test_a_resumed_session_keeps_its_identity),
          cmocka_unit_test(test_a_session_is_resumed_after_a_reload_of_the_same),
          cmocka_unit_test(test_a_session_does_not_outlive_the_rules_it_was_verified_under),
          cmocka_unit_test(test_nobody_is_of_no_kind))
