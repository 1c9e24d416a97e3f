/*
 * read.c — `certpost read` (client/read.h): the messages of a store on standard output.
 *
 * Uses: store/reader, print.  Used by: main.c.
 * Never: writes to the store, holds more of it in memory than a batch, or spins while it waits.
 */
#include "client/read.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "client/exit_status.h"
#include "client/output.h"
#include "client/print.h"
#include "client/store_options.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often --follow looks for more: nobody waits long, and an idle store costs nothing. */
enum { READ_FOLLOW_MS = 250 };

/* The streams last met, so that each message finds its name; what is not here is read again. */
enum { READ_STREAMS_KNOWN = 64 };

struct read_job {
    const struct read_options *options;
    struct reader *reader;
    bool filters; /* messages of streams that were not asked for come along */
    bool stopped; /* nobody reads standard output any more */
    struct reader_stream known[READ_STREAMS_KNOWN];
};

/* After each line. A reader that goes away, as `head` does, has seen what it wanted. */
static enum certpost_status read_check_output(struct read_job *job, bool flush,
                                              struct certpost_error *error)
{
    bool failed = ferror(stdout) != 0;
    if (!failed && flush) {
        errno = 0;
        failed = fflush(stdout) != 0;
    }
    if (!failed)
        return CERTPOST_OK;
    if (errno == EPIPE) {
        job->stopped = true;
        return CERTPOST_OK;
    }
    return error_set_errno(error, CERTPOST_LOCAL_IO, errno, "cannot write to standard output");
}

static void read_print_time(int64_t time_ms)
{
    char time[CLOCK_UTC_TEXT_BYTES] = "-";
    if (time_ms != 0)
        clock_format_utc(time_ms, time);
    fputs(time, stdout);
}

/* A field must not be empty, and "-" is no identity: each begins with its kind and a colon. */
static void read_print_identity(const struct reader_stream *stream)
{
    if (stream->identity_length == 0)
        fputc('-', stdout);
    print_escaped(stdout, stream->identity, stream->identity_length);
}

static void read_print_text(const struct reader_stream *stream,
                            const struct reader_message *message)
{
    read_print_time(message->time_ms);
    fputc('\t', stdout);
    read_print_identity(stream);
    fputc('\t', stdout);
    print_escaped(stdout, stream->name, stream->name_length);
    printf("\t%" PRIu64 "\t", message->seq);
    print_escaped(stdout, message->bytes, message->length);
    fputc('\n', stdout);
}

static void read_json_stream(struct json_writer *json, const struct reader_stream *stream)
{
    json_exact(json, "identity", stream->identity, stream->identity_length);
    json_exact(json, "stream", stream->name, stream->name_length);
}

static void read_print_json(const struct reader_stream *stream,
                            const struct reader_message *message)
{
    struct json_writer json;
    char time[CLOCK_UTC_TEXT_BYTES];
    if (message->time_ms != 0)
        clock_format_utc(message->time_ms, time);
    json_start_line(&json, stdout);
    read_json_stream(&json, stream);
    json_u64(&json, "seq", message->seq);
    json_exact_text(&json, "time", message->time_ms == 0 ? NULL : time);
    json_exact(&json, "message", message->bytes, message->length);
    json_end_line(&json);
}

static void read_print_raw(enum read_delimiter delimiter, const struct reader_message *message)
{
    if (delimiter == READ_DELIMITER_LENGTH) {
        for (int shift = 24; shift >= 0; shift -= 8)
            fputc((int)(message->length >> shift & 0xff), stdout);
    }
    (void)fwrite(message->bytes, 1, message->length, stdout);
    if (delimiter == READ_DELIMITER_NEWLINE)
        fputc('\n', stdout);
    else if (delimiter == READ_DELIMITER_NUL)
        fputc('\0', stdout);
}

static bool read_is_wanted(const struct reader_stream *stream, const struct reader_filter *filter)
{
    const char *identity = filter->identity;
    const char *name = filter->name;
    return (identity == NULL || (strlen(identity) == stream->identity_length &&
                                 memcmp(identity, stream->identity, strlen(identity)) == 0)) &&
           (name == NULL ||
            (strlen(name) == stream->name_length && memcmp(name, stream->name, strlen(name)) == 0));
}

/* The stream of a message; without a row of its own, one without names. */
static enum certpost_status read_find_stream(struct read_job *job, int64_t id,
                                             const struct reader_stream **ret_stream,
                                             struct certpost_error *error)
{
    struct reader_stream *known = &job->known[(uint64_t)id % READ_STREAMS_KNOWN];
    bool found = true;
    enum certpost_status status = CERTPOST_OK;
    if (known->id != id) {
        struct reader_stream *stream = calloc(1, sizeof *stream);
        if (stream == NULL)
            return error_no_memory(error);
        status = reader_next_stream(job->reader, NULL, id - 1, stream, &found, error);
        if (!found || stream->id != id)
            *stream = (struct reader_stream){.id = id};
        if (status == CERTPOST_OK)
            *known = *stream;
        free(stream);
    }
    if (status == CERTPOST_OK)
        *ret_stream = known;
    return status;
}

