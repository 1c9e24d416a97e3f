/*
 * file.c — a receipt as one file (receipt/file.h).
 *
 * The parser looks for the two parts only; then the file is built again from what was found and
 * compared, so that nothing can stand in it that certpost would not have written.
 *
 * Uses: wire/statement, signature, OpenSSL's base64.  Used by: client; the fuzzers.
 * Never: opens a file.
 */
#include "receipt/file.h"

#include "base/chain.h"
#include "base/error.h"
#include "receipt/signature.h"

#include <openssl/evp.h>
#include <string.h>

#define FILE_BOUNDARY "certpost-receipt"
#define FILE_BEGIN                                                                                 \
    "MIME-Version: 1.0\n"                                                                          \
    "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\n"                  \
    " micalg=\""
#define FILE_PREAMBLE                                                                              \
    "\"; boundary=\"" FILE_BOUNDARY "\"\n"                                                         \
    "\n"                                                                                           \
    "This is a receipt of certpost: a server has signed that it holds the messages\n"              \
    "of one stream up to a number. Whoever has the certificate of the server's CA can\n"           \
    "check it, with either of\n"                                                                   \
    "\n"                                                                                           \
    "    certpost receipt verify --cacert CA.crt FILE\n"                                           \
    "    openssl cms -verify -in FILE -CAfile CA.crt -purpose sslserver\n"                         \
    "\n"
#define FILE_DIVIDER "--" FILE_BOUNDARY "\n"
#define FILE_SIGNATURE_HEADER                                                                      \
    "Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\n"                              \
    "Content-Transfer-Encoding: base64\n"                                                          \
    "Content-Disposition: attachment; filename=\"smime.p7s\"\n"                                    \
    "\n"
#define FILE_END "--" FILE_BOUNDARY "--\n"

/* A line of base64 is 64 letters for 48 bytes. */
enum { FILE_LINE_BYTES = 48, FILE_LINE_LETTERS = 64 };

void receipt_free(struct receipt *receipt)
{
    if (receipt == NULL)
        return;
    buffer_free(&receipt->text);
    receipt_signature_free(receipt->signature);
    *receipt = (struct receipt){0};
}

/* ------------------------------------------------------------------------------ fields */

static enum certpost_status receipt_read_fields(struct receipt *receipt, const void *text,
                                                size_t text_length, const void *signature,
                                                size_t signature_length,
                                                struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = statement_parse(text, text_length, &receipt->statement, &cause);
    if (status != CERTPOST_OK)
        return error_set(error, status, "the receipt's text %s",
                         certpost_error_text(&cause, status));
    status = receipt_signature_parse(signature, signature_length, &receipt->signature, error);
    if (status == CERTPOST_OK)
        status = receipt_signature_check(receipt->signature, text, text_length, error);
    if (status == CERTPOST_OK && buffer_append(&receipt->text, text, text_length) != CERTPOST_OK)
        status = error_no_memory(error);
    return status;
}

enum certpost_status receipt_from_fields(const void *text, size_t text_length,
                                         const void *signature, size_t signature_length,
                                         struct receipt *ret_receipt, struct certpost_error *error)
{
    struct receipt receipt = {0};
    buffer_init(&receipt.text, STATEMENT_TEXT_MAX_BYTES);
    enum certpost_status status =
        receipt_read_fields(&receipt, text, text_length, signature, signature_length, error);
    if (status == CERTPOST_OK)
        *ret_receipt = receipt;
    else
        receipt_free(&receipt);
    return status;
}

