/*
 * send_certified.c — input into a certpost/1 client until everything is acknowledged
 * (client/send_certified.h).
 *
 * One poll(2) waits for the input, the network, a signal and the time. The input is read only when
 * the client has taken all that was read before, so memory has a bound whatever comes in.
 *
 *   take input ──► process ──► show events ──► wait, unless there is room for more ──┐
 *        ▲                                                                           │
 *        └───────────────────────────────────────────────────────────────────────────┘
 *
 * Uses: certpost/client.h, input, send_events, summary.  Used by: send.c.
 * Never: reads a message that it could neither deliver nor count.
 */
#include "client/send_certified.h"

#include "agent/client_peer.h"
#include "base/clock.h"
#include "base/error.h"
#include "client/describe.h"
#include "client/input.h"
#include "client/output.h"
#include "client/send_events.h"
#include "client/send_give_up.h"
#include "client/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The client's descriptors, standard input, and the signal's. */
enum { CERTIFIED_POLLED_MAX = CERTPOST_CLIENT_DESCRIPTORS_MAX + 2 };

struct certified {
    const struct send_options *options;
    struct certpost_client *client;
    struct certpost_client_facts facts; /* as of the last process */
    struct send_events events;
    struct send_give_up give_up;
    int wake_fd; /* readable after a signal */

    struct input input;
    const unsigned char *message; /* read, and not taken by the client yet; NULL for none */
    size_t message_length;
    bool reads;                        /* the input needs more bytes */
    bool input_over;                   /* nothing more is taken from it */
    enum certpost_status input_status; /* why, if it was not its end */
    struct certpost_error input_error;
    uint64_t given; /* messages of this run, whatever became of them */
    uint64_t taken; /* of these, those that the client has taken */
    uint64_t bytes;

    bool over; /* FINISHED or FAILED has come, or we have given up */
    enum certpost_status status;
};

/* ---- input ---- */

/* No more input: what was taken is still delivered. The reason, if any, is in `input_error`. */
static void certified_end_input(struct certified *c, enum certpost_status status)
{
    c->input_over = true;
    c->input_status = status;
    c->message = NULL;
    send_give_up_input_ended(&c->give_up, clock_monotonic_ms());
    /* A client that has failed says so by an event too. */
    enum certpost_status finished = certpost_client_finish(c->client, NULL);
    (void)finished;
}

static void certified_read_message(struct certified *c)
{
    enum certpost_status status =
        input_next(&c->input, &c->message, &c->message_length, &c->input_error);
    c->reads = status == CERTPOST_WANT_READ;
    if (c->reads)
        return;
    /* A line that could not be read whole was given all the same. */
    if (status == CERTPOST_LIMIT || (status == CERTPOST_OK && c->message != NULL))
        c->given++;
    if (status != CERTPOST_OK || c->message == NULL)
        certified_end_input(c, status);
}

/* ---- the client ---- */

static uint64_t certified_spooled(const struct certpost_client_facts *facts)
{
    return facts->spooled > facts->acknowledged ? facts->spooled - facts->acknowledged : 0;
}

/* Messages of this run: those of the command line are known before they are read. */
static uint64_t certified_total(const struct certified *c)
{
    uint64_t given = c->options->lines ? c->given : c->options->source_count;
    return c->facts.inherited + given;
}

static void certified_look(struct certified *c)
{
    const struct certpost_client_facts *facts = &c->facts;
    certpost_client_facts(c->client, &c->facts);
    summary_set_total((unsigned long)certified_total(c));
    summary_set_acknowledged((unsigned long)facts->acknowledged);
    if (c->options->resumes)
        summary_set_already_there(
            (unsigned long)facts->skipped, (unsigned long)client_peer_unchecked(c->client),
            certpost_level_name(facts->connections > 0 ? facts->level : CERTPOST_LEVEL_STORED));
    if (c->options->has_spool)
        summary_set_spooled((unsigned long)certified_spooled(facts));
}

