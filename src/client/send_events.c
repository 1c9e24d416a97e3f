/*
 * send_events.c — events of the client in words and in JSON (client/send_events.h).
 *
 * Uses: output, base/json, progress, certpost/client.h.  Used by: send_certified.c.
 * Never: decides anything about the delivery; shows a byte of the peer unescaped.
 */
#include "client/send_events.h"

#include "base/json.h"
#include "base/text.h"
#include "client/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void send_events_init(struct send_events *events, const struct send_options *options,
                      uint64_t first_position)
{
    *events = (struct send_events){.options = options, .replied_position = first_position};
}

/* One reply for each message of this run, as the plain exchange prints it. */
static enum certpost_status events_reply(struct send_events *events, uint64_t position,
                                         const struct certpost_client_facts *facts,
                                         struct certpost_error *error)
{
    const struct send_options *options = events->options;
    enum certpost_status status = CERTPOST_OK;
    if (options->quiet || options->json || options->lines)
        return status;
    while (status == CERTPOST_OK && events->replied_position < position) {
        status = output_bytes("Received from server: ", facts->reply, strlen(facts->reply), error);
        events->replied_position++;
    }
    return status;
}

/* ---- notes ---- */

static void events_note_connected(struct send_events *events, const struct certpost_event *event)
{
    char server[TEXT_ESCAPE_MAX * CERTPOST_NAME_BYTES + 1];
    if (events->options->verbose) {
        text_escape(event->server_name, strlen(event->server_name), server, sizeof server);
        output_note("connected to %s with %s, %s, group %s", event->endpoint, event->tls_version,
                    event->tls_cipher, event->tls_group);
        output_note("server %s: level %s, %" PRIu64 " messages of the stream, at most %" PRIu64
                    " bytes each, %" PRIu64 " unacknowledged",
                    server[0] == '\0' ? "without a name" : server,
                    certpost_level_name(event->level), event->seq, event->max_message_bytes,
                    event->window_bytes);
    } else if (events->said_trouble && !events->options->quiet) {
        output_note("%s: connected again", event->endpoint);
    }
    events->said_trouble = false;
}

/* Without -v one note for each time of trouble, not one for each attempt. */
static void events_note_disconnected(struct send_events *events, const struct certpost_event *event,
                                     const struct certpost_client_facts *facts)
{
    bool verbose = events->options->verbose;
    const char *text = certpost_error_text(&event->error, event->error.status);
    if (events->options->quiet || (events->said_trouble && !verbose))
        return;
    const char *endpoint = event->endpoint[0] != '\0' ? event->endpoint : facts->endpoint;
    char retry[OUTPUT_DURATION_BYTES];
    output_duration(event->retry_in_ms, retry);
    output_note("%s%s%s; trying again%s%s", endpoint, endpoint[0] == '\0' ? "" : ": ", text,
                verbose ? " in " : "", verbose ? retry : "");
    events->said_trouble = true;
}

static void events_note_receipt(const struct send_events *events,
                                const struct certpost_event *event)
{
    const char *path = events->options->config.receipt_file;
    char safe[TEXT_ESCAPE_MAX * CERTPOST_NAME_BYTES + 1];
    text_escape(path, strlen(path), safe, sizeof safe);
    output_note("receipt for messages up to %" PRIu64 " of the stream: %s", event->seq, safe);
}

static void events_note(struct send_events *events, const struct certpost_event *event,
                        const struct certpost_client_facts *facts)
{
    bool verbose = events->options->verbose;
    switch (event->type) {
    case CERTPOST_EVENT_CONNECTING:
        if (verbose)
            output_note("trying %s", event->endpoint);
        break;
    case CERTPOST_EVENT_ATTEMPT_FAILED:
        if (verbose)
            output_note("%s: that failed: %s", event->endpoint,
                        certpost_error_text(&event->error, event->error.status));
        break;
    case CERTPOST_EVENT_CONNECTED:
        events_note_connected(events, event);
        break;
    case CERTPOST_EVENT_DISCONNECTED:
        events_note_disconnected(events, event, facts);
        break;
    case CERTPOST_EVENT_RECEIPT:
        if (verbose)
            events_note_receipt(events, event);
        break;
    case CERTPOST_EVENT_ACKED:
    case CERTPOST_EVENT_FINISHED:
    case CERTPOST_EVENT_FAILED:
        break;
    }
}

/* ---- JSON ---- */

static void events_json_begin(struct json_writer *json, const char *name)
{
    json_start_line(json, stdout);
    json_text(json, "event", name);
}

/* A line leaves when it is complete, so that a reader hears of it at once. */
static enum certpost_status events_json_end(struct json_writer *json, struct certpost_error *error)
{
    json_end_line(json);
    return output_finish(error);
}

static void events_json_connected(struct json_writer *json, const struct certpost_event *event,
                                  const struct certpost_client_facts *facts)
{
    events_json_begin(json, "connected");
    json_exact_text(json, "endpoint", event->endpoint);
    json_exact_text(json, "server", event->server_name);
    json_exact_text(json, "stream", facts->stream);
    json_u64(json, "last_seq", event->seq);
    json_exact_text(json, "level", certpost_level_name(event->level));
    json_u64(json, "max_message", event->max_message_bytes);
    json_u64(json, "window", event->window_bytes);
    json_exact_text(json, "tls", event->tls_version);
    json_exact_text(json, "cipher", event->tls_cipher);
    json_exact_text(json, "group", event->tls_group);
}

