/*
 * support/store_fixture.h — stores in directories of their own, with contents that can be foretold.
 *
 * Message n of every stream is `fixture_message(n)`: its length and bytes follow from n, so whoever
 * reads a store back knows what must be there without having kept it.
 */
#ifndef SUPPORT_STORE_FIXTURE_H
#define SUPPORT_STORE_FIXTURE_H

#include "base/chain.h"
#include "store/store.h"
#include "support/unit.h"

/* Where a test works; removed by fixture_remove. */
struct fixture {
    char directory[128];
    char path[160]; /* of the database in it */
};

void fixture_make(struct fixture *fixture);
void fixture_remove(const struct fixture *fixture);
/* The file beside the database, as in "-wal". */
void fixture_beside(const struct fixture *fixture, const char *suffix, char *ret_path,
                    size_t capacity);

enum { FIXTURE_MESSAGE_MAX_BYTES = 4096 };

/* Returns the length. Message 5 is empty; every 16th is longer than a page. */
size_t fixture_message(uint64_t seq, unsigned char ret_bytes[FIXTURE_MESSAGE_MAX_BYTES]);

/* A sender with its chain, as a session would have it. */
struct fixture_sender {
    struct store_lease lease;
    struct committed head; /* of what was appended */
    struct chain *chain;
};

/* Opens the lease and returns the status; a sender that failed needs no release. */
enum certpost_status fixture_sender_open(struct fixture_sender *sender, struct store *store,
                                         const char *name, struct certpost_error *error);
void fixture_sender_release(struct fixture_sender *sender, struct store *store);

/* Appends the next message. */
enum certpost_status fixture_append(struct fixture_sender *sender, struct store *store,
                                    struct certpost_error *error);

/* begin, `count` messages, commit; stops at the first failure. */
enum certpost_status fixture_commit(struct fixture_sender *sender, struct store *store,
                                    size_t count, struct certpost_error *error);

/*
 * Reads the store back: verify must agree, and the stream `name` must hold exactly the messages 1
 * to some number, which is returned. Fails the test otherwise.
 */
uint64_t fixture_read_back(const char *path, const char *name);

#endif
