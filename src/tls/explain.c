/*
 * explain.c — OpenSSL's failures in words (tls/explain.h): reason codes and alerts.
 *
 * One table. A row says for which end of the connection it holds, because the same reason code
 * means different things to a client and to a server. Rows for alerts say what the *peer* has
 * found wrong with this side; OpenSSL reports them as reasons above SSL_AD_REASON_OFFSET.
 * Failures of certificate checks are in explain_certificate.c.
 *
 * Uses: base.  Used by: tls/outcome.c, tls/context_*.c, tls/material.c.
 * Never: does I/O; never shows OpenSSL's own strings for a failure of the connection.
 */
#include "tls/explain.h"

#include "base/error.h"
#include "base/text.h"
#include "tls/failure.h"

#include <openssl/err.h>
#include <openssl/tls1.h>
#include <stdbool.h>
#include <string.h>

enum explain_side { EXPLAIN_BOTH, EXPLAIN_CLIENT, EXPLAIN_SERVER };

struct explain_row {
    int reason;
    enum explain_side side; /* which side this end of the connection is */
    enum certpost_status status;
    const char *words;
};

#define SERVER_REFUSED "the server refused our certificate: "
#define SERVER_LOG     "; the server's log says more"
#define CLIENT_REFUSED "the client refuses this server's certificate "

