/*
 * writer_group.c — how one group of batches is made safe, and what everybody is told of it
 * (server/writer.h).
 *
 * Uses: store, print_sink, log.  Used by: writer.c, whose other half this is.
 * Never: lets an outcome say that a message is safe before the store has committed it or, without a
 * store on disk, before its line is written.
 *
 * A stream is told that it is lost once: by an outcome, if the group has an entry of it, else by a
 * notice. Notices follow the batches of their group, so that they never overtake a commit.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "server/writer_internal.h"
#include "wire/message.h"

#include <errno.h>
#include <poll.h>

/* Between two attempts to recover, and before an idle store is asked how its checkpoint went. */
enum { WRITER_LOOK_AGAIN_MS = 1000 };

/* For so long after a failed write nobody is invited to try the next one. */
enum { WRITER_PRINT_AGAIN_MS = 10 * 1000 };

static bool writer_is_durable(const struct writer *writer)
{
    return store_level(writer->store) != STORE_LEVEL_ACCEPTED;
}

/* ------------------------------------------------------------------------------ leases */

static void writer_link_lease(struct writer *writer, struct writer_stream *stream)
{
    stream->next_lease = writer->leases;
    if (writer->leases != NULL)
        writer->leases->previous_lease = stream;
    writer->leases = stream;
}

static void writer_unlink_lease(struct writer *writer, struct writer_stream *stream)
{
    if (writer->leases == stream)
        writer->leases = stream->next_lease;
    if (stream->previous_lease != NULL)
        stream->previous_lease->next_lease = stream->next_lease;
    if (stream->next_lease != NULL)
        stream->next_lease->previous_lease = stream->previous_lease;
    stream->next_lease = stream->previous_lease = NULL;
}

void writer_lose(struct writer_stream *stream, uint16_t code)
{
    if (stream->lost_code == 0)
        stream->lost_code = code;
}

/* The stream may have no entry in the group. */
static void writer_lose_with_notice(struct writer *writer, struct writer_stream *stream,
                                    uint16_t code)
{
    if (stream->lost_code != 0)
        return;
    stream->lost_code = code;
    stream->next_notice = writer->notices;
    writer->notices = stream;
}

/* ------------------------------------------------------------------------------ failure */

static uint16_t writer_failure_code(const struct certpost_error *error)
{
    bool is_full = error->system_errno == ENOSPC || error->system_errno == EDQUOT ||
                   error->system_errno == EFBIG;
    return is_full ? MESSAGE_CODE_STORE_FULL : MESSAGE_CODE_STORE_FAILED;
}

static void writer_forget_touched(struct writer *writer)
{
    while (writer->touched != NULL) {
        struct writer_stream *stream = writer->touched;
        writer->touched = stream->next_touched;
        stream->next_touched = NULL;
        stream->is_touched = false;
    }
}

/*
 * What came before a rejected message of the group is not stored either, so this is news to its
 * sender. Where the message is of an earlier group, its sender has gone, or hears it in vain.
 */
static void writer_forget_rejection(struct writer_stream *stream)
{
    if (!stream->is_rejected)
        return;
    stream->is_rejected = stream->is_lost_told = false;
    stream->lost_code = 0;
}

/* The store has failed: all leases are void, and whoever holds one has to begin anew. */
static void writer_note_failure(struct writer *writer, enum certpost_status status,
                                const struct certpost_error *error)
{
    uint16_t code = writer_failure_code(error);
    writer->look_at_ms = clock_deadline_ms(WRITER_LOOK_AGAIN_MS);
    if (atomic_exchange(&writer->unready_code, code) == 0) {
        atomic_store(&writer->failing_since_ms, clock_wall_ms());
        metrics_add(writer->metrics, METRICS_COMMIT_FAILURES + (code != MESSAGE_CODE_STORE_FULL),
                    1);
        log_message(LOG_LEVEL_ERROR,
                    writer_is_durable(writer)
                        ? "the store has failed; no message is taken until it works"
                        : "messages cannot be taken",
                    "reason", certpost_error_text(error, status));
    }
    writer_forget_touched(writer);
    while (writer->leases != NULL) {
        struct writer_stream *stream = writer->leases;
        writer_forget_rejection(stream);
        writer_lose_with_notice(writer, stream, code);
        store_lease_release(writer->store, &stream->lease);
        writer_unlink_lease(writer, stream);
    }
}

/* Notices a failure in the background; a store that has failed says why when it is asked for more.
 */
