/*
 * test_server_judge.c — the writer asks the program in which the server lives about each message:
 * whom it asks, what comes back, and what a failing commit makes of it.
 *
 * store_commit is wrapped by the linker (tests/CMakeLists.txt), so that one can fail.
 */
#include "server/answer.h"
#include "server/writer.h"
#include "support/unit.h"
#include "wire/message.h"

#include <pthread.h>
#include <stdlib.h>

enum { SHOWN_BYTES = 1024, LIMIT = CERTPOST_ANSWER_TEXT_BYTES };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static size_t completed;
static bool gate_is_shut;
static bool is_asking;
static bool next_commit_fails;
static char shown[SHOWN_BYTES]; /* "seq:text " of each message that the judge has seen */

enum certpost_status __real_store_commit(struct store *store, struct certpost_error *error);
enum certpost_status __wrap_store_commit(struct store *store, struct certpost_error *error);

enum certpost_status __wrap_store_commit(struct store *store, struct certpost_error *error)
{
    enum certpost_status status = __real_store_commit(store, error);
    (void)pthread_mutex_lock(&mutex);
    bool fails = next_commit_fails;
    next_commit_fails = false;
    (void)pthread_mutex_unlock(&mutex);
    return fails ? CERTPOST_STORE : status;
}

static void on_deliver(struct writer_port *port, struct writer_delivery *delivery)
{
    (void)port;
    (void)pthread_mutex_lock(&mutex);
    completed += delivery->batch != NULL;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
}

static void set_gate(bool shut)
{
    (void)pthread_mutex_lock(&mutex);
    gate_is_shut = shut;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
}

static void pass_gate(void)
{
    (void)pthread_mutex_lock(&mutex);
    is_asking = true;
    (void)pthread_cond_broadcast(&changed);
    while (gate_is_shut)
        (void)pthread_cond_wait(&changed, &mutex);
    is_asking = false;
    (void)pthread_mutex_unlock(&mutex);
}

/* "no" is rejected, "re" is taken with a reply, "wait" waits at the gate. */
static enum certpost_decision judge(void *context, const struct certpost_message *message,
                                    struct certpost_answer *ret_answer)
{
    assert_ptr_equal(context, shown);
    assert_int_equal(ret_answer->code, 0);
    assert_string_equal(ret_answer->text, "");
    assert_memory_equal(message->identity, "me", message->identity_length);
    assert_memory_equal(message->stream, "s", message->stream_length);
    size_t used = strlen(shown);
    snprintf(shown + used, sizeof shown - used, "%llu:%.*s ", (unsigned long long)message->seq,
             (int)message->length, (const char *)message->bytes);
    if (memcmp(message->bytes, "wait", 4) == 0)
        pass_gate();
    ret_answer->code = 4711;
    snprintf(ret_answer->text, sizeof ret_answer->text, "said of %llu",
             (unsigned long long)message->seq);
    return memcmp(message->bytes, "no", 2) == 0 ? CERTPOST_REJECT : CERTPOST_TAKE;
}

struct scene {
    struct writer *writer;
    struct writer_port port;
    struct writer_stream stream;
    struct writer_batch *batches[3];
};

static void add(struct scene *scene, size_t batch, enum writer_entry_kind kind, uint64_t seq,
                const char *text)
{
    struct writer_entry entry = {
        .kind = kind,
        .stream = &scene->stream,
        .seq = seq,
        .bytes = (const unsigned char *)text,
        .length = strlen(text),
        .identity_length = kind == WRITER_OPEN ? 2 : 0,
        .wants_reply = kind == WRITER_MESSAGE && strncmp(text, "re", 2) == 0,
    };
    assert_ok(writer_batch_add(scene->batches[batch], &entry));
}

