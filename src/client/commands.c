/*
 * commands.c — the subcommands of `certpost` (client/commands.h).
 *
 * Uses: the subcommands.  Used by: main.c, and the program that writes the shells' completions.
 * Never: does work of its own.
 */
#include "client/commands.h"

#include "client/check.h"
#include "client/read.h"
#include "client/receipt_command.h"
#include "client/send.h"
#include "client/verify.h"

const struct client_command client_commands[] = {
    {"send", send_command, "send messages and wait for their acknowledgements", send_specs, "HOST"},
    {"check", check_command, "tell what holds between here and a server, and what not", check_specs,
     "HOST"},
    {"read", read_command, "print the messages of a store", read_specs, "FILE"},
    {"verify", verify_command, "check a store against its digests", verify_specs, "FILE"},
    {"receipt", receipt_command, "check or print a server's signed receipt", receipt_specs,
     "verify show FILE"},
    {NULL, NULL, NULL, NULL, NULL},
};
