/* client/read.h — the subcommand `certpost read`. */
#ifndef CLIENT_READ_H
#define CLIENT_READ_H

/* Does what `argv` says, `argv[0]` being "read"; returns the exit status of the process. */
int read_command(int argc, char **argv);

#endif
