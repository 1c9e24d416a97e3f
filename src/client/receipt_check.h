/*
 * client/receipt_check.h — reading a receipt's file, and whether to believe it.
 */
#ifndef CLIENT_RECEIPT_CHECK_H
#define CLIENT_RECEIPT_CHECK_H

#include "receipt/file.h"

#include "certpost/error.h"

#include <stdbool.h>

/* Whom a receipt must be from; strings are borrowed. */
struct receipt_choice {
    const char *ca_file; /* both NULL: the system's CAs */
    const char *ca_path;
    const char *crl_file;    /* NULL: revocation is not looked at */
    const char *server_name; /* that the signer's certificate must have; NULL: any */
    bool at_now; /* certificates must be valid now, not just when the receipt was made */
};

/*
 * Reads the file, and checks that its signature is over its text. Free with receipt_free. Errors:
 * LOCAL_IO: no receipt, damaged, not readable. PEER_CERTIFICATE: text and signature do not belong
 * together. NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_load(const char *path, struct receipt *ret_receipt,
                                  struct certpost_error *error);

/*
 * Checks the signer of a receipt that was read: chain, name and time. Errors: PEER_CERTIFICATE,
 * CA_FILE, USAGE (the server's name is none), NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_believe(const struct receipt *receipt,
                                     const struct receipt_choice *choice,
                                     struct certpost_error *error);

#endif
