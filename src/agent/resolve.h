/* agent/resolve.h — names to addresses, without waiting for them unless that is wanted. */
#ifndef AGENT_RESOLVE_H
#define AGENT_RESOLVE_H

#include "certpost/error.h"

#include <netdb.h>
#include <stdint.h>

/* One look-up that is under way in a thread of its own. */
struct resolve_job;

/*
 * Begins to look `host` up. Ends with resolve_finish or resolve_abandon. Errors: NO_MEMORY; SYSTEM:
 * no descriptor or thread is to be had.
 */
CERTPOST_MUST_CHECK
enum certpost_status resolve_begin(const char *host, uint16_t port, struct resolve_job **ret_job,
                                   struct certpost_error *error);

/* Becomes readable (poll(2)) when the look-up is done. Stays the job's. */
int resolve_descriptor(const struct resolve_job *job);

/*
 * The stream addresses of the host, in the order in which they should be tried (RFC 6724). The list
 * is the caller's: freeaddrinfo. WANT_READ: not done yet, the job goes on. After OK and every error
 * (RESOLVE, NO_MEMORY) the job is gone.
 */
CERTPOST_MUST_CHECK
enum certpost_status resolve_finish(struct resolve_job *job, struct addrinfo **ret_addresses,
                                    struct certpost_error *error);

/*
 * Lets go of the job. A look-up that is not done goes on in its own thread until the system's
 * resolver gives up, and cleans up after itself. NULL does nothing.
 */
void resolve_abandon(struct resolve_job *job);

/* Records that the time for looking `host` up has passed; returns TIMEOUT. */
enum certpost_status resolve_timed_out(const char *host, struct certpost_error *error);

/* The same for an address in figures: no look-up, no thread. RESOLVE when it is none. */
CERTPOST_MUST_CHECK
enum certpost_status resolve_figures(const char *host, uint16_t port,
                                     struct addrinfo **ret_addresses);

/*
 * All of this in one call that waits. Errors: RESOLVE, TIMEOUT, NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status resolve_host(const char *host, uint16_t port, int64_t deadline_ms,
                                  struct addrinfo **ret_addresses, struct certpost_error *error);

#endif
