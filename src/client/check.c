/*
 * check.c — the subcommand `certpost check` (client/check.h).
 *
 * Uses: the check_* modules.  Used by: main.c.
 * Never: looks at anything itself.
 */
#include "client/check.h"

#include "base/error.h"
#include "client/check_scene.h"
#include "client/exit_status.h"
#include "client/output.h"

#include <stdlib.h>
#include <unistd.h>

void check_scene_free(struct check_scene *scene)
{
    if (scene->addresses != NULL)
        freeaddrinfo(scene->addresses);
    if (scene->socket_fd >= 0)
        close(scene->socket_fd);
    X509_free(scene->certificate);
    SSL_CTX_free(scene->context);
    if (scene->keylog != NULL)
        fclose(scene->keylog);
    *scene = (struct check_scene){.socket_fd = -1};
}

const char *check_expected_name(const struct check_scene *scene)
{
    const struct agent_config *config = &scene->options->config;
    return config->server_name != NULL ? config->server_name : config->servers[0].host;
}

static void check_look(const struct check_options *options, struct check_report *report)
{
    struct check_scene scene = {.options = options, .report = report, .socket_fd = -1};
    snprintf(report->facts.server_name, sizeof report->facts.server_name, "%s",
             check_expected_name(&scene));
    check_local(&scene);
    if (check_network(&scene)) {
        check_tls(&scene);
        check_others(&scene);
    }
    check_scene_free(&scene);
}

static enum certpost_status check_run(const struct check_options *options,
                                      struct certpost_error *error)
{
    struct check_report *report = NULL;
    enum certpost_status status = check_report_new(options, &report, error);
    if (status != CERTPOST_OK)
        return status;
    check_look(options, report);
    if (options->json)
        check_print_json(report);
    status = check_verdict(report);
    free(report);
    /* What was found out counts for more than that it could not be shown. */
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status printed = output_finish(&cause);
    if (printed != CERTPOST_OK)
        output_note("%s", certpost_error_text(&cause, printed));
    return status == CERTPOST_OK ? printed : status;
}

int check_command(int argc, char **argv)
{
    struct check_options options;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = check_options_parse(argc, argv, &options, &error);
    bool runs = status == CERTPOST_OK && !options.help && !options.version;
    if (runs)
        status = check_run(&options, &error);
    else if (status == CERTPOST_OK)
        status = output_about(options.help, check_options_print_help, &error);
    if (error.status != CERTPOST_OK)
        output_note("%s", certpost_error_text(&error, status));
    check_options_free(&options);
    return (int)exit_status_of(status);
}
