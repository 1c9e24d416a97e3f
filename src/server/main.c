/*
 * main.c — the program certpostd: command line in, exit status out.
 *
 * Uses: server/config, server/daemon, server/expiry, server/admin_socket.  Never: anything that a
 * test would want to call.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "server/admin_socket.h"
#include "server/daemon.h"
#include "server/open_store.h"
#include "server/rights.h"
#include "server/server.h"

#include "certpost/version.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static enum certpost_status main_print(const char *text, struct certpost_error *error)
{
    if (fputs(text, stdout) == EOF || fflush(stdout) != 0)
        return error_set_errno(error, CERTPOST_LOCAL_IO, errno, "cannot write to standard output");
    return CERTPOST_OK;
}

static enum certpost_status main_print_config(const struct server_config *config,
                                              struct certpost_error *error)
{
    enum certpost_status status = config_print(config, stdout, error);
    return status == CERTPOST_OK ? main_print("", error) : status;
}

/* What a start would refuse beyond the files: the context that each worker makes of them. */
static enum certpost_status main_test(struct server_state *state, struct certpost_error *error)
{
    struct worker_state *view = NULL;
    enum certpost_status status = worker_state_new(state, &view, error);
    worker_state_release(view);
    if (status == CERTPOST_OK)
        status = rights_check(&state->config, error);
    if (status == CERTPOST_OK)
        status = open_store_check(&state->config, error);
    if (status == CERTPOST_OK && state->config.admin != NULL)
        status = admin_socket_check(state->config.admin, error);
    if (status != CERTPOST_OK)
        return status;
    server_apply_log(&state->config);
    expiry_log(state, clock_wall_ms() / 1000);
    if (!state->config.print_config)
        return main_print("The configuration is good.\n", error);
    status = main_print("# The configuration is good.\n", error);
    return status == CERTPOST_OK ? main_print_config(&state->config, error) : status;
}

static enum certpost_status main_show(const struct server_config *config,
                                      struct certpost_error *error)
{
    if (config->action == CONFIG_PRINT)
        return main_print_config(config, error);
    if (config->action == CONFIG_SHOW_VERSION)
        return main_print("certpostd " CERTPOST_VERSION "\n", error);
    config_print_help(stdout);
    return main_print("", error);
}

/*
 * A socket that gets the number of a standard stream which is closed would be sent what is meant
 * for that stream, and libuv aborts when it has to close one. The stand-in fails every use.
 */
static enum certpost_status main_fill_standard_streams(struct certpost_error *error)
{
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
        if (fcntl(stream, F_GETFD) != -1)
            continue;
        int opened = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        if (opened != stream)
            return error_set_errno(error, CERTPOST_LOCAL_IO, errno, "cannot open /dev/null");
    }
    return CERTPOST_OK;
}

static void main_complain(const char *text)
{
    fprintf(stderr, "%scertpostd: %s\n", log_is_journal(STDERR_FILENO) ? "<3>" : "", text);
}

/*
 * A SIGHUP that comes before the server can reload would end it. It waits, and then reloads: what
 * it announces may have been changed after it was read here.
 */
static void main_hold_reload(void)
{
    sigset_t held;
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &held, NULL);
}

int main(int argc, char **argv)
{
    const struct config_source source = {.argc = argc, .argv = argv};
    struct server_state *state = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    main_hold_reload();
    store_prepare_process();
    enum certpost_status status = main_fill_standard_streams(&error);
    if (status == CERTPOST_OK)
        status = state_load(&source, &state, &error);
    if (status == CERTPOST_OK && state->config.action != CONFIG_RUN)
        status = main_show(&state->config, &error);
    else if (status == CERTPOST_OK && state->config.test_only)
        status = main_test(state, &error);
    else if (status == CERTPOST_OK)
        status = daemon_run(state_hold(state), &source, &error);
    state_release(state);
    if (status != CERTPOST_OK)
        main_complain(certpost_error_text(&error, status));
    return main_exit_status(status);
}