static void writer_check_store(struct writer *writer)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    if (writer_unready_code(writer) != 0 || store_is_ready(writer->store))
        return;
    enum certpost_status status = store_begin(writer->store, &error);
    if (status == CERTPOST_OK)
        status = store_commit(writer->store, &error);
    if (status != CERTPOST_OK)
        writer_note_failure(writer, status, &error);
}

static void writer_try_recovery(struct writer *writer)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    if (store_recover(writer->store, &error) == CERTPOST_OK) {
        atomic_store(&writer->unready_code, 0);
        atomic_store(&writer->failing_since_ms, 0);
        log_message(LOG_LEVEL_INFO,
                    writer_is_durable(writer) ? "the store works again; messages are taken"
                                              : "messages are taken again",
                    NULL, NULL);
        writer->look_at_ms = CLOCK_NEVER_MS;
        return;
    }
    atomic_store(&writer->unready_code, writer_failure_code(&error));
    writer->look_at_ms = clock_deadline_ms(WRITER_LOOK_AGAIN_MS);
}

/* ------------------------------------------------------------------------------ opening */

static void writer_open_stream(struct writer *writer, const struct writer_entry *entry)
{
    struct writer_stream *stream = entry->stream;
    struct certpost_error error;
    certpost_error_clear(&error);
    void *older = NULL;
    if (writer_unready_code(writer) != 0) {
        writer_lose(stream, writer_unready_code(writer));
        return;
    }
    enum certpost_status status = store_lease_open(
        writer->store, entry->bytes, entry->identity_length, entry->bytes + entry->identity_length,
        entry->length - entry->identity_length, stream, &stream->lease, &stream->news, &older,
        &error);
    if (status == CERTPOST_OK) {
        stream->was_opened = true;
        writer_link_lease(writer, stream);
        if (older != NULL)
            writer_lose_with_notice(writer, older, MESSAGE_CODE_SUPERSEDED);
        return;
    }
    if (!store_is_ready(writer->store))
        writer_note_failure(writer, status, &error);
    writer_lose(stream, writer_unready_code(writer) != 0 ? writer_unready_code(writer)
                        : status == CERTPOST_NO_MEMORY   ? MESSAGE_CODE_BUSY
                                                         : MESSAGE_CODE_INTERNAL);
}

static void writer_open_streams(struct writer *writer, const struct writer_batch *group)
{
    for (const struct writer_batch *batch = group; batch != NULL; batch = batch->next) {
        struct writer_entry entry;
        size_t position = 0;
        size_t left = batch->open_count;
        while (left > 0 && writer_batch_next(batch, &position, &entry)) {
            if (entry.kind != WRITER_OPEN)
                continue;
            writer_open_stream(writer, &entry);
            left--;
        }
    }
}

/* ------------------------------------------------------------------------------ messages */

/* Fails only with the store. What is refused for its own sake costs its stream alone. */
static enum certpost_status writer_append(struct writer *writer, const struct writer_entry *entry,
                                          struct certpost_error *error)
{
    struct writer_stream *stream = entry->stream;
    if (stream->lost_code != 0 || !writer_judge_takes(writer, entry))
        return CERTPOST_OK;
    if (stream->lease.stream == NULL && !writer_is_durable(writer)) {
        stream->news = writer_accepted(entry->seq);
        stream->has_news = true;
        return CERTPOST_OK;
    }
    struct certpost_error own;
    certpost_error_clear(&own);
    enum certpost_status status = store_append(writer->store, &stream->lease, entry->seq,
                                               entry->digest, entry->bytes, entry->length, &own);
    if (status == CERTPOST_SUPERSEDED || status == CERTPOST_INTERNAL) {
        writer_lose(stream, status == CERTPOST_SUPERSEDED ? MESSAGE_CODE_SUPERSEDED
                                                          : MESSAGE_CODE_INTERNAL);
        return CERTPOST_OK;
    }
    if (status != CERTPOST_OK)
        return error_adopt(error, status, &own);
    writer->appended++;
    if (!stream->is_touched) {
        stream->is_touched = true;
        stream->next_touched = writer->touched;
        writer->touched = stream;
    }
    return CERTPOST_OK;
}

static enum certpost_status writer_append_batch(struct writer *writer,
                                                const struct writer_batch *batch,
                                                struct certpost_error *error)
{
    struct writer_entry entry;
    size_t position = 0;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && writer_batch_next(batch, &position, &entry)) {
        if (entry.kind == WRITER_MESSAGE)
            status = writer_append(writer, &entry, error);
    }
    return status;
}