static void certified_fail(struct certified *c, enum certpost_status status)
{
    c->over = true;
    c->status = status;
}

static void certified_fail_with(struct certified *c, const struct certpost_error *cause,
                                struct certpost_error *error)
{
    certified_fail(c, error_adopt(error, cause->status, cause));
}

static void certified_show(struct certified *c, const struct certpost_event *event,
                           struct certpost_error *error)
{
    enum certpost_status status = send_events_show(&c->events, event, &c->facts, error);
    if (status != CERTPOST_OK)
        certified_fail(c, status);
}

static void certified_describe(const struct certified *c)
{
    const SSL *ssl = client_peer_ssl(c->client);
    if (ssl != NULL)
        describe_certificate(ssl);
}

static void certified_event(struct certified *c, const struct certpost_event *event,
                            struct certpost_error *error)
{
    int64_t now_ms = clock_monotonic_ms();
    send_give_up_event(&c->give_up, event, now_ms);
    /* What the run ends with is said at its end, and not "trying again" before. */
    if (c->options->json || !send_give_up_is_due(&c->give_up, now_ms))
        certified_show(c, event, error);
    if (event->type == CERTPOST_EVENT_CONNECTED && c->options->verbose)
        certified_describe(c);
    if (event->type == CERTPOST_EVENT_FINISHED)
        c->over = true;
    if (event->type == CERTPOST_EVENT_FAILED)
        certified_fail_with(c, &event->error, error);
}

/* The client would go on for ever: that it ends is an event of ours. */
static void certified_give_up(struct certified *c, struct certpost_error *error)
{
    struct certpost_event event = {.type = CERTPOST_EVENT_FAILED, .error = c->give_up.reason};
    certified_show(c, &event, error);
    certified_fail_with(c, &event.error, error);
}

static void certified_process(struct certified *c, struct certpost_error *error)
{
    struct certpost_event event;
    /* A failure is told by the event FAILED too, and with its number and code. */
    enum certpost_status status = certpost_client_process(c->client, NULL);
    (void)status;
    certified_look(c);
    status = send_events_spooled(&c->events, &c->facts, error);
    if (status != CERTPOST_OK)
        certified_fail(c, status);
    while (!c->over && certpost_client_next_event(c->client, &event))
        certified_event(c, &event, error);
    if (!c->over && send_give_up_is_due(&c->give_up, clock_monotonic_ms()))
        certified_give_up(c, error);
}

/* False when the client does not take the message now. */
static bool certified_offer(struct certified *c, struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status =
        certpost_client_offer(c->client, c->message, c->message_length, NULL, &cause);
    if (status == CERTPOST_LIMIT) {
        (void)error_set(&c->input_error, status, "message %" PRIu64 ": %s", c->given,
                        certpost_error_text(&cause, status));
        certified_end_input(c, status);
    } else if (status != CERTPOST_OK && status != CERTPOST_WANT_WRITE) {
        /* A failed spool ends the client, which tells it by an event; lack of memory for this
         * message alone does not, and then nothing would ever come to be waited for. */
        certified_process(c, error);
        if (!c->over)
            certified_fail_with(c, &cause, error);
    }
    if (status != CERTPOST_OK)
        return false;
    c->taken++;
    c->bytes += c->message_length;
    c->message = NULL;
    return true;
}

/*
 * Moves messages from the input into the client until one of them has had enough; false when
 * nothing moved, and nothing ended. Without a spool nothing moves before the server has said how
 * long a message may be: one that is too long can then be refused without harm to those before it.
 */
static bool certified_take_input(struct certified *c, struct certpost_error *error)
{
    if (c->input_over || (!c->options->has_spool && c->facts.max_message_bytes == 0))
        return false;
    uint64_t taken = c->taken;
    while (!c->input_over && !c->reads) {
        if (c->message == NULL)
            certified_read_message(c);
        if (c->message != NULL && !certified_offer(c, error))
            break;
    }
    return c->over || c->input_over || c->taken > taken;
}

