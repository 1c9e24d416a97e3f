/*
 * config.c — defaults, configuration file and command line into one configuration
 * (server/config.h).
 *
 * Uses: base/options.  Used by: main.c, server.c (reload).
 * Never: opens a file but the configuration file.
 */
#include "server/config.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

static size_t config_core_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores < 1)
        return 1;
    return cores > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : (size_t)cores;
}

void config_set_defaults(struct server_config *config)
{
    *config = (struct server_config){
        .framing = PLAIN_CHUNK,
        .reply = CONFIG_DEFAULT_REPLY,
        .worker_count = config_core_count(),
        .tls.client_verify = TLS_CLIENT_VERIFY_UNSET,
        .tls.ticket_lifetime_ms = INT64_C(6) * 3600 * 1000,
        .limits =
            {
                .max_connections = 10000,
                .max_connections_per_address = 1000,
                .max_handshakes = 2000,
                .max_handshake_rate = 5000,
                .max_message_bytes = CONFIG_DEFAULT_MAX_MESSAGE_BYTES,
                .max_pending_bytes = (size_t)1024 * 1024,
                .max_pending_total_bytes = (size_t)64 * 1024 * 1024,
            },
        .sandbox = true,
        .log_level = LOG_LEVEL_INFO,
        .times.timeout_ms =
            {
                [NET_DEADLINE_HANDSHAKE] = INT64_C(10) * 1000,
                [NET_DEADLINE_FIRST_BYTE] = INT64_C(30) * 1000,
                [NET_DEADLINE_IDLE] = INT64_C(10) * 60 * 1000,
                [NET_DEADLINE_WRITE] = INT64_C(30) * 1000,
                [NET_DEADLINE_CLOSE] = INT64_C(5) * 1000,
            },
        .drain_timeout_ms = INT64_C(30) * 1000,
    };
    buffer_init(&config->file_text, 0);
}

void config_free(struct server_config *config)
{
    if (config == NULL)
        return;
    options_list_free(&config->listen);
    options_list_free(&config->tls.certificates);
    options_list_free(&config->tls.keys);
    options_list_free(&config->tls.ocsp);
    options_list_free(&config->tls.allow_dns);
    options_list_free(&config->tls.allow_uri);
    options_list_free(&config->tls.allow_cn);
    options_list_free(&config->tls.allow_spki);
    options_list_free(&config->proxy_from);
    buffer_free(&config->file_text);
    config_free_credentials(config);
}

static enum certpost_status config_parse_arguments(int argc, char **argv,
                                                   struct server_config *config,
                                                   struct certpost_error *error)
{
    int first_operand = 0;
    enum certpost_status status =
        options_parse(config_options, argc, argv, config, &first_operand, error);
    if (status != CERTPOST_OK || config->action != CONFIG_RUN || first_operand >= argc)
        return status;
    char safe[128];
    text_escape(argv[first_operand], strlen(argv[first_operand]), safe, sizeof safe);
    return error_set(error, CERTPOST_USAGE, "unexpected word %s; see --help", safe);
}

/* The file first, then the command line once more on top of it. */
static enum certpost_status config_parse_file(int argc, char **argv, struct server_config *config,
                                              struct certpost_error *error)
{
    const char *path = config->config_path;
    config_free(config);
    config_set_defaults(config);
    enum certpost_status status =
        config_file_apply(path, config_options, config, &config->file_text, error);
    if (status == CERTPOST_OK)
        status = config_parse_arguments(argc, argv, config, error);
    return status;
}

static enum certpost_status config_check_pairs(const struct server_config *config,
                                               struct certpost_error *error)
{
    size_t certificates = config->tls.certificates.count;
    size_t keys = config->tls.keys.count;
    if (certificates == keys && certificates > 0)
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
    if (status == CERTPOST_OK)
        status = config_resolve_credentials(config, error);
    config->print = config->print_wish == CONFIG_UNDECIDED ? config->store == NULL
                                                           : config->print_wish == CONFIG_ON;
    if (status == CERTPOST_OK && config->listen.count == 0)
        status = options_take_list(&listen_spec, &config->listen, CONFIG_DEFAULT_LISTEN, error);
    return status;
}

enum certpost_status config_load(int argc, char **argv, struct server_config *ret_config,
                                 struct certpost_error *error)
{
    config_set_defaults(ret_config);
    enum certpost_status status = config_parse_arguments(argc, argv, ret_config, error);
    if (status == CERTPOST_OK && ret_config->action != CONFIG_RUN)
        return CERTPOST_OK;
    if (status == CERTPOST_OK && ret_config->config_path != NULL)
        status = config_parse_file(argc, argv, ret_config, error);
    if (status == CERTPOST_OK)
        status = config_complete(ret_config, error);
    return status;
}

void config_print_help(FILE *out)
{
    fprintf(out, "Usage: certpostd --cert FILE --key FILE [options]\n\n"
                 "Takes messages over TLS and acknowledges each one once it is safe.\n");
    options_print_help(config_options, out);
}
