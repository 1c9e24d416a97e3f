/* support/store_fixture.c — see the header. */
#include "support/store_fixture.h"

#include "store/reader.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static const char fixture_identity[] = "dns:sender.example";

void fixture_make(struct fixture *fixture)
{
    /* In memory where that is possible: these tests make tens of thousands of files, and what is
     * durable is judged by support/fault_vfs, never by the real disk. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".";
    snprintf(fixture->directory, sizeof fixture->directory, "%s/store-test-XXXXXX", base);
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->directory);
}

void fixture_remove(const struct fixture *fixture)
{
    DIR *directory = opendir(fixture->directory);
    assert_non_null(directory);
    const struct dirent *entry = NULL;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
    }
    closedir(directory);
    assert_int_equal(rmdir(fixture->directory), 0);
}

void fixture_beside(const struct fixture *fixture, const char *suffix, char *ret_path,
                    size_t capacity)
{
    int length = snprintf(ret_path, capacity, "%s%s", fixture->path, suffix);
    assert_true(length > 0 && (size_t)length < capacity);
}

size_t fixture_message(uint64_t seq, unsigned char ret_bytes[FIXTURE_MESSAGE_MAX_BYTES])
{
    size_t length = seq == 5 ? 0 : seq % 16 == 0 ? FIXTURE_MESSAGE_MAX_BYTES : 10 + seq % 90;
    for (size_t i = 0; i < length; i++)
        ret_bytes[i] = (unsigned char)(seq * 31 + i * 7);
    return length;
}

enum certpost_status fixture_sender_open(struct fixture_sender *sender, struct store *store,
                                         const char *name, struct certpost_error *error)
{
    *sender = (struct fixture_sender){0};
    enum certpost_status status = chain_new(&sender->chain, error);
    if (status != CERTPOST_OK)
        return status;
    void *superseded = NULL;
    status =
        store_lease_open(store, fixture_identity, sizeof fixture_identity - 1, name, strlen(name),
                         sender, &sender->lease, &sender->head, &superseded, error);
    if (status != CERTPOST_OK) {
        chain_free(sender->chain);
        sender->chain = NULL;
    }
    return status;
}

void fixture_sender_release(struct fixture_sender *sender, struct store *store)
{
    store_lease_release(store, &sender->lease);
    chain_free(sender->chain);
    sender->chain = NULL;
}

enum certpost_status fixture_append(struct fixture_sender *sender, struct store *store,
                                    struct certpost_error *error)
{
    static _Thread_local unsigned char bytes[FIXTURE_MESSAGE_MAX_BYTES];
    struct committed next = {.seq = sender->head.seq + 1};
    size_t length = fixture_message(next.seq, bytes);
    enum certpost_status status =
        chain_next(sender->chain, sender->head.digest, bytes, length, next.digest);
    if (status == CERTPOST_OK)
        status = store_append(store, &sender->lease, next.seq, next.digest, bytes, length, error);
    if (status == CERTPOST_OK)
        sender->head = next;
    return status;
}

enum certpost_status fixture_commit(struct fixture_sender *sender, struct store *store,
                                    size_t count, struct certpost_error *error)
{
    enum certpost_status status = store_begin(store, error);
    for (size_t i = 0; i < count && status == CERTPOST_OK; i++)
        status = fixture_append(sender, store, error);
    return status == CERTPOST_OK ? store_commit(store, error) : status;
}

static void fixture_print_fault(void *context, const struct reader_fault *fault)
{
    (void)context;
    fprintf(stderr, "verify: %s\n", fault->text);
}

uint64_t fixture_read_back(const char *path, const char *name)
{
    static unsigned char expected[FIXTURE_MESSAGE_MAX_BYTES];
    struct certpost_error error;
    certpost_error_clear(&error);
    struct reader *reader = NULL;
    enum certpost_status status = reader_open(path, NULL, &reader, &error);
    if (status != CERTPOST_OK)
        fail_msg("read back: %s", certpost_error_text(&error, status));
    struct reader_audit audit;
    status = reader_verify(reader, 0, fixture_print_fault, NULL, &audit, &error);
    if (status != CERTPOST_OK)
        fail_msg("read back: %s", certpost_error_text(&error, status));
    struct reader_filter filter = {.identity = fixture_identity, .name = name};
    static struct reader_stream stream;
    bool found = false;
    assert_ok(reader_next_stream(reader, &filter, 0, &stream, &found, NULL));
    uint64_t seq = 0;
    if (found)
        reader_select(reader, stream.id, 1, UINT64_MAX);
    while (found) {
        struct reader_message message;
        assert_ok(reader_next(reader, &message, &found, NULL));
        if (!found)
            break;
        seq++;
        assert_int_equal(message.seq, seq);
        assert_int_equal(message.length, fixture_message(seq, expected));
        assert_memory_equal(message.bytes, expected, message.length);
    }
    reader_close(reader);
    return seq;
}
