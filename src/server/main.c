/*
 * main.c — the program certpostd: command line in, exit status out.
 *
 * Uses: server/config, server/server.  Never: anything that a test would want to call.
 */
#include "server/server.h"

#include "certpost/version.h"

#include <stdio.h>
#include <stdlib.h>

/* The numbers of certpost(1), where a failure means the same; 71 and 70 are sysexits.h's. */
static int main_exit_status(enum certpost_status status)
{
    switch (status) {
    case CERTPOST_OK:
        return EXIT_SUCCESS;
    case CERTPOST_USAGE:
        return 2;
    case CERTPOST_RESOLVE:
        return 6;
    case CERTPOST_OWN_CERTIFICATE:
        return 58;
    case CERTPOST_LOCAL_IO:
    case CERTPOST_STORE:
        return 74;
    case CERTPOST_CA_FILE:
        return 77;
    case CERTPOST_SYSTEM:
    case CERTPOST_NO_MEMORY:
        return 71;
    default:
        return 70;
    }
}

int main(int argc, char **argv)
{
    struct server_config config;
    struct certpost_error error;
    enum config_action action = CONFIG_RUN;
    certpost_error_clear(&error);
    enum certpost_status status = config_from_arguments(argc, argv, &config, &action, &error);
    if (status == CERTPOST_OK && action == CONFIG_SHOW_HELP) {
        config_print_help(stdout);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : main_exit_status(CERTPOST_LOCAL_IO);
    }
    if (status == CERTPOST_OK && action == CONFIG_SHOW_VERSION) {
        printf("certpostd %s\n", CERTPOST_VERSION);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : main_exit_status(CERTPOST_LOCAL_IO);
    }
    if (status == CERTPOST_OK)
        status = server_run(&config, &error);
    if (status != CERTPOST_OK)
        fprintf(stderr, "certpostd: %s\n", certpost_error_text(&error, status));
    return main_exit_status(status);
}
