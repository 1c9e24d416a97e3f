/*
 * rights.c — from the rights that a start needs to those that serving needs (server/rights.h).
 *
 * Uses: process, sandbox, log.  Used by: server.c, main.c.
 * Never: leaves a step out because one before it failed.
 */
#include "server/rights.h"

#include "base/error.h"
#include "base/log.h"
#include "server/admin_socket.h"
#include "server/config_file.h"
#include "server/process.h"
#include "server/sandbox.h"

#include <stdlib.h>
#include <unistd.h>

/* What libc reads to count processors, which a reload does. */
#define RIGHTS_PROCESSORS_FOLDER "/sys/devices/system/cpu"
/* Sanitizers look here at the end. */
#define RIGHTS_PROCESSES_FOLDER "/proc"

#ifdef CERTPOST_SANITIZED
static const char *const rights_folders[] = {RIGHTS_PROCESSORS_FOLDER, RIGHTS_PROCESSES_FOLDER};
#else
static const char *const rights_folders[] = {RIGHTS_PROCESSORS_FOLDER};
#endif

static enum certpost_status rights_allow_list(struct sandbox *sandbox,
                                              const struct options_list *paths,
                                              struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; status == CERTPOST_OK && i < paths->count; i++)
        status = sandbox_allow_file(sandbox, paths->items[i], error);
    return status;
}

/* The configuration files, and those that may come to be in conf.d. */
static enum certpost_status rights_allow_configuration(struct sandbox *sandbox,
                                                       const struct server_config *config,
                                                       struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; status == CERTPOST_OK && i < config->files.count; i++)
        status = sandbox_allow_file(sandbox, config->files.items[i].path, error);
    if (status != CERTPOST_OK || config->config_path == NULL)
        return status;
    char *parts = config_parts_folder(config->config_path);
    if (parts == NULL)
        return error_no_memory(error);
    status = sandbox_allow_folder(sandbox, parts, error);
    free(parts);
    return status;
}

/* So that the end can remove the admin socket; but no other file for it, so only where there is
 * none. */
static enum certpost_status rights_allow_admin(struct sandbox *sandbox, const char *address,
                                               struct certpost_error *error)
{
    char folder[sizeof(struct sockaddr_un)];
    if (address == NULL || !admin_socket_own_folder(address, folder))
        return CERTPOST_OK;
    return sandbox_allow_removing(sandbox, folder, error);
}

/* Everything that a reload reads, and the store. */
static enum certpost_status rights_allow_files(struct sandbox *sandbox,
                                               const struct server_config *config,
                                               struct certpost_error *error)
{
    const struct options_list *lists[] = {&config->tls.certificates, &config->tls.keys,
                                          &config->tls.ocsp};
    const char *files[] = {config->tls.client_ca, config->tls.crl_file,
                           config->tls.passphrase_file};
    enum certpost_status status = rights_allow_configuration(sandbox, config, error);
    for (size_t i = 0; status == CERTPOST_OK && i < sizeof lists / sizeof lists[0]; i++)
        status = rights_allow_list(sandbox, lists[i], error);
    for (size_t i = 0; status == CERTPOST_OK && i < sizeof files / sizeof files[0]; i++) {
        if (files[i] != NULL)
            status = sandbox_allow_file(sandbox, files[i], error);
    }
    if (status == CERTPOST_OK && config->store != NULL)
        status = sandbox_allow_store(sandbox, config->store, error);
    if (status == CERTPOST_OK)
        status = rights_allow_admin(sandbox, config->admin, error);
    for (size_t i = 0;
         status == CERTPOST_OK && i < sizeof rights_folders / sizeof rights_folders[0]; i++)
        status = sandbox_allow_folder(sandbox, rights_folders[i], error);
    return status;
}

static void rights_log(const struct server_config *config, const struct sandbox_facts *facts)
{
    struct log_line line;
    log_begin(&line, facts->complete || !config->sandbox ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
              "sandbox");
    log_text(&line, "landlock", facts->landlock);
    log_text(&line, "seccomp", facts->seccomp);
    log_end(&line);
    if (geteuid() == 0)
        log_message(LOG_LEVEL_WARNING, "serving as root; --user NAME would give that up", NULL,
                    NULL);
}

/* A debugger, and whoever wants a server without a sandbox, needs the process as it is. */
static enum certpost_status rights_drop_without_sandbox(const struct server_config *config,
                                                        const struct process_user *user,
                                                        struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    if (config->user != NULL)
        status = process_become(user, error);
    if (status == CERTPOST_OK && config->user != NULL)
        status = process_drop_capabilities(error);
    if (status == CERTPOST_OK)
        status = process_keep_secrets(false, error);
    if (status == CERTPOST_OK)
        rights_log(config, &(struct sandbox_facts){.landlock = "off", .seccomp = "off"});
    return status;
}

/* The folders are opened before the user changes: the way to them may be closed to it. */
static enum certpost_status rights_enter_sandbox(const struct server_config *config,
                                                 const struct process_user *user,
                                                 struct sandbox *sandbox,
                                                 struct certpost_error *error)
{
    struct sandbox_facts facts;
    enum certpost_status status = rights_allow_files(sandbox, config, error);
    if (status == CERTPOST_OK && config->user != NULL)
        status = process_become(user, error);
    if (status == CERTPOST_OK)
        status = process_drop_capabilities(error);
    if (status == CERTPOST_OK)
        status = process_keep_secrets(true, error);
    if (status == CERTPOST_OK)
        status = sandbox_enter(sandbox, &facts, error);
    if (status == CERTPOST_OK)
        rights_log(config, &facts);
    return status;
}

enum certpost_status rights_drop(const struct server_config *config, struct certpost_error *error)
{
    struct process_user user = {0};
    struct sandbox *sandbox = NULL;
    enum certpost_status status = CERTPOST_OK;
    if (config->user != NULL)
        status = process_find_user(config->user, &user, error);
    if (status == CERTPOST_OK && !config->sandbox)
        return rights_drop_without_sandbox(config, &user, error);
    if (status == CERTPOST_OK)
        status = sandbox_new(&sandbox, error);
    if (status == CERTPOST_OK)
        status = rights_enter_sandbox(config, &user, sandbox, error);
    sandbox_free(sandbox);
    return status;
}

enum certpost_status rights_check(const struct server_config *config, struct certpost_error *error)
{
    struct process_user user;
    return config->user == NULL ? CERTPOST_OK : process_find_user(config->user, &user, error);
}
