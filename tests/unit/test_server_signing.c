/* test_server_signing.c — receipts are signed on a thread of their own (server/signing.h). */
#include "receipt/file.h"
#include "server/signing.h"
#include "support/server_files.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/material.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

/* What signs waits until the test lets it, and notes where it runs. */
static sem_t may_sign;
static atomic_uint signed_count;
static pthread_t signed_on;

enum certpost_status __real_receipt_signer_sign(const struct receipt_signer *signer,
                                                const struct statement *statement,
                                                struct buffer *text, struct buffer *signature,
                                                struct certpost_error *error);
enum certpost_status __wrap_receipt_signer_sign(const struct receipt_signer *signer,
                                                const struct statement *statement,
                                                struct buffer *text, struct buffer *signature,
                                                struct certpost_error *error);
enum certpost_status __wrap_receipt_signer_sign(const struct receipt_signer *signer,
                                                const struct statement *statement,
                                                struct buffer *text, struct buffer *signature,
                                                struct certpost_error *error)
{
    while (sem_wait(&may_sign) != 0)
        ;
    signed_on = pthread_self();
    atomic_fetch_add(&signed_count, 1);
    if (statement->seq == 666)
        return CERTPOST_OWN_CERTIFICATE;
    return __real_receipt_signer_sign(signer, statement, text, signature, error);
}

enum { JOBS_MAX = 200 };

struct scene {
    struct test_pki pki;
    struct server_files files;
    struct receipt_signer *signer;
    struct signing *signing;
    sem_t delivered;
    unsigned count;
    struct signing_job *jobs[JOBS_MAX]; /* as they came back */
};

static void deliver(struct signing_job *job)
{
    struct scene *scene = job->owner;
    scene->jobs[scene->count++] = job;
    (void)sem_post(&scene->delivered);
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
    assert_int_equal(sem_init(&scene->delivered, 0, 0), 0);
    assert_int_equal(sem_init(&may_sign, 0, 0), 0);
    atomic_store(&signed_count, 0);
    assert_ok(signing_start(NULL, &scene->signing, NULL));
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    signing_stop(scene->signing);
    for (unsigned i = 0; i < scene->count; i++)
        signing_job_free(scene->jobs[i]);
    receipt_signer_free(scene->signer);
    server_files_remove(&scene->files);
    test_pki_free(&scene->pki);
    (void)sem_destroy(&scene->delivered);
    (void)sem_destroy(&may_sign);
    free(scene);
    return 0;
}

static struct signing_job *submit(struct scene *scene, uint64_t seq)
{
    struct signing_job *job = signing_job_new();
    assert_non_null(job);
    job->signer = scene->signer;
    job->statement = (struct statement){.stream_length = 3, .stream = "log", .seq = seq};
    job->deliver = deliver;
    job->owner = scene;
    signing_submit(scene->signing, job);
    return job;
}

static void allow(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)sem_post(&may_sign);
}

static void wait_for(struct scene *scene, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        while (sem_wait(&scene->delivered) != 0)
            ;
    }
}

static void assert_signed(const struct signing_job *job, uint64_t seq)
{
    struct receipt receipt = {0};
    assert_ok(job->status);
    assert_ok(receipt_from_fields(buffer_bytes(&job->text), job->text.length,
                                  buffer_bytes(&job->signature), job->signature.length, &receipt,
                                  NULL));
    assert_int_equal(receipt.statement.seq, seq);
    assert_true(receipt.statement.time_ms > 0);
    receipt_free(&receipt);
}

static void test_whoever_asks_does_not_sign(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 100; i++)
        (void)submit(scene, i); /* comes back, although nothing can be signed */
    assert_int_equal(atomic_load(&signed_count), 0);
    allow(100);
    wait_for(scene, 100);
    assert_false(pthread_equal(signed_on, pthread_self()));
    for (unsigned i = 0; i < 100; i++)
        assert_signed(scene->jobs[i], i);
}

static void test_what_nobody_waits_for_is_not_signed(void **state)
{
    struct scene *scene = *state;
    (void)submit(scene, 1);
    struct signing_job *left = submit(scene, 2);
    (void)submit(scene, 3);
    signing_job_abandon(left);
    allow(2);
    wait_for(scene, 3);
    assert_int_equal(atomic_load(&signed_count), 2);
    assert_signed(scene->jobs[0], 1);
    assert_status(scene->jobs[1]->status, CERTPOST_INTERRUPTED);
    assert_int_equal(scene->jobs[1]->signature.length, 0);
    assert_signed(scene->jobs[2], 3);
}

static void test_a_failure_is_delivered_and_the_next_is_signed(void **state)
{
    struct scene *scene = *state;
    (void)submit(scene, 666);
    (void)submit(scene, 1);
    allow(2);
    wait_for(scene, 2);
    assert_status(scene->jobs[0]->status, CERTPOST_OWN_CERTIFICATE);
    assert_signed(scene->jobs[1], 1);
}

static void test_the_end_delivers_what_was_submitted(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 5; i++)
        (void)submit(scene, i);
    allow(5);
    signing_stop(scene->signing);
    scene->signing = NULL;
    assert_int_equal(scene->count, 5);
    signing_stop(NULL);
    signing_job_free(NULL);
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(test_whoever_asks_does_not_sign, set_up, tear_down),
          cmocka_unit_test_setup_teardown(test_what_nobody_waits_for_is_not_signed, set_up,
                                          tear_down),
          cmocka_unit_test_setup_teardown(test_a_failure_is_delivered_and_the_next_is_signed,
                                          set_up, tear_down),
          cmocka_unit_test_setup_teardown(test_the_end_delivers_what_was_submitted, set_up,
                                          tear_down))
