/*
 * support/plain_server.h — a server's role around the plain exchange's session, for its unit tests.
 *
 * It carries out effects as a server would and writes them down as text: "+hello " for a message to
 * store, the reply for one to send, "." for the close. So an expectation reads like the exchange
 * itself.
 */
#ifndef SUPPORT_PLAIN_SERVER_H
#define SUPPORT_PLAIN_SERVER_H

#include "session/plain_receiver.h"

#include <stdbool.h>

enum { LOG_BYTES = 16 * 1024, LIMIT_BYTES = 16 };

struct plain_server {
    struct plain_receiver receiver;
    struct certpost_error error;
    unsigned char *fed;
    char log[LOG_BYTES];
    size_t log_bytes;
    uint64_t stored_seq;
    unsigned closes;
    bool commit_at_once;
};

void plain_server_init(struct plain_server *server, enum plain_framing framing);
void plain_server_free(struct plain_server *server);
void plain_server_feed_bytes(struct plain_server *server, const void *bytes, size_t length);
void plain_server_feed(struct plain_server *server, const char *text);
void plain_server_keep(struct plain_server *server);
void plain_server_commit(struct plain_server *server, uint64_t seq);
void plain_server_carry_out(struct plain_server *server, const struct plain_effect *effect);
bool plain_server_pull(struct plain_server *server, size_t count);
void plain_server_pull_all(struct plain_server *server);
void plain_server_end_input(struct plain_server *server, bool clean);
void plain_server_assert_log(struct plain_server *server, const char *expected);

#endif
