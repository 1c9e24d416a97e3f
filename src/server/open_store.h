/*
 * server/open_store.h — the store that the configuration names.
 */
#ifndef SERVER_OPEN_STORE_H
#define SERVER_OPEN_STORE_H

#include "server/config.h"
#include "store/store.h"

/* What an acknowledgement of this server will mean. */
enum store_level open_store_level(const struct server_config *config);

/*
 * Opens the store on disk, or without one the memory store, which only remembers how far each
 * stream came. After rights_drop: what can be opened with the rights that are left can also be
 * recovered with them. Errors: as store_open_sqlite.
 */
CERTPOST_MUST_CHECK
enum certpost_status open_store(const struct server_config *config, struct store **ret_store,
                                struct certpost_error *error);

/*
 * What can be said of the store without touching it, for --test-config: its folder is there, and so
 * on. Errors: STORE.
 */
CERTPOST_MUST_CHECK
enum certpost_status open_store_check(const struct server_config *config,
                                      struct certpost_error *error);

#endif
