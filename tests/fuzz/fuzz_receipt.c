/*
 * fuzz_receipt.c — receipts out of files, and their signatures (receipt/file.h,
 * receipt/signature.h): what is taken is the one file of that receipt, and its signature holds.
 *
 * Script: u8 how: even: the rest is a file, else a signature; u8 allocation that fails; the bytes.
 */
#include "fuzz/fuzz.h"
#include "receipt/file.h"
#include "receipt/signature.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* Bytes with every CR LF as LF, in a buffer to be freed. */
static struct buffer receipt_with_lf(const void *bytes, size_t length)
{
    const unsigned char *next = bytes;
    struct buffer plain;
    buffer_init(&plain, RECEIPT_FILE_MAX_BYTES);
    for (size_t i = 0; i < length; i++) {
        if (next[i] != '\r' || i + 1 == length || next[i + 1] != '\n')
            FUZZ_CHECK(buffer_append(&plain, next + i, 1) == CERTPOST_OK);
    }
    return plain;
}

/* What was read makes the same file again, and nothing was signed but its text. */
static void receipt_check_again(const struct receipt *receipt, const void *bytes, size_t length)
{
    struct buffer text;
    struct certpost_error error;
    certpost_error_clear(&error);
    buffer_init(&text, STATEMENT_TEXT_MAX_BYTES);
    FUZZ_CHECK(statement_append(&text, &receipt->statement) == CERTPOST_OK);
    FUZZ_CHECK(text.length == receipt->text.length &&
               memcmp(buffer_bytes(&text), buffer_bytes(&receipt->text), text.length) == 0);
    FUZZ_CHECK(receipt_signature_check(receipt->signature, buffer_bytes(&text), text.length,
                                       &error) == CERTPOST_OK);
    struct buffer file = receipt_with_lf(bytes, length);
    struct buffer said = receipt_with_lf(buffer_bytes(&text), text.length);
    FUZZ_CHECK(memmem(buffer_bytes(&file), file.length, buffer_bytes(&said), said.length) != NULL);
    buffer_free(&file);
    buffer_free(&said);
    buffer_free(&text);
}

static void receipt_check_file(const void *bytes, size_t length, struct cursor *fault)
{
    struct receipt receipt = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    fuzz_arm_memory(fault);
    enum certpost_status status = receipt_file_parse(bytes, length, &receipt, &error);
    bool struck = fuzz_heal_memory();
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_LOCAL_IO ||
               status == CERTPOST_PEER_CERTIFICATE || (status == CERTPOST_NO_MEMORY && struck));
    FUZZ_CHECK(ERR_peek_error() == 0);
    if (status == CERTPOST_OK)
        receipt_check_again(&receipt, bytes, length);
    receipt_free(&receipt);
}

static void receipt_check_signature(const void *bytes, size_t length, struct cursor *fault)
{
    static const char other[] = "what nobody has signed";
    struct receipt_signature *signature = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    fuzz_arm_memory(fault);
    enum certpost_status status = receipt_signature_parse(bytes, length, &signature, &error);
    bool struck = fuzz_heal_memory();
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_PEER_CERTIFICATE ||
               (status == CERTPOST_NO_MEMORY && struck));
    FUZZ_CHECK(ERR_peek_error() == 0);
    if (status == CERTPOST_OK) {
        FUZZ_CHECK(receipt_signature_signer(signature) != NULL);
        FUZZ_CHECK(receipt_signature_micalg(signature) != NULL);
        FUZZ_CHECK(receipt_signature_check(signature, other, sizeof other - 1, &error) ==
                   CERTPOST_PEER_CERTIFICATE);
    }
    receipt_signature_free(signature);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    bool is_file = fuzz_u8(&script) % 2 == 0;
    struct cursor fault = script;
    (void)fuzz_u8(&script);
    uint8_t *bytes = fuzz_copy(script.next, script.left_bytes);
    if (is_file)
        receipt_check_file(bytes, script.left_bytes, &fault);
    else
        receipt_check_signature(bytes, script.left_bytes, &fault);
    free(bytes);
    return 0;
}
