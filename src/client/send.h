/* client/send.h — the subcommand `certpost send`. */
#ifndef CLIENT_SEND_H
#define CLIENT_SEND_H

/* Does what `argv` says, `argv[0]` being "send"; returns the exit status of the process. */
int send_command(int argc, char **argv);

#endif