static enum certpost_status read_show(struct read_job *job, const struct reader_message *message,
                                      struct certpost_error *error)
{
    const struct reader_stream *stream = NULL;
    enum certpost_status status = read_find_stream(job, message->stream_id, &stream, error);
    if (status != CERTPOST_OK)
        return status;
    if (job->filters && !read_is_wanted(stream, &job->options->filter))
        return CERTPOST_OK;
    errno = 0;
    switch (job->options->format) {
    case READ_FORMAT_TEXT:
        read_print_text(stream, message);
        break;
    case READ_FORMAT_JSON:
        read_print_json(stream, message);
        break;
    case READ_FORMAT_RAW:
        read_print_raw(job->options->delimiter, message);
        break;
    }
    return read_check_output(job, false, error);
}

/* Everything that is there now. */
static enum certpost_status read_show_all(struct read_job *job, struct certpost_error *error)
{
    bool found = true;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && !job->stopped) {
        struct reader_message message;
        status = reader_next(job->reader, &message, &found, error);
        if (status != CERTPOST_OK || !found)
            break;
        status = read_show(job, &message, error);
    }
    if (job->stopped)
        return status;
    /* What was read before a failure is shown as well. */
    enum certpost_status written = read_check_output(job, true, error);
    return status == CERTPOST_OK ? written : status;
}

/* Waits for the next look, or for the end of whoever reads standard output. */
static enum certpost_status read_wait(struct read_job *job, struct certpost_error *error)
{
    struct pollfd output = {.fd = STDOUT_FILENO};
    int ready = poll(&output, 1, READ_FOLLOW_MS);
    if (ready < 0 && errno != EINTR)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot wait");
    if (ready > 0)
        job->stopped = true;
    return reader_in_place(job->reader, error);
}

static enum certpost_status read_messages(struct read_job *job, struct certpost_error *error)
{
    enum certpost_status status = read_show_all(job, error);
    while (status == CERTPOST_OK && job->options->follow && !job->stopped) {
        status = read_wait(job, error);
        if (status == CERTPOST_OK)
            status = read_show_all(job, error);
    }
    return status;
}

static void read_print_stream(const struct reader_stream *stream, enum read_format format)
{
    if (format == READ_FORMAT_JSON) {
        struct json_writer json;
        json_start_line(&json, stdout);
        json_i64(&json, "id", stream->id);
        read_json_stream(&json, stream);
        json_u64(&json, "last_seq", stream->last_seq);
        json_hex(&json, "digest", stream->digest, sizeof stream->digest);
        json_end_line(&json);
        return;
    }
    printf("%" PRId64 "\t", stream->id);
    read_print_identity(stream);
    fputc('\t', stdout);
    print_escaped(stdout, stream->name, stream->name_length);
    printf("\t%" PRIu64 "\t", stream->last_seq);
    print_hex(stdout, stream->digest, sizeof stream->digest);
    fputc('\n', stdout);
}

static enum certpost_status read_streams(struct read_job *job, struct certpost_error *error)
{
    struct reader_stream *stream = &job->known[0];
    int64_t after_id = 0;
    bool found = true;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && !job->stopped) {
        status =
            reader_next_stream(job->reader, &job->options->filter, after_id, stream, &found, error);
        if (status != CERTPOST_OK || !found)
            break;
        after_id = stream->id;
        errno = 0;
        read_print_stream(stream, job->options->format);
        status = read_check_output(job, false, error);
    }
    if (status == CERTPOST_OK && !job->stopped)
        status = read_check_output(job, true, error);
    return status;
}

/*
 * One stream is read through its index. Several, or those that are still to come, are picked out of
 * all in the order of arrival.
 */
static enum certpost_status read_select(struct read_job *job, struct certpost_error *error)
{
    const struct read_options *options = job->options;
    const struct reader_filter *filter = &options->filter;
    struct reader_stream *stream = &job->known[0];
    bool found = false;
    bool more = false;
    bool any = filter->identity == NULL && filter->name == NULL;
    int64_t only_id = 0;
    enum certpost_status status = CERTPOST_OK;
    if (!any)
        status = reader_next_stream(job->reader, filter, 0, stream, &found, error);
    if (status == CERTPOST_OK && found) {
        only_id = stream->id;
        status = reader_next_stream(job->reader, filter, only_id, stream, &more, error);
    }
    if (status != CERTPOST_OK)
        return status;
    if (!any && !found && !options->follow)
        return error_set(error, CERTPOST_USAGE, "the store has no such stream; see --streams");
    bool complete = filter->identity != NULL && filter->name != NULL;
    if (more || (options->follow && !complete))
        only_id = 0;
    job->filters = !any && only_id == 0;
    memset(job->known, 0, sizeof job->known);
    reader_select(job->reader, only_id, options->first_seq, options->last_seq);
    return CERTPOST_OK;
}

static enum certpost_status read_run(const struct read_options *options,
                                     struct certpost_error *error)
{
    struct read_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return error_no_memory(error);
    job->options = options;
    enum certpost_status status = reader_open(options->store, NULL, &job->reader, error);
    if (status == CERTPOST_OK && options->list_streams) {
        status = read_streams(job, error);
    } else if (status == CERTPOST_OK) {
        status = read_select(job, error);
        if (status == CERTPOST_OK)
            status = read_messages(job, error);
    }
    reader_close(job->reader);
    free(job);
    return status;
}

int read_command(int argc, char **argv)
{
    struct read_options options;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = read_options_parse(argc, argv, &options, &error);
    if (status == CERTPOST_OK && (options.help || options.version))
        status = output_about(options.help, read_options_print_help, &error);
    else if (status == CERTPOST_OK)
        status = read_run(&options, &error);
    if (status != CERTPOST_OK)
        output_note("%s", certpost_error_text(&error, status));
    return (int)exit_status_of(status);
}
