/*
 * config.c — the options of certpostd (server/config.h).
 *
 * Uses: base/options.  Used by: main.c.
 * Never: opens a file; what the options name is looked at by whoever uses it.
 */
#include "server/config.h"

#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "session/plain_receiver.h"

#include <string.h>
#include <unistd.h>

struct config_parse {
    struct server_config *config;
    enum config_action action;
};

static enum certpost_status config_listen(void *target, const char *value,
                                          struct certpost_error *error)
{
    struct server_config *config = ((struct config_parse *)target)->config;
    if (config->listen_count == CONFIG_LISTEN_MAX)
        return error_set(error, CERTPOST_USAGE, "at most %d addresses", CONFIG_LISTEN_MAX);
    char host[TEXT_HOST_BYTES];
    uint16_t port = 0;
    if (!text_parse_endpoint(value, CONFIG_DEFAULT_PORT, host, &port))
        return error_set(error, CERTPOST_USAGE,
                         "an address is HOST:PORT or [IPV6]:PORT, with a port of at most 65535");
    config->listen[config->listen_count++] = value;
    return CERTPOST_OK;
}

static enum certpost_status config_cert(void *target, const char *value,
                                        struct certpost_error *error)
{
    (void)error;
    ((struct config_parse *)target)->config->certificate_path = value;
    return CERTPOST_OK;
}

static enum certpost_status config_key(void *target, const char *value,
                                       struct certpost_error *error)
{
    (void)error;
    ((struct config_parse *)target)->config->key_path = value;
    return CERTPOST_OK;
}

static enum certpost_status config_tls_min(void *target, const char *value,
                                           struct certpost_error *error)
{
    struct server_config *config = ((struct config_parse *)target)->config;
    return tls_settings_parse_version(value, &config->tls.min_version, error);
}

static enum certpost_status config_groups(void *target, const char *value,
                                          struct certpost_error *error)
{
    (void)error;
    ((struct config_parse *)target)->config->tls.groups = value;
    return CERTPOST_OK;
}

static enum certpost_status config_ciphersuites(void *target, const char *value,
                                                struct certpost_error *error)
{
    (void)error;
    ((struct config_parse *)target)->config->tls.ciphersuites = value;
    return CERTPOST_OK;
}

static enum certpost_status config_framing(void *target, const char *value,
                                           struct certpost_error *error)
{
    if (!plain_framing_from_name(value, &((struct config_parse *)target)->config->framing))
        return error_set(error, CERTPOST_USAGE, "the framing is chunk or line");
    return CERTPOST_OK;
}

static enum certpost_status config_reply(void *target, const char *value,
                                         struct certpost_error *error)
{
    if (value[0] == '\0' || strlen(value) > PLAIN_REPLY_MAX_BYTES)
        return error_set(error, CERTPOST_USAGE, "a reply has 1 to %d bytes", PLAIN_REPLY_MAX_BYTES);
    if (strchr(value, '\n') != NULL)
        return error_set(error, CERTPOST_USAGE, "a reply is one line");
    if (strncmp(value, PLAIN_REFUSAL_PREFIX, strlen(PLAIN_REFUSAL_PREFIX)) == 0)
        return error_set(error, CERTPOST_USAGE, "a reply that begins with \"%s\" means a refusal",
                         PLAIN_REFUSAL_PREFIX);
    ((struct config_parse *)target)->config->reply = value;
    return CERTPOST_OK;
}

static enum certpost_status config_print(void *target, const char *value,
                                         struct certpost_error *error)
{
    (void)value;
    (void)error;
    ((struct config_parse *)target)->config->print = true;
    return CERTPOST_OK;
}

static enum certpost_status config_no_print(void *target, const char *value,
                                            struct certpost_error *error)
{
    (void)value;
    (void)error;
    ((struct config_parse *)target)->config->print = false;
    return CERTPOST_OK;
}

