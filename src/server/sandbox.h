/*
 * server/sandbox.h — what the process can reach once it serves: Landlock for files and networks,
 * seccomp for system calls.
 *
 * Made for one purpose: code that an attacker got to run inside the server finds no file but those
 * below the named folders, no connection outwards and no other program. A kernel without one of the
 * two is no error; the facts say what is in force.
 *
 * Main thread, before any other thread starts: Landlock binds the calling thread and those that it
 * starts later.
 */
#ifndef SERVER_SANDBOX_H
#define SERVER_SANDBOX_H

#include "certpost/error.h"

#include <stdbool.h>

struct sandbox;

/* What is in force, for the log: "abi7", "yes", or "no: " and why. */
enum { SANDBOX_FACT_BYTES = 64 };

struct sandbox_facts {
    bool complete; /* both are in force */
    char landlock[SANDBOX_FACT_BYTES];
    char seccomp[SANDBOX_FACT_BYTES];
};

/* A sandbox in which no file can be opened. Errors: SYSTEM, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status sandbox_new(struct sandbox **ret_sandbox, struct certpost_error *error);
void sandbox_free(struct sandbox *sandbox);

/*
 * Lets `path` be read also after it was replaced: everything in its folder and, if it is a symbolic
 * link, in its target's folder. A file that lies directly in / is allowed alone. What is not there
 * or out of reach is passed over: it cannot be read later either. Errors: SYSTEM, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status sandbox_allow_file(struct sandbox *sandbox, const char *path,
                                        struct certpost_error *error);

/* The same for everything in a folder. */
CERTPOST_MUST_CHECK
enum certpost_status sandbox_allow_folder(struct sandbox *sandbox, const char *path,
                                          struct certpost_error *error);

/*
 * Lets files in the folder of `path`, and if it is a symbolic link also of its target, be made,
 * written and removed. Errors: SYSTEM, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status sandbox_allow_store(struct sandbox *sandbox, const char *path,
                                         struct certpost_error *error);

/* Lets files in a folder be removed, and nothing more. Errors: SYSTEM, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status sandbox_allow_removing(struct sandbox *sandbox, const char *folder,
                                            struct certpost_error *error);

/* Enters, for good. process_keep_secrets comes before it. Errors: SYSTEM, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status sandbox_enter(struct sandbox *sandbox, struct sandbox_facts *ret_facts,
                                   struct certpost_error *error);

/*
 * sandbox_filter.c: the seccomp half, for all threads. `fact` gets what is in force, as above;
 * `ret_in_force` whether it is. Errors: SYSTEM, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status sandbox_filter_calls(char fact[SANDBOX_FACT_BYTES], bool *ret_in_force,
                                          struct certpost_error *error);

#endif