static void events_json_acked(struct json_writer *json, const struct certpost_event *event,
                              const struct certpost_client_facts *facts)
{
    events_json_begin(json, "acked");
    json_exact_text(json, "stream", facts->stream);
    json_u64(json, "seq", event->seq);
    json_exact_text(json, "level", certpost_level_name(event->level));
}

static void events_json_receipt(struct json_writer *json, const struct send_options *options,
                                const struct certpost_event *event,
                                const struct certpost_client_facts *facts)
{
    events_json_begin(json, "receipt");
    json_exact_text(json, "stream", facts->stream);
    json_u64(json, "seq", event->seq);
    json_exact_text(json, "file", options->config.receipt_file);
}

/* The end of a connection, of an attempt or of the client. */
static void events_json_trouble(struct json_writer *json, const char *name,
                                const struct certpost_event *event)
{
    events_json_begin(json, name);
    if (event->endpoint[0] != '\0')
        json_exact_text(json, "endpoint", event->endpoint);
    json_exact_text(json, "status", certpost_status_name(event->error.status));
    json_exact_text(json, "reason", certpost_error_text(&event->error, event->error.status));
    if (event->code != 0)
        json_u64(json, "code", event->code);
    if (event->seq != 0)
        json_u64(json, "seq", event->seq);
    if (event->type == CERTPOST_EVENT_DISCONNECTED)
        json_u64(json, "retry_in_ms", (uint64_t)event->retry_in_ms);
}

static enum certpost_status events_json(const struct send_options *options,
                                        const struct certpost_event *event,
                                        const struct certpost_client_facts *facts,
                                        struct certpost_error *error)
{
    struct json_writer json;
    switch (event->type) {
    case CERTPOST_EVENT_CONNECTED:
        events_json_connected(&json, event, facts);
        break;
    case CERTPOST_EVENT_ACKED:
        events_json_acked(&json, event, facts);
        break;
    case CERTPOST_EVENT_RECEIPT:
        events_json_receipt(&json, options, event, facts);
        break;
    case CERTPOST_EVENT_ATTEMPT_FAILED:
        events_json_trouble(&json, "attempt_failed", event);
        break;
    case CERTPOST_EVENT_DISCONNECTED:
        events_json_trouble(&json, "disconnected", event);
        break;
    case CERTPOST_EVENT_FAILED:
        events_json_trouble(&json, "failed", event);
        break;
    case CERTPOST_EVENT_CONNECTING:
    case CERTPOST_EVENT_FINISHED:
        return CERTPOST_OK;
    }
    return events_json_end(&json, error);
}

enum certpost_status send_events_show(struct send_events *events,
                                      const struct certpost_event *event,
                                      const struct certpost_client_facts *facts,
                                      struct certpost_error *error)
{
    /* An acknowledgement leaves the progress line alone: it says the same, less often. */
    if (event->type != CERTPOST_EVENT_ACKED)
        progress_clear(&events->progress);
    events_note(events, event, facts);
    if (events->options->json)
        return events_json(events->options, event, facts, error);
    if (event->type == CERTPOST_EVENT_ACKED)
        return events_reply(events, event->position, facts, error);
    return CERTPOST_OK;
}

enum certpost_status send_events_spooled(struct send_events *events,
                                         const struct certpost_client_facts *facts,
                                         struct certpost_error *error)
{
    const struct send_options *options = events->options;
    bool is_news = !events->said_spooled || facts->spooled_seq != events->spooled_seq;
    if (!options->json || !options->has_spool || !is_news)
        return CERTPOST_OK;
    struct json_writer json;
    events->said_spooled = true;
    events->spooled_seq = facts->spooled_seq;
    events_json_begin(&json, "spooled");
    json_exact_text(&json, "stream", facts->stream);
    json_u64(&json, "seq", facts->spooled_seq);
    return events_json_end(&json, error);
}

enum certpost_status send_events_done(struct send_events *events, const struct send_done *done,
                                      const struct certpost_client_facts *facts,
                                      struct certpost_error *error)
{
    const struct send_options *options = events->options;
    progress_clear(&events->progress);
    if (!options->json)
        return CERTPOST_OK;
    struct json_writer json;
    events_json_begin(&json, "done");
    json_exact_text(&json, "stream", facts->stream);
    json_u64(&json, "sent", done->given);
    json_u64(&json, "acked", done->acknowledged);
    json_u64(&json, "last_seq", facts->last_seq);
    if (options->resumes) {
        json_u64(&json, "already_there", done->already_there);
        json_u64(&json, "not_compared", done->not_compared);
    }
    if (options->has_spool)
        json_u64(&json, "spooled", done->spooled);
    if (options->config.receipt_file != NULL)
        json_bool(&json, "receipt", facts->has_receipt);
    json_bool(&json, "interrupted", done->interrupted);
    return events_json_end(&json, error);
}
