/*
 * test_tls_tickets.c — session tickets: who gets them, where and how long they are good.
 *
 * Two contexts of one material stand for two workers. The keys' clock is the test's.
 */
#include "support/server_files.h"
#include "support/unit.h"
#include "tls/context.h"
#include "tls/tickets.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { LIFETIME_MS = 6 * 3600 * 1000, HALF_MS = LIFETIME_MS / 2, WORKERS = 2 };
enum { THREADS = 4, HANDSHAKES_PER_THREAD = 40 };

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
enum { VERSIONS = sizeof versions / sizeof versions[0] };

static atomic_llong now_ms;

static int64_t test_clock(void)
{
    return atomic_load(&now_ms);
}

/* ------------------------------------------------------------------------------ stage */

struct stage {
    struct test_pki pki;
    struct server_files files;
    struct tls_ticket_keys *keys;
    struct tls_server_material *material;
    SSL_CTX *workers[WORKERS];
    SSL_CTX *client;
    SSL_SESSION *session; /* the newest that a client was given */
    int tickets;          /* how many came in the last handshake */
};

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct stage *stage = SSL_get_app_data(ssl);
    if (SSL_SESSION_has_ticket(session) == 0)
        return 0;
    stage->tickets++;
    SSL_SESSION_free(stage->session);
    stage->session = session;
    return 1;
}

static SSL_CTX *stage_client(const struct stage *stage)
{
    SSL_CTX *client = test_pki_client_context(&stage->pki, TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_set_min_proto_version(client, TLS1_2_VERSION), 1);
    SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client, on_new_session);
    return client;
}

static void stage_load(struct stage *stage)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_ok(tls_server_material_load(&stage->files.setup, &stage->material, &error));
    for (int i = 0; i < WORKERS; i++)
        assert_ok(tls_context_server(stage->material, &stage->workers[i], &error));
}

static void stage_unload(struct stage *stage)
{
    for (int i = 0; i < WORKERS; i++)
        SSL_CTX_free(stage->workers[i]);
    tls_server_material_free(stage->material);
}

static void stage_set(struct stage *stage)
{
    *stage = (struct stage){0};
    atomic_store(&now_ms, 1000);
    stage->pki = test_pki_make((struct test_leaf){0});
    server_files_write(&stage->files, &stage->pki);
    assert_ok(tls_ticket_keys_new(LIFETIME_MS, test_clock, &stage->keys, NULL));
    stage->files.setup.ticket_keys = stage->keys;
    stage->files.setup.ticket_lifetime_ms = LIFETIME_MS;
    stage->files.setup.serve_certpost_1 = true;
    stage->files.setup.client_ca = stage->files.ca;
    stage_load(stage);
    stage->client = stage_client(stage);
}

static void stage_clear(struct stage *stage)
{
    stage_unload(stage);
    SSL_CTX_free(stage->client);
    SSL_SESSION_free(stage->session);
    tls_ticket_keys_free(stage->keys);
    server_files_remove(&stage->files);
    test_pki_free(&stage->pki);
}

static void stage_reload(struct stage *stage)
{
    stage_unload(stage);
    stage_load(stage);
}

/* In TLS 1.2 OpenSSL does not call back when a ticket is renewed. */
static void stage_note_renewal(struct stage *stage, SSL *client, const SSL_SESSION *offered)
{
    SSL_SESSION *now = SSL_get1_session(client);
    const unsigned char *tickets[2] = {NULL, NULL};
    size_t lengths[2] = {0, 0};
    SSL_SESSION_get0_ticket(offered, &tickets[0], &lengths[0]);
    SSL_SESSION_get0_ticket(now, &tickets[1], &lengths[1]);
    if (lengths[0] == lengths[1] && memcmp(tickets[0], tickets[1], lengths[0]) == 0) {
        SSL_SESSION_free(now);
        return;
    }
    stage->tickets++;
    SSL_SESSION_free(stage->session);
    stage->session = now;
}

/* ALPN as it is sent; NULL: none. */
#define ALPN_CERTPOST_1 "\012certpost/1"
#define ALPN_PLAIN      "\016certpost-plain"

