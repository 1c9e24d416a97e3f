/*
 * receipt_locate.c — where a store differs from a receipt (client/receipt_locate.h).
 *
 * Two digests go along. One is of all messages from the first on: a checkpoint that it meets bears
 * out all messages before it, whatever the checkpoints before this one say, so that a checkpoint
 * alone that was altered is passed over. The other begins anew at each checkpoint: where it leads
 * to the receipt's digest, that checkpoint and all messages after it are what was signed.
 *
 * Uses: store/reader, base/chain.  Used by: receipt_store.c.  Never: writes to the store, or
 * prints.
 */
#include "client/receipt_locate.h"

#include <string.h>

struct receipt_walk {
    struct reader *reader;
    struct chain *chain;
    int64_t stream_id;
    const struct statement *statement;
    uint64_t end_seq;
    unsigned char whole[CHAIN_DIGEST_BYTES];  /* of all messages so far */
    unsigned char linked[CHAIN_DIGEST_BYTES]; /* of those since the last checkpoint, from its own */
    uint64_t linked_seq;                 /* from this checkpoint on, each one leads to the next */
    struct reader_checkpoint checkpoint; /* that covers the message, or is before it */
    bool has_checkpoint;
    struct receipt_place place;
};

static bool walk_same(const unsigned char *a, const unsigned char *b)
{
    return memcmp(a, b, CHAIN_DIGEST_BYTES) == 0;
}

static void walk_meet_checkpoint(struct receipt_walk *walk)
{
    const struct reader_checkpoint *checkpoint = &walk->checkpoint;
    if (walk_same(walk->whole, checkpoint->digest)) {
        walk->place.agreed_seq = checkpoint->last_seq;
        walk->place.doubtful_seq = 0;
    } else if (walk->place.doubtful_seq == 0) {
        walk->place.doubtful_seq = checkpoint->last_seq;
    }
    if (!walk_same(walk->linked, checkpoint->digest))
        walk->linked_seq = checkpoint->last_seq;
    memcpy(walk->linked, checkpoint->digest, CHAIN_DIGEST_BYTES);
}

static enum certpost_status walk_message(struct receipt_walk *walk,
                                         const struct reader_message *message)
{
    const struct statement *statement = walk->statement;
    enum certpost_status status =
        chain_next(walk->chain, walk->whole, message->bytes, message->length, walk->whole);
    if (status == CERTPOST_OK)
        status =
            chain_next(walk->chain, walk->linked, message->bytes, message->length, walk->linked);
    if (status != CERTPOST_OK)
        return status;
    if (message->seq == statement->seq && walk_same(walk->linked, statement->digest))
        walk->place.proven_seq = walk->linked_seq;
    if (walk->has_checkpoint && message->seq == walk->checkpoint.last_seq)
        walk_meet_checkpoint(walk);
    return CERTPOST_OK;
}

/* Whether message `seq` is to be looked at: beyond the last one, those of the same commit are. */
static enum certpost_status walk_wants(struct receipt_walk *walk, uint64_t seq, bool *ret_wanted,
                                       struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    if (seq == 1 || (walk->has_checkpoint && seq > walk->checkpoint.last_seq))
        status = reader_find_checkpoint(walk->reader, walk->stream_id, seq, &walk->checkpoint,
                                        &walk->has_checkpoint, error);
    *ret_wanted =
        seq <= walk->end_seq || (walk->end_seq == walk->statement->seq && walk->has_checkpoint &&
                                 walk->checkpoint.first_seq <= walk->end_seq);
    return status;
}

static enum certpost_status walk_run(struct receipt_walk *walk, struct certpost_error *error)
{
    struct reader_message message = {0};
    bool goes_on = true;
    enum certpost_status status = CERTPOST_OK;
    for (uint64_t seq = 1; goes_on; seq++) {
        status = walk_wants(walk, seq, &goes_on, error);
        if (status == CERTPOST_OK && goes_on)
            status = reader_next(walk->reader, &message, &goes_on, error);
        goes_on = goes_on && status == CERTPOST_OK && message.seq == seq;
        if (goes_on)
            status = walk_message(walk, &message);
        goes_on = goes_on && status == CERTPOST_OK;
    }
    return status;
}

enum certpost_status receipt_locate(struct reader *reader, struct chain *chain, int64_t stream_id,
                                    const struct statement *statement, uint64_t end_seq,
                                    struct receipt_place *ret_place, struct certpost_error *error)
{
    struct receipt_walk walk = {
        .reader = reader,
        .chain = chain,
        .stream_id = stream_id,
        .statement = statement,
        .end_seq = end_seq,
        .place.proven_seq = statement->seq,
    };
    enum certpost_status status =
        chain_first(chain, statement->identity, statement->identity_length, statement->stream,
                    statement->stream_length, walk.whole);
    if (status != CERTPOST_OK)
        return status;
    memcpy(walk.linked, walk.whole, sizeof walk.linked);
    reader_select(reader, stream_id, 1, UINT64_MAX);
    status = walk_run(&walk, error);
    reader_select(reader, 0, 1, UINT64_MAX);
    if (status == CERTPOST_OK)
        *ret_place = walk.place;
    return status;
}
