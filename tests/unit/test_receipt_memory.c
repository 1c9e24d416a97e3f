/*
 * test_receipt_memory.c — each allocation fails in turn, certpost's and OpenSSL's: a good receipt
 * is accepted or there is an error, and a bad one is never accepted.
 */
#include "base/chain.h"
#include "receipt/file.h"
#include "receipt/save.h"
#include "receipt/signature.h"
#include "receipt/signer.h"
#include "support/server_files.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/material.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* 0: none fails. Else the n-th from now on does, once. */
static unsigned long fail_at;

static bool fails_now(void)
{
    return fail_at > 0 && --fail_at == 0;
}

/* The linker puts these in the place of malloc and its kin in certpost's own code. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails_now() ? NULL : __real_realloc(memory, size);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size == 0 || fails_now() ? NULL : __real_malloc(size);
}

static void *openssl_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0) {
        free(memory);
        return NULL;
    }
    return fails_now() ? NULL : __real_realloc(memory, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* OpenSSL takes other functions only before its first allocation. */
__attribute__((constructor)) static void install(void)
{
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        abort();
}

struct scene {
    struct test_pki pki;
    struct server_files files;
    struct receipt_signer *signer;
    struct statement statement;
    struct buffer file;
    struct buffer altered;
    X509_STORE *store;
    X509_STORE *other;
};

