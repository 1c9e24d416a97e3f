/*
 * support/tls_pair.h — a connection over real TLS on a socket pair; the peer runs in a thread.
 *
 * The peer has its own SSL on the other end and follows a script. Nothing sleeps: where a test
 * needs the other thread to be blocked, it looks at that thread's state in /proc.
 */
#ifndef SUPPORT_TLS_PAIR_H
#define SUPPORT_TLS_PAIR_H

#include "support/test_pki.h"
#include "support/unit.h"

#include "certpost/tls_io.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

enum { PATIENCE_MS = 20000, PAYLOAD_BYTES = 300000, SMALL_SOCKET_BYTES = 4096, SIGNALS = 50 };

struct pair;
typedef void (*peer_script)(struct pair *pair);

/* Both ends of a connection; `peer` runs in its own thread. */
struct pair {
    struct test_pki pki;
    SSL_CTX *client_context;
    SSL_CTX *server_context;
    SSL *ssl;  /* under test */
    SSL *peer; /* blocking, on its own socket BIO */
    int fd;
    int peer_fd;
    pthread_t thread;
    peer_script script;
    sem_t go; /* the script waits for it where it says so */
    pthread_t tester;
    pid_t tester_id;
    unsigned char *received;
    size_t received_length;
    size_t read_size;
};

/* Makes both ends; the peer waits for the handshake. The SSL under test has no socket yet. */
void pair_open(struct pair *pair, int version, peer_script script);

/* A connection whose handshake is done. */
void pair_connect(struct pair *pair, int version, bool blocking, peer_script script);

/* Waits for the end of the script; then the pair can be freed. */
void pair_join(struct pair *pair);
void pair_free(struct pair *pair);

void set_nonblocking(int fd);

/* Bytes that differ from their neighbours; the caller frees them. */
unsigned char *make_payload(size_t length);

/* Writes the payload, ends the connection, compares what has arrived, and frees the pair. */
void check_payload_arrives(struct pair *pair);

/* SIGUSR1 is counted, and interrupts system calls. */
extern atomic_int signals_seen;
void catch_signals(void);

/* Spins (giving the processor away) until the tester's thread is blocked in the kernel. */
void await_tester_blocked(const struct pair *pair);

/* Scripts: read until the end, close without a word, send back what one read returned. */
void read_to_end(struct pair *pair);
void close_socket(struct pair *pair);
void echo_once(struct pair *pair);

#endif
