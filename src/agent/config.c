/*
 * config.c — the options of a client (agent/config.h).
 *
 * Uses: base/options, tls/settings.  Used by: client.c.
 * Never: opens a file, looks at the network or the environment.
 */
#include "agent/config.h"

#include "base/clock.h"
#include "base/error.h"

#include "certpost/client.h"
#include "certpost/version.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_DEFAULT_HOST "127.0.0.1"

enum {
    CONFIG_DEFAULT_PORT = 8080,
    CONFIG_CONNECT_TIMEOUT_MS = 10 * 1000,
    CONFIG_ACK_TIMEOUT_MS = 30 * 1000,
    CONFIG_RETRY_FOR_MS = 30 * 1000,
    CONFIG_MAX_BUFFERED_BYTES = 8 * 1024 * 1024,
    CONFIG_TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000,
};

/* A year; who means longer says forever. */
#define CONFIG_RETRY_MAX_MS (INT64_C(365) * 24 * 60 * 60 * 1000)

/* A server's window is a u32, so more than this can never be under way. */
#define CONFIG_BUFFERED_MAX_BYTES ((uint64_t)UINT32_MAX)

void agent_config_init(struct agent_config *config)
{
    *config = (struct agent_config){
        .port = CONFIG_DEFAULT_PORT,
        .connect_timeout_ms = CONFIG_CONNECT_TIMEOUT_MS,
        .ack_timeout_ms = CONFIG_ACK_TIMEOUT_MS,
        .retry_for_ms = CONFIG_RETRY_FOR_MS,
        .software = "certpost " CERTPOST_VERSION,
        .max_buffered_bytes = CONFIG_MAX_BUFFERED_BYTES,
    };
}

void agent_config_free(struct agent_config *config)
{
    for (size_t i = 0; i < config->text_count; i++)
        free(config->texts[i]);
    agent_config_init(config);
}

/* ---- kinds of values of our own ---- */

static enum certpost_status config_take_host(const struct options_spec *spec, void *field,
                                             const char *value, struct certpost_error *error)
{
    (void)spec;
    struct agent_config *config = field;
    struct agent_server server = {.port = 0};
    uint16_t port_again = 0;
    /* Two different defaults tell "no port" from ":0". */
    if (*value == '\0' || !text_parse_endpoint(value, 0, server.host, &server.port) ||
        !text_parse_endpoint(value, 1, server.host, &port_again) ||
        (server.port == 0 && port_again == 0))
        return error_set(error, CERTPOST_USAGE,
                         "write HOST, HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535");
    if (server.host[0] == '\0')
        memcpy(server.host, CONFIG_DEFAULT_HOST, sizeof CONFIG_DEFAULT_HOST);
    if (config->server_count == AGENT_SERVERS_MAX)
        return error_set(error, CERTPOST_USAGE, "at most %d hosts", AGENT_SERVERS_MAX);
    config->servers[config->server_count++] = server;
    return CERTPOST_OK;
}

static enum certpost_status config_take_port(const struct options_spec *spec, void *field,
                                             const char *value, struct certpost_error *error)
{
    (void)spec;
    uint64_t port = 0;
    if (!text_parse_u64(value, UINT16_MAX, &port) || port == 0)
        return error_set(error, CERTPOST_USAGE, "a port is a number from 1 to 65535");
    *(uint16_t *)field = (uint16_t)port;
    return CERTPOST_OK;
}

static enum certpost_status config_take_retry(const struct options_spec *spec, void *field,
                                              const char *value, struct certpost_error *error)
{
    int64_t *retry_for_ms = field;
    if (strcmp(value, "forever") == 0) {
        *retry_for_ms = CLOCK_NEVER_MS;
        return CERTPOST_OK;
    }
    if (!text_parse_duration(value, (int64_t)spec->max, retry_for_ms))
        return error_set(error, CERTPOST_USAGE,
                         "write a duration such as 500ms, 10s or 2m, 0 for one attempt, or "
                         "forever");
    return CERTPOST_OK;
}

