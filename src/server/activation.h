/*
 * server/activation.h — sockets that the service manager has opened for the process
 * (sd_listen_fds(3)): LISTEN_FDS of them, from descriptor 3 on, with the names in LISTEN_FDNAMES,
 * for the process LISTEN_PID.
 *
 * Threads: the main thread, before others start.
 */
#ifndef SERVER_ACTIVATION_H
#define SERVER_ACTIVATION_H

#include "net/listener.h"

#include "certpost/error.h"

#include <stdbool.h>

struct activation;

/*
 * The NAME of an address `systemd:NAME`, which stands for all sockets of that name; NULL for any
 * other address. The name may be empty or too long: activation_is_name says.
 */
const char *activation_name(const char *address);

/* 1 to 255 printable characters of ASCII without a colon, as FileDescriptorName= has them. */
CERTPOST_MUST_CHECK
bool activation_is_name(const char *name);

/*
 * Finds out what was passed. Nothing, and what was
 * passed to another process, is no error yet. Errors: USAGE: the variables do not fit together;
 * NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status activation_new(struct activation **ret_activation,
                                    struct certpost_error *error);

/* Closes what was listened on; listeners have descriptors of their own. NULL does nothing. */
void activation_free(struct activation *activation);

/*
 * Listens on all sockets of this name. A NULL activation has none: that of a server inside another
 * program. Errors, with words that say what there is: USAGE: no such name, or taken already; not a
 * TCP socket that listens. SYSTEM, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status activation_listen(struct activation *activation, const char *name,
                                       size_t worker_count, struct net_listeners *listeners,
                                       struct certpost_error *error);

/* Clients of a socket that nobody takes would wait for ever. Errors: USAGE: there is one. */
CERTPOST_MUST_CHECK
enum certpost_status activation_check_taken(const struct activation *activation,
                                            struct certpost_error *error);

#endif
