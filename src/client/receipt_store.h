/*
 * client/receipt_store.h — whether a store still holds what a receipt says.
 */
#ifndef CLIENT_RECEIPT_STORE_H
#define CLIENT_RECEIPT_STORE_H

#include "store/reader.h"
#include "wire/statement.h"

#include "certpost/error.h"

/*
 * Looks for the receipt's stream in the store, computes its digest again over messages 1 to `seq`,
 * and compares. DIGEST when the store does not hold exactly these messages: `report` (may be NULL)
 * is then called once, with the first message that differs or is missing, as near as the store's
 * own checkpoints tell: they have a digest for each commit, so a difference is found within the
 * messages of one commit, also before messages that are missing; where checkpoints were altered as
 * well, within several; in a store that agrees with itself and yet not with the receipt, it is
 * somewhere in 1 to `seq`. The error's text is that of the report. Ends what reader_select began.
 *
 * Errors besides: STORE: the file cannot be read. NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_store_check(struct reader *reader, const struct statement *statement,
                                         reader_report report, void *context,
                                         struct certpost_error *error);

/*
 * The filter that a receipt's stream passes; its strings lie in `ret_key`. False when no store can
 * have such a stream.
 */
struct receipt_store_key {
    char identity[STATEMENT_IDENTITY_MAX_BYTES + 1];
    char name[STATEMENT_STREAM_MAX_BYTES + 1];
};
CERTPOST_MUST_CHECK
bool receipt_store_filter(const struct statement *statement, struct receipt_store_key *ret_key,
                          struct reader_filter *ret_filter);

#endif
