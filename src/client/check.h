/* client/check.h — `certpost check`: what holds between this machine and a server, and what not. */
#ifndef CLIENT_CHECK_H
#define CLIENT_CHECK_H

/* Runs the subcommand, `argv[0]` being "check"; returns the exit status. */
int check_command(int argc, char **argv);

#endif