static void writer_take_news(struct writer *writer)
{
    for (struct writer_stream *stream = writer->touched; stream != NULL;
         stream = stream->next_touched) {
        stream->news = store_committed(&stream->lease);
        stream->has_news = true;
    }
    writer_forget_touched(writer);
}

/* Whose messages are not taken: all that had one in the group. */
static void writer_lose_senders(const struct writer_batch *group, uint16_t code)
{
    for (const struct writer_batch *batch = group; batch != NULL; batch = batch->next) {
        struct writer_entry entry;
        size_t position = 0;
        while (writer_batch_next(batch, &position, &entry)) {
            if (entry.kind == WRITER_MESSAGE)
                writer_lose(entry.stream, code);
        }
    }
}

static bool writer_has_messages(const struct writer_batch *group)
{
    while (group != NULL && group->message_count == 0)
        group = group->next;
    return group != NULL;
}

/* What is measured is what waits for the disk. */
static enum certpost_status writer_commit(struct writer *writer, struct certpost_error *error)
{
    int64_t began_us = clock_monotonic_us();
    enum certpost_status status = store_commit(writer->store, error);
    if (status != CERTPOST_OK || !writer_is_durable(writer) || writer->appended == 0)
        return status;
    metrics_add_time(writer->metrics, METRICS_COMMIT_TIME, clock_monotonic_us() - began_us);
    metrics_add_size(writer->metrics, METRICS_COMMIT_SIZE, writer->appended);
    return status;
}

/* One transaction for the whole group. */
static void writer_commit_group(struct writer *writer, const struct writer_batch *group)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    if (!writer_has_messages(group))
        return;
    if (writer_unready_code(writer) != 0) {
        writer_lose_senders(group, writer_unready_code(writer));
        return;
    }
    writer->appended = 0;
    enum certpost_status status = store_begin(writer->store, &error);
    for (const struct writer_batch *batch = group; batch != NULL && status == CERTPOST_OK;
         batch = batch->next)
        status = writer_append_batch(writer, batch, &error);
    if (status == CERTPOST_OK)
        status = writer_commit(writer, &error);
    if (status == CERTPOST_OK)
        writer_take_news(writer);
    else
        writer_note_failure(writer, status, &error);
}

/* ------------------------------------------------------------------------------ lines */

/* With a store: what this group has committed. Without: what will be taken once it is written. */
static bool writer_is_printed(const struct writer *writer, const struct writer_entry *entry)
{
    const struct writer_stream *stream = entry->stream;
    if (entry->kind == WRITER_CONNECTED)
        return true;
    if (entry->kind != WRITER_MESSAGE)
        return false;
    return writer_is_durable(writer) ? stream->has_news && entry->seq <= stream->news.seq
                                     : stream->lost_code == 0;
}

static enum certpost_status writer_print_batch(struct writer *writer,
                                               const struct writer_batch *batch,
                                               struct certpost_error *error)
{
    struct writer_entry entry;
    size_t position = 0;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && writer_batch_next(batch, &position, &entry)) {
        if (writer_is_printed(writer, &entry))
            status = print_sink_add(&writer->sink,
                                    entry.kind == WRITER_MESSAGE ? "Received: " : "Connected by ",
                                    entry.bytes, entry.length, error);
    }
    return status;
}

static void writer_report_printing(struct writer *writer, enum certpost_status status,
                                   const struct certpost_error *error)
{
    bool fails = status != CERTPOST_OK;
    bool is_durable = writer_is_durable(writer);
    if (fails && !writer->print_fails)
        log_message(LOG_LEVEL_ERROR,
                    is_durable ? "messages cannot be printed; they are stored"
                               : "messages cannot be taken",
                    "reason", certpost_error_text(error, status));
    else if (!fails && writer->print_fails)
        log_message(LOG_LEVEL_INFO,
                    is_durable ? "messages are printed again" : "messages are taken again", NULL,
                    NULL);
    writer->print_fails = fails;
    atomic_store(&writer->print_failed_ms, fails ? clock_monotonic_ms() : 0);
}

