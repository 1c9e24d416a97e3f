/*
 * metrics_table.c — every metric (server/metrics_table.h).
 *
 * Uses: versions of the libraries.  Used by: metrics_text.c.
 * Never: has a label whose value a peer could choose.
 */
#include "server/metrics_table.h"

#include "store/store.h"
#include "wire/message.h"

#include "certpost/version.h"

#include <microhttpd.h>
#include <openssl/crypto.h>
#include <uv.h>

#define LABEL_REASON(constant, name)              "reason=\"" name "\"",
#define LABEL_LIMIT(constant, name)               "limit=\"" name "\"",
#define LABEL_CODE(constant, number, name, again) "code=\"" name "\"",

static const char *const metrics_ends[] = {METRICS_END_LIST(LABEL_REASON)};
static const char *const metrics_limits[] = {METRICS_LIMIT_LIST(LABEL_LIMIT)};
static const char *const metrics_codes[] = {MESSAGE_CODE_LIST(LABEL_CODE) "code=\"application\""};
static const char *const metrics_exchanges[] = {"exchange=\"plain\"", "exchange=\"certpost/1\""};
static const char *const metrics_tls[] = {
    "version=\"TLSv1.2\",resumed=\"no\"",
    "version=\"TLSv1.2\",resumed=\"yes\"",
    "version=\"TLSv1.3\",resumed=\"no\"",
    "version=\"TLSv1.3\",resumed=\"yes\"",
};
/* METRICS_HANDSHAKES_BROKEN follows METRICS_HANDSHAKES_FAILED: one family. */
static const char *const metrics_failures[] = {TLS_FAILURE_LIST(LABEL_REASON)
                                                   METRICS_BROKEN_LIST(LABEL_REASON)};
static const char *const metrics_store_failures[] = {"reason=\"store_full\"",
                                                     "reason=\"store_failed\""};
static const char *const metrics_outcomes[] = {"outcome=\"ok\"", "outcome=\"failed\""};

_Static_assert(sizeof metrics_codes / sizeof metrics_codes[0] == METRICS_CODE_COUNT, "codes");

static enum certpost_status metrics_write_build(const struct metrics_family *family,
                                                const struct metrics_facts *facts,
                                                struct buffer *body)
{
    (void)facts;
    return metrics_print(body,
                         "%s{version=\"%s\",openssl=\"%s\",sqlite=\"%s\",libuv=\"%s\","
                         "libmicrohttpd=\"%s\"} 1\n",
                         family->name, CERTPOST_VERSION, OpenSSL_version(OPENSSL_VERSION_STRING),
                         store_engine_version(), uv_version_string(), MHD_get_version());
}

#define ONE(slot) .count = 1, .place = (slot), .divisor = 1
#define MANY(slot, names)                                                                          \
    .labels = (names), .count = sizeof(names) / sizeof(names)[0], .place = (slot), .divisor = 1
#define FACT(fact)    .count = 0, .place = (fact), .divisor = 1
#define FACT_MS(fact) .count = 0, .place = (fact), .divisor = 1000

