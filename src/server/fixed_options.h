/*
 * server/fixed_options.h — the options that a running server cannot change, as it was started with
 * them, whatever the configurations since have said.
 *
 * A copy of its own: the configuration itself goes with the first reload, and the keys beside it
 * have to.
 */
#ifndef SERVER_FIXED_OPTIONS_H
#define SERVER_FIXED_OPTIONS_H

#include "server/config.h"

struct fixed_options;

/* Copies them out of a configuration. Free with fixed_options_free. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status fixed_options_new(const struct server_config *config,
                                       struct fixed_options **ret_options,
                                       struct certpost_error *error);

/* NULL does nothing. */
void fixed_options_free(struct fixed_options *options);

/* Walks the names of those that differ: `*position` starts as 0; NULL at the end. */
const char *fixed_options_next_difference(const struct fixed_options *one,
                                          const struct fixed_options *other, size_t *position);

#endif
