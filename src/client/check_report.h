/*
 * client/check_report.h — what `certpost check` has found: a line for each finding as it is made,
 * or one JSON object at the end.
 *
 * Texts in it that came from a peer are escaped by whoever puts them in.
 */
#ifndef CLIENT_CHECK_REPORT_H
#define CLIENT_CHECK_REPORT_H

#include "client/check_options.h"
#include "tls/explain.h"
#include "tls/pin.h"
#include "wire/message.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum check_layer {
    CHECK_LOCAL,  /* own files */
    CHECK_NAME,   /* resolution */
    CHECK_TCP,    /* each address */
    CHECK_TLS,    /* handshake */
    CHECK_CHAIN,  /* certificates, but for names and dates */
    CHECK_HOST,   /* whether the certificate has the name */
    CHECK_EXPIRY, /* dates */
    CHECK_ALPN,
    CHECK_CLIENT, /* the client's certificate */
    CHECK_SERVER, /* what WELCOME says */
    CHECK_TIME,   /* round trips */
};

enum check_mark {
    CHECK_OK,
    CHECK_WARNING,
    CHECK_FAIL,
    CHECK_SKIPPED, /* not looked at, or for information */
};

/* What is shown of lists that a peer or DNS could make long. */
enum { CHECK_ADDRESSES_MAX = 16, CHECK_CHAIN_MAX = 10, CHECK_FINDINGS_MAX = 128 };

struct check_finding {
    enum check_layer layer;
    enum check_mark mark;
    char text[CERTPOST_ERROR_TEXT_BYTES];
};

/* Of a handshake. */
struct check_agreed {
    char version[16];
    char cipher[64];
    char group[64];
    int64_t handshake_us;
};

struct check_address {
    char endpoint[TEXT_ENDPOINT_BYTES];
    bool connected;
    int64_t time_us;
    /* Of the addresses beside the one that is looked at in full: */
    bool was_looked_at;
    bool holds; /* the handshake did; `fault` says why not */
    struct check_agreed agreed;
    bool has_certpost;
    bool same_certificate; /* as the first */
    char fault[CERTPOST_ERROR_TEXT_BYTES];
};

struct check_certificate {
    char subject[TLS_DN_TEXT_BYTES];
    char issuer[TLS_DN_TEXT_BYTES];
    char key[64];
    char signature[64];
    char begins[TLS_TIME_TEXT_BYTES];
    char ends[TLS_TIME_TEXT_BYTES];
    int64_t left_ms; /* until it ends; below 0 when it has */
    bool sent;       /* by the server; else it is known here */
};

struct check_round_trip {
    unsigned count;
    int64_t min_us;
    int64_t sum_us;
    int64_t max_us;
};

/* Facts beside the findings, for JSON. */
struct check_facts {
    char server_name[TEXT_HOST_BYTES]; /* that the certificate must have */
    int64_t resolve_us;
    struct check_address addresses[CHECK_ADDRESSES_MAX];
    size_t address_count;
    char endpoint[TEXT_ENDPOINT_BYTES]; /* whose TLS was looked at */
    bool has_tls;
    bool verified;
    struct check_agreed agreed;
    unsigned tickets;
    bool asked_for_staple; /* in a handshake that held */
    long staple_bytes;     /* of an OCSP response; 0: none came */
    struct check_certificate chain[CHECK_CHAIN_MAX];
    size_t chain_count;
    char names[TLS_NAMES_TEXT_BYTES];
    char pin[TLS_PIN_TEXT_BYTES];
    bool alpn_certpost;
    bool alpn_plain;
    bool client_asked;
    bool client_sent;
    bool client_accepted;
    char identity[512];
    bool has_welcome;
    struct message_welcome welcome; /* its spans point to nothing; the texts are below */
    char peer_name[MESSAGE_STR8_MAX_BYTES + 1];
    char reply[MESSAGE_STR8_MAX_BYTES + 1];
    struct check_round_trip round_trip;
};

struct check_report {
    const struct check_options *options; /* borrowed */
    bool colour;
    enum certpost_status failed; /* of the first FAIL; OK: none */
    enum certpost_status warned; /* of the first warning */
    struct check_facts facts;
    struct check_finding findings[CHECK_FINDINGS_MAX]; /* more than fit are printed, not kept */
    size_t count;
};

/* Errors: NO_MEMORY. `options` must outlive the report; free(3) ends it. */
CERTPOST_MUST_CHECK
enum certpost_status check_report_new(const struct check_options *options,
                                      struct check_report **ret_report,
                                      struct certpost_error *error);

/*
 * Adds a finding. `status` is what a FAIL, or a warning under --strict, makes of the exit status;
 * OK for the other marks.
 */
void check_say(struct check_report *report, enum check_layer layer, enum check_mark mark,
               enum certpost_status status, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The status that the exit status is made from: of the first FAIL; with --strict, of a warning. */
enum certpost_status check_verdict(const struct check_report *report);

/* "tls"; the word in front of a finding's text, and in JSON. Static. */
const char *check_layer_name(enum check_layer layer);

/* The JSON object on standard output (check_json.c). */
void check_print_json(const struct check_report *report);

/* Microseconds of CLOCK_MONOTONIC. */
int64_t check_now_us(void);

/* Room for check_duration. */
enum { CHECK_DURATION_BYTES = 32 };

/* "0.42 ms", "17 ms", "3.2 s". */
void check_duration(int64_t duration_us, char ret_text[CHECK_DURATION_BYTES]);

#endif
