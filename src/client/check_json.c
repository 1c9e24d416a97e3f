/*
 * check_json.c — what `certpost check` has found, as one JSON object (client/check_report.h).
 *
 * Uses: print.  Used by: check.c.  Never: leaves out a finding that was made.
 */
#include "client/check_report.h"
#include "client/exit_status.h"
#include "client/print.h"

#include "certpost/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void json_text(const char *key, const char *text)
{
    print_json_member(stdout, key, text, strlen(text));
}

static const char *json_bool(bool value)
{
    return value ? "true" : "false";
}

static void json_time(const char *key, int64_t time_us)
{
    printf("\"%s\":%" PRId64 ".%03" PRId64, key, time_us / 1000, time_us % 1000);
}

static const char *json_mark(enum check_mark mark)
{
    static const char *const names[] = {[CHECK_OK] = "ok",
                                        [CHECK_WARNING] = "warning",
                                        [CHECK_FAIL] = "fail",
                                        [CHECK_SKIPPED] = "note"};
    return names[mark];
}

static void json_findings(const struct check_report *report)
{
    printf("\"findings\":[");
    for (size_t i = 0; i < report->count; i++) {
        const struct check_finding *finding = &report->findings[i];
        printf("%s{\"layer\":\"%s\",\"result\":\"%s\",", i > 0 ? "," : "",
               check_layer_name(finding->layer), json_mark(finding->mark));
        json_text("text", finding->text);
        putchar('}');
    }
    printf("]");
}

static void json_agreed(const struct check_agreed *agreed)
{
    json_text("version", agreed->version);
    putchar(',');
    json_text("cipher", agreed->cipher);
    putchar(',');
    json_text("group", agreed->group);
    putchar(',');
    json_time("handshake_ms", agreed->handshake_us);
}

/* Of the others: what is known of the first is in "tls" and the members after it. */
static void json_address_tls(const struct check_address *address)
{
    if (!address->was_looked_at)
        return;
    printf(",\"tls\":{\"ok\":%s,", json_bool(address->holds));
    if (address->holds) {
        json_agreed(&address->agreed);
        printf(",\"certpost\":%s,\"same_certificate\":%s}", json_bool(address->has_certpost),
               json_bool(address->same_certificate));
    } else {
        json_text("fault", address->fault);
        putchar('}');
    }
}

static void json_addresses(const struct check_facts *facts)
{
    printf("\"addresses\":[");
    for (size_t i = 0; i < facts->address_count; i++) {
        const struct check_address *address = &facts->addresses[i];
        printf("%s{", i > 0 ? "," : "");
        json_text("address", address->endpoint);
        printf(",\"connected\":%s,", json_bool(address->connected));
        json_time("ms", address->time_us);
        json_address_tls(address);
        putchar('}');
    }
    printf("]");
}

static void json_tls(const struct check_facts *facts)
{
    if (!facts->has_tls) {
        printf("\"tls\":null");
        return;
    }
    printf("\"tls\":{");
    json_text("address", facts->endpoint);
    putchar(',');
    json_agreed(&facts->agreed);
    const char *stapled = facts->asked_for_staple ? json_bool(facts->staple_bytes > 0) : "null";
    printf(",\"verified\":%s,\"tickets\":%u,\"ocsp_stapled\":%s,\"alpn\":[%s%s%s]}",
           json_bool(facts->verified), facts->tickets, stapled,
           facts->alpn_certpost ? "\"certpost/1\"" : "",
           facts->alpn_certpost && facts->alpn_plain ? "," : "",
           facts->alpn_plain ? "\"certpost-plain\"" : "");
}

static void json_chain(const struct check_facts *facts)
{
    printf("\"chain\":[");
    for (size_t i = 0; i < facts->chain_count; i++) {
        const struct check_certificate *certificate = &facts->chain[i];
        printf("%s{", i > 0 ? "," : "");
        json_text("subject", certificate->subject);
        putchar(',');
        json_text("issuer", certificate->issuer);
        putchar(',');
        json_text("key", certificate->key);
        putchar(',');
        json_text("signature", certificate->signature);
        putchar(',');
        json_text("begins", certificate->begins);
        putchar(',');
        json_text("ends", certificate->ends);
        printf(",\"seconds_left\":%" PRId64 ",\"sent\":%s}", certificate->left_ms / 1000,
               json_bool(certificate->sent));
    }
    printf("],");
    json_text("names", facts->names);
    putchar(',');
    json_text("pin", facts->pin);
}

static void json_client(const struct check_facts *facts)
{
    printf("\"client_certificate\":{\"asked\":%s,\"sent\":%s,\"accepted\":%s,",
           json_bool(facts->client_asked), json_bool(facts->client_sent),
           json_bool(facts->client_accepted));
    json_text("identity", facts->identity);
    putchar('}');
}

static void json_server(const struct check_facts *facts)
{
    const struct message_welcome *welcome = &facts->welcome;
    if (!facts->has_welcome) {
        printf("\"server\":null");
        return;
    }
    printf("\"server\":{");
    json_text("name", facts->peer_name);
    putchar(',');
    json_text("reply", facts->reply);
    printf(",\"level\":\"%s\",\"max_message_bytes\":%" PRIu32 ",\"window_bytes\":%" PRIu32
           ",\"idle_timeout_ms\":%" PRIu32 ",\"receipts\":%s}",
           certpost_level_name((enum certpost_level)welcome->level), welcome->max_message_bytes,
           welcome->window_bytes, welcome->idle_timeout_ms, json_bool(welcome->receipts));
}

static void json_round_trip(const struct check_round_trip *trip)
{
    if (trip->count == 0) {
        printf("\"round_trip\":null");
        return;
    }
    printf("\"round_trip\":{");
    json_time("min_ms", trip->min_us);
    putchar(',');
    json_time("mean_ms", trip->sum_us / trip->count);
    putchar(',');
    json_time("max_ms", trip->max_us);
    printf(",\"count\":%u}", trip->count);
}

static void json_verdict(const struct check_report *report)
{
    const char *result = "ok";
    if (report->warned != CERTPOST_OK)
        result = "warning";
    if (report->failed != CERTPOST_OK)
        result = "fail";
    printf("\"result\":\"%s\",\"status\":%d,", result, (int)exit_status_of(check_verdict(report)));
}

void check_print_json(const struct check_report *report)
{
    const struct agent_server *server = &report->options->config.servers[0];
    const struct check_facts *facts = &report->facts;
    putchar('{');
    json_text("host", server->host);
    printf(",\"port\":%u,", (unsigned)server->port);
    json_text("server_name", facts->server_name);
    putchar(',');
    json_verdict(report);
    json_time("resolve_ms", facts->resolve_us);
    putchar(',');
    json_addresses(facts);
    putchar(',');
    json_tls(facts);
    putchar(',');
    json_chain(facts);
    putchar(',');
    json_client(facts);
    putchar(',');
    json_server(facts);
    putchar(',');
    json_round_trip(&facts->round_trip);
    putchar(',');
    json_findings(report);
    printf("}\n");
}