static void certified_show_progress(struct certified *c)
{
    struct progress_counts counts = {
        .acknowledged = c->facts.acknowledged,
        .bytes = c->bytes,
        .unacknowledged = c->facts.unacknowledged,
    };
    progress_update(&c->events.progress, &counts, clock_monotonic_ms());
}

/* ---- waiting ---- */

static int64_t certified_earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static enum certpost_status certified_wait(struct certified *c, struct certpost_error *error)
{
    struct pollfd polled[CERTIFIED_POLLED_MAX];
    size_t count = certpost_client_descriptors(c->client, polled, CERTPOST_CLIENT_DESCRIPTORS_MAX);
    int64_t deadline_ms = clock_deadline_ms(certpost_client_timeout_ms(c->client));
    deadline_ms = certified_earlier(deadline_ms, progress_deadline_ms(&c->events.progress));
    deadline_ms = certified_earlier(deadline_ms, send_give_up_deadline_ms(&c->give_up));
    polled[count++] = (struct pollfd){.fd = c->wake_fd, .events = POLLIN};
    size_t input_at = count;
    if (c->reads && !c->input_over)
        polled[count++] = (struct pollfd){.fd = c->input.descriptor, .events = POLLIN};
    int ready = poll(polled, (nfds_t)count, clock_poll_timeout_ms(deadline_ms));
    if (ready < 0 && errno != EINTR)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot wait for events");
    if (ready <= 0 || input_at == count || polled[input_at].revents == 0)
        return CERTPOST_OK;
    c->reads = false;
    enum certpost_status status = input_fill(&c->input, &c->input_error);
    if (status != CERTPOST_OK)
        certified_end_input(c, status);
    return CERTPOST_OK;
}

static void certified_deliver(struct certified *c, struct certpost_error *error)
{
    for (;;) {
        /* Before anything can fail: what was read from a pipe is nowhere else. */
        (void)certified_take_input(c, error);
        certified_process(c, error);
        certified_show_progress(c);
        if (c->over || summary_is_interrupted())
            return;
        /* What the client has just done may have made room, and what it takes now may be sent. */
        if (certified_take_input(c, error))
            continue;
        enum certpost_status status = certified_wait(c, error);
        if (status != CERTPOST_OK)
            certified_fail(c, status);
    }
}

/* ---- beginning and end ---- */

static enum certpost_status certified_open(const struct send_options *options,
                                           struct certpost_client **ret_client,
                                           struct certpost_error *error)
{
    struct certpost_client *client = NULL;
    enum certpost_status status = certpost_client_new(&client, error);
    if (status == CERTPOST_OK)
        status = send_options_configure(options, client, error);
    if (status == CERTPOST_OK)
        status = certpost_client_start(client, error);
    if (status != CERTPOST_OK) {
        certpost_client_free(client);
        return status;
    }
    *ret_client = client;
    return status;
}

/*
 * What the command line gives goes into the spool before anything can fail: the files are there, so
 * nothing has to be waited for. Standard input is taken as it comes.
 */
static void certified_take_all(struct certified *c, struct certpost_error *error)
{
    if (!c->options->has_spool || send_options_read_standard_input(c->options))
        return;
    while (!c->input_over && !c->over) {
        if (c->reads && input_fill(&c->input, &c->input_error) != CERTPOST_OK)
            certified_end_input(c, c->input_error.status);
        c->reads = false;
        if (!certified_take_input(c, error) && !c->reads)
            return;
    }
}

/* Lines that were read and are in nobody's hands are given all the same. */
static void certified_count_rest(struct certified *c)
{
    while (!c->input_over && !c->reads && c->options->lines) {
        certified_read_message(c);
        c->message = NULL;
    }
}

/* The server was there: that not everything was acknowledged is the news, not why it went; or, when
 * all is, that the receipt has not come in the time there was. */
