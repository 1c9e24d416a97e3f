#include "support/stream_ends.h"

#include "tls/settings.h"

#include <stdlib.h>

void ends_init_contexts(struct ends *ends, int version)
{
    *ends = (struct ends){0};
    ends->pki = test_pki_make((struct test_leaf){0});
    ends->server_context = test_pki_server_context(&ends->pki, version);
    ends->client_context = test_pki_client_context(&ends->pki, version);
    struct tls_settings settings = {.min_version = version};
    assert_ok(tls_settings_apply(ends->server_context, &settings, NULL));
    SSL_CTX_set_num_tickets(ends->server_context, 0);
    SSL_CTX_set_options(ends->server_context, SSL_OP_NO_TICKET);
}

void ends_connect(struct ends *ends, size_t output_max_bytes)
{
    ends->client = memory_client_new(ends->client_context);
    buffer_init(&ends->output, output_max_bytes);
    assert_ok(tls_stream_new(ends->server_context, &ends->output, &ends->stream, &ends->error));
}

void ends_disconnect(struct ends *ends)
{
    tls_stream_free(ends->stream);
    ends->stream = NULL;
    memory_client_free(&ends->client);
    buffer_free(&ends->output);
    free(ends->offered);
    ends->offered = NULL;
}

void ends_free(struct ends *ends)
{
    ends_disconnect(ends);
    SSL_CTX_free(ends->server_context);
    SSL_CTX_free(ends->client_context);
    test_pki_free(&ends->pki);
}

/* Offers at most `most` bytes of what the client has sent; false when there was nothing. */
bool ends_offer(struct ends *ends, size_t most)
{
    size_t waiting = memory_client_waiting(&ends->client);
    size_t length = waiting < most ? waiting : most;
    if (length == 0)
        return false;
    assert_false(tls_stream_has_input(ends->stream));
    free(ends->offered);
    ends->offered = malloc(length);
    assert_non_null(ends->offered);
    assert_int_equal(memory_client_take(&ends->client, ends->offered, length), length);
    tls_stream_offer(ends->stream, ends->offered, length);
    return true;
}

void ends_offer_all(struct ends *ends)
{
    assert_true(ends_offer(ends, SIZE_MAX));
}

void ends_offer_bytes(struct ends *ends, const void *bytes, size_t length)
{
    free(ends->offered);
    ends->offered = malloc(length);
    assert_non_null(ends->offered);
    memcpy(ends->offered, bytes, length);
    tls_stream_offer(ends->stream, ends->offered, length);
}

void ends_keep(struct ends *ends)
{
    assert_ok(tls_stream_keep(ends->stream));
    free(ends->offered);
    ends->offered = NULL;
}

/* Hands the stream's output to the client, `piece` bytes at a time. */
void ends_deliver(struct ends *ends, size_t piece)
{
    while (ends->output.length > 0) {
        size_t length = ends->output.length < piece ? ends->output.length : piece;
        memory_client_give(&ends->client, buffer_bytes(&ends->output), length);
        buffer_consume(&ends->output, length);
        (void)memory_client_handshake(&ends->client);
    }
}

/* The handshake in pieces; how the stream's side ended. */
enum certpost_status ends_handshake(struct ends *ends, size_t piece)
{
    enum certpost_status status = CERTPOST_WANT_READ;
    (void)memory_client_handshake(&ends->client);
    while (status == CERTPOST_WANT_READ && ends_offer(ends, piece)) {
        status = tls_stream_handshake(ends->stream, &ends->error);
        ends_keep(ends);
        ends_deliver(ends, piece);
    }
    return status;
}

void ends_open(struct ends *ends, int version)
{
    ends_init_contexts(ends, version);
    ends_connect(ends, OUTPUT_MAX_BYTES);
    assert_ok(ends_handshake(ends, SIZE_MAX));
    assert_int_equal(memory_client_handshake(&ends->client), 1);
}

enum certpost_status ends_read(struct ends *ends, char *ret_text, size_t capacity)
{
    size_t length = 0;
    enum certpost_status status = tls_stream_read(ends->stream, (unsigned char *)ret_text,
                                                  capacity - 1, &length, &ends->error);
    ret_text[status == CERTPOST_OK ? length : 0] = '\0';
    return status;
}

void assert_read(struct ends *ends, const char *expected)
{
    char text[64];
    assert_ok(ends_read(ends, text, sizeof text));
    assert_string_equal(text, expected);
}

void assert_read_ends(struct ends *ends, enum certpost_status expected)
{
    char text[64];
    assert_status(ends_read(ends, text, sizeof text), expected);
}
