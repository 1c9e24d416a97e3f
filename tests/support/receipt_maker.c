/*
 * receipt_maker.c — makes the receipt that a server would, and writes it as a file, for tests that
 * need one without a server.
 *
 *     receipt_maker CERT KEY SERVER IDENTITY STREAM SEQ DIGEST TIME_MS
 *
 * CERT and KEY are PEM files, DIGEST is 64 hexadecimal digits, TIME_MS counts from 1970. The file
 * goes to standard output; with --fields as a ninth argument, the two fields of the frame RECEIPT
 * go to the files TEXT and SIGNATURE that follow it.
 *
 * Uses: receipt.  Used by: tests/integration/test_receipt.py.  Never: is installed.
 */
#include "receipt/file.h"
#include "receipt/signature.h"
#include "receipt/signer.h"
#include "tls/material.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS = 9, ARGUMENTS_WITH_FIELDS = 12 };

static void require(enum certpost_status status, const struct certpost_error *error)
{
    if (status == CERTPOST_OK)
        return;
    fprintf(stderr, "receipt_maker: %s\n", certpost_error_text(error, status));
    exit(1);
}

static void fill(unsigned char *bytes, size_t capacity, size_t *ret_length, const char *value)
{
    *ret_length = strlen(value);
    if (*ret_length > capacity)
        exit(2);
    memcpy(bytes, value, *ret_length);
}

static void fill_digest(unsigned char digest[CHAIN_DIGEST_BYTES], const char *hex)
{
    for (size_t i = 0; i < CHAIN_DIGEST_BYTES; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        digest[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
}

static struct statement statement_of(char **arguments)
{
    struct statement statement = {
        .seq = strtoull(arguments[3], NULL, 10),
        .time_ms = strtoll(arguments[5], NULL, 10),
    };
    fill(statement.server, sizeof statement.server, &statement.server_length, arguments[0]);
    fill(statement.identity, sizeof statement.identity, &statement.identity_length, arguments[1]);
    fill(statement.stream, sizeof statement.stream, &statement.stream_length, arguments[2]);
    if (strlen(arguments[4]) != (size_t)CHAIN_DIGEST_BYTES * 2)
        exit(2);
    fill_digest(statement.digest, arguments[4]);
    return statement;
}

static void write_bytes(const char *path, const struct buffer *bytes)
{
    FILE *file = path == NULL ? stdout : fopen(path, "wb");
    if (file == NULL || fwrite(buffer_bytes(bytes), 1, bytes->length, file) != bytes->length ||
        fclose(file) != 0) {
        perror("receipt_maker");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != ARGUMENTS && argc != ARGUMENTS_WITH_FIELDS)
        return 2;
    struct certpost_error error;
    certpost_error_clear(&error);
    struct tls_pair *pair = NULL;
    struct receipt_signer *signer = NULL;
    struct receipt receipt = {0};
    struct buffer text;
    struct buffer signature;
    struct buffer file;
    buffer_init(&text, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(&signature, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(&file, RECEIPT_FILE_MAX_BYTES);
    struct statement statement = statement_of(argv + 3);
    require(tls_pair_load(argv[1], argv[2], &pair, &error), &error);
    require(receipt_signer_new(pair, &signer, &error), &error);
    require(receipt_signer_sign(signer, &statement, &text, &signature, &error), &error);
    require(receipt_from_fields(buffer_bytes(&text), text.length, buffer_bytes(&signature),
                                signature.length, &receipt, &error),
            &error);
    require(receipt_file_append(&file, buffer_bytes(&text), text.length, buffer_bytes(&signature),
                                signature.length, receipt_signature_micalg(receipt.signature)),
            &error);
    if (argc == ARGUMENTS_WITH_FIELDS) {
        write_bytes(argv[10], &text);
        write_bytes(argv[11], &signature);
    } else {
        write_bytes(NULL, &file);
    }
    receipt_free(&receipt);
    receipt_signer_free(signer);
    tls_pair_free(pair);
    buffer_free(&file);
    buffer_free(&signature);
    buffer_free(&text);
    return 0;
}
