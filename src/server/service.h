/*
 * server/service.h — certpostd under a service manager: readiness, reload and end, a line about its
 * state, and the watchdog (sd_notify(3), sd_watchdog_enabled(3)).
 *
 * The watchdog is fed only after every worker and the writer have answered: a server of which one
 * thread stands still is then ended and started again by the manager.
 *
 * A manager that cannot be reached is a warning in the log and no more: whoever waits for READY=1
 * and does not get it says so, and a variable that was left over from somebody else must not keep a
 * server from serving.
 *
 * Threads: the server's own. The functions take NULL, and do nothing then.
 */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include "server/server.h"

struct service;

/*
 * Opens what NOTIFY_SOCKET names, and reads WATCHDOG_USEC and WATCHDOG_PID. After server_new, and
 * before server_set_up, whose sandbox leaves no way to a new socket. `server` is borrowed. Errors:
 * NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status service_new(struct server *server, struct service **ret_service,
                                 struct certpost_error *error);

/* After server_free, which closes what was added to the loop. */
void service_free(struct service *service);

/* The store is opened next, if there is one: what a start that takes long takes long for. */
void service_opening(struct service *service);

/* Everything listens, and the store is open: says so, and begins to feed the watchdog. */
void service_start(struct service *service);

/* Around a reload. */
void service_reloading(struct service *service);
void service_reloaded(struct service *service, bool succeeded);

/* The end has begun, and takes no longer than this. */
void service_stopping(struct service *service, int64_t timeout_ms);

#endif
