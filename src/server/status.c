/*
 * status.c — what the status page shows, as JSON (server/status.h).
 *
 * Uses: base/json, metrics, roster, refusals.  Used by: admin_routes.c, server.c.
 * Never: takes a lock that a connection waits for; writes a peer's bytes other than escaped.
 */
#include "server/status.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

#include "certpost/version.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char status_cut_mark[] = "\xe2\x80\xa6";

struct status {
    int64_t started_ms; /* monotonic */
    struct buffer made; /* the last answer */
    int64_t made_ms;
    struct refusal refusals[REFUSALS_MAX];
};

enum certpost_status status_new(struct status **ret_status, struct certpost_error *error)
{
    struct status *status = calloc(1, sizeof *status);
    if (status == NULL)
        return error_no_memory(error);
    status->started_ms = clock_monotonic_ms();
    buffer_init(&status->made, SIZE_MAX);
    *ret_status = status;
    return CERTPOST_OK;
}

void status_free(struct status *status)
{
    if (status == NULL)
        return;
    buffer_free(&status->made);
    free(status);
}

/* ------------------------------------------------------------------------------ server */

static void status_add_server(const struct status *status, const struct status_view *view,
                              struct json_writer *json)
{
    const struct server_state *state = view->state;
    const char *name = state->config.name != NULL ? state->config.name : state->default_name;
    json_text(json, "version", CERTPOST_VERSION);
    json_text(json, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
    json_text(json, "name", name);
    json_u64(json, "pid", (uint64_t)getpid());
    json_i64(json, "time_ms", clock_wall_ms());
    json_i64(json, "uptime_ms", clock_monotonic_ms() - status->started_ms);
    json_text(json, "phase", view->phase);
    json_bool(json, "ready", view->unready_reason == NULL);
    json_text(json, "unready_reason", view->unready_reason);
    json_text(json, "level", state->level == STORE_LEVEL_ACCEPTED ? "accepted" : "stored");
    json_array(json, "listeners");
    for (size_t i = 0; i < view->listener_count; i++)
        json_text(json, NULL, view->listeners[i]);
    json_end_array(json);
}

static void status_add_limits(const struct config_limits *limits, struct json_writer *json)
{
    json_object(json, "limits");
    json_u64(json, "max_connections", limits->max_connections);
    json_u64(json, "max_connections_per_address", limits->max_connections_per_address);
    json_u64(json, "max_handshakes", limits->max_handshakes);
    json_u64(json, "max_handshake_rate", limits->max_handshake_rate);
    json_u64(json, "max_message", limits->max_message_bytes);
    json_u64(json, "max_pending", limits->max_pending_bytes);
    json_u64(json, "max_pending_total", limits->max_pending_total_bytes);
    json_end_object(json);
}

/* ------------------------------------------------------------------------------ store */

static void status_add_fact(const struct status_view *view, struct json_writer *json,
                            const char *key, enum metrics_fact fact)
{
    if (view->facts.known[fact])
        json_u64(json, key, view->facts.values[fact]);
    else
        json_null(json, key);
}

/* Without its folder: where things lie on the machine is nobody's business who looks at the page.
 */
static const char *status_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void status_add_store(const struct status_view *view, struct json_writer *json)
{
    if (view->store_path == NULL) {
        json_null(json, "store");
        return;
    }
    json_object(json, "store");
    json_text(json, "file", status_file_name(view->store_path));
    status_add_fact(view, json, "bytes", METRICS_FACT_STORE_BYTES);
    status_add_fact(view, json, "wal_bytes", METRICS_FACT_STORE_LOG_BYTES);
    json_text(json, "failing", view->store_failure);
    if (view->store_failure != NULL)
        status_add_fact(view, json, "failing_since_ms", METRICS_FACT_STORE_FAILING_SINCE);
    else
        json_null(json, "failing_since_ms");
    json_end_object(json);
}

/* ------------------------------------------------------------------------------ certificates */

static void status_add_certificate(const struct tls_validity *validity, int64_t now_s,
                                   struct json_writer *json)
{
    json_object(json, NULL);
    json_text(json, "kind", tls_validity_kind_name(validity->kind));
    json_text(json, "name", validity->name);
    json_text(json, "file", status_file_name(validity->file));
    json_i64(json, "not_after_ms", validity->not_after_s * 1000);
    json_i64(json, "days_left", tls_validity_days_left(validity, now_s));
    json_text(json, "step", tls_validity_step_name(tls_validity_step(validity, now_s)));
    json_end_object(json);
}

/* Those that end first; a file of client CAs may have hundreds. */
static void status_add_certificates(const struct status_view *view, struct json_writer *json)
{
    int64_t now_s = clock_wall_ms() / 1000;
    struct expiry_snapshot snapshot;
    expiry_watch_snapshot(view->expiry, &snapshot);
    json_array(json, "certificates");
    for (size_t i = 0; i < snapshot.count && i < STATUS_CERTIFICATES_MAX; i++)
        status_add_certificate(&snapshot.items[i], now_s, json);
    json_end_array(json);
    json_u64(json, "certificates_total", snapshot.count);
    expiry_snapshot_release(&snapshot);
}

/* ------------------------------------------------------------------------------ counters */

/* Of several places, one for each label. */
static uint64_t status_count(const struct status_view *view, size_t first, size_t places)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < places; i++)
        sum += metrics_sum(view->metrics, first + i);
    return sum;
}

