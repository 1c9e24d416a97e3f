/*
 * client/receipt_locate.h — where the messages of a store begin to differ from a receipt.
 *
 * A receipt has one digest, which says that something differs and not what. The digests that the
 * store keeps for its commits narrow it down. They are of no more worth than the store, so it is
 * kept apart which of them the receipt vouches for: those from which the messages lead to its
 * digest.
 */
#ifndef CLIENT_RECEIPT_LOCATE_H
#define CLIENT_RECEIPT_LOCATE_H

#include "base/chain.h"
#include "store/reader.h"
#include "wire/statement.h"

#include "certpost/error.h"

struct receipt_place {
    /* The last checkpoint that the messages from 1 on add up to; 0: none. They are then the right
     * ones, unless they were rewritten together with it. */
    uint64_t agreed_seq;
    /* The first checkpoint after it, of those that were reached, that they do not add up to; 0:
     * none. */
    uint64_t doubtful_seq;
    /* Of messages that are all there: one of 1 to `proven_seq` differs, and none after it. */
    uint64_t proven_seq;
};

/*
 * Looks at messages 1 to `end_seq` of the stream, which must be there, of those that `statement` is
 * for and that do not agree with it, and, when these are all, at those that share a checkpoint with
 * the last. With `end_seq` below the statement's, `proven_seq` is that of the statement and says
 * nothing. Ends what reader_select began. `chain` is a worktable.
 *
 * Errors: STORE: the file cannot be read. NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_locate(struct reader *reader, struct chain *chain, int64_t stream_id,
                                    const struct statement *statement, uint64_t end_seq,
                                    struct receipt_place *ret_place, struct certpost_error *error);

#endif
