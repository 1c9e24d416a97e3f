/*
 * receipt_store.c — whether a store still holds what a receipt says (client/receipt_store.h).
 *
 * The receipt is compared with the messages alone, not with any digest that the store keeps of
 * them: whoever rewrote the messages could have rewritten these too. They are asked only
 * afterwards, for where the difference is.
 *
 * Uses: store/reader, base/chain.  Used by: verify.c.  Never: writes to the store, or prints.
 */
#include "client/receipt_store.h"

#include "base/chain.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIPT_FAULT_TEXT_BYTES = 400 };

struct receipt_store_job {
    struct reader *reader;
    const struct statement *statement;
    struct reader_stream stream;
    reader_report report;
    void *context;
    uint64_t first_seq; /* where the store's own checkpoints see the first fault; 0: nowhere */
    uint64_t last_seq;
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

static enum certpost_status receipt_report(struct receipt_store_job *job, uint64_t first_seq,
                                           uint64_t last_seq, const char *what,
                                           struct certpost_error *error)
{
    char text[RECEIPT_FAULT_TEXT_BYTES];
    if (first_seq == last_seq)
        snprintf(text, sizeof text,
                 "the store is not what the receipt says: message %" PRIu64 " %s", first_seq, what);
    else
        snprintf(text, sizeof text,
                 "the store is not what the receipt says: messages %" PRIu64 " to %" PRIu64 " %s",
                 first_seq, last_seq, what);
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

/* Keeps the first fault that touches what the receipt is for. */
static void receipt_note_fault(void *context, const struct reader_fault *fault)
{
    struct receipt_store_job *job = context;
    if (job->first_seq != 0 || fault->stream == NULL || fault->first_seq > job->statement->seq)
        return;
    job->first_seq = fault->first_seq > 0 ? fault->first_seq : 1;
    job->last_seq = fault->last_seq < job->statement->seq ? fault->last_seq : job->statement->seq;
}

/* The messages add up to another digest: where? */
static enum certpost_status receipt_locate(struct receipt_store_job *job,
                                           struct certpost_error *error)
{
    struct reader_audit audit;
    struct certpost_error ignored;
    certpost_error_clear(&ignored);
    if (job->statement->seq == 0)
        return error_set(error, CERTPOST_DIGEST,
                         "the receipt is for no message, and yet not for an empty stream");
    enum certpost_status status =
        reader_verify(job->reader, job->stream.id, receipt_note_fault, job, &audit, &ignored);
    if (status != CERTPOST_OK && status != CERTPOST_DIGEST)
        return error_adopt(error, status, &ignored);
    if (job->first_seq == 0)
        return receipt_report(job, 1, job->statement->seq,
                              "are not those that were acknowledged, though the store agrees with "
                              "itself: it was altered as a whole, or is another store",
                              error);
    return receipt_report(job, job->first_seq, job->last_seq,
                          job->first_seq == job->last_seq
                              ? "is the first that differs"
                              : "hold the first that differs (they share a checkpoint)",
                          error);
}

static enum certpost_status receipt_compare(struct receipt_store_job *job, struct chain *chain,
                                            struct certpost_error *error)
{
    const struct statement *statement = job->statement;
    unsigned char digest[CHAIN_DIGEST_BYTES];
    struct reader_message message = {0};
    bool found = true;
    enum certpost_status status =
        chain_first(chain, statement->identity, statement->identity_length, statement->stream,
                    statement->stream_length, digest);
    reader_select(job->reader, job->stream.id, 1, statement->seq);
    for (uint64_t seq = 1; status == CERTPOST_OK && seq <= statement->seq; seq++) {
        status = reader_next(job->reader, &message, &found, error);
        if (status == CERTPOST_OK && (!found || message.seq != seq))
            return receipt_report(job, seq, seq, "is the first that is missing", error);
        if (status == CERTPOST_OK)
            status = chain_next(chain, digest, message.bytes, message.length, digest);
    }
    if (status != CERTPOST_OK || memcmp(digest, statement->digest, sizeof digest) == 0)
        return status;
    return receipt_locate(job, error);
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
                                "are missing: the store has no such stream", error);
    return status;
}

enum certpost_status receipt_store_check(struct reader *reader, const struct statement *statement,
                                         reader_report report, void *context,
                                         struct certpost_error *error)
{
    struct chain *chain = NULL;
    struct receipt_store_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return error_no_memory(error);
    job->reader = reader;
    job->statement = statement;
    job->report = report;
    job->context = context;
    enum certpost_status status = chain_new(&chain, error);
    if (status == CERTPOST_OK)
        status = receipt_find(job, error);
    if (status == CERTPOST_OK)
        status = receipt_compare(job, chain, error);
    chain_free(chain);
    free(job);
    return status;
}
