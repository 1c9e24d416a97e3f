/* client/receipt_command.h — the subcommand `certpost receipt`. */
#ifndef CLIENT_RECEIPT_COMMAND_H
#define CLIENT_RECEIPT_COMMAND_H

/* Does what `argv` says, `argv[0]` being "receipt"; returns the exit status of the process. */
int receipt_command(int argc, char **argv);

#endif
