/*
 * memory_client.c — a TLS client between bytes in memory (support/memory_client.h).
 *
 * Uses: OpenSSL.  Used by: unit tests.  Never: is part of a program that ships.
 */
#include "support/memory_client.h"

#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "memory client: %s failed\n", what);
    abort();
}

struct memory_client memory_client_new(SSL_CTX *context)
{
    struct memory_client client = {
        .ssl = SSL_new(context),
        .received = BIO_new(BIO_s_mem()),
        .sent = BIO_new(BIO_s_mem()),
    };
    require(client.ssl != NULL && client.received != NULL && client.sent != NULL, "SSL_new");
    BIO_set_mem_eof_return(client.received, -1);
    SSL_set_bio(client.ssl, client.received, client.sent);
    SSL_set_connect_state(client.ssl);
    return client;
}

void memory_client_free(struct memory_client *client)
{
    SSL_free(client->ssl);
    *client = (struct memory_client){0};
}

void memory_client_give(struct memory_client *client, const void *bytes, size_t length)
{
    require(length <= INT_MAX, "giving so much");
    require(length == 0 || BIO_write(client->received, bytes, (int)length) == (int)length,
            "BIO_write");
}

size_t memory_client_take(struct memory_client *client, void *ret_bytes, size_t capacity)
{
    int length = BIO_read(client->sent, ret_bytes, capacity > INT_MAX ? INT_MAX : (int)capacity);
    return length > 0 ? (size_t)length : 0;
}

size_t memory_client_waiting(struct memory_client *client)
{
    return BIO_ctrl_pending(client->sent);
}

int memory_client_handshake(struct memory_client *client)
{
    ERR_clear_error();
    int result = SSL_do_handshake(client->ssl);
    int reason = SSL_get_error(client->ssl, result);
    ERR_clear_error();
    if (result == 1)
        return 1;
    return reason == SSL_ERROR_WANT_READ ? 0 : -1;
}

void memory_client_write(struct memory_client *client, const void *bytes, size_t length)
{
    size_t written = 0;
    ERR_clear_error();
    require(SSL_write_ex(client->ssl, bytes, length, &written) == 1 && written == length,
            "SSL_write_ex");
}

int memory_client_read(struct memory_client *client, void *ret_bytes, size_t capacity,
                       int *ret_error)
{
    size_t length = 0;
    ERR_clear_error();
    int result = SSL_read_ex(client->ssl, ret_bytes, capacity, &length);
    *ret_error = SSL_get_error(client->ssl, result);
    ERR_clear_error();
    return result == 1 ? (int)length : -1;
}