static enum certpost_status config_take_pin(const struct options_spec *spec, void *field,
                                            const char *value, struct certpost_error *error)
{
    (void)spec;
    struct agent_config *config = field;
    if (config->pin_count == AGENT_PINS_MAX)
        return error_set(error, CERTPOST_USAGE, "at most %d pins", AGENT_PINS_MAX);
    if (!tls_pin_parse(value, &config->pin_list[config->pin_count]))
        return error_set(error, CERTPOST_USAGE,
                         "a pin is sha256// and the 44 characters of base64 of a SHA-256 digest");
    config->pin_count++;
    return CERTPOST_OK;
}

static enum certpost_status config_take_version(const struct options_spec *spec, void *field,
                                                const char *value, struct certpost_error *error)
{
    (void)spec;
    return tls_settings_parse_version(value, field, error);
}

static enum certpost_status config_take_plain_text(const struct options_spec *spec, void *field,
                                                   const char *value, struct certpost_error *error)
{
    (void)spec;
    if (!message_stream_name_is_valid(value, strlen(value)))
        return error_set(error, CERTPOST_USAGE,
                         "it is 1 to 255 bytes of UTF-8 without control characters");
    *(const char **)field = value;
    return CERTPOST_OK;
}

static enum certpost_status config_take_level(const struct options_spec *spec, void *field,
                                              const char *value, struct certpost_error *error)
{
    (void)spec;
    struct agent_config *config = field;
    for (int level = MESSAGE_LEVEL_ACCEPTED; level <= MESSAGE_LEVEL_REPLICATED; level++) {
        if (strcmp(value, certpost_level_name((enum certpost_level)level)) == 0) {
            config->required_level = (enum message_level)level;
            config->has_required_level = true;
            return CERTPOST_OK;
        }
    }
    return error_set(error, CERTPOST_USAGE, "a level is accepted, stored or replicated");
}

static enum certpost_status config_take_receipt(const struct options_spec *spec, void *field,
                                                const char *value, struct certpost_error *error)
{
    if (*value == '\0' || strcmp(value, "-") == 0)
        return error_set(error, CERTPOST_USAGE,
                         "write the name of a file; standard output is /dev/stdout");
    return options_take_text(spec, field, value, error);
}

static enum certpost_status config_take_resume(const struct options_spec *spec, void *field,
                                               const char *value, struct certpost_error *error)
{
    uint64_t from = 1;
    if (*value != '\0' && (!text_parse_u64(value, spec->max, &from) || from == 0))
        return error_set(error, CERTPOST_USAGE,
                         "write the number in the stream of the first message: 1 or more");
    *(uint64_t *)field = from;
    return CERTPOST_OK;
}

/* ---- the table ---- */

#define FIELD(member) offsetof(struct agent_config, member)

static const struct options_spec config_specs[] = {
    {.name = "host", .take = config_take_host, .repeatable = true},
    {.name = "port", .take = config_take_port, .offset = FIELD(port)},
    {.name = "connect-timeout",
     .take = options_take_duration,
     .offset = FIELD(connect_timeout_ms),
     .max = CONFIG_TIMEOUT_MAX_MS},
    {.name = "ack-timeout",
     .take = options_take_duration,
     .offset = FIELD(ack_timeout_ms),
     .max = CONFIG_TIMEOUT_MAX_MS},
    {.name = "retry-for",
     .take = config_take_retry,
     .offset = FIELD(retry_for_ms),
     .max = CONFIG_RETRY_MAX_MS},
    {.name = "cacert", .take = options_take_text, .offset = FIELD(ca_file)},
    {.name = "cafile", .alias_of = "cacert"},
    {.name = "CAfile", .alias_of = "cacert"},
    {.name = "capath", .take = options_take_text, .offset = FIELD(ca_path)},
    {.name = "crlfile", .take = options_take_text, .offset = FIELD(crl_file)},
    {.name = "cert", .take = options_take_text, .offset = FIELD(certificate_file)},
    {.name = "key", .take = options_take_text, .offset = FIELD(key_file)},
    {.name = "servername", .take = options_take_text, .offset = FIELD(server_name)},
    {.name = "pin", .take = config_take_pin, .repeatable = true},
    {.name = "insecure", .take = options_take_switch, .offset = FIELD(insecure)},
    {.name = "tls-min", .take = config_take_version, .offset = FIELD(tls.min_version)},
    {.name = "ciphersuites", .take = options_take_text, .offset = FIELD(tls.ciphersuites)},
    {.name = "groups", .take = options_take_text, .offset = FIELD(tls.groups)},
    {.name = "keylogfile", .take = options_take_text, .offset = FIELD(keylog_file)},
    {.name = "stream", .take = config_take_plain_text, .offset = FIELD(stream)},
    {.name = "require", .take = config_take_level},
    {.name = "resume",
     .take = config_take_resume,
     .offset = FIELD(resume_from),
     .max = MESSAGE_SEQ_MAX},
    {.name = "spool", .take = options_take_text, .offset = FIELD(spool_file)},
    {.name = "receipt", .take = config_take_receipt, .offset = FIELD(receipt_file)},
    {.name = "max-buffered",
     .take = options_take_size,
     .offset = FIELD(max_buffered_bytes),
     .max = CONFIG_BUFFERED_MAX_BYTES},
    {.name = "software", .take = config_take_plain_text, .offset = FIELD(software)},
    {.name = NULL},
};

