/* server/admin_routes.h — what the admin endpoint of a server shows. */
#ifndef SERVER_ADMIN_ROUTES_H
#define SERVER_ADMIN_ROUTES_H

#include "server/admin.h"

/* For admin_open; its context is the struct server. */
extern const struct admin_route admin_routes[];

#endif
