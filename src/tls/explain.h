/*
 * tls/explain.h — OpenSSL's failures in words that name the check, the peer and what to do.
 *
 * Texts never contain OpenSSL's own error strings with their hexadecimal codes, and everything that
 * came out of a peer's certificate is escaped.
 */
#ifndef TLS_EXPLAIN_H
#define TLS_EXPLAIN_H

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>

/*
 * Turns the earliest entry of this thread's error queue (then cleared), together with what `ssl`
 * knows about its handshake, into a status and words: HANDSHAKE, PEER_CERTIFICATE,
 * CERTIFICATE_REFUSED (a client hears that the server refused its certificate, or misses it),
 * PROTOCOL, TRUNCATED, NO_MEMORY or INTERNAL; CLOSED for a write after this side has shut down,
 * USAGE for a call in the wrong order. Where OpenSSL stacked several entries, the first that has
 * words here counts: the earliest may be no more than a low-level arithmetic failure.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_explain_failure(SSL *ssl, struct certpost_error *error);

/* Whether the handshake was complete, also after a failure that came later. */
bool tls_explain_handshake_was_done(const SSL *ssl);

/* Words for an end of stream without close_notify, in or after the handshake; TRUNCATED. */
enum certpost_status tls_explain_truncation(const SSL *ssl, struct certpost_error *error);

/*
 * Words for a peer certificate that was refused: which check failed, on which certificate of the
 * chain, what the certificate says instead, and what to do; PEER_CERTIFICATE. `ssl` is the
 * connection whose verification has just failed.
 */
enum certpost_status tls_explain_certificate(SSL *ssl, struct certpost_error *error);

/*
 * What is wrong with a certificate, as words that go on from its name ("is from an unknown CA"):
 * `code` is what X509_STORE_CTX_get_error says. OpenSSL's words where there are none here. Static.
 */
const char *tls_certificate_fault(int code);

/* What to do about it; NULL where nothing is known. Static. */
const char *tls_certificate_advice(int code);

/*
 * Room for the names of a certificate, as tls_certificate_names writes them: what does not fit is
 * counted ("and 12 more").
 */
#define TLS_NAMES_TEXT_BYTES 320

/*
 * The subject alternative names of a certificate (dNSName, iPAddress and URI), escaped and
 * bounded; "no names" when there are none.
 */
void tls_certificate_names(X509 *certificate, char ret_text[TLS_NAMES_TEXT_BYTES]);

/* Room for one distinguished name, escaped. */
#define TLS_DN_TEXT_BYTES 200

/* A distinguished name in the form of RFC 2253, escaped and bounded. */
void tls_name_text(const X509_NAME *name, char ret_text[TLS_DN_TEXT_BYTES]);

/* Room for tls_time_text: "2026-11-22 13:21:17 UTC". */
#define TLS_TIME_TEXT_BYTES 64

/* A certificate's time in UTC; "an unreadable time" when it is none. */
void tls_time_text(const ASN1_TIME *time, char ret_text[TLS_TIME_TEXT_BYTES]);

/*
 * For a failure of local set-up (a file, a name of a cipher): whether memory was lacking, which
 * OpenSSL reports among its words about damage, so that no file or name must be blamed then. In
 * *ret_words, unless it is NULL, the reason text of the earliest entry of the error queue; "unknown
 * reason" if there is none; valid until the thread's next call of strerror. The queue is then
 * empty.
 */
bool tls_explain_no_memory(const char **ret_words);

#endif
