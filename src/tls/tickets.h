/*
 * tls/tickets.h — the keys of session tickets (RFC 8446, section 4.6.1; RFC 5077).
 *
 * One set of keys serves every worker, and outlives every reload, so that a session resumes
 * wherever the kernel puts the next connection. With a ticket lifetime L:
 *
 *   age of a key   0 … L/2             L/2 … L                 L
 *   it             seals and opens     only opens (its         is wiped
 *                  tickets             tickets are renewed)
 *
 * So a ticket is good for at least L/2 and at most L, and a key that is stolen opens what was
 * sealed within one L and nothing before it. A ticket is sealed with AES-256-CBC and HMAC-SHA-256,
 * both keys from the system's random numbers; keys never leave the process.
 *
 * Threads: any; a read-write lock is taken for each ticket that is sealed or opened, which is a
 * few times in the life of a certpost/1 connection and never in a plain one.
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stdint.h>

struct tls_ticket_keys;

/* A monotonic clock in milliseconds, such as clock_monotonic_ms. */
typedef int64_t (*tls_tickets_clock)(void);

/* `lifetime_ms` is at least 1. Errors: NO_MEMORY, SYSTEM (no random numbers). */
CERTPOST_MUST_CHECK
enum certpost_status tls_ticket_keys_new(int64_t lifetime_ms, tls_tickets_clock clock,
                                         struct tls_ticket_keys **ret_keys,
                                         struct certpost_error *error);

/* Wipes the keys. Every context that they were enabled for must be gone. */
void tls_ticket_keys_free(struct tls_ticket_keys *keys);

/* From now on keys live so long, those that there are too. */
void tls_ticket_keys_set_lifetime(struct tls_ticket_keys *keys, int64_t lifetime_ms);

/*
 * Wipes what has expired and makes a new key if one is due. Sealing does it too; to be called now
 * and then, so that a server that seals nothing keeps no old key either.
 */
void tls_ticket_keys_rotate(struct tls_ticket_keys *keys);

/*
 * Lets the connections of `context` seal and open tickets with `keys`, which must outlive it.
 * Clients are told the lifetime, and a session that is older does not resume whatever its key.
 * Whether a connection gets any is for SSL_OP_NO_TICKET and SSL_set_num_tickets to say. Errors:
 * NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_tickets_enable(SSL_CTX *context, struct tls_ticket_keys *keys,
                                        int64_t lifetime_ms, struct certpost_error *error);

#endif
