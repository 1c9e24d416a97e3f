/*
 * test_receipt_save.c — a receipt that was asked for is kept whole, or not at all.
 */
#include "receipt/save.h"
#include "receipt/signature.h"
#include "receipt/signer.h"
#include "support/server_files.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/file.h"
#include "tls/material.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct scene {
    struct test_pki pki;
    struct server_files files;
    struct buffer text;
    struct buffer signature;
    struct message_receipt answer;
    struct receipt_expectation expected;
    char folder[64];
    char path[128];
};

static void sign(struct scene *scene)
{
    struct tls_pair *pair = NULL;
    struct receipt_signer *signer = NULL;
    struct statement statement = {
        .seq = 2, .stream_length = 3, .stream = "log", .time_ms = (int64_t)time(NULL) * 1000};
    buffer_init(&scene->text, FRAME_RECEIPT_MAX_BYTES);
    buffer_init(&scene->signature, FRAME_RECEIPT_MAX_BYTES);
    assert_ok(tls_pair_load(scene->files.certificate, scene->files.key, &pair, NULL));
    assert_ok(receipt_signer_new(pair, &signer, NULL));
    assert_ok(receipt_signer_sign(signer, &statement, &scene->text, &scene->signature, NULL));
    receipt_signer_free(signer);
    tls_pair_free(pair);
    scene->answer = (struct message_receipt){
        {buffer_bytes(&scene->text), scene->text.length},
        {buffer_bytes(&scene->signature), scene->signature.length},
    };
    scene->expected = (struct receipt_expectation){.server_certificate = scene->pki.leaf,
                                                   .stream = "log",
                                                   .stream_length = 3,
                                                   .head = {.seq = 2}};
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->pki = test_pki_make((struct test_leaf){0});
    server_files_write(&scene->files, &scene->pki);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/certpost-receipt-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof scene->path, "%s/receipt.eml", scene->folder);
    sign(scene);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    (void)unlink(scene->path);
    /* Nothing else may be left in it. */
    assert_int_equal(rmdir(scene->folder), 0);
    buffer_free(&scene->text);
    buffer_free(&scene->signature);
    server_files_remove(&scene->files);
    test_pki_free(&scene->pki);
    free(scene);
    return 0;
}

static void load(const char *path, struct buffer *file)
{
    buffer_init(file, (size_t)2 * RECEIPT_FILE_MAX_BYTES);
    assert_ok(tls_file_load(path, "receipt", CERTPOST_LOCAL_IO, file, NULL));
}

static void assert_kept(const struct scene *scene)
{
    struct buffer file;
    struct receipt receipt;
    load(scene->path, &file);
    assert_ok(receipt_file_parse(buffer_bytes(&file), file.length, &receipt, NULL));
    assert_int_equal(receipt.statement.seq, 2);
    receipt_free(&receipt);
    buffer_free(&file);
}

static void test_file_is_a_receipt(void **state)
{
    struct scene *scene = *state;
    assert_ok(receipt_save(scene->path, &scene->answer, &scene->expected, NULL));
    assert_kept(scene);
}

static void test_file_that_was_there_is_replaced(void **state)
{
    struct scene *scene = *state;
    FILE *old = fopen(scene->path, "wb");
    assert_non_null(old);
    for (int i = 0; i < 10000; i++)
        fputs("old ", old);
    assert_int_equal(fclose(old), 0);
    assert_ok(receipt_save(scene->path, &scene->answer, &scene->expected, NULL));
    assert_kept(scene);
}

static void test_refused_receipt_leaves_the_old_file(void **state)
{
    struct scene *scene = *state;
    assert_ok(receipt_save(scene->path, &scene->answer, &scene->expected, NULL));
    scene->expected.head.seq = 3;
    assert_status(receipt_save(scene->path, &scene->answer, &scene->expected, NULL),
                  CERTPOST_PROTOCOL);
    scene->expected.head.seq = 2;
    scene->expected.head.digest[0] = 1;
    assert_status(receipt_save(scene->path, &scene->answer, &scene->expected, NULL),
                  CERTPOST_DIGEST);
    assert_kept(scene);
}

static void test_answer_that_is_no_receipt_is_not_kept(void **state)
{
    struct scene *scene = *state;
    scene->answer.signature.length--;
    assert_status(receipt_save(scene->path, &scene->answer, &scene->expected, NULL),
                  CERTPOST_PEER_CERTIFICATE);
    scene->answer.statement.length = 5;
    assert_status(receipt_save(scene->path, &scene->answer, &scene->expected, NULL),
                  CERTPOST_PROTOCOL);
    assert_int_not_equal(access(scene->path, F_OK), 0);
}

static void test_folder_that_is_not_there(void **state)
{
    struct scene *scene = *state;
    struct certpost_error error;
    char path[160];
    certpost_error_clear(&error);
    snprintf(path, sizeof path, "%s/none/receipt.eml", scene->folder);
    assert_status(receipt_save(path, &scene->answer, &scene->expected, &error), CERTPOST_LOCAL_IO);
    assert_non_null(strstr(error.text, "/none/receipt.eml"));
}

static void test_what_cannot_be_written_is_known_before(void **state)
{
    struct scene *scene = *state;
    struct certpost_error error;
    char path[160];
    assert_ok(receipt_save_check(scene->path, NULL));
    assert_ok(receipt_save_check("receipt.eml", NULL));
    assert_ok(receipt_save_check("/dev/null", NULL));
    snprintf(path, sizeof path, "%s/none/receipt.eml", scene->folder);
    certpost_error_clear(&error);
    assert_status(receipt_save_check(path, &error), CERTPOST_LOCAL_IO);
    assert_non_null(strstr(error.text, "/none/receipt.eml"));
    assert_status(receipt_save_check(scene->folder, NULL), CERTPOST_LOCAL_IO);
    assert_int_not_equal(access(scene->path, F_OK), 0);
}

static void test_mode_is_that_of_any_new_file(void **state)
{
    struct scene *scene = *state;
    struct stat about;
    mode_t before = umask(027);
    assert_ok(receipt_save(scene->path, &scene->answer, &scene->expected, NULL));
    (void)umask(before);
    assert_int_equal(stat(scene->path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
}

static void test_pipe_is_written_to_and_stays(void **state)
{
    struct scene *scene = *state;
    struct stat about;
    char bytes[RECEIPT_FILE_MAX_BYTES];
    assert_int_equal(mkfifo(scene->path, 0600), 0);
    int reader = open(scene->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_ok(receipt_save(scene->path, &scene->answer, &scene->expected, NULL));
    assert_true(read(reader, bytes, sizeof bytes) > 1000);
    assert_memory_equal(bytes, "MIME-Version", 12);
    close(reader);
    assert_int_equal(stat(scene->path, &about), 0);
    assert_true(S_ISFIFO(about.st_mode));
}

static void test_full_disk_is_reported(void **state)
{
    struct scene *scene = *state;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(receipt_save("/dev/full", &scene->answer, &scene->expected, &error),
                  CERTPOST_LOCAL_IO);
    assert_non_null(strstr(error.text, "/dev/full"));
}

UNIT_MAIN(
    cmocka_unit_test_setup_teardown(test_file_is_a_receipt, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_file_that_was_there_is_replaced, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_refused_receipt_leaves_the_old_file, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_answer_that_is_no_receipt_is_not_kept, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_folder_that_is_not_there, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_what_cannot_be_written_is_known_before, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_mode_is_that_of_any_new_file, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_pipe_is_written_to_and_stays, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_full_disk_is_reported, set_up, tear_down))