/*
 * Refused at the handshake, in the middle, or at the door. A handshake that ends by a limit is
 * counted as one of that limit: behind the PROXY protocol, an address whose places are taken is
 * found out in the handshake, and would be counted at both.
 */
static uint64_t status_failures(const struct status_view *view)
{
    static const enum metrics_limit limits[] = {METRICS_LIMIT_HANDSHAKES,
                                                METRICS_LIMIT_CONNECTIONS_PER_ADDRESS};
    uint64_t sum = status_count(view, METRICS_HANDSHAKES_FAILED, METRICS_FAILURE_COUNT) +
                   status_count(view, METRICS_REFUSALS, METRICS_CODE_COUNT);
    for (size_t i = 0; i < METRICS_BROKEN_COUNT; i++) {
        if (i != METRICS_BROKEN_LIMIT)
            sum += metrics_sum(view->metrics, METRICS_HANDSHAKES_BROKEN + i);
    }
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        sum += metrics_sum(view->metrics, METRICS_LIMITS + limits[i]);
    return sum;
}

static void status_add_counters(const struct status_view *view, struct json_writer *json)
{
    json_object(json, "counters");
    json_u64(json, "connections", metrics_sum(view->metrics, METRICS_CONNECTIONS_OPENED));
    json_u64(json, "handshakes", status_count(view, METRICS_HANDSHAKES, METRICS_TLS_COUNT));
    json_u64(json, "messages", status_count(view, METRICS_MESSAGES, METRICS_EXCHANGE_COUNT));
    json_u64(json, "message_bytes",
             status_count(view, METRICS_MESSAGE_BYTES, METRICS_EXCHANGE_COUNT));
    json_u64(json, "acknowledged",
             status_count(view, METRICS_ACKNOWLEDGED, METRICS_EXCHANGE_COUNT));
    json_u64(json, "commits", status_count(view, METRICS_COMMIT_TIME, METRICS_TIME_BOUNDS + 1));
    json_u64(json, "failures", status_failures(view));
    json_end_object(json);
    status_add_fact(view, json, "pending_bytes", METRICS_FACT_PENDING_BYTES);
}

static void status_add_commit_time(const struct status_view *view, struct json_writer *json)
{
    json_object(json, "commit_time");
    json_array(json, "bounds_us");
    for (size_t i = 0; i < METRICS_TIME_BOUNDS; i++)
        json_u64(json, NULL, metrics_time_bounds[i]);
    json_end_array(json);
    json_array(json, "counts");
    for (size_t i = 0; i < METRICS_TIME_BOUNDS + 1; i++)
        json_u64(json, NULL, metrics_sum(view->metrics, METRICS_COMMIT_TIME + i));
    json_end_array(json);
    json_end_object(json);
}

/* ------------------------------------------------------------------------------ connections */

static void status_add_name(struct json_writer *json, const char *key,
                            const struct roster_name *name)
{
    unsigned char text[ROSTER_NAME_BYTES + sizeof status_cut_mark];
    size_t length = roster_name_kept(name);
    memcpy(text, name->bytes, length);
    if (length < name->length) {
        memcpy(text + length, status_cut_mark, sizeof status_cut_mark - 1);
        length += sizeof status_cut_mark - 1;
    }
    json_bytes(json, key, text, length);
}