/* D(0) is made of identity and stream: with another identity, nobody could compute the digest. */
static enum certpost_status receipt_check_origin(const struct statement *statement,
                                                 const unsigned char *origin,
                                                 struct certpost_error *error)
{
    struct chain *chain = NULL;
    unsigned char digest[CHAIN_DIGEST_BYTES];
    enum certpost_status status = chain_new(&chain, error);
    if (status != CERTPOST_OK)
        return status;
    status = chain_first(chain, statement->identity, statement->identity_length, statement->stream,
                         statement->stream_length, digest);
    chain_free(chain);
    if (status != CERTPOST_OK)
        return error_set(error, status, "the receipt's identity cannot be checked");
    if (memcmp(digest, origin, sizeof digest) != 0)
        return error_set(error, CERTPOST_PROTOCOL,
                         "the receipt names another identity than its digest is made with");
    return CERTPOST_OK;
}

static enum certpost_status receipt_check_identity(const struct statement *statement,
                                                   const struct receipt_expectation *expected,
                                                   struct certpost_error *error)
{
    bool is_own = statement->identity_length == expected->identity_length &&
                  (expected->identity_length == 0 ||
                   memcmp(statement->identity, expected->identity, expected->identity_length) == 0);
    if (!is_own && statement->identity_length > 0)
        return error_set(error, CERTPOST_PROTOCOL, "the receipt is for another identity");
    return expected->origin == NULL ? CERTPOST_OK
                                    : receipt_check_origin(statement, expected->origin, error);
}

enum certpost_status receipt_check_expected(const struct receipt *receipt,
                                            const struct receipt_expectation *expected,
                                            struct certpost_error *error)
{
    const struct statement *statement = &receipt->statement;
    if (X509_cmp(receipt_signature_signer(receipt->signature), expected->server_certificate) != 0)
        return error_set(error, CERTPOST_PEER_CERTIFICATE,
                         "the receipt is signed with another certificate than the server's");
    if (statement->stream_length != expected->stream_length ||
        memcmp(statement->stream, expected->stream, expected->stream_length) != 0)
        return error_set(error, CERTPOST_PROTOCOL, "the receipt is about another stream");
    enum certpost_status status = receipt_check_identity(statement, expected, error);
    if (status != CERTPOST_OK)
        return status;
    if (statement->seq != expected->head.seq)
        return error_set(
            error, CERTPOST_PROTOCOL, "the receipt goes up to message %llu, %llu were acknowledged",
            (unsigned long long)statement->seq, (unsigned long long)expected->head.seq);
    if (memcmp(statement->digest, expected->head.digest, CHAIN_DIGEST_BYTES) != 0)
        return error_set(error, CERTPOST_DIGEST,
                         "the receipt is for other messages than those that were sent");
    return CERTPOST_OK;
}

/* ------------------------------------------------------------------------------ build */

static enum certpost_status file_append(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

/* Lines that end with CR LF become lines that end with LF; a CR elsewhere is kept. */
static enum certpost_status file_append_lines(struct buffer *buffer, const unsigned char *bytes,
                                              size_t length)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t start = 0; start < length && status == CERTPOST_OK;) {
        const unsigned char *newline = memchr(bytes + start, '\n', length - start);
        size_t end = newline == NULL ? length : (size_t)(newline - bytes);
        size_t kept = end - start;
        if (newline != NULL && kept > 0 && bytes[end - 1] == '\r')
            kept--;
        status = buffer_append(buffer, bytes + start, kept);
        if (status == CERTPOST_OK && newline != NULL)
            status = buffer_append(buffer, "\n", 1);
        start = end + 1;
    }
    return status;
}

static enum certpost_status file_append_base64(struct buffer *buffer, const unsigned char *bytes,
                                               size_t length)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t at = 0; at < length && status == CERTPOST_OK; at += FILE_LINE_BYTES) {
        unsigned char line[FILE_LINE_LETTERS + 2]; /* with the NUL of EVP_EncodeBlock */
        size_t piece = length - at < FILE_LINE_BYTES ? length - at : FILE_LINE_BYTES;
        int letters = EVP_EncodeBlock(line, bytes + at, (int)piece);
        line[letters] = '\n';
        status = buffer_append(buffer, line, (size_t)letters + 1);
    }
    return status;
}

