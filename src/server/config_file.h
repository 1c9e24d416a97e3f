/*
 * server/config_file.h — configuration files: reading them, their lines, their sections; and the
 * notes of what was set where.
 *
 * A file is lines. White space around a line is dropped, and a CR at its end. A line is empty, a
 * comment (# or ; first), `key = value`, or a section: `[NAME]` or `[listener NAME]`. The value
 * goes to the end of its line, so it may hold # and =. A key stands before all sections, in its
 * group's section, or, if it is a listener's too, in a listener's. A section ends where the next
 * begins, or the file; it may come again, but for a listener's.
 */
#ifndef SERVER_CONFIG_FILE_H
#define SERVER_CONFIG_FILE_H

#include "server/config.h"

/* Longer lines are a file that is no configuration. */
enum { CONFIG_LINE_MAX_BYTES = 64 * 1024 };

/* A configuration that lists a hundred thousand names stays below. Of all files together. */
enum { CONFIG_FILES_MAX_BYTES = 32 * 1024 * 1024 };

/* In conf.d. */
enum { CONFIG_PARTS_MAX = 256 };

/*
 * Reads the file, then the files `*.conf` of the folder conf.d beside it, if there is one, in the
 * byte order of their names; names that begin with a dot are left out. Sets what they say. Errors:
 * USAGE, with file and line; LOCAL_IO: a file or the folder cannot be read; NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status config_files_apply(struct server_config *config, const char *path,
                                        struct certpost_error *error);

/* The folder conf.d beside a file; to be freed. NULL: no memory. */
char *config_parts_folder(const char *path);

void config_files_free(struct config_files *files);

/* config_text.c: sets what the text of the last file of `config` says. Errors: USAGE, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status config_text_apply(struct server_config *config, struct certpost_error *error);

/* --- config_entries.c --- */

/* Sets an option and takes a note of it. Errors: those of setting it; NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status config_entries_set(struct server_config *config,
                                        const struct config_entry *entry,
                                        struct certpost_error *error);

/* The last note about an option of the server (0) or of one listener; NULL: there is none. */
const struct config_entry *config_entries_find(const struct config_entries *entries,
                                               const struct options_spec *spec, size_t listener);

/* The last note about another option of the server that sets the same field, as print and no-print
 * do; NULL: there is none. */
const struct config_entry *config_entries_find_twin(const struct config_entries *entries,
                                                    const struct options_spec *spec);
void config_entries_free(struct config_entries *entries);

/* --- config_listeners.c --- */

/* The option as one listener has it, for a `struct config_listener`; false: it has not. */
bool config_listener_spec(const struct options_spec *spec, struct options_spec *ret_own);

/* A section [listener NAME]. Errors: USAGE: the name, or there is one; NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status config_listeners_add(struct config_listeners *listeners, const char *name,
                                          const struct config_place *place,
                                          struct certpost_error *error);

/* What a listener does not say itself is what the server says. Errors: USAGE, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status config_listeners_complete(struct server_config *config,
                                               struct certpost_error *error);

/*
 * config_addresses.c: no two of the addresses to listen on and the admin endpoint's are one, as far
 * as that can be told without looking up a name. Errors: USAGE, with words that name both.
 */
CERTPOST_MUST_CHECK
enum certpost_status config_check_addresses(const struct server_config *config,
                                            struct certpost_error *error);

void config_listeners_free(struct config_listeners *listeners);

#endif