static void status_add_connection(struct json_writer *json, const struct roster_row *row)
{
    json_object(json, NULL);
    json_text(json, "address", row->address);
    status_add_name(json, "identity", &row->identity);
    status_add_name(json, "stream", &row->stream);
    json_text(json, "exchange", row->exchange);
    json_text(json, "tls", row->tls);
    json_bool(json, "resumed", row->is_resumed);
    json_text(json, "state", row->state);
    json_text(json, "waits", row->waits);
    json_u64(json, "age_ms", row->age_ms);
    json_u64(json, "messages", row->message_count);
    json_u64(json, "bytes", row->message_bytes);
    json_u64(json, "unacked", row->unacked_count);
    json_u64(json, "unacked_bytes", row->unacked_bytes);
    json_end_object(json);
}

static void status_add_workers(const struct status_view *view, size_t count,
                               struct json_writer *json)
{
    static const char *const answers[] = {
        [ROSTER_ANSWERED] = "answered", [ROSTER_SILENT] = "silent", [ROSTER_ENDED] = "ended"};
    json_array(json, "workers");
    for (size_t i = 0; i < count; i++) {
        size_t connection_count = 0;
        enum roster_answer answer = roster_worker(view->roster, i, &connection_count);
        json_object(json, NULL);
        json_text(json, "state", answers[answer]);
        json_u64(json, "connections", connection_count);
        json_end_object(json);
    }
    json_end_array(json);
}

/* Before the server serves, its workers have no threads that could answer. */
static enum certpost_status status_add_connections(const struct status_view *view,
                                                   struct json_writer *json)
{
    struct roster_view roster = {.row_count = 0};
    if (view->has_workers) {
        enum certpost_status status = roster_collect(view->roster, STATUS_WORKER_WAIT_MS, &roster);
        if (status != CERTPOST_OK)
            return status;
    }
    status_add_workers(view, roster.worker_count, json);
    json_object(json, "connections");
    json_u64(json, "total", roster.connection_count);
    json_array(json, "rows");
    for (size_t i = 0; i < roster.row_count; i++)
        status_add_connection(json, roster.rows[i]);
    json_end_array(json);
    json_end_object(json);
    return CERTPOST_OK;
}

/* ------------------------------------------------------------------------------ refusals */

static void status_add_refusals(struct status *status, const struct status_view *view,
                                struct json_writer *json)
{
    size_t count = refusals_copy(view->refusals, status->refusals);
    json_array(json, "refusals");
    for (size_t i = 0; i < count; i++) {
        const struct refusal *refusal = &status->refusals[i];
        json_object(json, NULL);
        json_i64(json, "time_ms", refusal->last_wall_ms);
        json_i64(json, "first_ms", refusal->first_wall_ms);
        json_u64(json, "count", refusal->count);
        json_text(json, "address", refusal->address);
        json_bytes(json, "identity", refusal->name, refusal->name_length);
        json_text(json, "reason", refusal->reason);
        json_text(json, "detail", refusal->detail);
        json_end_object(json);
    }
    json_end_array(json);
}

/* ------------------------------------------------------------------------------ document */

static enum certpost_status status_write(struct status *status, const struct status_view *view,
                                         struct buffer *body)
{
    struct json_writer json;
    json_start(&json, body);
    json_object(&json, NULL);
    status_add_server(status, view, &json);
    status_add_limits(&view->state->config.limits, &json);
    status_add_store(view, &json);
    status_add_counters(view, &json);
    status_add_commit_time(view, &json);
    status_add_certificates(view, &json);
    enum certpost_status failed = status_add_connections(view, &json);
    status_add_refusals(status, view, &json);
    json_end_object(&json);
    return failed != CERTPOST_OK ? failed : json_finish(&json);
}

/* Without memory for it there is no answer to give again, and that is all. */
static void status_keep(struct status *status, const struct buffer *body)
{
    buffer_clear(&status->made);
    if (buffer_append(&status->made, buffer_bytes(body), body->length) == CERTPOST_OK)
        status->made_ms = clock_monotonic_ms();
}

bool status_fill_again(struct status *status, struct buffer *body)
{
    bool is_fresh = status->made.length > 0 &&
                    clock_monotonic_ms() - status->made_ms < (int64_t)STATUS_FRESH_MS;
    return is_fresh &&
           buffer_append(body, buffer_bytes(&status->made), status->made.length) == CERTPOST_OK;
}

enum certpost_status status_fill(struct status *status, const struct status_view *view,
                                 struct buffer *body)
{
    enum certpost_status failed = status_write(status, view, body);
    if (failed == CERTPOST_OK)
        status_keep(status, body);
    return failed;
}