/* One connection; true when it resumed `session` (which may be NULL). */
static bool stage_connect(struct stage *stage, int worker, int version, const char *alpn,
                          SSL_SESSION *session)
{
    struct meeting meeting = meeting_new(stage->workers[worker], stage->client);
    stage->tickets = 0;
    SSL_set_app_data(meeting.client, stage);
    assert_int_equal(SSL_set_min_proto_version(meeting.client, version), 1);
    assert_int_equal(SSL_set_max_proto_version(meeting.client, version), 1);
    if (alpn != NULL)
        assert_int_equal(SSL_set_alpn_protos(meeting.client, (const unsigned char *)alpn,
                                             (unsigned int)strlen(alpn)),
                         0);
    if (session != NULL) {
        /* A copy, because OpenSSL's client spoils a session that it has resumed in TLS 1.3. */
        SSL_SESSION *copy = SSL_SESSION_dup(session);
        assert_int_equal(SSL_set_session(meeting.client, copy), 1);
        SSL_SESSION_free(copy);
    }
    assert_true(meeting_handshake(&meeting));
    bool resumed = SSL_session_reused(meeting.client) != 0;
    if (resumed && version == TLS1_2_VERSION)
        stage_note_renewal(stage, meeting.client, session);
    assert_int_equal(SSL_session_reused(meeting.server), resumed);
    meeting_free(&meeting);
    return resumed;
}

/* A new session of certpost/1, which the caller frees. */
static SSL_SESSION *stage_get_session(struct stage *stage, int worker, int version)
{
    assert_false(stage_connect(stage, worker, version, ALPN_CERTPOST_1, NULL));
    assert_int_equal(stage->tickets, version == TLS1_3_VERSION ? 2 : 1);
    assert_int_equal(SSL_SESSION_up_ref(stage->session), 1);
    return stage->session;
}

static bool stage_resumes(struct stage *stage, int worker, int version, SSL_SESSION *session)
{
    return stage_connect(stage, worker, version, ALPN_CERTPOST_1, session);
}

static void pass_ms(int64_t ms)
{
    atomic_fetch_add(&now_ms, ms);
}

/* ------------------------------------------------------------------------------ who */

static void test_only_certpost_1_gets_tickets(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    for (size_t i = 0; i < VERSIONS; i++) {
        SSL_SESSION_free(stage_get_session(&stage, 0, versions[i]));
        assert_false(stage_connect(&stage, 0, versions[i], NULL, NULL));
        assert_int_equal(stage.tickets, 0);
        assert_false(stage_connect(&stage, 0, versions[i], ALPN_PLAIN, NULL));
        assert_int_equal(stage.tickets, 0);
        assert_false(stage_connect(&stage, 0, versions[i], "\002h2" ALPN_PLAIN, NULL));
        assert_int_equal(stage.tickets, 0);
        assert_false(stage_connect(&stage, 0, versions[i], ALPN_PLAIN ALPN_CERTPOST_1, NULL));
        assert_true(stage.tickets > 0);
    }
    stage_clear(&stage);
}

/* A client that has a session of certpost/1 does not resume it for the plain exchange. */
static void test_plain_never_resumes(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    for (size_t i = 0; i < VERSIONS; i++) {
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        assert_false(stage_connect(&stage, 0, versions[i], NULL, session));
        assert_false(stage_connect(&stage, 1, versions[i], ALPN_PLAIN, session));
        assert_int_equal(stage.tickets, 0);
        assert_true(stage_resumes(&stage, 1, versions[i], session));
        SSL_SESSION_free(session);
    }
    stage_clear(&stage);
}

static void test_no_tickets_unless_certpost_1_is_served(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    stage.files.setup.serve_certpost_1 = false;
    stage_reload(&stage);
    for (size_t i = 0; i < VERSIONS; i++) {
        assert_false(stage_connect(&stage, 0, versions[i], ALPN_CERTPOST_1 ALPN_PLAIN, NULL));
        assert_int_equal(stage.tickets, 0);
        struct meeting meeting = meeting_new(stage.workers[0], stage.client);
        SSL_set_app_data(meeting.client, &stage);
        assert_int_equal(
            SSL_set_alpn_protos(meeting.client, (const unsigned char *)ALPN_CERTPOST_1, 11), 0);
        assert_false(meeting_handshake(&meeting));
        meeting_free(&meeting);
    }
    stage_clear(&stage);
}

static void test_no_tickets_without_keys(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    stage.files.setup.ticket_keys = NULL;
    stage_reload(&stage);
    for (size_t i = 0; i < VERSIONS; i++) {
        assert_false(stage_connect(&stage, 0, versions[i], ALPN_CERTPOST_1, NULL));
        assert_int_equal(stage.tickets, 0);
    }
    stage_clear(&stage);
}

static void test_no_early_data(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    SSL_SESSION *session = stage_get_session(&stage, 0, TLS1_3_VERSION);
    assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
    SSL_SESSION_free(session);
    stage_clear(&stage);
}

/* ------------------------------------------------------------------------------ where */

static void test_a_session_resumes_across_workers(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    for (size_t i = 0; i < VERSIONS; i++) {
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        assert_true(stage_resumes(&stage, 1, versions[i], session));
        assert_true(stage_resumes(&stage, 0, versions[i], session));
        SSL_SESSION_free(session);
    }
    stage_clear(&stage);
}

