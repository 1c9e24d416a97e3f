/*
 * support/stream_ends.h — the server's TLS stream and OpenSSL's client, all in memory.
 *
 * What is offered to the stream lies in a block of its own that is freed when it is kept or used
 * up, so that the address sanitizer sees a borrow that lasts too long.
 */
#ifndef SUPPORT_STREAM_ENDS_H
#define SUPPORT_STREAM_ENDS_H

#include "support/memory_client.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/stream.h"

#include <stdbool.h>

enum { OUTPUT_MAX_BYTES = 4 * 1024 * 1024, RECORD_MAX_BYTES = 16 * 1024 };

struct ends {
    struct test_pki pki;
    SSL_CTX *server_context;
    SSL_CTX *client_context;
    struct memory_client client;
    struct tls_stream *stream;
    struct buffer output;
    struct certpost_error error;
    unsigned char *offered;
};

/* Contexts that speak `version` only; then as many connections as wanted, one after the other. */
void ends_init_contexts(struct ends *ends, int version);
void ends_connect(struct ends *ends, size_t output_max_bytes);
void ends_disconnect(struct ends *ends);

/* All at once: contexts, one connection, its handshake. */
void ends_open(struct ends *ends, int version);

/* Disconnects too. */
void ends_free(struct ends *ends);

/* Offers at most `most` bytes of what the client has sent; false when there was nothing. */
bool ends_offer(struct ends *ends, size_t most);
void ends_offer_all(struct ends *ends);

/* Offers bytes that no client of ours would send. */
void ends_offer_bytes(struct ends *ends, const void *bytes, size_t length);

/* The stream copies what it has not used up; what was offered is freed. */
void ends_keep(struct ends *ends);

/* Hands the stream's output to the client, `piece` bytes at a time. */
void ends_deliver(struct ends *ends, size_t piece);

/* The handshake in pieces; how the stream's side ended. */
enum certpost_status ends_handshake(struct ends *ends, size_t piece);

/* Reads once; `ret_text` is ended by a NUL, and empty unless the status is CERTPOST_OK. */
enum certpost_status ends_read(struct ends *ends, char *ret_text, size_t capacity);

/* One read gives this text, or ends this way. */
void assert_read(struct ends *ends, const char *expected);
void assert_read_ends(struct ends *ends, enum certpost_status expected);

#endif