static enum certpost_status certified_verdict(const struct certified *c)
{
    bool only_receipt_lacks =
        c->options->config.receipt_file != NULL && c->input_over && c->facts.unacknowledged == 0;
    enum certpost_status_group group = certpost_status_group(c->status);
    bool has_ended = group == CERTPOST_GROUP_NETWORK || group == CERTPOST_GROUP_ENDED;
    if (c->facts.connections > 0 && only_receipt_lacks && has_ended)
        return CERTPOST_TIMEOUT;
    if (c->facts.connections > 0 && group == CERTPOST_GROUP_NETWORK)
        return CERTPOST_NETWORK_IO;
    return c->status;
}

/* Several things can have gone wrong. The delivery's failure is returned, others are noted. */
static enum certpost_status certified_end(struct certified *c, struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = certified_verdict(c);
    certified_count_rest(c);
    certified_look(c);
    struct send_done done = {
        .given = certified_total(c),
        .acknowledged = c->facts.acknowledged,
        .already_there = c->facts.skipped,
        .not_compared = client_peer_unchecked(c->client),
        .spooled = certified_spooled(&c->facts),
        .interrupted = summary_is_interrupted(),
    };
    /* A standard output that has failed has been told of. */
    enum certpost_status shown = CERTPOST_OK;
    if (!ferror(stdout))
        shown = send_events_spooled(&c->events, &c->facts, &cause);
    if (shown == CERTPOST_OK && !ferror(stdout))
        shown = send_events_done(&c->events, &done, &c->facts, &cause);
    if (c->input_status != CERTPOST_OK && status != CERTPOST_OK)
        output_note("%s", certpost_error_text(&c->input_error, c->input_status));
    else if (c->input_status != CERTPOST_OK)
        status = error_adopt(error, c->input_status, &c->input_error);
    if (status == CERTPOST_OK && shown != CERTPOST_OK)
        status = error_adopt(error, shown, &cause);
    if (status == CERTPOST_OK && done.interrupted)
        status = CERTPOST_INTERRUPTED;
    return status;
}

static bool certified_has_nothing_to_do(const struct certified *c)
{
    return c->options->has_spool && c->options->source_count == 0 && !c->options->lines &&
           c->facts.inherited == 0 && c->options->config.receipt_file == NULL;
}

static bool certified_is_long(const struct send_options *options)
{
    return !options->quiet && !options->json && (options->lines || options->has_spool);
}

enum certpost_status send_certified_run(const struct send_options *options,
                                        char ret_endpoint[CERTPOST_ENDPOINT_BYTES],
                                        struct certpost_error *error)
{
    ret_endpoint[0] = '\0';
    summary_set_total((unsigned long)options->source_count);
    struct certified c = {.options = options, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    certpost_error_clear(&c.input_error);
    input_init(&c.input, options);
    enum certpost_status status = CERTPOST_OK;
    if (c.wake_fd < 0)
        status = error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot make an eventfd");
    if (status == CERTPOST_OK)
        status = input_check(&c.input, error);
    if (status == CERTPOST_OK)
        status = certified_open(options, &c.client, error);
    if (status != CERTPOST_OK)
        goto done;
    summary_catch_signals_for(c.wake_fd);
    certified_look(&c);
    send_events_init(&c.events, options, c.facts.inherited);
    progress_init(&c.events.progress, certified_is_long(options), clock_monotonic_ms());
    send_give_up_init(&c.give_up,
                      options->has_spool ? options->config.retry_for_ms : CLOCK_NEVER_MS);
    certified_take_all(&c, error);
    if (!certified_has_nothing_to_do(&c))
        certified_deliver(&c, error);
    status = certified_end(&c, error);
    memcpy(ret_endpoint, c.facts.endpoint, CERTPOST_ENDPOINT_BYTES);
done:
    certpost_client_free(c.client);
    input_free(&c.input);
    if (c.wake_fd >= 0)
        close(c.wake_fd);
    return status;
}
