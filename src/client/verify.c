/*
 * verify.c — `certpost verify` (client/verify.h): is the store what was acknowledged?
 *
 * Uses: store/reader, receipt_store, base/json.  Used by: main.c.
 * Never: writes to the store; lets a broken standard output hide a fault from the exit status.
 */
#include "client/verify.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "client/exit_status.h"
#include "client/output.h"
#include "client/receipt_store.h"
#include "client/store_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct verify_job {
    const struct verify_options *options;
    struct reader *reader;
    struct reader_audit total;
};

static void verify_print_json(const struct reader_fault *fault)
{
    struct json_writer json;
    char time[CLOCK_UTC_TEXT_BYTES];
    if (fault->time_ms != 0)
        clock_format_utc(fault->time_ms, time);
    json_start_line(&json, stdout);
    if (fault->stream != NULL) {
        json_exact(&json, "identity", fault->stream->identity, fault->stream->identity_length);
        json_exact(&json, "stream", fault->stream->name, fault->stream->name_length);
    } else {
        json_null(&json, "identity");
        json_null(&json, "stream");
    }
    json_u64(&json, "first_seq", fault->first_seq);
    json_u64(&json, "last_seq", fault->last_seq);
    json_text(&json, "time", fault->time_ms == 0 ? NULL : time);
    json_exact_text(&json, "fault", fault->what);
    json_end_line(&json);
}

static void verify_print_json_sums(const struct reader_audit *total)
{
    struct json_writer json;
    json_start_line(&json, stdout);
    json_u64(&json, "streams", total->streams);
    json_u64(&json, "messages", total->messages);
    json_u64(&json, "checkpoints", total->commits);
    json_u64(&json, "faults", total->faults);
    json_end_line(&json);
}

/* At once, so that somebody who waits for a long run sees what it has found so far. */
static void verify_report(void *context, const struct reader_fault *fault)
{
    const struct verify_job *job = context;
    if (job->options->json)
        verify_print_json(fault);
    else
        printf("%s\n", fault->text);
    (void)fflush(stdout); /* the stream remembers a failure */
}

static enum certpost_status verify_stream(struct verify_job *job, int64_t stream_id,
                                          struct certpost_error *error)
{
    struct reader_audit audit = {0};
    enum certpost_status status =
        reader_verify(job->reader, stream_id, verify_report, job, &audit, error);
    job->total.streams += audit.streams;
    job->total.messages += audit.messages;
    job->total.commits += audit.commits;
    job->total.faults += audit.faults;
    /* Told already, in a line of its own. */
    if (status == CERTPOST_DIGEST)
        certpost_error_clear(error);
    return status == CERTPOST_DIGEST ? CERTPOST_OK : status;
}

/* A pass for each stream that was asked for: these are few. */
static enum certpost_status verify_chosen(struct verify_job *job, struct certpost_error *error)
{
    struct reader_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return error_no_memory(error);
    bool found = true;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK) {
        status = reader_next_stream(job->reader, &job->options->filter, stream->id, stream, &found,
                                    error);
        if (status != CERTPOST_OK || !found)
            break;
        status = verify_stream(job, stream->id, error);
    }
    if (status == CERTPOST_OK && stream->id == 0)
        status = error_set(error, CERTPOST_USAGE,
                           "the store has no such stream; see certpost read --streams");
    free(stream);
    return status;
}

/* The messages of the receipt, and its digest as the one checkpoint. */
static enum certpost_status verify_receipt(struct verify_job *job, struct certpost_error *error)
{
    struct receipt receipt = {0};
    enum certpost_status status = receipt_load(job->options->receipt, &receipt, error);
    if (status == CERTPOST_OK)
        status = receipt_believe(&receipt, &job->options->choice, error);
    if (status == CERTPOST_OK)
        status = receipt_store_check(job->reader, &receipt.statement, verify_report, job, error);
    if (status == CERTPOST_OK || status == CERTPOST_DIGEST)
        job->total = (struct reader_audit){.streams = 1,
                                           .messages = receipt.statement.seq,
                                           .commits = 1,
                                           .faults = status == CERTPOST_DIGEST};
    /* Told already, in a line of its own. */
    if (status == CERTPOST_DIGEST)
        certpost_error_clear(error);
    receipt_free(&receipt);
    return status == CERTPOST_DIGEST ? CERTPOST_OK : status;
}

static const char *verify_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* On standard error the last line, also of a run that found faults; for programs, an object. */
static void verify_print_sums(const struct verify_job *job)
{
    const struct reader_audit *total = &job->total;
    if (job->options->json)
        verify_print_json_sums(total);
    if (job->options->quiet)
        return;
    char verdict[64] = "all agree";
    if (total->faults > 0)
        snprintf(verdict, sizeof verdict, "%" PRIu64 " fault%s", total->faults,
                 verify_plural(total->faults));
    output_note("%" PRIu64 " stream%s, %" PRIu64 " message%s, %" PRIu64 " checkpoint%s: %s",
                total->streams, verify_plural(total->streams), total->messages,
                verify_plural(total->messages), total->commits, verify_plural(total->commits),
                verdict);
}

static enum certpost_status verify_run(const struct verify_options *options,
                                       struct certpost_error *error)
{
    struct verify_job job = {.options = options};
    const struct reader_filter *filter = &options->filter;
    errno = 0;
    enum certpost_status status = reader_open(options->store, NULL, &job.reader, error);
    if (status == CERTPOST_OK && options->receipt != NULL)
        status = verify_receipt(&job, error);
    else if (status == CERTPOST_OK && filter->identity == NULL && filter->name == NULL)
        status = verify_stream(&job, 0, error);
    else if (status == CERTPOST_OK)
        status = verify_chosen(&job, error);
    reader_close(job.reader);
    if (status != CERTPOST_OK)
        return status;
    verify_print_sums(&job);
    struct certpost_error output_error;
    certpost_error_clear(&output_error);
    status = output_finish(&output_error);
    if (status != CERTPOST_OK && output_error.system_errno != EPIPE)
        output_note("%s", certpost_error_text(&output_error, status));
    /* Faults come first: a script that asks for the status must learn of them. */
    if (job.total.faults > 0)
        return CERTPOST_DIGEST;
    return status;
}

int verify_command(int argc, char **argv)
{
    struct verify_options options;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = verify_options_parse(argc, argv, &options, &error);
    if (status == CERTPOST_OK && (options.help || options.version))
        status = output_about(options.help, verify_options_print_help, &error);
    else if (status == CERTPOST_OK)
        status = verify_run(&options, &error);
    if (error.status != CERTPOST_OK)
        output_note("%s", certpost_error_text(&error, status));
    return (int)exit_status_of(status);
}