const struct metrics_family metrics_table[] = {
    {.name = "certpost_build_info",
     .help = "Always 1; the labels say which versions run.",
     .type = METRICS_GAUGE,
     .write = metrics_write_build},
    {.name = "certpost_ready",
     .help = "1 while messages can be taken, as /readyz says; else 0.",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_READY)},
    {.name = "certpost_start_time_seconds",
     .help = "When the server started, in seconds since 1970.",
     .type = METRICS_GAUGE,
     FACT_MS(METRICS_FACT_START_TIME)},
    {.name = "certpost_certificate_expiry_seconds",
     .help = "Until when certificates, revocation lists and OCSP responses in use hold, in seconds "
             "since 1970.",
     .type = METRICS_GAUGE,
     .write = metrics_write_expiry},
    {.name = "certpost_workers",
     .help = "Threads that serve connections.",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_WORKERS)},

    {.name = "certpost_connections_opened_total",
     .help = "Connections that were accepted.",
     .type = METRICS_COUNTER,
     ONE(METRICS_CONNECTIONS_OPENED)},
    {.name = "certpost_connections_closed_total",
     .help = "Connections that have ended, by how.",
     .type = METRICS_COUNTER,
     MANY(METRICS_CONNECTIONS_CLOSED, metrics_ends)},
    {.name = "certpost_connections",
     .help = "Connections now, handshakes included.",
     .type = METRICS_GAUGE,
     ONE(METRICS_CONNECTIONS_OPEN)},
    {.name = "certpost_connections_limit",
     .help = "How many there may be (max-connections, or what descriptors allow).",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_CONNECTIONS_MAX)},
    {.name = "certpost_handshakes_under_way",
     .help = "TLS handshakes that have begun and not ended.",
     .type = METRICS_GAUGE,
     ONE(METRICS_HANDSHAKES_UNDER_WAY)},
    {.name = "certpost_handshakes_total",
     .help = "TLS handshakes that were completed, by version and whether a session was resumed.",
     .type = METRICS_COUNTER,
     MANY(METRICS_HANDSHAKES, metrics_tls)},
    {.name = "certpost_handshakes_failed_total",
     .help = "TLS handshakes that failed, by why.",
     .type = METRICS_COUNTER,
     MANY(METRICS_HANDSHAKES_FAILED, metrics_failures)},

    {.name = "certpost_messages_received_total",
     .help = "Messages that came whole, by exchange; one that is sent again counts again.",
     .type = METRICS_COUNTER,
     MANY(METRICS_MESSAGES, metrics_exchanges)},
    {.name = "certpost_message_bytes_received_total",
     .help = "Bytes of these messages.",
     .type = METRICS_COUNTER,
     MANY(METRICS_MESSAGE_BYTES, metrics_exchanges)},
    {.name = "certpost_acknowledgements_sent_total",
     .help = "Replies (plain) and ACKs (certpost/1).",
     .type = METRICS_COUNTER,
     MANY(METRICS_ACKNOWLEDGEMENTS, metrics_exchanges)},
    {.name = "certpost_messages_acknowledged_total",
     .help = "Messages that these have acknowledged, each once.",
     .type = METRICS_COUNTER,
     MANY(METRICS_ACKNOWLEDGED, metrics_exchanges)},
    {.name = "certpost_refusals_total",
     .help =
         "Connections whose client was told that no more is taken, by the code of the protocol.",
     .type = METRICS_COUNTER,
     MANY(METRICS_REFUSALS, metrics_codes)},

    {.name = "certpost_commit_seconds",
     .help = "How long a commit of the store took.",
     .type = METRICS_TIMES,
     .place = METRICS_COMMIT_TIME},
    {.name = "certpost_commit_messages",
     .help = "Messages in one commit of the store that has succeeded.",
     .type = METRICS_SIZES,
     .place = METRICS_COMMIT_SIZE},
    {.name = "certpost_store_failures_total",
     .help = "Times that the store has failed, by how; attempts to recover do not count.",
     .type = METRICS_COUNTER,
     MANY(METRICS_COMMIT_FAILURES, metrics_store_failures)},
    {.name = "certpost_store_failing_since_seconds",
     .help = "Since when the store fails, in seconds since 1970; 0: it works.",
     .type = METRICS_GAUGE,
     FACT_MS(METRICS_FACT_STORE_FAILING_SINCE)},
    {.name = "certpost_store_bytes",
     .help = "Size of the store's database file.",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_STORE_BYTES)},
    {.name = "certpost_store_log_bytes",
     .help = "Size of the store's write-ahead log.",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_STORE_LOG_BYTES)},

    {.name = "certpost_writer_queue_batches",
     .help = "Batches of messages that wait for the writer.",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_QUEUED_BATCHES)},
    {.name = "certpost_writer_queue_bytes",
     .help = "Bytes of these batches.",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_QUEUED_BYTES)},
    {.name = "certpost_pending_bytes",
     .help = "Bytes of messages that were read and are not safe yet.",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_PENDING_BYTES)},
    {.name = "certpost_pending_limit_bytes",
     .help = "How many there may be (max-pending-total).",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_PENDING_MAX_BYTES)},
    {.name = "certpost_unfinished_bytes",
     .help = "Bytes of messages that have not come whole, above 4 KiB for each connection.",
     .type = METRICS_GAUGE,
     FACT(METRICS_FACT_UNFINISHED_BYTES)},
    {.name = "certpost_connections_paused",
     .help = "Connections that are not read from now, until there is room.",
     .type = METRICS_GAUGE,
     ONE(METRICS_CONNECTIONS_PAUSED)},
    {.name = "certpost_pauses_total",
     .help = "Times that reading from a connection was paused.",
     .type = METRICS_COUNTER,
     ONE(METRICS_PAUSES)},
    {.name = "certpost_paused_seconds_total",
     .help = "Time that connections were paused, added up when each pause ends.",
     .type = METRICS_COUNTER,
     .count = 1,
     .place = METRICS_PAUSED_MS,
     .divisor = 1000},
    {.name = "certpost_limits_reached_total",
     .help = "Times that a limit was reached, by limit.",
     .type = METRICS_COUNTER,
     MANY(METRICS_LIMITS, metrics_limits)},

    {.name = "certpost_receipts_total",
     .help = "Receipts that were to be signed, by outcome.",
     .type = METRICS_COUNTER,
     MANY(METRICS_RECEIPTS, metrics_outcomes)},
    {.name = "certpost_receipt_signing_seconds",
     .help = "How long signing a receipt took.",
     .type = METRICS_TIMES,
     .place = METRICS_SIGNING_TIME},
    {.name = "certpost_reloads_total",
     .help = "Reloads of the configuration, by outcome.",
     .type = METRICS_COUNTER,
     MANY(METRICS_RELOADS, metrics_outcomes)},
    {0},
};
