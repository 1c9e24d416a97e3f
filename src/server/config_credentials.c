/*
 * config_credentials.c — files that the service manager keeps: credential:NAME in place of a path
 * (server/config.h).
 *
 * Uses: base, the environment.  Used by: config.c.
 * Never: opens a file; who reads the path finds out whether it is there.
 *
 * A service manager puts the credentials of a service (systemd.exec(5), LoadCredential=) into a
 * folder that only this service can read, and names it in CREDENTIALS_DIRECTORY. Its path is known
 * at the start alone, so a configuration file could not name it.
 */
#include "base/error.h"
#include "base/text.h"
#include "server/config.h"

#include <stdlib.h>
#include <string.h>

#define CREDENTIAL_PREFIX "credential:"

/* The longest name of a file. */
enum { CREDENTIAL_NAME_MAX_BYTES = 255 };

static bool credential_is_meant(const char *value)
{
    return value != NULL && strncmp(value, CREDENTIAL_PREFIX, strlen(CREDENTIAL_PREFIX)) == 0;
}

/* One file of the folder, and none outside of it. */
static bool credential_is_name(const char *name)
{
    return name[0] != '\0' && strlen(name) <= CREDENTIAL_NAME_MAX_BYTES &&
           strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum certpost_status credential_keep(struct server_config *config, char *path,
                                            struct certpost_error *error)
{
    char **paths = reallocarray(config->credentials, config->credential_count + 1,
                                sizeof *config->credentials);
    if (paths == NULL) {
        free(path);
        return error_no_memory(error);
    }
    config->credentials = paths;
    paths[config->credential_count++] = path;
    return CERTPOST_OK;
}

static enum certpost_status credential_resolve(struct server_config *config, const char *option,
                                               const char **value, struct certpost_error *error)
{
    char safe[128];
    char *path = NULL;
    if (!credential_is_meant(*value))
        return CERTPOST_OK;
    const char *name = *value + strlen(CREDENTIAL_PREFIX);
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    text_escape(*value, strlen(*value), safe, sizeof safe);
    if (!credential_is_name(name))
        return error_set(error, CERTPOST_USAGE,
                         "--%s: %s: a credential's name is that of a file, without a folder",
                         option, safe);
    if (folder == NULL || folder[0] != '/')
        return error_set(error, CERTPOST_USAGE,
                         "--%s: %s: there are no credentials; a service manager gives them "
                         "(LoadCredential=) and sets CREDENTIALS_DIRECTORY",
                         option, safe);
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return error_no_memory(error);
    *value = path;
    return credential_keep(config, path, error);
}

static enum certpost_status credential_resolve_list(struct server_config *config,
                                                    const char *option, struct options_list *list,
                                                    struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < list->count && status == CERTPOST_OK; i++)
        status = credential_resolve(config, option, &list->items[i], error);
    return status;
}

enum certpost_status config_resolve_credentials(struct server_config *config,
                                                struct certpost_error *error)
{
    struct {
        const char *option;
        struct options_list *list;
    } lists[] = {{"cert", &config->tls.certificates},
                 {"key", &config->tls.keys},
                 {"ocsp-file", &config->tls.ocsp}};
    struct {
        const char *option;
        const char **value;
    } files[] = {{"client-ca", &config->tls.client_ca},
                 {"crlfile", &config->tls.crl_file},
                 {"passphrase-file", &config->tls.passphrase_file}};
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && status == CERTPOST_OK; i++)
        status = credential_resolve_list(config, lists[i].option, lists[i].list, error);
    for (size_t i = 0; i < sizeof files / sizeof files[0] && status == CERTPOST_OK; i++)
        status = credential_resolve(config, files[i].option, files[i].value, error);
    return status;
}

void config_free_credentials(struct server_config *config)
{
    for (size_t i = 0; i < config->credential_count; i++)
        free(config->credentials[i]);
    free(config->credentials);
    config->credentials = NULL;
    config->credential_count = 0;
}
