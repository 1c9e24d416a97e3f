/*
 * base/committed.h — the proof that a message is safe.
 *
 * An acknowledgement can be built only from a value of this type, and only whoever made a message
 * safe may build one: the store after COMMIT has returned success, or, where no store is
 * configured, the writer after it has handed the message on (level `accepted`). "No acknowledgement
 * before durable" is then a matter of types, and of one search for the initialiser.
 */
#ifndef BASE_COMMITTED_H
#define BASE_COMMITTED_H

#include <stdint.h>

enum { COMMITTED_DIGEST_BYTES = 32 };

struct committed {
    uint64_t seq;                                 /* every message of the stream up to this one */
    unsigned char digest[COMMITTED_DIGEST_BYTES]; /* D(seq); zeros at level `accepted` in plain */
};

#endif
