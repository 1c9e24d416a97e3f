/*
 * peer_log.c — the line of a connection's end (server/peer_log.h).
 *
 * Uses: base/log, log_limit, tls/peer.  Used by: peer.c.
 * Never: shows a name of a certificate that was refused as an identity.
 */
#include "server/peer_log.h"

#include "base/clock.h"
#include "tls/explain.h"
#include "tls/peer.h"

#include <openssl/bn.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static void peer_log_refused(struct log_line *line, X509 *certificate)
{
    char subject[TLS_DN_TEXT_BYTES];
    char issuer[TLS_DN_TEXT_BYTES];
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *serial = number == NULL ? NULL : BN_bn2hex(number);
    tls_name_text(X509_get_subject_name(certificate), subject);
    tls_name_text(X509_get_issuer_name(certificate), issuer);
    log_text(line, "subject", subject);
    log_text(line, "issuer", issuer);
    log_text(line, "serial", serial);
    OPENSSL_free(serial);
    BN_free(number);
}

static void peer_log_identity(struct log_line *line, const SSL *ssl, bool handshake_done)
{
    X509 *refused = tls_peer_refused_certificate(ssl);
    const struct tls_identity *identity = tls_peer_identity(ssl);
    if (!line->wanted)
        return;
    if (refused != NULL)
        peer_log_refused(line, refused);
    else if (identity->kind != TLS_IDENTITY_NONE)
        log_bytes(line, "identity", identity->bytes, identity->length);
    else if (handshake_done && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0)
        log_text(line, "identity", "anonymous");
}

static void peer_log_tls(struct log_line *line, SSL *ssl)
{
    int group = (int)SSL_get_negotiated_group(ssl);
    log_text(line, "tls", SSL_get_version(ssl));
    log_text(line, "cipher", SSL_get_cipher_name(ssl));
    log_text(line, "group", group == NID_undef ? NULL : SSL_group_to_name(ssl, group));
}

/* A client that was refused something may close as cleanly as it likes: it is no normal end. */
static bool peer_log_is_fault(enum certpost_status status, const char *fault)
{
    return fault != NULL || (status != CERTPOST_CLOSED && status != CERTPOST_INTERRUPTED);
}

/*
 * A balancer that looks whether we are here, every second or so, all day: it would fill the log and
 * drive everything else out of the recent refusals. One that is kept waiting is news.
 */
static bool peer_log_is_probe(const struct net_conn_result *result)
{
    return result->is_probe &&
           (result->status == CERTPOST_TRUNCATED || result->status == CERTPOST_RESET);
}

static bool peer_log_is_allowed(const struct peer *peer, enum log_level level, bool is_fault,
                                const char *reason, uint64_t *ret_suppressed)
{
    struct log_limit_event event = {
        .level = level,
        .reason = reason,
        .is_fault = is_fault,
        .peer = (const struct sockaddr *)&peer->address,
    };
    return log_limit_allows(peer->worker->log_limit, &event, clock_monotonic_ms(), ret_suppressed);
}

static void peer_log_work(const struct peer *peer, struct log_line *line)
{
    log_u64(line, "messages", peer->message_count);
    log_u64(line, "bytes", peer->message_bytes);
    if (peer->session == NULL)
        return;
    size_t unfinished = peer->exchange->unfinished_bytes(peer);
    if (unfinished > 0)
        log_u64(line, "discarded_bytes", unfinished);
    peer->exchange->log(peer, line);
}

/* Who was refused: the identity, or the subject of the certificate that is not believed. */
static void peer_log_note_refusal(const struct peer *peer, struct net_conn *conn,
                                  const char *reason, const char *detail)
{
    char subject[TLS_DN_TEXT_BYTES];
    struct peer_facts facts = {.refusal = NULL};
    if (peer->session != NULL)
        peer->exchange->describe(peer, &facts);
    const struct tls_identity *identity = tls_peer_identity(net_conn_ssl(conn));
    X509 *refused = tls_peer_refused_certificate(net_conn_ssl(conn));
    struct refusal_event event = {
        .address = net_conn_peer(conn),
        .reason = reason,
        .detail = facts.refusal != NULL ? facts.refusal : detail,
        .name = identity->bytes,
        .name_length = identity->length,
    };
    if (refused != NULL) {
        tls_name_text(X509_get_subject_name(refused), subject);
        event.name = subject;
        event.name_length = strlen(subject);
    }
    refusals_note(peer->worker->refusals, &event, clock_wall_ms());
}

void peer_log_end(const struct peer *peer, struct net_conn *conn,
                  const struct net_conn_result *result)
{
    struct log_line line;
    char reason[64];
    uint64_t suppressed = 0;
    const char *detail = NULL;
    const char *fault = peer->session == NULL ? NULL : peer->exchange->fault(peer, &detail);
    snprintf(reason, sizeof reason, "%s%s%s", certpost_status_name(result->status),
             result->deadline != NULL ? ": " : "",
             result->deadline != NULL ? result->deadline : "");
    bool is_probe = peer_log_is_probe(result);
    bool is_fault = !is_probe && peer_log_is_fault(result->status, fault);
    enum log_level level = is_probe ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    const char *said = fault != NULL ? fault : reason;
    if (fault == NULL || detail == NULL) {
        fault = reason;
        detail = result->error->text;
    }
    if (is_fault)
        peer_log_note_refusal(peer, conn, said, detail);
    if (!peer_log_is_allowed(peer, level, is_fault, said, &suppressed))
        return;
    log_begin(&line, level, "connection ended");
    log_text(&line, "peer", net_conn_peer(conn));
    log_text(&line, "listener", peer->listener->name[0] != '\0' ? peer->listener->name : NULL);
    log_text(&line, "reason", fault);
    log_text(&line, "detail", detail[0] != '\0' ? detail : NULL);
    peer_log_identity(&line, net_conn_ssl(conn), result->handshake_done);
    if (result->handshake_done) {
        peer_log_tls(&line, net_conn_ssl(conn));
        peer_log_work(peer, &line);
    }
    log_u64(&line, "duration_ms", uv_now(&peer->worker->loop) - peer->opened_ms);
    if (suppressed > 0)
        log_u64(&line, "suppressed", suppressed);
    log_end(&line);
}
