/*
 * rehearsal.c — one handshake of a new context with itself (tls/rehearsal.h).
 *
 * OpenSSL drops algorithms without a word when memory is lacking while a context is made, and
 * remembers a kind of algorithm that it could not load at its first use as one that is not there.
 * A server would then start, or reload, in order, and refuse everybody. So both are found out here,
 * where a failure is only a failed start or reload.
 *
 * Uses: base, settings, explain, OpenSSL.  Used by: context_server.c.
 * Never: does I/O outside the process.
 */
#include "tls/rehearsal.h"

#include "base/error.h"
#include "tls/explain.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdbool.h>

/* Each round, both sides go as far as they can; three are enough, four with a HelloRetryRequest. */
enum { REHEARSAL_ROUNDS_MAX = 64 };

static bool rehearsal_waits(SSL *ssl, int result)
{
    int reported = SSL_get_error(ssl, result);
    return reported == SSL_ERROR_WANT_READ || reported == SSL_ERROR_WANT_WRITE;
}

static bool rehearsal_play(SSL *server, SSL *client)
{
    for (int round = 0; round < REHEARSAL_ROUNDS_MAX; round++) {
        int client_result = SSL_do_handshake(client);
        if (client_result == 1)
            return true;
        if (!rehearsal_waits(client, client_result))
            return false;
        int server_result = SSL_do_handshake(server);
        if (server_result != 1 && !rehearsal_waits(server, server_result))
            return false;
    }
    return false;
}

static bool rehearsal_connect(SSL *server, SSL *client)
{
    BIO *server_end = NULL;
    BIO *client_end = NULL;
    if (BIO_new_bio_pair(&server_end, 0, &client_end, 0) != 1)
        return false;
    SSL_set_bio(server, server_end, server_end);
    SSL_set_bio(client, client_end, client_end);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    return true;
}

static enum certpost_status rehearsal_verdict(struct certpost_error *error)
{
    const char *words = NULL;
    if (tls_explain_no_memory(&words))
        return error_no_memory(error);
    return error_set(error, CERTPOST_OWN_CERTIFICATE,
                     "a handshake of the server with itself fails, so nobody could be served: %s",
                     words);
}

enum certpost_status tls_rehearse(SSL_CTX *context, const struct tls_settings *settings,
                                  struct certpost_error *error)
{
    ERR_clear_error();
    SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
    if (client_context == NULL)
        return error_no_memory(error);
    enum certpost_status status = tls_settings_apply(client_context, settings, error);
    if (status == CERTPOST_OK) {
        SSL *server = SSL_new(context);
        SSL *client = SSL_new(client_context);
        if (server == NULL || client == NULL || !rehearsal_connect(server, client))
            status = error_no_memory(error);
        else if (!rehearsal_play(server, client))
            status = rehearsal_verdict(error);
        SSL_free(server);
        SSL_free(client);
    }
    SSL_CTX_free(client_context);
    ERR_clear_error();
    return status;
}
