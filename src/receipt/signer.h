/*
 * receipt/signer.h — signs receipts with a server's own keys.
 *
 * A receipt is signed with the key of the certificate that its connection uses. So there is one
 * signer for each certificate pair of the server's material; a pair whose key cannot sign one
 * (Ed25519 before OpenSSL knows it in CMS) has none, and connections that use this pair have no
 * receipts: WELCOME leaves the option out.
 *
 * Threads: signers are made by one thread and then only read; any number of threads may sign with
 * one at once. Signing takes between 0.2 and some ms of processor time, so it is work for a thread
 * that serves no connections.
 */
#ifndef RECEIPT_SIGNER_H
#define RECEIPT_SIGNER_H

#include "base/buffer.h"
#include "tls/server_material.h"
#include "wire/statement.h"

#include "certpost/error.h"

#include <openssl/ssl.h>

struct receipt_signers;
struct receipt_signer;
struct tls_pair;

/*
 * One signer for each pair of `material`, which it does not refer to afterwards; the signers may
 * outlive it. A pair that cannot sign is no error: `warn` (may be NULL) is told why. Errors:
 * OWN_CERTIFICATE, NO_MEMORY. Free with receipt_signers_free, when no thread signs any more.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_signers_new(const struct tls_server_material *material, tls_warn warn,
                                         struct receipt_signers **ret_signers,
                                         struct certpost_error *error);
void receipt_signers_free(struct receipt_signers *signers);

/*
 * The signer for a connection: the one whose certificate it serves (SSL_get_certificate). NULL:
 * this connection has no receipts. Lives as long as `signers`.
 */
const struct receipt_signer *receipt_signers_find(const struct receipt_signers *signers,
                                                  const SSL *ssl);

/*
 * One signer for one pair. OWN_CERTIFICATE, with words, when its key cannot sign a receipt or the
 * receipt would not fit into a frame with its chain; NO_MEMORY. Free with receipt_signer_free.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_signer_new(const struct tls_pair *pair,
                                        struct receipt_signer **ret_signer,
                                        struct certpost_error *error);
void receipt_signer_free(struct receipt_signer *signer);

/*
 * Appends the text of `statement` to `text` and its detached signature (CMS SignedData in DER, with
 * the signer's certificate and the chain above it, without the root) to `signature`: the two fields
 * of RECEIPT. They fit into a frame. Blocks while it computes; see Threads. Errors: USAGE (a
 * statement out of bounds), OWN_CERTIFICATE (OpenSSL refused, or the signature was checked and
 * found wrong), LIMIT (of the buffers), NO_MEMORY. What was appended then is to be dropped.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_signer_sign(const struct receipt_signer *signer,
                                         const struct statement *statement, struct buffer *text,
                                         struct buffer *signature, struct certpost_error *error);

#endif
