/*
 * test_server_writer.c — the writer: order, groups, failures, and batches of several threads.
 *
 * write is wrapped by the linker (tests/CMakeLists.txt): what goes to LINES is gathered here, can
 * be held up at a gate, and can fail. So a case decides what the writer finds when it comes back,
 * what poll says of LINES, and what time it is.
 */
#include "server/writer.h"
#include "support/unit.h"
#include "wire/message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4, BATCHES = 50, MESSAGES = 5, OUTPUT_BYTES = 256 * 1024, LINES = 1000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool gate_is_shut;
static unsigned writes_begun;
static unsigned failing_write; /* the number of the write that fails; 0: none */
static char output[OUTPUT_BYTES];
static size_t output_bytes;
static size_t completed;

ssize_t __real_write(int descriptor, const void *bytes, size_t length);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t length);

ssize_t __wrap_write(int descriptor, const void *bytes, size_t length)
{
    if (descriptor != LINES)
        return __real_write(descriptor, bytes, length);
    (void)pthread_mutex_lock(&mutex);
    bool fails = ++writes_begun == failing_write;
    (void)pthread_cond_broadcast(&changed);
    while (gate_is_shut)
        (void)pthread_cond_wait(&changed, &mutex);
    if (!fails && output_bytes + length < sizeof output) {
        memcpy(output + output_bytes, bytes, length);
        output_bytes += length;
        output[output_bytes] = '\0';
    }
    (void)pthread_mutex_unlock(&mutex);
    errno = ENOSPC;
    return fails ? -1 : (ssize_t)length;
}

/* What poll says of LINES, and how far the clock has gone on. */
static atomic_int lines_revents;
static _Atomic int64_t clock_skew_ms;

int __real_poll(struct pollfd *waited, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *waited, nfds_t count, int timeout_ms);

int __wrap_poll(struct pollfd *waited, nfds_t count, int timeout_ms)
{
    if (count != 1 || waited->fd != LINES)
        return __real_poll(waited, count, timeout_ms);
    waited->revents = (short)atomic_load(&lines_revents);
    return waited->revents != 0;
}

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);

int64_t __wrap_clock_monotonic_ms(void)
{
    return __real_clock_monotonic_ms() + atomic_load(&clock_skew_ms);
}

static void shut_gate(bool shut)
{
    (void)pthread_mutex_lock(&mutex);
    gate_is_shut = shut;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
}

