/*
 * base/committed.h — the proof that messages are safe.
 *
 * Only whoever made messages safe makes values of this type: a store (store_committed,
 * store/store.h) after COMMIT has returned success, or, where no store is configured, the writer
 * after it has handed the messages on (level `accepted`). Everybody else receives, copies and keeps
 * them and never fills one in: "no acknowledgement before durable" is then a matter of types. A
 * test that needs one without a store says so by building it in its own support code.
 */
#ifndef BASE_COMMITTED_H
#define BASE_COMMITTED_H

#include <stdint.h>

/* Length of a digest of the chain (base/chain.h). */
#define CHAIN_DIGEST_BYTES 32

/* All messages of a stream up to and including `seq` are safe; 0: none was sent yet. */
struct committed {
    uint64_t seq;
    unsigned char digest[CHAIN_DIGEST_BYTES]; /* D(seq) */
};

#endif