static void sign_file(const struct scene *scene, struct buffer *file)
{
    struct buffer text;
    struct buffer signature;
    buffer_init(&text, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(&signature, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(file, RECEIPT_FILE_MAX_BYTES);
    assert_ok(receipt_signer_sign(scene->signer, &scene->statement, &text, &signature, NULL));
    assert_ok(receipt_file_append(file, buffer_bytes(&text), text.length, buffer_bytes(&signature),
                                  signature.length, "sha-256"));
    buffer_free(&signature);
    buffer_free(&text);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct tls_pair *pair = NULL;
    assert_non_null(scene);
    scene->pki = test_pki_make((struct test_leaf){0});
    server_files_write(&scene->files, &scene->pki);
    assert_ok(tls_pair_load(scene->files.certificate, scene->files.key, &pair, NULL));
    assert_ok(receipt_signer_new(pair, &scene->signer, NULL));
    tls_pair_free(pair);
    scene->statement = (struct statement){.seq = 3, .time_ms = (int64_t)time(NULL) * 1000};
    sign_file(scene, &scene->file);
    buffer_init(&scene->altered, RECEIPT_FILE_MAX_BYTES);
    assert_ok(buffer_append(&scene->altered, buffer_bytes(&scene->file), scene->file.length));
    char *number = memmem(scene->altered.memory, scene->altered.length, "seq: 3", 6);
    assert_non_null(number);
    number[5] = '4';
    scene->store = X509_STORE_new();
    scene->other = X509_STORE_new();
    assert_int_equal(X509_STORE_add_cert(scene->store, scene->pki.ca), 1);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    X509_STORE_free(scene->store);
    X509_STORE_free(scene->other);
    buffer_free(&scene->altered);
    buffer_free(&scene->file);
    receipt_signer_free(scene->signer);
    server_files_remove(&scene->files);
    test_pki_free(&scene->pki);
    free(scene);
    return 0;
}

/* Does something in which an allocation may fail. */
typedef enum certpost_status (*faulty_work)(struct scene *scene);

/* Until an allocation beyond the last one was to fail. Returns how often the work succeeded. */
static unsigned long fail_each(struct scene *scene, faulty_work work)
{
    unsigned long good = 0;
    unsigned long at = 1;
    for (bool struck = true; struck; at++) {
        fail_at = at;
        enum certpost_status status = work(scene);
        struck = fail_at == 0;
        fail_at = 0;
        good += status == CERTPOST_OK;
    }
    assert_true(at > 20);
    print_message("%lu allocations, %lu times good\n", at - 2, good);
    return good;
}

static enum certpost_status believe(const struct buffer *file, X509_STORE *store)
{
    struct receipt receipt = {0};
    enum certpost_status status =
        receipt_file_parse(buffer_bytes(file), file->length, &receipt, NULL);
    if (status == CERTPOST_OK) {
        const struct receipt_trust trust = {
            .store = store, .server_name = "localhost", .time_ms = receipt.statement.time_ms};
        status = receipt_signature_check_signer(receipt.signature, &trust, NULL);
    }
    receipt_free(&receipt);
    return status;
}

static enum certpost_status believe_good(struct scene *scene)
{
    return believe(&scene->file, scene->store);
}

static enum certpost_status believe_altered(struct scene *scene)
{
    return believe(&scene->altered, scene->store);
}

static enum certpost_status believe_stranger(struct scene *scene)
{
    return believe(&scene->file, scene->other);
}

static enum certpost_status sign_and_read(struct scene *scene)
{
    struct buffer text;
    struct buffer signature;
    buffer_init(&text, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(&signature, FRAME_RECEIPT_MAX_BYTES);
    enum certpost_status status =
        receipt_signer_sign(scene->signer, &scene->statement, &text, &signature, NULL);
    unsigned long armed = fail_at;
    fail_at = 0;
    if (status == CERTPOST_OK) {
        struct receipt receipt = {0};
        assert_ok(receipt_from_fields(buffer_bytes(&text), text.length, buffer_bytes(&signature),
                                      signature.length, &receipt, NULL));
        receipt_free(&receipt);
    }
    fail_at = armed;
    buffer_free(&signature);
    buffer_free(&text);
    return status;
}

/* Kept whole, or there is no file; and the status says which. */
static enum certpost_status keep(struct scene *scene)
{
    unsigned long armed = fail_at;
    struct buffer text;
    struct buffer signature;
    char path[SERVER_FILES_PATH_BYTES + 16];
    fail_at = 0;
    snprintf(path, sizeof path, "%s/receipt.eml", scene->files.folder);
    buffer_init(&text, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(&signature, FRAME_RECEIPT_MAX_BYTES);
    assert_ok(receipt_signer_sign(scene->signer, &scene->statement, &text, &signature, NULL));
    const struct message_receipt answer = {{buffer_bytes(&text), text.length},
                                           {buffer_bytes(&signature), signature.length}};
    unsigned char origin[CHAIN_DIGEST_BYTES];
    struct chain *chain = NULL;
    assert_ok(chain_new(&chain, NULL));
    assert_ok(chain_first(chain, NULL, 0, NULL, 0, origin));
    chain_free(chain);
    const struct receipt_expectation expected = {
        .server_certificate = scene->pki.leaf, .head = {.seq = 3}, .stream = "", .origin = origin};
    fail_at = armed;
    enum certpost_status status = receipt_save(path, &answer, &expected, NULL);
    armed = fail_at;
    fail_at = 0;
    assert_int_equal(unlink(path) == 0, status == CERTPOST_OK);
    fail_at = armed;
    buffer_free(&signature);
    buffer_free(&text);
    return status;
}

static void test_receipt_is_kept_whole_or_not_at_all(void **state)
{
    assert_true(fail_each(*state, keep) > 0);
}

static void test_good_receipt_is_accepted_or_there_is_an_error(void **state)
{
    assert_true(fail_each(*state, believe_good) > 0);
}

static void test_altered_receipt_is_never_accepted(void **state)
{
    assert_int_equal(fail_each(*state, believe_altered), 0);
}

static void test_stranger_is_never_believed(void **state)
{
    assert_int_equal(fail_each(*state, believe_stranger), 0);
}

static void test_receipt_that_was_signed_is_good(void **state)
{
    assert_true(fail_each(*state, sign_and_read) > 0);
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(test_good_receipt_is_accepted_or_there_is_an_error,
                                          set_up, tear_down),
          cmocka_unit_test_setup_teardown(test_altered_receipt_is_never_accepted, set_up,
                                          tear_down),
          cmocka_unit_test_setup_teardown(test_stranger_is_never_believed, set_up, tear_down),
          cmocka_unit_test_setup_teardown(test_receipt_that_was_signed_is_good, set_up, tear_down),
          cmocka_unit_test_setup_teardown(test_receipt_is_kept_whole_or_not_at_all, set_up,
                                          tear_down))