/* ---- setting ---- */

static enum certpost_status config_check_name(const char *name, struct certpost_error *error)
{
    const char *names[sizeof config_specs / sizeof config_specs[0]] = {NULL};
    for (size_t i = 0; config_specs[i].name != NULL; i++) {
        names[i] = config_specs[i].name;
        if (strcmp(names[i], name) == 0)
            return CERTPOST_OK;
    }
    char safe[128];
    text_escape(name, strlen(name), safe, sizeof safe);
    const char *nearest = text_nearest(name, names);
    if (nearest == NULL)
        return error_set(error, CERTPOST_USAGE, "unknown option %s", safe);
    return error_set(error, CERTPOST_USAGE, "unknown option %s; did you mean %s?", safe, nearest);
}

enum certpost_status agent_config_set(struct agent_config *config, const char *name,
                                      const char *value, struct certpost_error *error)
{
    enum certpost_status status = config_check_name(name, error);
    if (status != CERTPOST_OK)
        return status;
    if (config->text_count == AGENT_TEXTS_MAX)
        return error_set(error, CERTPOST_USAGE, "more than %d options were set", AGENT_TEXTS_MAX);
    char *copy = strdup(value);
    if (copy == NULL)
        return error_no_memory(error);
    status = options_set(config_specs, config, name, copy, error);
    if (status == CERTPOST_OK)
        config->texts[config->text_count++] = copy;
    else
        free(copy);
    return status;
}

static const char *config_contradiction(const struct agent_config *config)
{
    if (config->certificate_file != NULL && config->key_file == NULL)
        return "--cert needs --key: a certificate is of no use without its key";
    if (config->key_file != NULL && config->certificate_file == NULL)
        return "--key needs --cert: a key is of no use without its certificate";
    if (config->spool_file != NULL && config->resume_from > 0)
        return "--resume compares the whole input, and --spool knows where it was: give one";
    if (config->spool_file != NULL && config->has_required_level &&
        config->required_level == MESSAGE_LEVEL_ACCEPTED)
        return "--spool lets go of messages only when they are stored: give --require stored";
    if (config->receipt_file != NULL && config->has_required_level &&
        config->required_level == MESSAGE_LEVEL_ACCEPTED)
        return "--receipt says that messages are stored: give --require stored";
    return NULL;
}

enum certpost_status agent_config_settle(struct agent_config *config, struct certpost_error *error)
{
    const char *wrong = config_contradiction(config);
    if (wrong != NULL)
        return error_set(error, CERTPOST_USAGE, "%s", wrong);
    enum certpost_status status = CERTPOST_OK;
    if (config->server_count == 0)
        status = config_take_host(NULL, config, CONFIG_DEFAULT_HOST, error);
    for (size_t i = 0; i < config->server_count; i++) {
        if (config->servers[i].port == 0)
            config->servers[i].port = config->port;
    }
    bool needs_store = config->spool_file != NULL || config->receipt_file != NULL;
    if (needs_store && config->required_level < MESSAGE_LEVEL_STORED)
        config->required_level = MESSAGE_LEVEL_STORED;
    return status;
}