static enum certpost_status config_workers(void *target, const char *value,
                                           struct certpost_error *error)
{
    uint64_t count = 0;
    if (!text_parse_u64(value, CONFIG_WORKERS_MAX, &count) || count == 0)
        return error_set(error, CERTPOST_USAGE, "the number of workers is 1 to %d",
                         CONFIG_WORKERS_MAX);
    ((struct config_parse *)target)->config->worker_count = (size_t)count;
    return CERTPOST_OK;
}

static enum certpost_status config_max_message(void *target, const char *value,
                                               struct certpost_error *error)
{
    uint64_t bytes = 0;
    if (!text_parse_size(value, CONFIG_MAX_MESSAGE_BYTES, &bytes) || bytes == 0)
        return error_set(error, CERTPOST_USAGE, "a size is 1 to %d bytes, such as 4096 or 1MiB",
                         CONFIG_MAX_MESSAGE_BYTES);
    ((struct config_parse *)target)->config->max_message_bytes = (size_t)bytes;
    return CERTPOST_OK;
}

static enum certpost_status config_take_duration(const char *value, int64_t *ret_ms,
                                                 struct certpost_error *error)
{
    const int64_t max_ms = INT64_C(24) * 3600 * 1000;
    int64_t ms = 0;
    if (!text_parse_duration(value, max_ms, &ms) || ms == 0)
        return error_set(error, CERTPOST_USAGE,
                         "a duration is 1ms to 24h, such as 500ms, 10s or 2m");
    *ret_ms = ms;
    return CERTPOST_OK;
}

static enum certpost_status config_handshake_timeout(void *target, const char *value,
                                                     struct certpost_error *error)
{
    struct net_limits *limits = &((struct config_parse *)target)->config->limits;
    return config_take_duration(value, &limits->timeout_ms[NET_DEADLINE_HANDSHAKE], error);
}

static enum certpost_status config_write_timeout(void *target, const char *value,
                                                 struct certpost_error *error)
{
    struct net_limits *limits = &((struct config_parse *)target)->config->limits;
    return config_take_duration(value, &limits->timeout_ms[NET_DEADLINE_WRITE], error);
}

static enum certpost_status config_drain_timeout(void *target, const char *value,
                                                 struct certpost_error *error)
{
    return config_take_duration(value, &((struct config_parse *)target)->config->drain_timeout_ms,
                                error);
}

static enum certpost_status config_log_level(void *target, const char *value,
                                             struct certpost_error *error)
{
    if (!log_level_from_name(value, &((struct config_parse *)target)->config->log_level))
        return error_set(error, CERTPOST_USAGE, "the level is error, warning, info or debug");
    return CERTPOST_OK;
}

static enum certpost_status config_help(void *target, const char *value,
                                        struct certpost_error *error)
{
    (void)value;
    (void)error;
    ((struct config_parse *)target)->action = CONFIG_SHOW_HELP;
    return CERTPOST_OK;
}

static enum certpost_status config_version(void *target, const char *value,
                                           struct certpost_error *error)
{
    (void)value;
    (void)error;
    ((struct config_parse *)target)->action = CONFIG_SHOW_VERSION;
    return CERTPOST_OK;
}

