/*
 * plain_server.c — a session and what it wants done, written down (support/plain_server.h).
 *
 * Uses: session/plain_receiver, cmocka.  Used by: the unit tests of the plain exchange.
 * Never: decides anything that the session decides.
 */
#include "support/plain_server.h"

#include "support/unit.h"

#include <stdlib.h>

static void server_log(struct plain_server *server, const void *bytes, size_t length)
{
    assert_true(server->log_bytes + length < sizeof server->log);
    if (length > 0)
        memcpy(server->log + server->log_bytes, bytes, length);
    server->log_bytes += length;
    server->log[server->log_bytes] = '\0';
}

void plain_server_init(struct plain_server *server, enum plain_framing framing)
{
    *server = (struct plain_server){0};
    struct plain_receiver_config config = {framing, LIMIT_BYTES, "ok "};
    assert_ok(plain_receiver_init(&server->receiver, &config, &server->error));
}

void plain_server_free(struct plain_server *server)
{
    plain_receiver_free(&server->receiver);
    free(server->fed);
}

/* Each read has a block of its own, so that the address sanitizer sees a borrow that is too long.
 */
void plain_server_feed_bytes(struct plain_server *server, const void *bytes, size_t length)
{
    free(server->fed);
    server->fed = malloc(length + 1);
    assert_non_null(server->fed);
    memcpy(server->fed, bytes, length);
    plain_receiver_feed(&server->receiver, server->fed, length);
}

void plain_server_feed(struct plain_server *server, const char *text)
{
    plain_server_feed_bytes(server, text, strlen(text));
}

void plain_server_keep(struct plain_server *server)
{
    assert_ok(plain_receiver_keep(&server->receiver));
    free(server->fed);
    server->fed = NULL;
}

void plain_server_commit(struct plain_server *server, uint64_t seq)
{
    struct committed committed = {.seq = seq};
    assert_ok(plain_receiver_committed(&server->receiver, &committed, &server->error));
}

void plain_server_carry_out(struct plain_server *server, const struct plain_effect *effect)
{
    switch (effect->kind) {
    case PLAIN_EFFECT_STORE:
        assert_int_equal(effect->seq, ++server->stored_seq);
        server_log(server, "+", 1);
        server_log(server, effect->bytes, effect->length);
        server_log(server, " ", 1);
        if (server->commit_at_once)
            plain_server_commit(server, effect->seq);
        break;
    case PLAIN_EFFECT_SEND:
        server_log(server, effect->bytes, effect->length);
        break;
    case PLAIN_EFFECT_CLOSE:
        server->closes++;
        server_log(server, ".", 1);
        break;
    }
}

/* Carries out at most `count` effects; true when the receiver has no more for now. */
bool plain_server_pull(struct plain_server *server, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct plain_effect effect = {0};
        enum certpost_status status =
            plain_receiver_next(&server->receiver, &effect, &server->error);
        if (status == CERTPOST_WANT_READ)
            return true;
        assert_ok(status);
        plain_server_carry_out(server, &effect);
    }
    return false;
}

void plain_server_pull_all(struct plain_server *server)
{
    assert_true(plain_server_pull(server, SIZE_MAX));
}

void plain_server_end_input(struct plain_server *server, bool clean)
{
    assert_ok(plain_receiver_input_ended(&server->receiver, clean, &server->error));
}

void plain_server_assert_log(struct plain_server *server, const char *expected)
{
    assert_string_equal(server->log, expected);
}
