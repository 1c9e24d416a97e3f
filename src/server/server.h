/*
 * server/server.h — certpostd as a whole: start, serve, stop.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "server/state.h"

/*
 * Serves under `state`, which is taken over, until SIGINT or SIGTERM has come and all connections
 * have ended. Prints the addresses on standard output when it can serve. SIGHUP loads everything
 * anew from the same arguments. Errors, all before it serves: OWN_CERTIFICATE, USAGE, RESOLVE,
 * SYSTEM, LOCAL_IO (standard output), NO_MEMORY. Ends the process itself on a second signal, and
 * when a stuck standard output keeps it from ending.
 */
CERTPOST_MUST_CHECK
enum certpost_status server_run(struct server_state *state, int argc, char **argv,
                                struct certpost_error *error);

#endif
