/*
 * store/spool.h — the sender's own box of messages that are not acknowledged yet.
 *
 * A message is put, made durable by spool_commit, and only then can be got and sent; it has its
 * number for good from then on. When it is acknowledged it leaves. Killing the sender at any moment
 * therefore loses nothing and repeats nothing: the next run asks the server how far it is
 * (WELCOME), notes that with spool_acked, and sends the rest.
 *
 * A new spool does not know where its stream stands at the server. The first WELCOME tells: hand it
 * to spool_adopt, which gives the messages their final numbers. Nothing can be got before.
 *
 * After a failure (LOCAL_IO, NO_MEMORY) every call fails with the same words until the spool is
 * closed and opened again, which recovers it; what was committed before is there.
 *
 * Threads: one at a time.
 */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include "base/committed.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest name of a stream (the wire's str8) and of a server. */
#define SPOOL_NAME_MAX_BYTES 255

struct spool;

struct spool_state {
    uint64_t acked_seq; /* everything up to here is acknowledged and has left */
    uint64_t last_seq;  /* the last durable message; equals acked_seq when the spool is empty */
    bool is_adopted;    /* the numbers are final and `digest` is known */
    unsigned char digest[CHAIN_DIGEST_BYTES]; /* D(acked_seq) */
    char stream[SPOOL_NAME_MAX_BYTES + 1];    /* whose spool it is */
    char server[SPOOL_NAME_MAX_BYTES + 1];    /* who acknowledged last; "" for nobody yet */
};

/*
 * Opens or creates (mode 0600) the spool at `path` for the stream `stream`. NULL takes the stream
 * that an existing spool belongs to. Forces what is found to the disk. `vfs` is for tests, NULL
 * else. Errors: USAGE: it belongs to another stream, or is new and `stream` is NULL, or the name is
 * not 1 to 255 bytes. LOCAL_IO: another process has it; it is no spool, damaged, read-only, the
 * disk is full or failing. NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status spool_open(const char *path, const char *stream, const char *vfs,
                                struct spool **ret_spool, struct certpost_error *error);

/* Drops what is put and not committed, and what is acknowledged and not committed is sent to the
 * server's judgement again. NULL does nothing. */
void spool_close(struct spool *spool);

/* As of the last commit, acknowledgements included that spool_acked noted since. */
const struct spool_state *spool_state(const struct spool *spool);

/* Adds a message; not durable, and not to be got, until spool_commit. Errors: LOCAL_IO, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status spool_put(struct spool *spool, const void *bytes, size_t length,
                               struct certpost_error *error);

/*
 * Makes durable what was put, and lets go of what was acknowledged, in one transaction: put many,
 * commit once. Nothing to do costs nothing. Errors: LOCAL_IO, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status spool_commit(struct spool *spool, struct certpost_error *error);

/*
 * Takes the stream's state from the first WELCOME, durably: messages in the spool are numbered from
 * seq + 1 on. Errors: INTERNAL: it is adopted already, or something is put and not committed.
 * LOCAL_IO, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status spool_adopt(struct spool *spool, uint64_t seq,
                                 const unsigned char digest[CHAIN_DIGEST_BYTES], const char *server,
                                 struct certpost_error *error);

/*
 * The message with this number, acked_seq < seq <= last_seq. `*ret_bytes` lives until the next call
 * for this spool. Errors: INTERNAL: out of that range or not adopted. LOCAL_IO: the message is
 * missing (a damaged spool) or cannot be read. NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status spool_get(struct spool *spool, uint64_t seq, const void **ret_bytes,
                               size_t *ret_length, struct certpost_error *error);

/*
 * Notes that everything up to `seq` is acknowledged, with the digest that was compared; written by
 * the next spool_commit. To be forgotten by a crash before that is harmless: the next WELCOME says
 * it again. Call spool_commit at the end, and now and then. Errors: INTERNAL: `seq` is not within
 * acked_seq and last_seq.
 */
CERTPOST_MUST_CHECK
enum certpost_status spool_acked(struct spool *spool, uint64_t seq,
                                 const unsigned char digest[CHAIN_DIGEST_BYTES], const char *server,
                                 struct certpost_error *error);

#endif