enum certpost_status receipt_file_append(struct buffer *buffer, const void *text,
                                         size_t text_length, const void *signature,
                                         size_t signature_length, const char *micalg)
{
    enum certpost_status status = file_append(buffer, FILE_BEGIN);
    if (status == CERTPOST_OK)
        status = file_append(buffer, micalg);
    if (status == CERTPOST_OK)
        status = file_append(buffer, FILE_PREAMBLE FILE_DIVIDER);
    if (status == CERTPOST_OK)
        status = file_append_lines(buffer, text, text_length);
    /* The end of a line in front of a boundary belongs to the boundary. */
    if (status == CERTPOST_OK)
        status = file_append(buffer, "\n" FILE_DIVIDER FILE_SIGNATURE_HEADER);
    if (status == CERTPOST_OK)
        status = file_append_base64(buffer, signature, signature_length);
    if (status == CERTPOST_OK)
        status = file_append(buffer, "\n" FILE_END);
    return status;
}

/* ------------------------------------------------------------------------------ parse */

/* What the file holds; spans of its copy with plain line ends. */
struct file_parts {
    const unsigned char *text;
    size_t text_length;
    const unsigned char *base64;
    size_t base64_length;
};

/* The place of `what` at or after `at`; the end when it is not there. */
static size_t file_find(const struct buffer *file, size_t at, const char *what)
{
    const unsigned char *bytes = buffer_bytes(file);
    const unsigned char *found = memmem(bytes + at, file->length - at, what, strlen(what));
    return found == NULL ? file->length : (size_t)(found - bytes);
}

static enum certpost_status file_split(const struct buffer *file, struct file_parts *ret_parts,
                                       struct certpost_error *error)
{
    const unsigned char *bytes = buffer_bytes(file);
    if (file->length < strlen(FILE_BEGIN) || memcmp(bytes, FILE_BEGIN, strlen(FILE_BEGIN)) != 0)
        return error_set(error, CERTPOST_LOCAL_IO, "is not a receipt of certpost");
    size_t first = file_find(file, 0, "\n" FILE_DIVIDER);
    size_t text = first == file->length ? first : first + strlen("\n" FILE_DIVIDER);
    size_t second = file_find(file, text, "\n" FILE_DIVIDER);
    size_t header = file_find(file, second, FILE_SIGNATURE_HEADER);
    size_t base64 = header == file->length ? header : header + strlen(FILE_SIGNATURE_HEADER);
    size_t end = file_find(file, base64, "\n" FILE_END);
    if (end == file->length)
        return error_set(error, CERTPOST_LOCAL_IO,
                         "is not whole: a part of the receipt is missing");
    *ret_parts = (struct file_parts){bytes + text, second - text, bytes + base64, end - base64};
    return CERTPOST_OK;
}

/* The statement again as it was signed, with CR LF. */
static enum certpost_status file_restore_text(const struct file_parts *parts, struct buffer *text)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t start = 0; start < parts->text_length && status == CERTPOST_OK;) {
        const unsigned char *line = parts->text + start;
        const unsigned char *newline = memchr(line, '\n', parts->text_length - start);
        size_t length = newline == NULL ? parts->text_length - start : (size_t)(newline - line);
        status = buffer_append(text, line, length);
        if (status == CERTPOST_OK && newline != NULL)
            status = buffer_append(text, "\r\n", 2);
        start += length + 1;
    }
    return status;
}

