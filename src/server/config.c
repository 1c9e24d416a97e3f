/*
 * config.c — defaults, configuration files and command line into one configuration
 * (server/config.h).
 *
 * Uses: base/options, config_file.  Used by: main.c, server.c (reload).
 * Never: opens a file but the configuration files.
 */
#include "server/config.h"

#include "base/error.h"
#include "base/text.h"
#include "server/config_file.h"

#include <string.h>
#include <unistd.h>

static size_t config_core_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores < 1)
        return 1;
    return cores > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : (size_t)cores;
}

/* What the table cannot say; all other defaults stand there. */
enum certpost_status config_set_defaults(struct server_config *config, struct certpost_error *error)
{
    *config = (struct server_config){
        .worker_count = config_core_count(),
        .tls.client_verify = TLS_CLIENT_VERIFY_UNSET,
        .sandbox = true,
    };
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = options_set_defaults(config_options, config, &cause);
    if (status == CERTPOST_USAGE)
        return error_set(error, CERTPOST_INTERNAL, "a default is wrong: %s", cause.text);
    return status == CERTPOST_OK ? CERTPOST_OK : error_adopt(error, status, &cause);
}

void config_free(struct server_config *config)
{
    if (config == NULL)
        return;
    options_list_free(&config->listen);
    config_listeners_free(&config->listeners);
    options_list_free(&config->tls.certificates);
    options_list_free(&config->tls.keys);
    options_list_free(&config->tls.ocsp);
    options_list_free(&config->tls.allow_dns);
    options_list_free(&config->tls.allow_uri);
    options_list_free(&config->tls.allow_cn);
    options_list_free(&config->tls.allow_spki);
    options_list_free(&config->proxy_from);
    config_files_free(&config->files);
    config_entries_free(&config->entries);
    config_free_credentials(config);
}

static enum certpost_status config_take_argument(void *context, const struct options_spec *spec,
                                                 const char *value, struct certpost_error *error)
{
    const struct config_entry entry = {.spec = spec, .value = value};
    return config_entries_set(context, &entry, error);
}

static enum certpost_status config_parse_arguments(int argc, char **argv,
                                                   struct server_config *config,
                                                   struct certpost_error *error)
{
    int first_operand = 0;
    enum certpost_status status = options_walk(config_options, argc, argv, config_take_argument,
                                               config, &first_operand, error);
    if (status != CERTPOST_OK || config->action != CONFIG_RUN || first_operand >= argc)
        return status;
    char safe[128];
    text_escape(argv[first_operand], strlen(argv[first_operand]), safe, sizeof safe);
    return error_set(error, CERTPOST_USAGE, "unexpected word %s; see --help", safe);
}

/* The files first, then the command line once more on top of them. */
static enum certpost_status config_parse_files(int argc, char **argv, struct server_config *config,
                                               struct certpost_error *error)
{
    const char *path = config->config_path;
    config_free(config);
    enum certpost_status status = config_set_defaults(config, error);
    if (status == CERTPOST_OK)
        status = config_files_apply(config, path, error);
    if (status == CERTPOST_OK)
        status = config_parse_arguments(argc, argv, config, error);
    return status;
}

/* Somebody may want to see the defaults before there is a certificate. */
static bool config_only_prints(const struct server_config *config)
{
    return config->print_config && !config->test_only;
}

static enum certpost_status config_check_pairs(const struct server_config *config,
                                               struct certpost_error *error)
{
    size_t certificates = config->tls.certificates.count;
    size_t keys = config->tls.keys.count;
    if (certificates == keys && (certificates > 0 || config_only_prints(config)))
        return CERTPOST_OK;
    if (certificates > 0 && keys > 0)
        return error_set(error, CERTPOST_USAGE,
                         "%zu --cert and %zu --key: every certificate needs its key, in the same "
                         "order",
                         certificates, keys);
    return error_set(error, CERTPOST_USAGE,
                     "%s required (scripts/make-certs makes a pair to try with)",
                     certificates > 0 ? "--key is"
                     : keys > 0       ? "--cert is"
                                      : "--cert and --key are");
}

/* Half a client verification is an error, never a silent "none". */
static enum certpost_status config_complete_clients(struct tls_server_setup *tls,
                                                    struct certpost_error *error)
{
    if (tls->client_verify == TLS_CLIENT_VERIFY_UNSET)
        tls->client_verify =
            tls->client_ca != NULL ? TLS_CLIENT_VERIFY_REQUIRE : TLS_CLIENT_VERIFY_NONE;
    if (tls->client_verify != TLS_CLIENT_VERIFY_NONE && tls->client_ca == NULL)
        return error_set(error, CERTPOST_USAGE, "--client-verify needs --client-ca");
    if (tls->client_verify != TLS_CLIENT_VERIFY_NONE)
        return CERTPOST_OK;
    const char *idle = tls->client_ca != NULL      ? "--client-ca"
                       : tls->crl_file != NULL     ? "--crlfile"
                       : tls->allow_dns.count > 0  ? "--allow-dns"
                       : tls->allow_uri.count > 0  ? "--allow-uri"
                       : tls->allow_cn.count > 0   ? "--allow-cn"
                       : tls->allow_spki.count > 0 ? "--allow-spki"
                                                   : NULL;
    if (idle != NULL)
        return error_set(error, CERTPOST_USAGE,
                         "%s has no effect unless clients are verified; give --client-ca, and "
                         "--client-verify optional or require",
                         idle);
    return CERTPOST_OK;
}

enum certpost_status config_complete(struct server_config *config, struct certpost_error *error)
{
    static const struct options_spec listen_spec = {.max = CONFIG_LIST_MAX};
    enum certpost_status status = config_check_pairs(config, error);
    if (status == CERTPOST_OK)
        status = config_complete_clients(&config->tls, error);
    /* Printing names a credential, and needs none. */
    if (status == CERTPOST_OK && !config_only_prints(config))
        status = config_resolve_credentials(config, error);
    config->print = config->print_wish == CONFIG_UNDECIDED ? config->store == NULL
                                                           : config->print_wish == CONFIG_ON;
    if (status == CERTPOST_OK && config->listen.count == 0 && config->listeners.count == 0)
        status = options_take_list(&listen_spec, &config->listen, CONFIG_DEFAULT_LISTEN, error);
    if (status == CERTPOST_OK)
        status = config_listeners_complete(config, error);
    if (status == CERTPOST_OK)
        status = config_check_addresses(config, error);
    return status;
}

enum certpost_status config_load(int argc, char **argv, struct server_config *ret_config,
                                 struct certpost_error *error)
{
    enum certpost_status status = config_set_defaults(ret_config, error);
    if (status == CERTPOST_OK)
        status = config_parse_arguments(argc, argv, ret_config, error);
    if (status == CERTPOST_OK && ret_config->action != CONFIG_RUN)
        return CERTPOST_OK;
    if (status == CERTPOST_OK && ret_config->config_path != NULL)
        status = config_parse_files(argc, argv, ret_config, error);
    if (status == CERTPOST_OK)
        status = config_complete(ret_config, error);
    if (!ret_config->print_config)
        config_entries_free(&ret_config->entries);
    else if (status == CERTPOST_OK && config_only_prints(ret_config))
        ret_config->action = CONFIG_PRINT;
    return status;
}

void config_print_help(FILE *out)
{
    fprintf(out, "Usage: certpostd --cert FILE --key FILE [options]\n\n"
                 "Takes messages over TLS and acknowledges each one once it is safe.\n");
    options_print_help(config_options, out);
}
