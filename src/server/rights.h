/*
 * server/rights.h — gives up every right that a running server does not need.
 */
#ifndef SERVER_RIGHTS_H
#define SERVER_RIGHTS_H

#include "server/config.h"

/*
 * Becomes the configured user, drops capabilities, forbids core dumps and enters the sandbox, as
 * the configuration says, and logs what is in force. Everything that needs more has to be open:
 * sockets, keys, standard streams. Main thread, before any other thread starts; cannot be undone.
 * Errors: USAGE (the user), SYSTEM, NO_MEMORY; the process may then have some of its rights left,
 * and must end.
 */
CERTPOST_MUST_CHECK
enum certpost_status rights_drop(const struct server_config *config, struct certpost_error *error);

/* Whether the user to become is known and can be had, for --test-config. Errors: USAGE, SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status rights_check(const struct server_config *config, struct certpost_error *error);

#endif