/* Lenient: what is not canonical base64 does not come out the same when it is built again. */
static enum certpost_status file_decode(const struct file_parts *parts, struct buffer *signature)
{
    unsigned char bytes[FILE_LINE_BYTES];
    enum certpost_status status = CERTPOST_OK;
    for (size_t start = 0; start < parts->base64_length && status == CERTPOST_OK;) {
        const unsigned char *line = parts->base64 + start;
        const unsigned char *newline = memchr(line, '\n', parts->base64_length - start);
        size_t letters = newline == NULL ? parts->base64_length - start : (size_t)(newline - line);
        if (letters == 0 || letters > FILE_LINE_LETTERS || letters % 4 != 0)
            return CERTPOST_PROTOCOL;
        int length = EVP_DecodeBlock(bytes, line, (int)letters);
        /* It counts what the padding stands for. */
        for (size_t i = 1; i <= 2 && length > 0 && line[letters - i] == '='; i++)
            length--;
        if (length <= 0)
            return CERTPOST_PROTOCOL;
        status = buffer_append(signature, bytes, (size_t)length);
        start += letters + 1;
    }
    return status;
}

static enum certpost_status file_compare(const struct buffer *file, const struct receipt *receipt,
                                         const struct buffer *signature,
                                         struct certpost_error *error)
{
    struct buffer again;
    buffer_init(&again, RECEIPT_FILE_MAX_BYTES);
    enum certpost_status status = receipt_file_append(
        &again, buffer_bytes(&receipt->text), receipt->text.length, buffer_bytes(signature),
        signature->length, receipt_signature_micalg(receipt->signature));
    if (status == CERTPOST_NO_MEMORY)
        status = error_no_memory(error);
    else if (status != CERTPOST_OK || again.length != file->length ||
             memcmp(buffer_bytes(&again), buffer_bytes(file), again.length) != 0)
        status = error_set(error, CERTPOST_LOCAL_IO,
                           "was altered: around the signed text is something that certpost does "
                           "not write");
    buffer_free(&again);
    return status;
}

static enum certpost_status file_read(const struct buffer *file, struct buffer *text,
                                      struct buffer *signature, struct receipt *receipt,
                                      struct certpost_error *error)
{
    struct file_parts parts = {0};
    enum certpost_status status = file_split(file, &parts, error);
    if (status != CERTPOST_OK)
        return status;
    status = file_restore_text(&parts, text);
    if (status == CERTPOST_OK)
        status = file_decode(&parts, signature);
    if (status == CERTPOST_NO_MEMORY)
        return error_no_memory(error);
    if (status != CERTPOST_OK)
        return error_set(error, CERTPOST_LOCAL_IO, "is damaged: a part of it is unreadable");
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = receipt_from_fields(buffer_bytes(text), text->length, buffer_bytes(signature),
                                 signature->length, receipt, &cause);
    if (status == CERTPOST_OK)
        return file_compare(file, receipt, signature, error);
    if (status == CERTPOST_PROTOCOL)
        return error_set(error, CERTPOST_LOCAL_IO, "is not a receipt that can be read: %s",
                         certpost_error_text(&cause, status));
    return error_set(error, status, "is refused: %s", certpost_error_text(&cause, status));
}

enum certpost_status receipt_file_parse(const void *bytes, size_t length,
                                        struct receipt *ret_receipt, struct certpost_error *error)
{
    struct receipt receipt = {0};
    struct buffer file;
    struct buffer text;
    struct buffer signature;
    buffer_init(&file, RECEIPT_FILE_MAX_BYTES);
    buffer_init(&text, RECEIPT_FILE_MAX_BYTES);
    buffer_init(&signature, RECEIPT_FILE_MAX_BYTES);
    enum certpost_status status = CERTPOST_LIMIT;
    if (length <= RECEIPT_FILE_MAX_BYTES)
        status = file_append_lines(&file, bytes, length);
    if (status == CERTPOST_LIMIT)
        status = error_set(error, CERTPOST_LOCAL_IO, "is larger than a receipt can be");
    else if (status != CERTPOST_OK)
        status = error_no_memory(error);
    else
        status = file_read(&file, &text, &signature, &receipt, error);
    if (status == CERTPOST_OK)
        *ret_receipt = receipt;
    else
        receipt_free(&receipt);
    buffer_free(&signature);
    buffer_free(&text);
    buffer_free(&file);
    return status;
}