static void test_a_session_resumes_after_a_reload(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    for (size_t i = 0; i < VERSIONS; i++) {
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        stage_reload(&stage);
        assert_true(stage_resumes(&stage, 1, versions[i], session));
        SSL_SESSION_free(session);
    }
    stage_clear(&stage);
}

/* Who resumes is not verified again, so a session is good only under the rules that it was made by.
 */
static void test_a_verified_session_does_not_outlive_its_rules(void **state)
{
    (void)state;
    const char *allowed[] = {"somebody.example"};
    struct stage stage;
    stage_set(&stage);
    stage.files.setup.client_verify = TLS_CLIENT_VERIFY_OPTIONAL;
    stage_reload(&stage);
    for (size_t i = 0; i < VERSIONS; i++) {
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        assert_true(stage_resumes(&stage, 1, versions[i], session));
        stage_reload(&stage);
        assert_true(stage_resumes(&stage, 1, versions[i], session));
        stage.files.setup.allow_dns = (struct options_list){allowed, 1};
        stage_reload(&stage);
        assert_false(stage_resumes(&stage, 1, versions[i], session));
        stage.files.setup.allow_dns = (struct options_list){0};
        stage_reload(&stage);
        SSL_SESSION_free(session);
    }
    stage_clear(&stage);
}

static void test_other_keys_do_not_open_a_ticket(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    struct tls_ticket_keys *others = NULL;
    assert_ok(tls_ticket_keys_new(LIFETIME_MS, test_clock, &others, NULL));
    for (size_t i = 0; i < VERSIONS; i++) {
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        stage.files.setup.ticket_keys = others;
        stage_reload(&stage);
        assert_false(stage_resumes(&stage, 0, versions[i], session));
        stage.files.setup.ticket_keys = stage.keys;
        stage_reload(&stage);
        assert_true(stage_resumes(&stage, 0, versions[i], session));
        SSL_SESSION_free(session);
    }
    stage_clear(&stage);
    tls_ticket_keys_free(others);
}

/* ------------------------------------------------------------------------------ how long */

static void test_a_session_resumes_across_a_rotation(void **state)
{
    (void)state;
    for (size_t i = 0; i < VERSIONS; i++) {
        struct stage stage;
        stage_set(&stage);
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        pass_ms(HALF_MS);
        tls_ticket_keys_rotate(stage.keys);
        assert_true(stage_resumes(&stage, 1, versions[i], session));
        /* What was renewed lies under the new key, and outlives the old one. */
        assert_int_equal(stage.tickets, 1);
        SSL_SESSION *renewed = stage.session;
        assert_int_equal(SSL_SESSION_up_ref(renewed), 1);
        pass_ms(HALF_MS);
        assert_false(stage_resumes(&stage, 0, versions[i], session));
        assert_true(stage_resumes(&stage, 0, versions[i], renewed));
        SSL_SESSION_free(renewed);
        SSL_SESSION_free(session);
        stage_clear(&stage);
    }
}

static void test_no_session_resumes_after_the_lifetime(void **state)
{
    (void)state;
    for (size_t i = 0; i < VERSIONS; i++) {
        struct stage stage;
        stage_set(&stage);
        SSL_SESSION *first = stage_get_session(&stage, 0, versions[i]);
        pass_ms(HALF_MS - 1);
        SSL_SESSION *last = stage_get_session(&stage, 0, versions[i]);
        pass_ms(HALF_MS);
        /* One millisecond before the end of their key, whether it was rotated or not. */
        assert_true(stage_resumes(&stage, 1, versions[i], first));
        assert_true(stage_resumes(&stage, 1, versions[i], last));
        pass_ms(1);
        assert_false(stage_resumes(&stage, 1, versions[i], first));
        assert_false(stage_resumes(&stage, 1, versions[i], last));
        SSL_SESSION_free(first);
        SSL_SESSION_free(last);
        stage_clear(&stage);
    }
}

/* After a night without a ticket: both keys are over, and a new one is made. */
static void test_a_long_silence(void **state)
{
    (void)state;
    for (size_t i = 0; i < VERSIONS; i++) {
        struct stage stage;
        stage_set(&stage);
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        pass_ms(INT64_C(10) * LIFETIME_MS);
        assert_false(stage_resumes(&stage, 0, versions[i], session));
        SSL_SESSION_free(session);
        session = stage_get_session(&stage, 0, versions[i]);
        assert_true(stage_resumes(&stage, 1, versions[i], session));
        SSL_SESSION_free(session);
        stage_clear(&stage);
    }
}

