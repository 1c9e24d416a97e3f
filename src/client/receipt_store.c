/*
 * receipt_store.c — whether a store still holds what a receipt says (client/receipt_store.h).
 *
 * The receipt is compared with the messages alone, not with any digest that the store keeps of
 * them: whoever rewrote the messages could have rewritten these too. They are asked only
 * afterwards, for where the difference is (receipt_locate.c).
 *
 * Uses: receipt_locate, store/reader, base/chain.  Used by: verify.c.  Never: writes to the store,
 * or prints.
 */
#include "client/receipt_store.h"

#include "base/chain.h"
#include "base/error.h"
#include "client/receipt_locate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIPT_FAULT_TEXT_BYTES = 512, RECEIPT_WHAT_BYTES = 384, RECEIPT_RANGE_BYTES = 72 };

struct receipt_store_job {
    struct reader *reader;
    struct chain *chain;
    const struct statement *statement;
    struct reader_stream stream;
    reader_report report;
    void *context;
};

static bool receipt_copy_key(char *ret_text, const unsigned char *bytes, size_t length)
{
    if (memchr(bytes, 0, length) != NULL)
        return false;
    memcpy(ret_text, bytes, length);
    ret_text[length] = '\0';
    return true;
}

bool receipt_store_filter(const struct statement *statement, struct receipt_store_key *ret_key,
                          struct reader_filter *ret_filter)
{
    if (!receipt_copy_key(ret_key->identity, statement->identity, statement->identity_length) ||
        !receipt_copy_key(ret_key->name, statement->stream, statement->stream_length))
        return false;
    *ret_filter = (struct reader_filter){.identity = ret_key->identity, .name = ret_key->name};
    return true;
}

static const char *receipt_range(uint64_t first_seq, uint64_t last_seq,
                                 char ret_text[RECEIPT_RANGE_BYTES])
{
    if (first_seq == last_seq)
        snprintf(ret_text, RECEIPT_RANGE_BYTES, "message %" PRIu64, first_seq);
    else
        snprintf(ret_text, RECEIPT_RANGE_BYTES, "messages %" PRIu64 " to %" PRIu64, first_seq,
                 last_seq);
    return ret_text;
}

/* Of message 0, what is said of the receipt as a whole. */
static enum certpost_status receipt_report(struct receipt_store_job *job, uint64_t first_seq,
                                           uint64_t last_seq, const char *what,
                                           struct certpost_error *error)
{
    char text[RECEIPT_FAULT_TEXT_BYTES];
    char range_text[RECEIPT_RANGE_BYTES];
    const char *range = last_seq == 0 ? "it" : receipt_range(first_seq, last_seq, range_text);
    snprintf(text, sizeof text, "the store is not what the receipt says: %s %s", range, what);
    const struct reader_fault fault = {
        .stream = job->stream.id == 0 ? NULL : &job->stream,
        .first_seq = first_seq,
        .last_seq = last_seq,
        .what = what,
        .text = text,
    };
    if (job->report != NULL)
        job->report(job->context, &fault);
    return error_set(error, CERTPOST_DIGEST, "%s", text);
}

/* What no receipt vouches for, but only the store itself. */
static const char *receipt_unless(uint64_t agreed_seq)
{
    return agreed_seq == 0 ? ""
                           : ", unless earlier ones were rewritten together with their checkpoints";
}

/* All are there, and add up to another digest: where do they begin to differ? */
static enum certpost_status receipt_report_difference(struct receipt_store_job *job,
                                                      struct certpost_error *error)
{
    if (job->statement->seq == 0)
        return receipt_report(job, 0, 0, "is for no message, and yet not for an empty stream",
                              error);
    struct receipt_place place = {0};
    enum certpost_status status =
        receipt_locate(job->reader, job->chain, job->stream.id, job->statement, job->statement->seq,
                       &place, error);
    if (status != CERTPOST_OK)
        return status;
    if (place.agreed_seq >= place.proven_seq)
        return receipt_report(job, 1, place.proven_seq,
                              "cannot be what was acknowledged, though the store agrees with "
                              "itself: it was altered as a whole, or is another store",
                              error);
    uint64_t first_seq = place.agreed_seq + 1;
    bool is_shared = place.doubtful_seq == 0 || place.doubtful_seq >= place.proven_seq;
    char what[RECEIPT_WHAT_BYTES];
    char range[RECEIPT_RANGE_BYTES];
    if (first_seq == place.proven_seq)
        snprintf(what, sizeof what, "is the first that differs%s",
                 receipt_unless(place.agreed_seq));
    else if (is_shared)
        snprintf(what, sizeof what, "hold the first that differs (they share a checkpoint)%s",
                 receipt_unless(place.agreed_seq));
    else
        snprintf(what, sizeof what,
                 "hold the first that differs (%s, or else a checkpoint was altered as well)%s",
                 receipt_range(first_seq, place.doubtful_seq, range),
                 receipt_unless(place.agreed_seq));
    return receipt_report(job, first_seq, place.proven_seq, what, error);
}

