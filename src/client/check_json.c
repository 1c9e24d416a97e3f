/*
 * check_json.c — what `certpost check` has found, as one JSON object (client/check_report.h).
 *
 * Uses: base/json.  Used by: check.c.  Never: leaves out a finding that was made.
 */
#include "base/json.h"
#include "client/check_report.h"
#include "client/exit_status.h"

#include "certpost/client.h"

#include <stdio.h>

static const char *check_json_mark(enum check_mark mark)
{
    static const char *const names[] = {[CHECK_OK] = "ok",
                                        [CHECK_WARNING] = "warning",
                                        [CHECK_FAIL] = "fail",
                                        [CHECK_SKIPPED] = "note"};
    return names[mark];
}

static void check_json_findings(struct json_writer *json, const struct check_report *report)
{
    json_array(json, "findings");
    for (size_t i = 0; i < report->count; i++) {
        const struct check_finding *finding = &report->findings[i];
        json_object(json, NULL);
        json_text(json, "layer", check_layer_name(finding->layer));
        json_text(json, "result", check_json_mark(finding->mark));
        json_exact_text(json, "text", finding->text);
        json_end_object(json);
    }
    json_end_array(json);
}

static void check_json_agreed(struct json_writer *json, const struct check_agreed *agreed)
{
    json_exact_text(json, "version", agreed->version);
    json_exact_text(json, "cipher", agreed->cipher);
    json_exact_text(json, "group", agreed->group);
    json_thousandths(json, "handshake_ms", agreed->handshake_us);
}

/* Of the others: what is known of the first is in "tls" and the members after it. */
static void check_json_address_tls(struct json_writer *json, const struct check_address *address)
{
    if (!address->was_looked_at)
        return;
    json_object(json, "tls");
    json_bool(json, "ok", address->holds);
    if (address->holds) {
        check_json_agreed(json, &address->agreed);
        json_bool(json, "certpost", address->has_certpost);
        json_bool(json, "same_certificate", address->same_certificate);
    } else {
        json_exact_text(json, "fault", address->fault);
    }
    json_end_object(json);
}

static void check_json_addresses(struct json_writer *json, const struct check_facts *facts)
{
    json_array(json, "addresses");
    for (size_t i = 0; i < facts->address_count; i++) {
        const struct check_address *address = &facts->addresses[i];
        json_object(json, NULL);
        json_exact_text(json, "address", address->endpoint);
        json_bool(json, "connected", address->connected);
        json_thousandths(json, "ms", address->time_us);
        check_json_address_tls(json, address);
        json_end_object(json);
    }
    json_end_array(json);
}

static void check_json_tls(struct json_writer *json, const struct check_facts *facts)
{
    if (!facts->has_tls) {
        json_null(json, "tls");
        return;
    }
    json_object(json, "tls");
    json_exact_text(json, "address", facts->endpoint);
    check_json_agreed(json, &facts->agreed);
    json_bool(json, "verified", facts->verified);
    json_u64(json, "tickets", facts->tickets);
    if (facts->asked_for_staple)
        json_bool(json, "ocsp_stapled", facts->staple_bytes > 0);
    else
        json_null(json, "ocsp_stapled");
    json_array(json, "alpn");
    if (facts->alpn_certpost)
        json_text(json, NULL, "certpost/1");
    if (facts->alpn_plain)
        json_text(json, NULL, "certpost-plain");
    json_end_array(json);
    json_end_object(json);
}

static void check_json_chain(struct json_writer *json, const struct check_facts *facts)
{
    json_array(json, "chain");
    for (size_t i = 0; i < facts->chain_count; i++) {
        const struct check_certificate *certificate = &facts->chain[i];
        json_object(json, NULL);
        json_exact_text(json, "subject", certificate->subject);
        json_exact_text(json, "issuer", certificate->issuer);
        json_exact_text(json, "key", certificate->key);
        json_exact_text(json, "signature", certificate->signature);
        json_exact_text(json, "begins", certificate->begins);
        json_exact_text(json, "ends", certificate->ends);
        json_i64(json, "seconds_left", certificate->left_ms / 1000);
        json_bool(json, "sent", certificate->sent);
        json_end_object(json);
    }
    json_end_array(json);
    json_exact_text(json, "names", facts->names);
    json_exact_text(json, "pin", facts->pin);
}

static void check_json_client(struct json_writer *json, const struct check_facts *facts)
{
    json_object(json, "client_certificate");
    json_bool(json, "asked", facts->client_asked);
    json_bool(json, "sent", facts->client_sent);
    json_bool(json, "accepted", facts->client_accepted);
    json_exact_text(json, "identity", facts->identity);
    json_end_object(json);
}

static void check_json_server(struct json_writer *json, const struct check_facts *facts)
{
    const struct message_welcome *welcome = &facts->welcome;
    if (!facts->has_welcome) {
        json_null(json, "server");
        return;
    }
    json_object(json, "server");
    json_exact_text(json, "name", facts->peer_name);
    json_exact_text(json, "reply", facts->reply);
    json_text(json, "level", certpost_level_name((enum certpost_level)welcome->level));
    json_u64(json, "max_message_bytes", welcome->max_message_bytes);
    json_u64(json, "window_bytes", welcome->window_bytes);
    json_u64(json, "idle_timeout_ms", welcome->idle_timeout_ms);
    json_bool(json, "receipts", welcome->receipts);
    json_end_object(json);
}

static void check_json_round_trip(struct json_writer *json, const struct check_round_trip *trip)
{
    if (trip->count == 0) {
        json_null(json, "round_trip");
        return;
    }
    json_object(json, "round_trip");
    json_thousandths(json, "min_ms", trip->min_us);
    json_thousandths(json, "mean_ms", trip->sum_us / trip->count);
    json_thousandths(json, "max_ms", trip->max_us);
    json_u64(json, "count", trip->count);
    json_end_object(json);
}

static void check_json_verdict(struct json_writer *json, const struct check_report *report)
{
    const char *result = "ok";
    if (report->warned != CERTPOST_OK)
        result = "warning";
    if (report->failed != CERTPOST_OK)
        result = "fail";
    json_text(json, "result", result);
    json_i64(json, "status", (int64_t)exit_status_of(check_verdict(report)));
}

void check_print_json(const struct check_report *report)
{
    const struct agent_server *server = &report->options->config.servers[0];
    const struct check_facts *facts = &report->facts;
    struct json_writer json;
    json_start_line(&json, stdout);
    json_exact_text(&json, "host", server->host);
    json_u64(&json, "port", server->port);
    json_exact_text(&json, "server_name", facts->server_name);
    check_json_verdict(&json, report);
    json_thousandths(&json, "resolve_ms", facts->resolve_us);
    check_json_addresses(&json, facts);
    check_json_tls(&json, facts);
    check_json_chain(&json, facts);
    check_json_client(&json, facts);
    check_json_server(&json, facts);
    check_json_round_trip(&json, &facts->round_trip);
    check_json_findings(&json, report);
    json_end_line(&json);
}
