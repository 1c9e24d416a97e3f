/*
 * receipt/save.h — keeps the receipt that a server has sent.
 */
#ifndef RECEIPT_SAVE_H
#define RECEIPT_SAVE_H

#include "receipt/file.h"
#include "wire/message.h"

#include "certpost/error.h"

/*
 * Checks the answer to RECEIPT_REQUEST and writes it to `path`. The file is
 * there whole or not at all, and on the disk when this returns; one that was there before is
 * replaced, unless the new one is refused. Something that is no file (a pipe, a terminal) is
 * written to.
 *
 * Errors: as receipt_from_fields and receipt_check_expected, and nothing is written then; LOCAL_IO
 * with words that name the file.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_save(const char *path, const struct message_receipt *answer,
                                  const struct receipt_expectation *expected,
                                  struct certpost_error *error);

/*
 * Whether a receipt could be written to `path`, before anything depends on it. LOCAL_IO, with words
 * that name the file.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_save_check(const char *path, struct certpost_error *error);

#endif