/* Whether message `seq` is somewhere in the store, where its checkpoint does not lead to. */
static enum certpost_status receipt_is_misplaced(struct receipt_store_job *job, uint64_t seq,
                                                 bool *ret_misplaced, struct certpost_error *error)
{
    struct reader_message message = {0};
    bool found = true;
    enum certpost_status status = CERTPOST_OK;
    reader_select(job->reader, 0, seq, seq);
    while (status == CERTPOST_OK && found && message.stream_id != job->stream.id)
        status = reader_next(job->reader, &message, &found, error);
    *ret_misplaced = status == CERTPOST_OK && found;
    return status;
}

/* What is before a gap may differ too, and then it comes first. */
static enum certpost_status receipt_report_gap(struct receipt_store_job *job, uint64_t gap_seq,
                                               struct certpost_error *error)
{
    struct receipt_place place = {0};
    bool is_misplaced = false;
    char what[RECEIPT_WHAT_BYTES];
    char range[RECEIPT_RANGE_BYTES];
    char rest[128] = "";
    enum certpost_status status = receipt_locate(job->reader, job->chain, job->stream.id,
                                                 job->statement, gap_seq - 1, &place, error);
    if (status == CERTPOST_OK)
        status = receipt_is_misplaced(job, gap_seq, &is_misplaced, error);
    if (status != CERTPOST_OK)
        return status;
    const char *gap = is_misplaced ? "not where the store's checkpoints say" : "missing";
    uint64_t first_seq = place.agreed_seq + 1;
    if (place.doubtful_seq > 0) {
        snprintf(what, sizeof what,
                 "%s the first that differs (by the store's checkpoint), and message %" PRIu64
                 " is the first that is %s%s",
                 first_seq == place.doubtful_seq ? "is" : "hold", gap_seq, gap,
                 receipt_unless(place.agreed_seq));
        return receipt_report(job, first_seq, place.doubtful_seq, what, error);
    }
    if (first_seq < gap_seq)
        snprintf(rest, sizeof rest, "; nothing tells without it whether %s differ%s",
                 receipt_range(first_seq, gap_seq - 1, range), first_seq + 1 == gap_seq ? "s" : "");
    snprintf(what, sizeof what, "is the first that is %s%s", gap, rest);
    return receipt_report(job, gap_seq, gap_seq, what, error);
}

static enum certpost_status receipt_compare(struct receipt_store_job *job,
                                            struct certpost_error *error)
{
    const struct statement *statement = job->statement;
    unsigned char digest[CHAIN_DIGEST_BYTES];
    struct reader_message message = {0};
    bool found = true;
    enum certpost_status status =
        chain_first(job->chain, statement->identity, statement->identity_length, statement->stream,
                    statement->stream_length, digest);
    reader_select(job->reader, job->stream.id, 1, statement->seq);
    for (uint64_t seq = 1; status == CERTPOST_OK && seq <= statement->seq; seq++) {
        status = reader_next(job->reader, &message, &found, error);
        if (status == CERTPOST_OK && (!found || message.seq != seq))
            return receipt_report_gap(job, seq, error);
        if (status == CERTPOST_OK)
            status = chain_next(job->chain, digest, message.bytes, message.length, digest);
    }
    if (status != CERTPOST_OK || memcmp(digest, statement->digest, sizeof digest) == 0)
        return status;
    return receipt_report_difference(job, error);
}

/* Nothing is stored of a stream that the store does not know. */
static enum certpost_status receipt_find(struct receipt_store_job *job,
                                         struct certpost_error *error)
{
    struct receipt_store_key key;
    struct reader_filter filter;
    bool found = false;
    enum certpost_status status = CERTPOST_OK;
    if (receipt_store_filter(job->statement, &key, &filter))
        status = reader_next_stream(job->reader, &filter, 0, &job->stream, &found, error);
    if (status == CERTPOST_OK && !found && job->statement->seq > 0)
        status = receipt_report(job, 1, job->statement->seq,
                                "cannot be found: the store has no such stream", error);
    return status;
}

enum certpost_status receipt_store_check(struct reader *reader, const struct statement *statement,
                                         reader_report report, void *context,
                                         struct certpost_error *error)
{
    struct receipt_store_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return error_no_memory(error);
    job->reader = reader;
    job->statement = statement;
    job->report = report;
    job->context = context;
    enum certpost_status status = chain_new(&job->chain, error);
    if (status == CERTPOST_OK)
        status = receipt_find(job, error);
    if (status == CERTPOST_OK)
        status = receipt_compare(job, error);
    reader_select(reader, 0, 1, UINT64_MAX);
    chain_free(job->chain);
    free(job);
    return status;
}
