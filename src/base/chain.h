/*
 * base/chain.h — the digest chain over a stream, which both sides compute and the store audits.
 *
 *   D(0) = SHA-256("certpost/1" 0x00 identity 0x00 name)
 *   D(n) = SHA-256(D(n-1) || u32 length of message n, big-endian || message n)
 *
 * D(n) depends on every byte, the length and the place of each message up to n, so two sides that
 * agree on D(n) agree on the whole stream.
 *
 * A `struct chain` is a worktable, not a chain: it holds no stream's state, and one serves any
 * number of streams. Threads: one thread at a time per struct.
 */
#ifndef BASE_CHAIN_H
#define BASE_CHAIN_H

#include "base/committed.h"

#include "certpost/error.h"

#include <stddef.h>

struct chain;

/*
 * Makes a worktable; the caller frees it with chain_free (NULL does nothing).
 * Errors: NO_MEMORY; SYSTEM when OpenSSL has no SHA-256 to give (a broken installation).
 */
CERTPOST_MUST_CHECK
enum certpost_status chain_new(struct chain **ret_chain, struct certpost_error *error);
void chain_free(struct chain *chain);

/*
 * D(0) of a stream. Identity and name are length-counted bytes; NULL with length 0 is empty.
 * Errors: SYSTEM, when OpenSSL fails.
 */
CERTPOST_MUST_CHECK
enum certpost_status chain_first(struct chain *chain, const void *identity, size_t identity_length,
                                 const void *name, size_t name_length,
                                 unsigned char ret_digest[CHAIN_DIGEST_BYTES]);

/*
 * D(n) from D(n-1) and message n. `previous` and `ret_digest` may be the same array.
 * Errors: LIMIT when the message's length does not fit in 32 bits; SYSTEM, when OpenSSL fails.
 */
CERTPOST_MUST_CHECK
enum certpost_status chain_next(struct chain *chain,
                                const unsigned char previous[CHAIN_DIGEST_BYTES],
                                const void *message, size_t length,
                                unsigned char ret_digest[CHAIN_DIGEST_BYTES]);

#endif
