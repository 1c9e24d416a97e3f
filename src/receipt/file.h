/*
 * receipt/file.h — a receipt as one file: an S/MIME message of type multipart/signed (RFC 8551,
 * section 3.5.3), which a person can read and any S/MIME program can check, `openssl cms -verify`
 * among them.
 *
 * There is exactly one file for a statement and its signature, to the byte, except that its lines
 * may end with LF or with CR LF. Anything else is refused: words that somebody wrote around the
 * signed text could otherwise pass for the receipt's own.
 */
#ifndef RECEIPT_FILE_H
#define RECEIPT_FILE_H

#include "base/buffer.h"
#include "wire/frame.h"
#include "wire/statement.h"

#include "certpost/error.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

struct receipt_signature;

/* Base64 takes 65 bytes for 48, and there are some 800 around. Twice that for CR LF is plenty. */
enum { RECEIPT_FILE_MAX_BYTES = 3 * FRAME_RECEIPT_MAX_BYTES };

/* A receipt, read. Free with receipt_free; {0} is none. */
struct receipt {
    struct statement statement;
    struct buffer text; /* of the statement: what is signed */
    struct receipt_signature *signature;
};
void receipt_free(struct receipt *receipt);

/*
 * From the two fields of RECEIPT, or of a file: reads both and checks that the signature is over
 * the text. Whose signature it is has not been asked then. PROTOCOL: the text is no statement.
 * PEER_CERTIFICATE: the signature is none, or over something else. NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_from_fields(const void *text, size_t text_length,
                                         const void *signature, size_t signature_length,
                                         struct receipt *ret_receipt, struct certpost_error *error);

/*
 * What a client that has just asked for a receipt must find in it, or not keep it: the certificate
 * that the connection uses, its stream, and number and digest of the last message that was
 * acknowledged; and an identity that is its own, or empty (a server that asks for no certificate
 * knows nobody), and from which the digests began. PEER_CERTIFICATE: signed with another
 * certificate. PROTOCOL: about another stream, identity or number. DIGEST: what the server has
 * signed is not what was sent. NO_MEMORY, SYSTEM.
 */
struct receipt_expectation {
    const X509 *server_certificate;
    const void *stream;
    size_t stream_length;
    struct committed head;
    const void *identity; /* NULL with length 0: no certificate */
    size_t identity_length;
    const unsigned char *origin; /* D(0); NULL: not known */
};
CERTPOST_MUST_CHECK
enum certpost_status receipt_check_expected(const struct receipt *receipt,
                                            const struct receipt_expectation *expected,
                                            struct certpost_error *error);

/* Appends the file, with LF at the ends of its own lines. LIMIT, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status receipt_file_append(struct buffer *buffer, const void *text,
                                         size_t text_length, const void *signature,
                                         size_t signature_length, const char *micalg);

/*
 * Reads a file; any bytes may be given. LOCAL_IO with words that go on from the name of the file
 * when it is not a receipt, is damaged or was cut off; else as receipt_from_fields, whose PROTOCOL
 * becomes LOCAL_IO.
 */
CERTPOST_MUST_CHECK
enum certpost_status receipt_file_parse(const void *bytes, size_t length,
                                        struct receipt *ret_receipt, struct certpost_error *error);

#endif