static void test_a_shorter_lifetime_holds_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < VERSIONS; i++) {
        struct stage stage;
        stage_set(&stage);
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        pass_ms(2000);
        tls_ticket_keys_set_lifetime(stage.keys, 2001);
        assert_true(stage_resumes(&stage, 0, versions[i], session));
        tls_ticket_keys_set_lifetime(stage.keys, 2000);
        assert_false(stage_resumes(&stage, 0, versions[i], session));
        SSL_SESSION_free(session);
        stage_clear(&stage);
    }
}

static void test_clients_are_told_the_lifetime(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    for (size_t i = 0; i < VERSIONS; i++) {
        SSL_SESSION *session = stage_get_session(&stage, 0, versions[i]);
        assert_int_equal(SSL_SESSION_get_ticket_lifetime_hint(session), LIFETIME_MS / 1000);
        SSL_SESSION_free(session);
    }
    stage_clear(&stage);
}

/* RFC 8446, section C.4: a ticket is used once, so each resumption brings a new one. */
static void test_each_resumption_in_tls_1_3_brings_a_new_ticket(void **state)
{
    (void)state;
    struct stage stage;
    stage_set(&stage);
    SSL_SESSION_free(stage_get_session(&stage, 0, TLS1_3_VERSION));
    for (int i = 0; i < 5; i++) {
        SSL_SESSION *session = stage.session;
        assert_int_equal(SSL_SESSION_up_ref(session), 1);
        assert_true(stage_resumes(&stage, i % WORKERS, TLS1_3_VERSION, session));
        assert_int_equal(stage.tickets, 1);
        assert_ptr_not_equal(stage.session, session);
        SSL_SESSION_free(session);
    }
    stage_clear(&stage);
}

/* ------------------------------------------------------------------------------ threads */

struct runner {
    struct stage stage; /* client, material and contexts of its own; the keys are shared */
    struct tls_ticket_keys *keys;
    pthread_t thread;
};

static void *run(void *argument)
{
    struct runner *runner = argument;
    SSL_SESSION *session = stage_get_session(&runner->stage, 0, TLS1_3_VERSION);
    for (int i = 0; i < HANDSHAKES_PER_THREAD; i++) {
        assert_true(stage_resumes(&runner->stage, i % WORKERS, TLS1_3_VERSION, session));
        SSL_SESSION_free(session);
        session = runner->stage.session;
        assert_int_equal(SSL_SESSION_up_ref(session), 1);
        /* All threads together pass a rotation every few handshakes, and no key's end between two
         * of one thread. */
        pass_ms(HALF_MS / (THREADS * THREADS * 4));
        tls_ticket_keys_rotate(runner->keys);
    }
    SSL_SESSION_free(session);
    OPENSSL_thread_stop();
    return NULL;
}

static void test_rotation_under_load_in_several_threads(void **state)
{
    (void)state;
    static struct runner runners[THREADS];
    struct tls_ticket_keys *shared = NULL;
    assert_ok(tls_ticket_keys_new(LIFETIME_MS, test_clock, &shared, NULL));
    for (int i = 0; i < THREADS; i++) {
        stage_set(&runners[i].stage);
        runners[i].keys = shared;
        runners[i].stage.files.setup.ticket_keys = shared;
        stage_reload(&runners[i].stage);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(runners[i].thread, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        stage_clear(&runners[i].stage);
    tls_ticket_keys_free(shared);
}

static void test_free_of_nothing(void **state)
{
    (void)state;
    tls_ticket_keys_free(NULL);
}

UNIT_MAIN(cmocka_unit_test(test_only_certpost_1_gets_tickets),
          cmocka_unit_test(test_plain_never_resumes),
          cmocka_unit_test(test_no_tickets_unless_certpost_1_is_served),
          cmocka_unit_test(test_no_tickets_without_keys), cmocka_unit_test(test_no_early_data),
          cmocka_unit_test(test_a_session_resumes_across_workers),
          cmocka_unit_test(test_a_session_resumes_after_a_reload),
          cmocka_unit_test(test_a_verified_session_does_not_outlive_its_rules),
          cmocka_unit_test(test_other_keys_do_not_open_a_ticket),
          cmocka_unit_test(test_a_session_resumes_across_a_rotation),
          cmocka_unit_test(test_no_session_resumes_after_the_lifetime),
          cmocka_unit_test(test_a_long_silence),
          cmocka_unit_test(test_a_shorter_lifetime_holds_at_once),
          cmocka_unit_test(test_clients_are_told_the_lifetime),
          cmocka_unit_test(test_each_resumption_in_tls_1_3_brings_a_new_ticket),
          cmocka_unit_test(test_rotation_under_load_in_several_threads),
          cmocka_unit_test(test_free_of_nothing))
