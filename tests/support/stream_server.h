/*
 * support/stream_server.h — a certpost/1 server in a process of its own, on session/receiver.
 *
 * It keeps no messages, only how far a stream is; what a test checks is in memory that both
 * processes share. Connections are served one after the other. A HELLO for another stream than the
 * last begins a new one.
 */
#ifndef SUPPORT_STREAM_SERVER_H
#define SUPPORT_STREAM_SERVER_H

#include "base/committed.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Written by the server. */
struct stream_server_facts {
    struct committed head; /* of the last stream; all of it was "stored" in the right order */
    atomic_uint connections;
};

struct stream_server {
    pid_t pid;
    uint16_t port;
    char ca_path[64]; /* the CA of its certificate, which is for localhost and 127.0.0.1 */
    struct stream_server_facts *facts;
};

/* Aborts the test program on failure. `cut_after` > 0: every other connection is cut off after so
 * many messages, before they are acknowledged. */
void stream_server_start(struct stream_server *server, unsigned cut_after);
void stream_server_stop(struct stream_server *server);

#endif