/* The first row that fits the reason and the side counts. */
static const struct explain_row explain_rows[] = {
    /* What this side found. */
    {SSL_R_HTTP_REQUEST, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer speaks plain HTTP, not TLS; use a certpost client, or any TLS client"},
    {SSL_R_HTTPS_PROXY_REQUEST, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer takes this for an HTTP proxy (it sent CONNECT); it has to speak TLS at once"},
    {SSL_R_WRONG_VERSION_NUMBER, EXPLAIN_CLIENT, CERTPOST_HANDSHAKE,
     "the peer does not speak TLS on this port; check the port, and that the server uses TLS"},
    {SSL_R_WRONG_VERSION_NUMBER, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     "the peer does not speak TLS; there is no plaintext mode"},
    {SSL_R_WRONG_SSL_VERSION, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer speaks another version of TLS than was agreed; it is broken"},
    {SSL_R_UNSUPPORTED_PROTOCOL, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer's TLS version is too old for this side; update the peer, or allow TLS 1.2 here with "
     "--tls-min 1.2"},
    {SSL_R_VERSION_TOO_LOW, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer's TLS version is too old for this side; update the peer, or allow TLS 1.2 here with "
     "--tls-min 1.2"},
    {SSL_R_VERSION_TOO_HIGH, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer chose a TLS version that this side does not have; update this side's OpenSSL"},
    {SSL_R_UNKNOWN_PROTOCOL, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer does not speak a known version of TLS; check the port"},
    {SSL_R_NO_SHARED_CIPHER, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer offers no cipher suite that this side accepts; compare --ciphersuites and "
     "--tls-min on both sides"},
    {SSL_R_WRONG_CIPHER_RETURNED, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer chose a cipher suite that was not offered; it is broken"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the two sides have no key exchange group in common; compare --groups on both sides"},
    {SSL_R_NO_SUITABLE_GROUPS, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the two sides have no key exchange group in common; compare --groups on both sides"},
    {SSL_R_NO_SHARED_GROUPS, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the two sides have no key exchange group in common; compare --groups on both sides"},
    {SSL_R_WRONG_CURVE, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the two sides have no key exchange group in common; compare --groups on both sides"},
    {SSL_R_BAD_KEY_SHARE, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer sent a key share for a group that was not offered; compare --groups on both sides"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer accepts no signature that this side's key can make; use another type of key"},
    {SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the two sides have no signature algorithm in common; use another type of key"},
    {SSL_R_NO_APPLICATION_PROTOCOL, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     "the peer offers only application protocols (ALPN) that this server does not have; it has "
     "certpost-plain and certpost/1"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, EXPLAIN_BOTH, CERTPOST_PEER_CERTIFICATE,
     "the peer sent no certificate, and one is required; it has to use --cert and --key"},
    {SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer does not know secure renegotiation (RFC 5746), so its TLS is too old; update it"},
    {SSL_R_CA_MD_TOO_WEAK, EXPLAIN_BOTH, CERTPOST_PEER_CERTIFICATE,
     "a certificate in the chain is signed with a digest that is too weak; renew it with SHA-256"},
    {SSL_R_EE_KEY_TOO_SMALL, EXPLAIN_BOTH, CERTPOST_PEER_CERTIFICATE,
     "the certificate's key is too short; renew it with a longer key"},
    {SSL_R_CA_KEY_TOO_SMALL, EXPLAIN_BOTH, CERTPOST_PEER_CERTIFICATE,
     "a CA key in the chain is too short; renew the chain with longer keys"},
    {SSL_R_BAD_SIGNATURE, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer could not prove that it has its certificate's key: the signature is wrong"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "a TLS record was altered on the way; look for a broken proxy or network device"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer sent a TLS record that is longer than TLS allows; check that it speaks TLS"},
    {SSL_R_DATA_LENGTH_TOO_LONG, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer sent a TLS record that is longer than TLS allows; check that it speaks TLS"},
    {SSL_R_BAD_RECORD_TYPE, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer sent something that is no TLS record; check that it speaks TLS"},
    {SSL_R_UNEXPECTED_MESSAGE, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer sent a TLS message out of order; it is broken, or something interferes"},
    {SSL_R_UNEXPECTED_RECORD, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer sent a TLS record out of order; it is broken, or something interferes"},
    {SSL_R_PROTOCOL_IS_SHUTDOWN, EXPLAIN_BOTH, CERTPOST_CLOSED,
     "this side has ended the connection, so nothing more can be sent on it"},
    {SSL_R_UNINITIALIZED, EXPLAIN_BOTH, CERTPOST_USAGE,
     "the SSL was never set to be a client or a server"},
    {SSL_R_CONNECTION_TYPE_NOT_SET, EXPLAIN_BOTH, CERTPOST_USAGE,
     "the SSL was never set to be a client or a server"},
    {SSL_R_SHUTDOWN_WHILE_IN_INIT, EXPLAIN_BOTH, CERTPOST_USAGE,
     "the connection cannot be ended cleanly before its TLS handshake is complete"},
    {SSL_R_BAD_LENGTH, EXPLAIN_BOTH, CERTPOST_USAGE,
     "a write that was interrupted was taken up again with fewer bytes"},
    {SSL_R_BAD_WRITE_RETRY, EXPLAIN_BOTH, CERTPOST_USAGE,
     "a write that was interrupted was taken up again with other bytes"},

    /* What the peer found, and told with an alert (RFC 8446, section 6.2). */
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, EXPLAIN_CLIENT, CERTPOST_HANDSHAKE,
     "the peer refused the TLS version; it may be too old: update it, or try --tls-min 1.2"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     "the peer refused the TLS version that was chosen; update the peer"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the server does not offer the exchange that was asked for (ALPN); check that the port is "
     "certpostd's"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer found nothing in common (alert handshake_failure); compare TLS versions, cipher "
     "suites and groups, and whether it wants a certificate (--cert and --key)"},
    {SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer wants stronger cipher suites or groups; compare --ciphersuites and --groups"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, EXPLAIN_BOTH, CERTPOST_CERTIFICATE_REFUSED,
     "the server requires a certificate of its clients; give one with --cert and --key"},
    {SSL_R_SSLV3_ALERT_NO_CERTIFICATE, EXPLAIN_BOTH, CERTPOST_CERTIFICATE_REFUSED,
     "the server requires a certificate of its clients; give one with --cert and --key"},

    /* The same about a certificate: which end has to mend something depends on the side. */
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, EXPLAIN_CLIENT, CERTPOST_CERTIFICATE_REFUSED,
     SERVER_REFUSED "it has a name or a signature that is not accepted (alert bad_certificate)"
                    "; check it with `openssl verify`" SERVER_LOG},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     CLIENT_REFUSED "(alert bad_certificate); check its names and its key's pin"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, EXPLAIN_CLIENT, CERTPOST_CERTIFICATE_REFUSED,
     SERVER_REFUSED "it is not for this purpose (alert unsupported_certificate); use one whose "
                    "extended key usage has clientAuth" SERVER_LOG},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     CLIENT_REFUSED "for this purpose (alert unsupported_certificate); use one whose extended key "
                    "usage has serverAuth"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, EXPLAIN_CLIENT, CERTPOST_CERTIFICATE_REFUSED,
     SERVER_REFUSED "it has expired or is not valid yet (alert certificate_expired); renew it, or "
                    "check both clocks" SERVER_LOG},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     CLIENT_REFUSED "because it has expired (alert certificate_expired); renew it, or check both "
                    "clocks"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, EXPLAIN_CLIENT, CERTPOST_CERTIFICATE_REFUSED,
     SERVER_REFUSED "it is revoked (alert certificate_revoked); use another one" SERVER_LOG},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     CLIENT_REFUSED "because it is revoked (alert certificate_revoked); use another one"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, EXPLAIN_CLIENT, CERTPOST_CERTIFICATE_REFUSED,
     SERVER_REFUSED "it is not one that is served there (alert certificate_unknown); have it "
                    "added to the server's allow list" SERVER_LOG},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     CLIENT_REFUSED "(alert certificate_unknown); its own message says why"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, EXPLAIN_CLIENT, CERTPOST_CERTIFICATE_REFUSED,
     SERVER_REFUSED "its CA is not known there (alert unknown_ca); have the CA added to the "
                    "server's client CAs, or give the chain in --cert" SERVER_LOG},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     CLIENT_REFUSED "because it does not know its CA (alert unknown_ca); give the client the CA's "
                    "certificate (--cacert), or send the whole chain"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, EXPLAIN_CLIENT, CERTPOST_CERTIFICATE_REFUSED,
     SERVER_REFUSED "it is not admitted (alert access_denied); have it added to the server's "
                    "allow list" SERVER_LOG},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, EXPLAIN_SERVER, CERTPOST_HANDSHAKE,
     CLIENT_REFUSED "(alert access_denied)"},
    {SSL_R_TLSV1_ALERT_DECRYPT_ERROR, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer could not verify a signature of the handshake (alert decrypt_error); check that "
     "this side's key belongs to its certificate, and both OpenSSL versions"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the server does not know the name that it was asked for; check --servername"},
    {SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer found a value in the handshake illegal (alert illegal_parameter); compare --groups "
     "and OpenSSL versions"},
    {SSL_R_TLSV1_ALERT_DECODE_ERROR, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer could not read the handshake (alert decode_error); compare TLS versions"},
    {SSL_R_TLSV13_ALERT_MISSING_EXTENSION, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer misses an extension in the handshake (alert missing_extension); compare --groups"},
    {SSL_R_TLSV1_UNSUPPORTED_EXTENSION, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer refused an extension of the handshake (alert unsupported_extension)"},
    {SSL_R_SSLV3_ALERT_UNEXPECTED_MESSAGE, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer did not expect what it got (alert unexpected_message)"},
    {SSL_R_SSLV3_ALERT_BAD_RECORD_MAC, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer got a record that was altered on the way (alert bad_record_mac); look for a broken "
     "proxy or network device"},
    {SSL_R_TLSV1_ALERT_RECORD_OVERFLOW, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer got a record that is too long for it (alert record_overflow)"},
    {SSL_R_TLSV1_ALERT_INTERNAL_ERROR, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer failed inside (alert internal_error); its log may say why"},
    {SSL_R_TLSV1_ALERT_USER_CANCELLED, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer gave up the handshake (alert user_canceled)"},
    {SSL_R_TLSV1_ALERT_INAPPROPRIATE_FALLBACK, EXPLAIN_BOTH, CERTPOST_HANDSHAKE,
     "the peer sees a downgrade of the TLS version (alert inappropriate_fallback)"},
    {SSL_R_TLSV1_ALERT_NO_RENEGOTIATION, EXPLAIN_BOTH, CERTPOST_PROTOCOL,
     "the peer does not renegotiate (alert no_renegotiation)"},
};

/* Entries of the queue that are looked at; OpenSSL itself keeps 16. */
enum { EXPLAIN_QUEUE_MAX = 16 };

/* How much of a name that a peer asked for is shown. */
enum { EXPLAIN_NAME_BYTES = 300 };

static const struct explain_row *explain_find(int reason, bool server)
{
    enum explain_side side = server ? EXPLAIN_SERVER : EXPLAIN_CLIENT;
    for (size_t i = 0; i < sizeof explain_rows / sizeof explain_rows[0]; i++) {
        const struct explain_row *row = &explain_rows[i];
        if (row->reason == reason && (row->side == EXPLAIN_BOTH || row->side == side))
            return row;
    }
    return NULL;
}

/*
 * SSL_is_init_finished says no after every fatal error, also long after the handshake; the length
 * of the peer's Finished message stays.
 */
bool tls_explain_handshake_was_done(const SSL *ssl)
{
    unsigned char unused = 0;
    return SSL_get_peer_finished(ssl, &unused, 0) > 0;
}

enum certpost_status tls_explain_truncation(const SSL *ssl, struct certpost_error *error)
{
    if (tls_explain_handshake_was_done(ssl))
        return error_set(error, CERTPOST_TRUNCATED,
                         "the peer vanished without ending the connection (no close_notify)");
    return error_set(error, CERTPOST_TRUNCATED,
                     "the peer ended the connection during the TLS handshake; check that it speaks "
                     "TLS on this port, and its log");
}

/* A failure that no row knows: say in which phase, and by which alert number if it was an alert. */
static enum certpost_status explain_unknown(const SSL *ssl, unsigned long code,
                                            struct certpost_error *error)
{
    bool finished = tls_explain_handshake_was_done(ssl);
    enum certpost_status status = finished ? CERTPOST_PROTOCOL : CERTPOST_HANDSHAKE;
    const char *phase = finished ? "TLS" : "the TLS handshake";
    if (code == 0)
        return error_set(error, CERTPOST_INTERNAL, "%s failed, and OpenSSL does not say why",
                         phase);
    int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
        return error_set(error, status, "the peer ended %s with alert %d", phase,
                         reason - SSL_AD_REASON_OFFSET);
    const char *words = ERR_reason_error_string(code);
    return error_set(error, status, "%s failed: %s", phase,
                     words == NULL ? "unknown reason" : words);
}

/* The server's own callbacks fail for no other reason that has no entry of its own before this. */
static enum certpost_status explain_unknown_name(const SSL *ssl, struct certpost_error *error)
{
    char safe[EXPLAIN_NAME_BYTES];
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL)
        name = "";
    text_escape(name, strlen(name), safe, sizeof safe);
    return error_set(error, CERTPOST_HANDSHAKE,
                     "the peer asks by SNI for %s, a name that no certificate here has; add a "
                     "certificate for it, or serve without --sni-strict",
                     safe);
}

/*
 * One reason for two faults: of the caller of a write, and of a peer whose handshake message is not
 * as long as it says. Only the second is fatal to the connection.
 */
static bool explain_is_peers_length(const SSL *ssl, int reason)
{
    return reason == SSL_R_BAD_LENGTH && SSL_is_init_finished(ssl) == 0;
}

static enum certpost_status explain_peers_length(const SSL *ssl, struct certpost_error *error)
{
    return error_set(error,
                     tls_explain_handshake_was_done(ssl) ? CERTPOST_PROTOCOL : CERTPOST_HANDSHAKE,
                     "the peer sent a handshake message that is not as long as it says; it is "
                     "broken, or it was altered on the way");
}

static enum certpost_status explain_entry(SSL *ssl, unsigned long code,
                                          struct certpost_error *error, bool *ret_known)
{
    *ret_known = true;
    int reason = ERR_GET_REASON(code);
    if (reason == ERR_R_MALLOC_FAILURE)
        return error_no_memory(error);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
            return tls_explain_certificate(ssl, error);
        if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            return tls_explain_truncation(ssl, error);
        if (reason == SSL_R_CALLBACK_FAILED && SSL_is_server(ssl) != 0)
            return explain_unknown_name(ssl, error);
        if (explain_is_peers_length(ssl, reason))
            return explain_peers_length(ssl, error);
        const struct explain_row *row = explain_find(reason, SSL_is_server(ssl) != 0);
        if (row != NULL)
            return error_set(error, row->status, "%s", row->words);
    }
    *ret_known = false;
    return CERTPOST_INTERNAL;
}

enum certpost_status tls_explain_failure(SSL *ssl, struct certpost_error *error)
{
    unsigned long earliest = 0;
    bool known = false;
    enum certpost_status status = CERTPOST_INTERNAL;
    for (int i = 0; i < EXPLAIN_QUEUE_MAX && !known; i++) {
        unsigned long code = ERR_get_error();
        if (code == 0)
            break;
        if (earliest == 0)
            earliest = code;
        status = explain_entry(ssl, code, error, &known);
        if (known)
            tls_failure_note(ssl, code);
    }
    if (!known)
        tls_failure_note(ssl, earliest);
    ERR_clear_error();
    return known ? status : explain_unknown(ssl, earliest, error);
}

bool tls_explain_no_memory(const char **ret_words)
{
    bool lacking = false;
    unsigned long code = ERR_peek_error();
    const char *words =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    while ((code = ERR_get_error()) != 0)
        lacking = lacking || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    if (ret_words != NULL)
        *ret_words = words == NULL ? "unknown reason" : words;
    return lacking;
}
