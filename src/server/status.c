/*
 * status.c — what the status page shows, as JSON (server/status.h).
 *
 * Uses: base/json, roster, refusals, writer.  Used by: admin_routes.c, server.c.
 * Never: takes a lock that a connection waits for; writes a peer's bytes other than escaped.
 */
#include "server/status.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "wire/message.h"

#include "certpost/version.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char status_cut_mark[] = "\xe2\x80\xa6";
static const char status_log_suffix[] = "-wal";

struct status {
    int64_t started_ms; /* monotonic */
    struct buffer made; /* the last answer */
    int64_t made_ms;
    struct refusal refusals[REFUSALS_MAX];
    char *store_log; /* the store's write-ahead log, and the store without its last letters */
    size_t store_length;
};

enum certpost_status status_new(const char *store, struct status **ret_status,
                                struct certpost_error *error)
{
    struct status *status = calloc(1, sizeof *status);
    if (status == NULL)
        return error_no_memory(error);
    status->started_ms = clock_monotonic_ms();
    buffer_init(&status->made, SIZE_MAX);
    if (store != NULL) {
        status->store_length = strlen(store);
        status->store_log = malloc(status->store_length + sizeof status_log_suffix);
        if (status->store_log == NULL) {
            free(status);
            return error_no_memory(error);
        }
        memcpy(status->store_log, store, status->store_length);
        memcpy(status->store_log + status->store_length, status_log_suffix,
               sizeof status_log_suffix);
    }
    *ret_status = status;
    return CERTPOST_OK;
}

void status_free(struct status *status)
{
    if (status == NULL)
        return;
    buffer_free(&status->made);
    free(status->store_log);
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

static void status_add_file_size(struct json_writer *json, const char *key, const char *path)
{
    struct stat about;
    if (stat(path, &about) == 0)
        json_i64(json, key, (int64_t)about.st_size);
    else
        json_null(json, key);
}

static void status_add_store(struct status *status, const struct status_view *view,
                             struct json_writer *json)
{
    if (status->store_log == NULL) {
        json_null(json, "store");
        return;
    }
    uint16_t code = view->writer == NULL ? 0 : writer_unready_code(view->writer);
    json_object(json, "store");
    status_add_file_size(json, "wal_bytes", status->store_log);
    status->store_log[status->store_length] = '\0';
    const char *slash = strrchr(status->store_log, '/');
    json_text(json, "file", slash == NULL ? status->store_log : slash + 1);
    status_add_file_size(json, "bytes", status->store_log);
    status->store_log[status->store_length] = status_log_suffix[0];
    json_text(json, "failing", code == 0 ? NULL : message_code_name(code));
    if (code == 0)
        json_null(json, "failing_since_ms");
    else
        json_i64(json, "failing_since_ms", writer_unready_since_ms(view->writer));
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
    if (view->writer != NULL) {
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
    status_add_store(status, view, &json);
    json_array(&json, "certificates");
    json_end_array(&json);
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
