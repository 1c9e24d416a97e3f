/*
 * server/process.h — what the process is and may: its user, its capabilities, its secrets.
 *
 * All of it is for the main thread, before any other thread starts, and cannot be undone.
 */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include "certpost/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct process_user {
    const char *name; /* the one that was asked for, borrowed */
    uid_t uid;
    gid_t gid;
};

/*
 * Looks up the user to become. Errors: USAGE when there is no such user, when it is root, or when
 * the process is neither root nor that user already; SYSTEM when the lookup fails.
 */
CERTPOST_MUST_CHECK
enum certpost_status process_find_user(const char *name, struct process_user *ret_user,
                                       struct certpost_error *error);

/*
 * Becomes the user, with its groups and nobody else's, and makes sure that there is no way back.
 * Descriptors stay open. Errors: SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status process_become(const struct process_user *user, struct certpost_error *error);

/* Gives up all capabilities, those of a root process too. Errors: SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status process_drop_capabilities(struct certpost_error *error);

/*
 * No program that the process could run gets more rights than it has, and keys do not end up in
 * core dumps. With `closed`, other processes of the same user cannot look into its memory either
 * (root can), nor attach a debugger. Errors: SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status process_keep_secrets(bool closed, struct certpost_error *error);

#endif
