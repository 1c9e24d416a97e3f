/*
 * server/daemon.h — certpostd as a process: a server with signals, rights and standard output.
 */
#ifndef SERVER_DAEMON_H
#define SERVER_DAEMON_H

#include "server/state.h"

/*
 * Serves under `state`, which is taken over, until SIGINT or SIGTERM has come and all connections
 * have ended. Prints the addresses on standard output when it can serve. SIGHUP loads everything
 * anew from `source`. Errors, all before it serves: OWN_CERTIFICATE, USAGE, RESOLVE, SYSTEM,
 * LOCAL_IO (standard output), STORE, NO_MEMORY. Ends the process itself on a second signal, and
 * when a stuck standard output or disk keeps it from ending.
 */
CERTPOST_MUST_CHECK
enum certpost_status daemon_run(struct server_state *state, const struct config_source *source,
                                struct certpost_error *error);

#endif