static const struct options_spec config_options[] = {
    {.name = "", .help = "Where to serve"},
    {"listen", 0, "HOST:PORT", CONFIG_DEFAULT_LISTEN,
     "Serve here; repeatable. [::1]:8080 for IPv6, port 0 for a free one, :8080 for all addresses.",
     config_listen, NULL},
    {"workers", 0, "N", "one per core", "Threads that serve connections.", config_workers, NULL},
    {.name = "", .help = "Certificate"},
    {"cert", 0, "FILE", NULL, "Certificate, and its chain after it, in PEM format. Required.",
     config_cert, NULL},
    {"key", 0, "FILE", NULL, "The certificate's private key in PEM format. Required.", config_key,
     NULL},
    {.name = "", .help = "TLS"},
    {"tls-min", 0, "VERSION", "1.3", "Lowest TLS version to accept: 1.2 or 1.3.", config_tls_min,
     NULL},
    {"groups", 0, "LIST", TLS_DEFAULT_GROUPS,
     "Key-exchange groups, best first; those that OpenSSL lacks are skipped.", config_groups, NULL},
    {"ciphersuites", 0, "LIST", "OpenSSL's", "TLS 1.3 cipher suites, best first.",
     config_ciphersuites, NULL},
    {.name = "", .help = "Plain exchange"},
    {"framing", 0, "chunk|line", "chunk", "What a message is: what one read returns, or a line.",
     config_framing, NULL},
    {"reply", 0, "TEXT", CONFIG_DEFAULT_REPLY, "The acknowledgement of a message.", config_reply,
     NULL},
    {"max-message", 0, "SIZE", "1MiB", "The longest message to take.", config_max_message, NULL},
    {"print", 0, NULL, "on", "Print connections and messages on standard output.", config_print,
     NULL},
    {"no-print", 0, NULL, NULL, "Print only the addresses.", config_no_print, NULL},
    {.name = "", .help = "Time (500ms, 10s, 2m)"},
    {"handshake-timeout", 0, "DURATION", "10s", "For a connection's TLS handshake.",
     config_handshake_timeout, NULL},
    {"write-timeout", 0, "DURATION", "30s", "For a peer to take some of what waits for it.",
     config_write_timeout, NULL},
    {"drain-timeout", 0, "DURATION", "30s", "For ending all connections after SIGTERM or SIGINT.",
     config_drain_timeout, NULL},
    {.name = "", .help = "Other"},
    {"log-level", 0, "LEVEL", "info", "error, warning, info or debug.", config_log_level, NULL},
    {"help", 0, NULL, NULL, "Show this and exit.", config_help, NULL},
    {"version", 'V', NULL, NULL, "Show the version and exit.", config_version, NULL},
    {0},
};

static size_t config_core_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores < 1)
        return 1;
    return cores > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : (size_t)cores;
}

static void config_set_defaults(struct server_config *config)
{
    *config = (struct server_config){
        .framing = PLAIN_CHUNK,
        .reply = CONFIG_DEFAULT_REPLY,
        .print = true,
        .worker_count = config_core_count(),
        .max_message_bytes = CONFIG_DEFAULT_MAX_MESSAGE_BYTES,
        .log_level = LOG_LEVEL_INFO,
        .limits.timeout_ms =
            {
                [NET_DEADLINE_HANDSHAKE] = 10 * 1000,
                [NET_DEADLINE_WRITE] = 30 * 1000,
                [NET_DEADLINE_CLOSE] = 5 * 1000,
            },
        .drain_timeout_ms = 30 * 1000,
    };
}

static enum certpost_status config_check(struct server_config *config, struct certpost_error *error)
{
    if (config->listen_count == 0)
        config->listen[config->listen_count++] = CONFIG_DEFAULT_LISTEN;
    if (config->certificate_path == NULL || config->key_path == NULL)
        return error_set(error, CERTPOST_USAGE,
                         "%s is required (scripts/make-certs makes a pair to try with)",
                         config->certificate_path != NULL ? "--key"
                         : config->key_path != NULL       ? "--cert"
                                                          : "--cert and --key");
    return CERTPOST_OK;
}

enum certpost_status config_from_arguments(int argc, char **argv, struct server_config *ret_config,
                                           enum config_action *ret_action,
                                           struct certpost_error *error)
{
    struct config_parse parse = {ret_config, CONFIG_RUN};
    int first_operand = 0;
    config_set_defaults(ret_config);
    enum certpost_status status =
        options_parse(config_options, argc, argv, &parse, &first_operand, error);
    if (status != CERTPOST_OK)
        return status;
    *ret_action = parse.action;
    if (parse.action != CONFIG_RUN)
        return CERTPOST_OK;
    if (first_operand < argc) {
        char safe[128];
        text_escape(argv[first_operand], strlen(argv[first_operand]), safe, sizeof safe);
        return error_set(error, CERTPOST_USAGE, "unexpected word %s; see --help", safe);
    }
    return config_check(ret_config, error);
}

void config_print_help(FILE *out)
{
    fprintf(out, "Usage: certpostd --cert FILE --key FILE [options]\n\n"
                 "Takes messages over TLS and acknowledges each one once it is safe.\n");
    options_print_help(config_options, out);
}