static void wait_for(const size_t *value, size_t wanted)
{
    (void)pthread_mutex_lock(&mutex);
    while (*value < wanted)
        (void)pthread_cond_wait(&changed, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

static void wait_until_asking(void)
{
    (void)pthread_mutex_lock(&mutex);
    while (!is_asking)
        (void)pthread_cond_wait(&changed, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

/* Stream "s" of "me" is open, and its first message, which waits at the gate, is under way: what is
 * submitted now becomes one group. */
static void scene_begin(struct scene *scene)
{
    struct writer_setup setup = {.judge = {.decide = judge, .context = shown}};
    *scene = (struct scene){.port = {.deliver = on_deliver}};
    for (size_t i = 0; i < 3; i++) {
        scene->batches[i] = writer_batch_new(&scene->port);
        assert_non_null(scene->batches[i]);
    }
    scene->stream.port = &scene->port;
    scene->stream.key = calloc(1, sizeof *scene->stream.key + 3);
    assert_non_null(scene->stream.key);
    scene->stream.key->identity_length = 2;
    scene->stream.key->name_length = 1;
    memcpy(scene->stream.key->bytes, "mes", 3);
    assert_ok(store_open_memory(10, &setup.store, NULL));
    assert_ok(writer_start(&setup, &scene->writer, NULL));
    set_gate(true);
    add(scene, 0, WRITER_OPEN, 0, "mes");
    add(scene, 0, WRITER_MESSAGE, 1, "wait");
    writer_submit(scene->writer, scene->batches[0]);
    wait_until_asking();
}

static void scene_submit_both(struct scene *scene)
{
    writer_submit(scene->writer, scene->batches[1]);
    writer_submit(scene->writer, scene->batches[2]);
}

static void scene_end(struct scene *scene)
{
    writer_stop(scene->writer);
    for (size_t i = 0; i < 3; i++)
        writer_batch_free(scene->batches[i]);
    free(scene->stream.key);
}

static const struct writer_outcome *outcome_in(const struct scene *scene, size_t batch)
{
    size_t count = 0;
    const struct writer_outcome *outcomes = writer_batch_outcomes(scene->batches[batch], &count);
    assert_int_equal(count, 1);
    return outcomes;
}

/* Everything that is said of a group comes with its first batch, which also tells the commit. */
static void test_a_rejection_ends_its_stream_within_a_group(void **state)
{
    (void)state;
    struct scene scene;
    size_t count = 0;
    scene_begin(&scene);
    add(&scene, 1, WRITER_MESSAGE, 2, "re");
    add(&scene, 1, WRITER_MESSAGE, 3, "plain");
    add(&scene, 2, WRITER_MESSAGE, 4, "re");
    add(&scene, 2, WRITER_MESSAGE, 5, "no");
    add(&scene, 2, WRITER_MESSAGE, 6, "behind");
    scene_submit_both(&scene);
    set_gate(false);
    wait_for(&completed, 3);
    assert_string_equal(shown, "1:wait 2:re 3:plain 4:re 5:no ");
    assert_int_equal(outcome_in(&scene, 1)->committed.seq, 4);
    assert_int_equal(outcome_in(&scene, 1)->lost_code, 0); /* the answer tells */
    assert_false(outcome_in(&scene, 2)->is_committed);
    const struct writer_answer *answers = writer_batch_answers(scene.batches[1], &count);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++) {
        static const uint64_t seqs[] = {2, 4, 5};
        assert_ptr_equal(answers[i].stream, &scene.stream);
        assert_int_equal(answers[i].seq, seqs[i]);
        assert_int_equal(answers[i].is_rejection, seqs[i] == 5);
    }
    assert_string_equal(answers[2].said.text, "said of 5");
    assert_int_equal(answers[2].said.code, 4711);
    (void)writer_batch_answers(scene.batches[2], &count);
    assert_int_equal(count, 0);
    scene_end(&scene);
}

/* What came before the rejected message is not stored, so the rejection is not the last word; the
 * judge sees all of it again from whoever offers it again. */
static void test_a_failing_commit_is_told_beside_a_rejection(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene);
    set_gate(false);
    wait_for(&completed, 1);
    (void)pthread_mutex_lock(&mutex);
    next_commit_fails = true;
    (void)pthread_mutex_unlock(&mutex);
    add(&scene, 1, WRITER_MESSAGE, 2, "two");
    add(&scene, 1, WRITER_MESSAGE, 3, "no");
    writer_submit(scene.writer, scene.batches[1]);
    wait_for(&completed, 2);
    assert_false(outcome_in(&scene, 1)->is_committed);
    assert_int_equal(outcome_in(&scene, 1)->lost_code, MESSAGE_CODE_STORE_FAILED);
    assert_string_equal(shown, "1:wait 2:two 3:no ");
    add(&scene, 2, WRITER_MESSAGE, 4, "of a lost stream");
    writer_submit(scene.writer, scene.batches[2]);
    wait_for(&completed, 3);
    assert_string_equal(shown, "1:wait 2:two 3:no ");
    scene_end(&scene);
}

/* Who stops does not wait for the rest to be decided on. */
static void test_nothing_is_asked_after_the_last_question(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene);
    add(&scene, 1, WRITER_MESSAGE, 2, "two");
    add(&scene, 2, WRITER_MESSAGE, 3, "three");
    scene_submit_both(&scene);
    writer_stop_asking(scene.writer);
    set_gate(false);
    wait_for(&completed, 3);
    assert_string_equal(shown, "1:wait ");
    assert_int_equal(outcome_in(&scene, 0)->committed.seq, 1);
    assert_false(outcome_in(&scene, 1)->is_committed);
    assert_int_equal(outcome_in(&scene, 1)->lost_code, MESSAGE_CODE_SHUTTING_DOWN);
    scene_end(&scene);
}

/* ---- answers ---- */

static void check_text(enum certpost_decision decision, const char *said, const char *sent)
{
    struct certpost_answer answer = {0};
    memcpy(answer.text, said, strlen(said) < LIMIT ? strlen(said) : LIMIT);
    answer_complete(decision, &answer);
    assert_string_equal(answer.text, sent);
}

static void test_texts_are_one_line_of_utf8(void **state)
{
    (void)state;
    check_text(CERTPOST_TAKE, "", "");
    check_text(CERTPOST_REJECT, "", "not accepted");
    check_text(CERTPOST_TAKE, "a\nb\r\tc\x7f", "a\\nb\\r\\tc\\x7f");
    check_text(CERTPOST_TAKE, "\\n stays", "\\n stays");
    check_text(CERTPOST_TAKE, "\xc3\xa9\xff", "\xc3\xa9\\xff");
    check_text(CERTPOST_TAKE, "\xe2\x80\xae", "\\xe2\\x80\\xae"); /* right-to-left override */
    check_text(CERTPOST_TAKE, "Message refused: x", "");
    check_text(CERTPOST_TAKE, "Message refused", "Message refused");
    check_text(CERTPOST_REJECT, "Message refused: x", "Message refused: x");
}

/* At each length, of plain bytes, of characters of two bytes and of escapes. */
static void test_texts_are_cut_behind_whole_characters(void **state)
{
    (void)state;
    static const char *const units[] = {"y", "\xc3\xa9", "\x01", "\xe2\x80\xae"};
    for (size_t unit = 0; unit < 4; unit++) {
        struct certpost_answer answer = {0};
        size_t length = strlen(units[unit]);
        for (size_t at = 0; at + length <= LIMIT; at += length)
            memcpy(answer.text + at, units[unit], length);
        answer_complete(CERTPOST_REJECT, &answer);
        static const size_t expected[] = {255, 254, 252, 252};
        assert_int_equal(strlen(answer.text), expected[unit]);
    }
    struct certpost_answer endless;
    memset(&endless, 'z', sizeof endless); /* a program that forgot the NUL */
    answer_complete(CERTPOST_REJECT, &endless);
    assert_int_equal(strlen(endless.text), LIMIT);
}

static void test_codes_are_an_applications(void **state)
{
    (void)state;
    static const uint16_t cases[][2] = {{0, 33},    {1, 33},      {33, 33},      {255, 33},
                                        {256, 256}, {1000, 1000}, {65535, 65535}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct certpost_answer answer = {.code = cases[i][0]};
        answer_complete(CERTPOST_REJECT, &answer);
        assert_int_equal(answer.code, cases[i][1]);
    }
}

static int reset(void **state)
{
    (void)state;
    completed = 0;
    is_asking = gate_is_shut = next_commit_fails = false;
    shown[0] = '\0';
    return 0;
}

UNIT_MAIN(cmocka_unit_test_setup(test_a_rejection_ends_its_stream_within_a_group, reset),
          cmocka_unit_test_setup(test_a_failing_commit_is_told_beside_a_rejection, reset),
          cmocka_unit_test_setup(test_nothing_is_asked_after_the_last_question, reset),
          cmocka_unit_test(test_texts_are_one_line_of_utf8),
          cmocka_unit_test(test_texts_are_cut_behind_whole_characters),
          cmocka_unit_test(test_codes_are_an_applications))
