/*
 * receipt_check.c — reading a receipt's file, and whether to believe it (client/receipt_check.h).
 *
 * A receipt has to outlive the certificate that signed it, so by default certificates are judged at
 * the time that the receipt itself says. Whoever holds the key can write any time there, which is
 * why docs/durability.md says what a receipt does not prove.
 *
 * Uses: receipt, tls/context for the CAs.  Used by: receipt_command.c, verify.c.
 * Never: prints.
 */
#include "client/receipt_check.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "receipt/signature.h"
#include "tls/context.h"
#include "tls/file.h"

#include <string.h>

/* How far two clocks may be apart before a receipt counts as one from the future. */
enum { RECEIPT_CLOCK_SKEW_MS = 5 * 60 * 1000 };

/* Room for a path in a message; a longer one is cut. */
enum { RECEIPT_PATH_TEXT_BYTES = 400 };

enum certpost_status receipt_load(const char *path, struct receipt *ret_receipt,
                                  struct certpost_error *error)
{
    struct certpost_error cause;
    struct buffer bytes;
    char safe[RECEIPT_PATH_TEXT_BYTES];
    certpost_error_clear(&cause);
    text_escape(path, strlen(path), safe, sizeof safe);
    /* It has to hold one read more than the file. */
    buffer_init(&bytes, (size_t)2 * RECEIPT_FILE_MAX_BYTES);
    enum certpost_status status = tls_file_load(path, "receipt", CERTPOST_LOCAL_IO, &bytes, &cause);
    if (status != CERTPOST_OK) {
        status = error_adopt(error, status, &cause);
        goto done;
    }
    status = receipt_file_parse(buffer_bytes(&bytes), bytes.length, ret_receipt, &cause);
    if (status != CERTPOST_OK)
        (void)error_set(error, status, "%s %s", safe, certpost_error_text(&cause, status));
done:
    buffer_free(&bytes);
    return status;
}

static enum certpost_status receipt_check_clock(const struct receipt *receipt, int64_t now_ms,
                                                struct certpost_error *error)
{
    char time[CLOCK_UTC_TEXT_BYTES];
    if (receipt->statement.time_ms <= now_ms + RECEIPT_CLOCK_SKEW_MS)
        return CERTPOST_OK;
    clock_format_utc(receipt->statement.time_ms, time);
    return error_set(error, CERTPOST_PEER_CERTIFICATE,
                     "the receipt is from the future, %s; check the clocks of both machines", time);
}

enum certpost_status receipt_believe(const struct receipt *receipt,
                                     const struct receipt_choice *choice,
                                     struct certpost_error *error)
{
    const struct tls_client_config config = {
        .settings = {.min_version = TLS1_3_VERSION},
        .ca_file = choice->ca_file,
        .ca_path = choice->ca_path,
        .crl_file = choice->crl_file,
    };
    SSL_CTX *context = NULL; /* no connection is made: it is where the CAs are loaded */
    int64_t now_ms = clock_wall_ms();
    enum certpost_status status = receipt_check_clock(receipt, now_ms, error);
    if (status == CERTPOST_OK)
        status = tls_context_client(&config, &context, error);
    if (status == CERTPOST_OK) {
        const struct receipt_trust trust = {
            .store = SSL_CTX_get_cert_store(context),
            .server_name = choice->server_name,
            .time_ms = choice->at_now ? now_ms : receipt->statement.time_ms,
            .check_revocation = choice->crl_file != NULL,
        };
        status = receipt_signature_check_signer(receipt->signature, &trust, error);
    }
    SSL_CTX_free(context);
    return status;
}
