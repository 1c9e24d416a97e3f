/* client/commands.h — the subcommands of `certpost`, and the tables of their options. */
#ifndef CLIENT_COMMANDS_H
#define CLIENT_COMMANDS_H

#include "base/options.h"

struct client_command {
    const char *name; /* NULL ends the table */
    int (*run)(int argc, char **argv);
    const char *help;
    const struct options_spec *options; /* ended by a NULL name */
    const char *operands; /* words that may stand there, then FILE or HOST for any of these */
};

extern const struct client_command client_commands[];

/* Each is defined beside its parser. */
extern const struct options_spec send_specs[];
extern const struct options_spec check_specs[];
extern const struct options_spec read_specs[];
extern const struct options_spec verify_specs[];
extern const struct options_spec receipt_specs[];

#endif