/* A pipe without a reader tells before anybody writes; a full disk does not. */
bool writer_output_fails(const struct writer *writer)
{
    struct pollfd output = {.fd = writer->sink.descriptor, .events = POLLOUT};
    int64_t failed_ms = atomic_load(&writer->print_failed_ms);
    if (!writer->print || writer_is_durable(writer))
        return false;
    if (failed_ms != 0 && clock_monotonic_ms() - failed_ms < WRITER_PRINT_AGAIN_MS)
        return true;
    return poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

static enum certpost_status writer_print_group(struct writer *writer,
                                               const struct writer_batch *group)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = CERTPOST_OK;
    if (!writer->print)
        return CERTPOST_OK;
    for (const struct writer_batch *batch = group; batch != NULL && status == CERTPOST_OK;
         batch = batch->next)
        status = writer_print_batch(writer, batch, &error);
    if (status == CERTPOST_OK && writer->sink.lines.length == 0)
        return CERTPOST_OK; /* which says nothing about whether lines can be written */
    if (status == CERTPOST_OK)
        status = print_sink_commit(&writer->sink, &error);
    if (status != CERTPOST_OK)
        print_sink_discard(&writer->sink);
    writer_report_printing(writer, status, &error);
    return status;
}

/* ------------------------------------------------------------------------------ telling */

static void writer_fill_outcomes(const struct writer_batch *batch)
{
    size_t count = 0;
    struct writer_outcome *outcomes = writer_batch_outcomes(batch, &count);
    for (size_t i = 0; i < count; i++) {
        struct writer_outcome *outcome = &outcomes[i];
        struct writer_stream *stream = outcome->stream;
        outcome->was_opened = stream->was_opened;
        outcome->is_committed = stream->has_news;
        if (stream->was_opened || stream->has_news)
            outcome->committed = stream->news;
        outcome->lost_code = stream->is_lost_told ? 0 : stream->lost_code;
        stream->is_lost_told = stream->lost_code != 0;
        stream->was_opened = stream->has_news = false;
    }
}

static void writer_release_streams(struct writer *writer, const struct writer_batch *batch)
{
    for (struct writer_stream *stream = batch->releases; stream != NULL;
         stream = stream->next_release) {
        store_lease_release(writer->store, &stream->lease);
        writer_unlink_lease(writer, stream);
        stream->is_lost_told = true; /* nobody is there to be told */
    }
}

/* The notices that are still due, once outcomes and releases have had their turn. */
static struct writer_delivery *writer_take_notices(struct writer *writer)
{
    struct writer_delivery *due = NULL;
    while (writer->notices != NULL) {
        struct writer_stream *stream = writer->notices;
        writer->notices = stream->next_notice;
        stream->next_notice = NULL;
        if (stream->is_lost_told)
            continue;
        stream->is_lost_told = true;
        stream->notice_code = stream->lost_code;
        stream->notice.stream = stream;
        stream->notice.next = due;
        due = &stream->notice;
    }
    return due;
}

static void writer_deliver_notices(struct writer_delivery *due)
{
    while (due != NULL) {
        struct writer_delivery *delivery = due;
        due = delivery->next;
        delivery->next = NULL;
        delivery->stream->port->deliver(delivery->stream->port, delivery);
    }
}

/* From here on nothing of the group may be touched any more. */
static void writer_deliver_group(struct writer_batch *group)
{
    while (group != NULL) {
        struct writer_batch *batch = group;
        group = batch->next;
        batch->next = NULL;
        batch->delivery.next = NULL;
        batch->port->deliver(batch->port, &batch->delivery);
    }
}

void writer_serve_group(struct writer *writer, struct writer_batch *group)
{
    writer->group = group;
    writer_go_to_medium(writer);
    writer_check_store(writer);
    writer_open_streams(writer, group);
    if (writer_is_durable(writer)) {
        writer_commit_group(writer, group);
        (void)writer_print_group(writer, group);
    } else if (writer_print_group(writer, group) == CERTPOST_OK) {
        writer_commit_group(writer, group);
    } else {
        writer_lose_senders(group, MESSAGE_CODE_STORE_FAILED);
    }
    writer_leave_medium(writer);
    for (const struct writer_batch *batch = group; batch != NULL; batch = batch->next)
        writer_fill_outcomes(batch);
    for (const struct writer_batch *batch = group; batch != NULL; batch = batch->next)
        writer_release_streams(writer, batch);
    struct writer_delivery *notices = writer_take_notices(writer);
    if (writer_is_durable(writer) && writer_unready_code(writer) == 0)
        writer->look_at_ms = clock_deadline_ms(WRITER_LOOK_AGAIN_MS);
    writer_deliver_group(group);
    writer_deliver_notices(notices);
}

void writer_look_after_store(struct writer *writer)
{
    writer_go_to_medium(writer);
    if (writer_unready_code(writer) != 0) {
        writer_try_recovery(writer);
    } else {
        writer->look_at_ms = CLOCK_NEVER_MS;
        writer_check_store(writer);
    }
    writer_leave_medium(writer);
    writer_deliver_notices(writer_take_notices(writer));
}
