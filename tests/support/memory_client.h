/*
 * support/memory_client.h — a TLS client of OpenSSL between bytes in memory.
 *
 * What it sends is taken out as ciphertext, and what a server sent is given in: in which pieces and
 * when is the test's choice.
 */
#ifndef SUPPORT_MEMORY_CLIENT_H
#define SUPPORT_MEMORY_CLIENT_H

#include <openssl/ssl.h>
#include <stddef.h>

struct memory_client {
    SSL *ssl;
    BIO *received; /* owned by the SSL */
    BIO *sent;     /* owned by the SSL */
};

/* Aborts the test program when OpenSSL fails. Free with memory_client_free. */
struct memory_client memory_client_new(SSL_CTX *context);
void memory_client_free(struct memory_client *client);

/* Gives ciphertext to the client. */
void memory_client_give(struct memory_client *client, const void *bytes, size_t length);

/* Takes at most `capacity` bytes of what the client has sent; returns how many. */
size_t memory_client_take(struct memory_client *client, void *ret_bytes, size_t capacity);

/* How much the client has sent that was not taken. */
size_t memory_client_waiting(struct memory_client *client);

/* Goes on with the handshake: 1 when it is complete, 0 when the server is to send more, else -1. */
int memory_client_handshake(struct memory_client *client);

/* Encrypts all of `bytes`; aborts the test program when that fails. */
void memory_client_write(struct memory_client *client, const void *bytes, size_t length);

/* Decrypts what is there; returns the number of bytes, or -1 with the SSL_ERROR in `*ret_error`. */
int memory_client_read(struct memory_client *client, void *ret_bytes, size_t capacity,
                       int *ret_error);

#endif