static void wait_for_write(unsigned number)
{
    (void)pthread_mutex_lock(&mutex);
    while (writes_begun < number)
        (void)pthread_cond_wait(&changed, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

static void wait_for_completed(size_t count)
{
    (void)pthread_mutex_lock(&mutex);
    while (completed < count)
        (void)pthread_cond_wait(&changed, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

/* Where deliveries go: notes how many came, what was written by then, and the last notice. */
struct note {
    struct writer_port port; /* first: the port is the note */
    unsigned calls;
    size_t output_bytes;
    unsigned notices;
    struct writer_stream *notified;
    uint16_t notice_code;
};

static void on_deliver(struct writer_port *port, struct writer_delivery *delivery)
{
    struct note *note = (struct note *)(void *)port;
    (void)pthread_mutex_lock(&mutex);
    if (delivery->stream != NULL) {
        note->notices++;
        note->notified = delivery->stream;
        note->notice_code = delivery->stream->notice_code;
    } else {
        note->calls++;
        note->output_bytes = output_bytes;
        completed++;
    }
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
}

static void add(struct writer_batch *batch, struct writer_stream *stream,
                enum writer_entry_kind kind, uint64_t seq, const char *text)
{
    struct writer_entry entry = {
        .kind = kind,
        .stream = stream,
        .seq = seq,
        .bytes = (const unsigned char *)text,
        .length = strlen(text),
    };
    assert_ok(writer_batch_add(batch, &entry));
}

static struct writer_batch *batch_for(struct note *note)
{
    note->port.deliver = on_deliver;
    struct writer_batch *batch = writer_batch_new(&note->port);
    assert_non_null(batch);
    return batch;
}

static struct writer_batch *batch_of(struct note *note, struct writer_stream *stream,
                                     const char *text)
{
    struct writer_batch *batch = batch_for(note);
    stream->port = &note->port;
    add(batch, stream, WRITER_MESSAGE, 1, text);
    return batch;
}

static const struct writer_outcome *only_outcome(const struct writer_batch *batch)
{
    size_t count = 0;
    const struct writer_outcome *outcomes = writer_batch_outcomes(batch, &count);
    assert_int_equal(count, 1);
    return outcomes;
}

/* Level `accepted`, printing. */
static struct writer *start_printing(void)
{
    struct writer *writer = NULL;
    struct writer_setup setup = {.print = true, .descriptor = LINES};
    assert_ok(store_open_memory(10, &setup.store, NULL));
    assert_ok(writer_start(&setup, &writer, NULL));
    return writer;
}

static void test_a_batch_holds_its_entries(void **state)
{
    (void)state;
    struct note note = {0};
    struct writer_stream stream = {0};
    struct writer_batch *batch = batch_for(&note);
    struct writer_entry entry;
    char text[32] = "";
    size_t position = 0;
    assert_true(writer_batch_is_empty(batch));
    assert_false(writer_batch_next(batch, &position, &entry));
    for (uint64_t seq = 0; seq < 20; seq++) {
        add(batch, &stream, seq % 2 == 0 ? WRITER_CONNECTED : WRITER_MESSAGE, seq, text);
        text[seq] = 'x';
    }
    assert_false(writer_batch_is_empty(batch));
    for (uint64_t seq = 0; seq < 20; seq++) {
        assert_true(writer_batch_next(batch, &position, &entry));
        assert_int_equal(entry.kind, seq % 2 == 0 ? WRITER_CONNECTED : WRITER_MESSAGE);
        assert_int_equal(entry.seq, seq);
        assert_ptr_equal(entry.stream, &stream);
        assert_int_equal(entry.length, seq);
        assert_memory_equal(entry.bytes, "xxxxxxxxxxxxxxxxxxxx", seq);
    }
    assert_false(writer_batch_next(batch, &position, &entry));
    assert_int_equal(batch->message_count, 10);
    assert_int_equal(only_outcome(batch)->entry_count, 20);
    assert_int_equal(only_outcome(batch)->cost_bytes, batch->entries.length);
    writer_batch_free(batch);
    writer_batch_free(NULL);
}

/* One outcome for each stream, also when an index is left over from an earlier batch. */
static void test_a_batch_has_one_outcome_for_each_stream(void **state)
{
    (void)state;
    enum { STREAMS = 50, ROUNDS = 3 };
    static struct writer_stream streams[STREAMS];
    struct note note = {0};
    struct writer_batch *batch = batch_for(&note);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t count = 0;
        for (size_t i = 0; i < (size_t)2 * STREAMS; i++)
            add(batch, &streams[(i * 7 + round) % STREAMS], WRITER_MESSAGE, i, "x");
        const struct writer_outcome *outcomes = writer_batch_outcomes(batch, &count);
        assert_int_equal(count, STREAMS);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(outcomes[i].entry_count, 2);
        writer_batch_reset(batch);
    }
    writer_batch_free(batch);
}

static void test_a_batch_has_a_maximum(void **state)
{
    (void)state;
    enum { LARGEST_BYTES = (1 << 24) - 1 };
    struct note note = {0};
    struct writer_stream stream = {0};
    struct writer_batch *batch = batch_for(&note);
    unsigned char *bytes = calloc(1, LARGEST_BYTES);
    assert_non_null(bytes);
    struct writer_entry entry = {
        .kind = WRITER_MESSAGE, .stream = &stream, .bytes = bytes, .length = 1000};
    while (!writer_batch_is_full(batch))
        assert_ok(writer_batch_add(batch, &entry));
    assert_in_range(batch->entries.length, WRITER_BATCH_BYTES, WRITER_BATCH_BYTES + 2000);
    entry.length = LARGEST_BYTES;
    assert_ok(writer_batch_add(batch, &entry)); /* the one that may pass it */
    size_t before = batch->entries.length;
    assert_status(writer_batch_add(batch, &entry), CERTPOST_NO_MEMORY);
    assert_int_equal(batch->entries.length, before);
    writer_batch_reset(batch);
    assert_true(writer_batch_is_empty(batch));
    assert_int_equal(batch->entries.capacity, 0); /* a burst's memory goes back */
    writer_batch_free(batch);
    free(bytes);
}

/* A client's window has to be a bound of what its messages occupy. */
static void test_an_entry_costs_no_more_than_its_message_in_a_window(void **state)
{
    (void)state;
    for (size_t length = 0; length < 200; length++) {
        const struct writer_entry entry = {.kind = WRITER_MESSAGE, .length = length};
        assert_true(writer_entry_cost_bytes(&entry) <= message_cost_bytes(length));
    }
}

static void test_lines_are_written_before_the_batch_comes_back(void **state)
{
    (void)state;
    struct writer *writer = start_printing();
    struct note note = {0};
    struct writer_stream stream = {0};
    struct writer_batch *batch = batch_for(&note);
    add(batch, &stream, WRITER_CONNECTED, 0, "127.0.0.1:9");
    add(batch, &stream, WRITER_MESSAGE, 1, "one");
    add(batch, &stream, WRITER_MESSAGE, 2, "two\n");
    writer_submit(writer, batch);
    wait_for_completed(1);
    static const char expected[] = "Connected by 127.0.0.1:9\nReceived: one\nReceived: two\\n\n";
    assert_int_equal(note.output_bytes, sizeof expected - 1);
    assert_string_equal(output, expected);
    assert_true(only_outcome(batch)->is_committed);
    assert_int_equal(only_outcome(batch)->committed.seq, 2);
    assert_int_equal(only_outcome(batch)->entry_count, 3);
    assert_int_equal(only_outcome(batch)->lost_code, 0);
    writer_stop(writer);
    writer_stop(NULL);
    assert_int_equal(note.calls, 1);
    writer_batch_free(batch);
}

/* What arrives while one group is written becomes the next one: one write for all of it. */
static void test_what_arrives_meanwhile_is_one_group(void **state)
{
    (void)state;
    enum { LATER = 10 };
    struct writer *writer = start_printing();
    struct note notes[1 + LATER] = {0};
    struct writer_stream streams[1 + LATER] = {0};
    struct writer_batch *batches[1 + LATER];
    shut_gate(true);
    for (size_t i = 0; i <= LATER; i++) {
        char text[] = {(char)('a' + i), '\0'};
        batches[i] = batch_of(&notes[i], &streams[i], text);
        writer_submit(writer, batches[i]);
        if (i == 0)
            wait_for_write(1);
    }
    assert_int_equal(completed, 0);
    shut_gate(false);
    wait_for_completed(1 + LATER);
    assert_int_equal(writes_begun, 2);
    assert_int_equal(notes[0].output_bytes, strlen("Received: a\n"));
    for (size_t i = 1; i <= LATER; i++) {
        assert_int_equal(notes[i].output_bytes, (1 + LATER) * strlen("Received: a\n"));
        assert_int_equal(output[i * strlen("Received: a\n") + strlen("Received: ")],
                         (char)('a' + i));
    }
    writer_stop(writer);
    for (size_t i = 0; i <= LATER; i++)
        writer_batch_free(batches[i]);
}

static void test_a_failure_fails_its_whole_group_and_is_over_then(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    struct writer *writer = start_printing();
    struct note notes[COUNT] = {0};
    struct writer_stream streams[COUNT] = {0};
    struct writer_batch *batches[COUNT];
    failing_write = 2;
    shut_gate(true);
    for (size_t i = 0; i < COUNT; i++)
        batches[i] = batch_of(&notes[i], &streams[i], "m");
    writer_submit(writer, batches[0]);
    wait_for_write(1);
    for (size_t i = 1; i < COUNT - 1; i++)
        writer_submit(writer, batches[i]);
    shut_gate(false);
    wait_for_completed(COUNT - 1);
    writer_submit(writer, batches[COUNT - 1]);
    wait_for_completed(COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        bool failed = i > 0 && i < COUNT - 1;
        assert_int_equal(only_outcome(batches[i])->is_committed, !failed);
        assert_int_equal(only_outcome(batches[i])->lost_code,
                         failed ? MESSAGE_CODE_STORE_FAILED : 0);
    }
    assert_string_equal(output, "Received: m\nReceived: m\n");
    writer_stop(writer);
    for (size_t i = 0; i < COUNT; i++)
        writer_batch_free(batches[i]);
}

static void write_one(struct writer *writer)
{
    struct note note = {0};
    struct writer_stream stream = {0};
    struct writer_batch *batch = batch_of(&note, &stream, "m");
    size_t before = completed;
    writer_submit(writer, batch);
    wait_for_completed(before + 1);
    writer_batch_free(batch);
}

static void test_output_that_fails(void **state)
{
    (void)state;
    struct writer *writer = start_printing();
    assert_false(writer_output_fails(writer));
    /* The reader of a pipe has gone: nothing need be written to see that. */
    lines_revents = POLLERR;
    assert_true(writer_output_fails(writer));
    lines_revents = POLLOUT;
    assert_false(writer_output_fails(writer));
    /* A full disk shows when it is written to, and for a moment after it. */
    failing_write = 1;
    write_one(writer);
    assert_true(writer_output_fails(writer));
    clock_skew_ms = 60 * 1000;
    assert_false(writer_output_fails(writer));
    failing_write = 2;
    write_one(writer);
    assert_true(writer_output_fails(writer));
    write_one(writer);
    assert_false(writer_output_fails(writer));
    writer_stop(writer);
}

/* Nobody is held up by an output that has nothing to do with what is acknowledged. */
static void test_output_that_nobody_needs(void **state)
{
    (void)state;
    struct writer *writer = NULL;
    struct writer_setup setup = {.print = false, .descriptor = LINES};
    lines_revents = POLLERR;
    assert_ok(store_open_memory(10, &setup.store, NULL));
    assert_ok(writer_start(&setup, &writer, NULL));
    assert_false(writer_output_fails(writer));
    writer_stop(writer);
}

static void test_stopping_completes_what_was_submitted(void **state)
{
    (void)state;
    struct writer *writer = start_printing();
    struct note notes[BATCHES] = {0};
    struct writer_stream streams[BATCHES] = {0};
    struct writer_batch *batches[BATCHES];
    for (size_t i = 0; i < BATCHES; i++) {
        batches[i] = batch_of(&notes[i], &streams[i], "m");
        writer_submit(writer, batches[i]);
    }
    writer_stop(writer);
    assert_int_equal(completed, BATCHES);
    assert_int_equal(output_bytes, BATCHES * strlen("Received: m\n"));
    for (size_t i = 0; i < BATCHES; i++) {
        assert_int_equal(notes[i].calls, 1);
        writer_batch_free(batches[i]);
    }
}

struct worker {
    struct writer *writer;
    char name;
    struct writer_stream stream;
    struct note notes[BATCHES];
    struct writer_batch *batches[BATCHES];
};

static void *submit_batches(void *argument)
{
    struct worker *worker = argument;
    for (unsigned i = 0; i < BATCHES; i++) {
        worker->batches[i] = batch_for(&worker->notes[i]);
        for (unsigned message = 0; message < MESSAGES; message++) {
            char text[32];
            snprintf(text, sizeof text, "%c %u", worker->name, i * MESSAGES + message);
            add(worker->batches[i], &worker->stream, WRITER_MESSAGE, i * MESSAGES + message, text);
        }
        writer_submit(worker->writer, worker->batches[i]);
    }
    return NULL;
}

/* The batches of several workers mix, but each worker's come in its order. */
static void test_batches_of_several_threads(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    unsigned seen[THREADS] = {0};
    struct writer *writer = start_printing();
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].writer = writer;
        workers[i].name = (char)('a' + i);
        assert_int_equal(pthread_create(&threads[i], NULL, submit_batches, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    writer_stop(writer);
    assert_int_equal(completed, THREADS * BATCHES);
    for (const char *line = output; *line != '\0'; line = strchr(line, '\n') + 1) {
        char expected[48];
        assert_int_equal(strncmp(line, "Received: ", 10), 0);
        size_t thread = (size_t)(line[10] - 'a');
        assert_in_range(thread, 0, THREADS - 1);
        snprintf(expected, sizeof expected, "Received: %c %u\n", line[10], seen[thread]++);
        assert_int_equal(strncmp(line, expected, strlen(expected)), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(seen[i], BATCHES * MESSAGES);
        for (size_t batch = 0; batch < BATCHES; batch++) {
            assert_int_equal(workers[i].notes[batch].calls, 1);
            writer_batch_free(workers[i].batches[batch]);
        }
    }
}

/* ---- streams ---- */

static void add_open(struct writer_batch *batch, struct writer_stream *stream, const char *name)
{
    struct writer_entry entry = {
        .kind = WRITER_OPEN,
        .stream = stream,
        .bytes = (const unsigned char *)name,
        .length = strlen(name),
    };
    assert_ok(writer_batch_add(batch, &entry));
}

/* What the writer says of one stream in a batch. */
static const struct writer_outcome *outcome_of(const struct writer_batch *batch,
                                               const struct writer_stream *stream)
{
    size_t count = 0;
    const struct writer_outcome *outcomes = writer_batch_outcomes(batch, &count);
    for (size_t i = 0; i < count; i++) {
        if (outcomes[i].stream == stream)
            return &outcomes[i];
    }
    fail_msg("the batch has no outcome for a stream that it has entries of");
    return NULL;
}

struct scene {
    struct writer *writer;
    struct note note;
    struct writer_stream old;
    struct writer_stream new;
    struct writer_batch *batch;
};

static void scene_serve(struct scene *scene)
{
    size_t before = completed;
    writer_submit(scene->writer, scene->batch);
    wait_for_completed(before + 1);
}

static void scene_next_batch(struct scene *scene)
{
    writer_batch_free(scene->batch);
    scene->batch = batch_for(&scene->note);
}

/* A stream is open, and has one message. */
static void scene_begin(struct scene *scene)
{
    struct writer_setup setup = {.descriptor = LINES};
    assert_ok(store_open_memory(10, &setup.store, NULL));
    assert_ok(writer_start(&setup, &scene->writer, NULL));
    scene->batch = batch_for(&scene->note);
    scene->old.port = scene->new.port = &scene->note.port;
    add_open(scene->batch, &scene->old, "s");
    scene_serve(scene);
    assert_true(outcome_of(scene->batch, &scene->old)->was_opened);
    assert_int_equal(outcome_of(scene->batch, &scene->old)->committed.seq, 0);
    scene_next_batch(scene);
    add(scene->batch, &scene->old, WRITER_MESSAGE, 1, "m");
    scene_serve(scene);
    assert_false(outcome_of(scene->batch, &scene->old)->was_opened);
    assert_true(outcome_of(scene->batch, &scene->old)->is_committed);
    assert_int_equal(outcome_of(scene->batch, &scene->old)->committed.seq, 1);
    scene_next_batch(scene);
}

/* The notices of a group follow its batches; after the end all have come. */
static void scene_end(struct scene *scene)
{
    writer_stop(scene->writer);
    writer_batch_free(scene->batch);
}

static void test_an_idle_owner_gets_a_notice(void **state)
{
    (void)state;
    struct scene scene = {0};
    scene_begin(&scene);
    add_open(scene.batch, &scene.new, "s");
    scene_serve(&scene);
    assert_int_equal(outcome_of(scene.batch, &scene.new)->committed.seq, 1);
    scene_end(&scene);
    assert_int_equal(scene.note.notices, 1);
    assert_ptr_equal(scene.note.notified, &scene.old);
    assert_int_equal(scene.note.notice_code, MESSAGE_CODE_SUPERSEDED);
}

/* The fence: a message that waits when its stream is taken over is refused, and told once. */
static void test_what_waits_behind_a_newer_owner_is_refused(void **state)
{
    (void)state;
    struct scene scene = {0};
    scene_begin(&scene);
    add(scene.batch, &scene.old, WRITER_MESSAGE, 2, "too late");
    add_open(scene.batch, &scene.new, "s");
    scene_serve(&scene);
    assert_false(outcome_of(scene.batch, &scene.old)->is_committed);
    assert_int_equal(outcome_of(scene.batch, &scene.old)->lost_code, MESSAGE_CODE_SUPERSEDED);
    assert_int_equal(outcome_of(scene.batch, &scene.new)->committed.seq, 1);
    assert_int_equal(outcome_of(scene.batch, &scene.new)->lost_code, 0);
    scene_next_batch(&scene);
    add(scene.batch, &scene.new, WRITER_MESSAGE, 2, "in its place");
    add(scene.batch, &scene.old, WRITER_MESSAGE, 3, "still too late");
    scene_serve(&scene);
    assert_int_equal(outcome_of(scene.batch, &scene.new)->committed.seq, 2);
    assert_false(outcome_of(scene.batch, &scene.old)->is_committed);
    assert_int_equal(outcome_of(scene.batch, &scene.old)->lost_code, 0); /* it knows */
    scene_end(&scene);
    assert_int_equal(scene.note.notices, 0);
}

/* Once its release has come back, an owner may be gone: nobody may point to it. */
static void test_who_is_released_gets_no_notice(void **state)
{
    (void)state;
    struct scene scene = {0};
    scene_begin(&scene);
    writer_batch_release(scene.batch, &scene.old);
    add_open(scene.batch, &scene.new, "s");
    scene_serve(&scene);
    memset(&scene.old, 0xff, sizeof scene.old);
    scene_next_batch(&scene);
    writer_batch_release(scene.batch, &scene.new);
    scene_serve(&scene);
    memset(&scene.new, 0, sizeof scene.new);
    scene.new.port = &scene.note.port;
    scene_next_batch(&scene);
    add_open(scene.batch, &scene.new, "s");
    scene_serve(&scene);
    assert_int_equal(outcome_of(scene.batch, &scene.new)->committed.seq, 1);
    scene_end(&scene);
    assert_int_equal(scene.note.notices, 0);
}

/* One message out of order costs its stream, and nobody else in the group. */
static void test_a_wrong_number_costs_its_stream_alone(void **state)
{
    (void)state;
    struct scene scene = {0};
    scene_begin(&scene);
    add_open(scene.batch, &scene.new, "other");
    add(scene.batch, &scene.old, WRITER_MESSAGE, 7, "where are 2 to 6?");
    add(scene.batch, &scene.new, WRITER_MESSAGE, 1, "m");
    scene_serve(&scene);
    assert_int_equal(outcome_of(scene.batch, &scene.old)->lost_code, MESSAGE_CODE_INTERNAL);
    assert_false(outcome_of(scene.batch, &scene.old)->is_committed);
    assert_int_equal(outcome_of(scene.batch, &scene.new)->committed.seq, 1);
    assert_int_equal(outcome_of(scene.batch, &scene.new)->lost_code, 0);
    scene_end(&scene);
}

static int reset(void **state)
{
    (void)state;
    writes_begun = 0;
    failing_write = 0;
    output_bytes = 0;
    output[0] = '\0';
    completed = 0;
    lines_revents = 0;
    clock_skew_ms = 0;
    return 0;
}

UNIT_MAIN(cmocka_unit_test_setup(test_a_batch_holds_its_entries, reset),
          cmocka_unit_test_setup(test_a_batch_has_a_maximum, reset),
          cmocka_unit_test_setup(test_a_batch_has_one_outcome_for_each_stream, reset),
          cmocka_unit_test_setup(test_an_entry_costs_no_more_than_its_message_in_a_window, reset),
          cmocka_unit_test_setup(test_lines_are_written_before_the_batch_comes_back, reset),
          cmocka_unit_test_setup(test_what_arrives_meanwhile_is_one_group, reset),
          cmocka_unit_test_setup(test_a_failure_fails_its_whole_group_and_is_over_then, reset),
          cmocka_unit_test_setup(test_output_that_fails, reset),
          cmocka_unit_test_setup(test_output_that_nobody_needs, reset),
          cmocka_unit_test_setup(test_stopping_completes_what_was_submitted, reset),
          cmocka_unit_test_setup(test_batches_of_several_threads, reset),
          cmocka_unit_test_setup(test_an_idle_owner_gets_a_notice, reset),
          cmocka_unit_test_setup(test_what_waits_behind_a_newer_owner_is_refused, reset),
          cmocka_unit_test_setup(test_who_is_released_gets_no_notice, reset),
          cmocka_unit_test_setup(test_a_wrong_number_costs_its_stream_alone, reset))
