/* client/verify.h — the subcommand `certpost verify`. */
#ifndef CLIENT_VERIFY_H
#define CLIENT_VERIFY_H

/* Does what `argv` says, `argv[0]` being "verify"; returns the exit status of the process. */
int verify_command(int argc, char **argv);

#endif
