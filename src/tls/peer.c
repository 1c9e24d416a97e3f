/*
 * peer.c — the verdict about a peer, kept with its SSL (tls/peer.h).
 *
 * Uses: identity, OpenSSL.  Used by: context_verify.c, context_pin.c, explain_certificate.c,
 * stream.c, server.
 * Never: decides; a connection without certificates costs it nothing.
 */
#include "base/error.h"
#include "tls/explain.h"
#include "tls/peer_internal.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tls_peer {
    struct tls_identity identity;
    X509 *refused; /* NULL: it was not */
    int code;
    char *words; /* NULL: those of the code */
};

static int peer_index = -1;
static pthread_once_t peer_index_once = PTHREAD_ONCE_INIT;

static void peer_free(void *parent, void *value, CRYPTO_EX_DATA *data, int index, long number,
                      void *pointer)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)number;
    (void)pointer;
    struct tls_peer *peer = value;
    if (peer == NULL)
        return;
    tls_identity_free(&peer->identity);
    X509_free(peer->refused);
    free(peer->words);
    free(peer);
}

static void peer_make_index(void)
{
    peer_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, peer_free);
}

static struct tls_peer *peer_find(const SSL *ssl)
{
    (void)pthread_once(&peer_index_once, peer_make_index);
    return peer_index < 0 ? NULL : SSL_get_ex_data(ssl, peer_index);
}

static struct tls_peer *peer_make(SSL *ssl)
{
    struct tls_peer *peer = peer_find(ssl);
    if (peer != NULL || peer_index < 0)
        return peer;
    peer = calloc(1, sizeof *peer);
    if (peer != NULL && SSL_set_ex_data(ssl, peer_index, peer) != 1) {
        free(peer);
        peer = NULL;
    }
    return peer;
}

bool tls_peer_refuse(SSL *ssl, X509 *certificate, int code, const char *words)
{
    struct tls_peer *peer = peer_make(ssl);
    /* The first verdict counts: it was given where most was known. */
    if (peer == NULL || peer->refused != NULL || certificate == NULL)
        return false;
    if (X509_up_ref(certificate) != 1)
        return false;
    peer->refused = certificate;
    peer->code = code;
    if (words != NULL)
        peer->words = strdup(words);
    return true;
}

bool tls_peer_admit(SSL *ssl, struct tls_identity *identity)
{
    struct tls_peer *peer = peer_make(ssl);
    if (peer == NULL)
        return false;
    tls_identity_free(&peer->identity);
    peer->identity = *identity;
    *identity = (struct tls_identity){0};
    return true;
}

const struct tls_identity *tls_peer_identity(const SSL *ssl)
{
    static const struct tls_identity nobody;
    const struct tls_peer *peer = peer_find(ssl);
    return peer == NULL ? &nobody : &peer->identity;
}

X509 *tls_peer_refused_certificate(const SSL *ssl)
{
    const struct tls_peer *peer = peer_find(ssl);
    return peer == NULL ? NULL : peer->refused;
}

const char *tls_peer_refusal_words(const SSL *ssl)
{
    const struct tls_peer *peer = peer_find(ssl);
    return peer == NULL || peer->refused == NULL ? NULL : peer->words;
}

long tls_peer_refusal_code(const SSL *ssl)
{
    const struct tls_peer *peer = peer_find(ssl);
    return peer == NULL || peer->refused == NULL ? SSL_get_verify_result(ssl) : peer->code;
}

/* The certificate of a resumed session: verified when the session began, which may be hours ago. */
static enum certpost_status peer_take_resumed(SSL *ssl, X509 *certificate,
                                              struct certpost_error *error)
{
    struct tls_names names = {0};
    struct tls_identity identity = {0};
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = CERTPOST_OK;
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
        status = error_set(&cause, CERTPOST_PEER_CERTIFICATE, "it has expired since");
    if (status == CERTPOST_OK)
        status = tls_names_read(certificate, &names, &cause);
    if (status == CERTPOST_OK)
        status = tls_identity_from(&names, &identity, &cause);
    if (status == CERTPOST_OK && !tls_peer_admit(ssl, &identity))
        status = error_no_memory(&cause);
    if (status == CERTPOST_PEER_CERTIFICATE)
        (void)tls_peer_refuse(ssl, certificate, X509_V_ERR_CERT_REJECTED, cause.text);
    tls_names_free(&names);
    tls_identity_free(&identity);
    if (status == CERTPOST_OK)
        return status;
    return error_set(error, status, "the certificate of the resumed session is refused: %s",
                     certpost_error_text(&cause, status));
}

enum certpost_status tls_peer_complete(SSL *ssl, struct certpost_error *error)
{
    if (!SSL_is_server(ssl) || SSL_session_reused(ssl) == 0 ||
        (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0 ||
        tls_peer_identity(ssl)->kind != TLS_IDENTITY_NONE)
        return CERTPOST_OK;
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    enum certpost_status status =
        certificate == NULL ? CERTPOST_OK : peer_take_resumed(ssl, certificate, error);
    X509_free(certificate);
    ERR_clear_error();
    return status;
}
