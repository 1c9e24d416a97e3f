/*
 * send_options.c — the options of `certpost send`, and which of them go together
 * (client/send_options.h).
 *
 * Uses: base/options, tls/settings.  Used by: send_plain.c.
 * Never: opens a file or looks at the network; a wrong command line fails before anything happens.
 */
#include "client/send_options.h"

#include "base/error.h"
#include "base/options.h"

#include <stdlib.h>
#include <string.h>

enum { SEND_DEFAULT_PORT = 8080, SEND_CONNECT_TIMEOUT_MS = 10000, SEND_ACK_TIMEOUT_MS = 30000 };

/* A day; whoever wants to wait longer is better served by a spool. */
enum { SEND_TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000 };

#define SEND_DEFAULT_HOST    "127.0.0.1"
#define SEND_DEFAULT_MESSAGE "Hello, server!"

static enum certpost_status send_take_flag(bool *flag)
{
    *flag = true;
    return CERTPOST_OK;
}

static enum certpost_status send_take_text(const char **text, const char *value,
                                           struct certpost_error *error)
{
    if (*value == '\0')
        return error_set(error, CERTPOST_USAGE, "the value is empty");
    *text = value;
    return CERTPOST_OK;
}

/* X(function, member): options that set a flag, and options that keep a non-empty text. */
#define SEND_FLAGS(X)                                                                              \
    X(send_apply_plain, plain)                                                                     \
    X(send_apply_lines, lines)                                                                     \
    X(send_apply_insecure, insecure)                                                               \
    X(send_apply_quiet, quiet)                                                                     \
    X(send_apply_verbose, verbose)                                                                 \
    X(send_apply_help, help)                                                                       \
    X(send_apply_version, version)
#define SEND_TEXTS(X)                                                                              \
    X(send_apply_ca_file, ca_file)                                                                 \
    X(send_apply_ca_path, ca_path)                                                                 \
    X(send_apply_crl_file, crl_file)                                                               \
    X(send_apply_certificate, certificate_file)                                                    \
    X(send_apply_key, key_file)                                                                    \
    X(send_apply_server_name, server_name)                                                         \
    X(send_apply_keylog, keylog_file)                                                              \
    X(send_apply_groups, tls.groups)                                                               \
    X(send_apply_ciphersuites, tls.ciphersuites)

#define SEND_DEFINE_FLAG(function, member)                                                         \
    static enum certpost_status function(void *config, const char *value,                          \
                                         struct certpost_error *error)                             \
    {                                                                                              \
        (void)value;                                                                               \
        (void)error;                                                                               \
        return send_take_flag(&((struct send_options *)config)->member);                           \
    }
#define SEND_DEFINE_TEXT(function, member)                                                         \
    static enum certpost_status function(void *config, const char *value,                          \
                                         struct certpost_error *error)                             \
    {                                                                                              \
        return send_take_text(&((struct send_options *)config)->member, value, error);             \
    }
SEND_FLAGS(SEND_DEFINE_FLAG)
SEND_TEXTS(SEND_DEFINE_TEXT)

static enum certpost_status send_apply_framing(void *config, const char *value,
                                               struct certpost_error *error)
{
    struct send_options *options = config;
    if (strcmp(value, "chunk") == 0)
        options->framing = PLAIN_FRAMING_CHUNK;
    else if (strcmp(value, "line") == 0)
        options->framing = PLAIN_FRAMING_LINE;
    else
        return error_set(error, CERTPOST_USAGE, "it is chunk or line");
    return CERTPOST_OK;
}

static enum certpost_status send_add_source(struct send_options *options,
                                            enum send_source_kind kind, const char *value,
                                            struct certpost_error *error)
{
    struct send_source *grown =
        realloc(options->sources, (options->source_count + 1) * sizeof *grown);
    if (grown == NULL)
        return error_no_memory(error);
    options->sources = grown;
    grown[options->source_count++] = (struct send_source){kind, value};
    return CERTPOST_OK;
}

static enum certpost_status send_apply_message(void *config, const char *value,
                                               struct certpost_error *error)
{
    return send_add_source(config, SEND_SOURCE_TEXT, value, error);
}

static enum certpost_status send_apply_file(void *config, const char *value,
                                            struct certpost_error *error)
{
    if (*value == '\0')
        return error_set(error, CERTPOST_USAGE, "the name of the file is empty");
    return send_add_source(config, SEND_SOURCE_FILE, value, error);
}

static enum certpost_status send_set_port(struct send_options *options, uint16_t port,
                                          struct certpost_error *error)
{
    if (options->port != 0)
        return error_set(error, CERTPOST_USAGE, "the port is given twice");
    options->port = port;
    return CERTPOST_OK;
}

static enum certpost_status send_apply_port(void *config, const char *value,
                                            struct certpost_error *error)
{
    uint64_t port = 0;
    if (!text_parse_u64(value, UINT16_MAX, &port) || port == 0)
        return error_set(error, CERTPOST_USAGE, "a port is a number from 1 to 65535");
    return send_set_port(config, (uint16_t)port, error);
}

/* --host and the operand mean the same, and so take the same: HOST, HOST:PORT, :PORT. */
static enum certpost_status send_apply_host(void *config, const char *value,
                                            struct certpost_error *error)
{
    struct send_options *options = config;
    char host[TEXT_HOST_BYTES];
    uint16_t port = 0;
    uint16_t port_again = 0;
    /* Two different defaults tell "no port" from ":0". */
    if (*value == '\0' || !text_parse_endpoint(value, 0, host, &port) ||
        !text_parse_endpoint(value, 1, host, &port_again) || (port == 0 && port_again == 0))
        return error_set(error, CERTPOST_USAGE,
                         "write HOST, HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535");
    if (host[0] != '\0' && options->host[0] != '\0')
        return error_set(error, CERTPOST_USAGE, "the host is given twice");
    if (host[0] != '\0')
        memcpy(options->host, host, sizeof host);
    return port == 0 ? CERTPOST_OK : send_set_port(options, port, error);
}

static enum certpost_status send_take_timeout(int64_t *timeout_ms, const char *value,
                                              struct certpost_error *error)
{
    if (!text_parse_duration(value, SEND_TIMEOUT_MAX_MS, timeout_ms) || *timeout_ms == 0)
        return error_set(error, CERTPOST_USAGE,
                         "write a duration such as 500ms, 10s or 2m, above zero and at most a day");
    return CERTPOST_OK;
}

static enum certpost_status send_apply_connect_timeout(void *config, const char *value,
                                                       struct certpost_error *error)
{
    return send_take_timeout(&((struct send_options *)config)->connect_timeout_ms, value, error);
}

static enum certpost_status send_apply_ack_timeout(void *config, const char *value,
                                                   struct certpost_error *error)
{
    return send_take_timeout(&((struct send_options *)config)->ack_timeout_ms, value, error);
}

static enum certpost_status send_apply_tls_min(void *config, const char *value,
                                               struct certpost_error *error)
{
    return tls_settings_parse_version(value, &((struct send_options *)config)->tls.min_version,
                                      error);
}

static const struct options_spec send_specs[] = {
    {.name = "", .help = "Messages"},
    {.name = "message",
     .short_name = 'm',
     .argument = "TEXT",
     .default_text = SEND_DEFAULT_MESSAGE,
     .help = "Send TEXT. Repeatable: one message after the other.",
     .apply = send_apply_message},
    {.name = "file",
     .short_name = 'f',
     .argument = "FILE",
     .help = "Send the contents of FILE as one message; - is standard input. Repeatable.",
     .apply = send_apply_file},
    {.name = "lines",
     .short_name = 'l',
     .help = "Send each line of standard input as a message, as soon as it is read.",
     .apply = send_apply_lines},
    {.name = "", .help = "Exchange"},
    {.name = "plain",
     .help = "The plain exchange: a message, then its reply, then the next.",
     .apply = send_apply_plain},
    {.name = "framing",
     .argument = "HOW",
     .default_text = "chunk",
     .help = "How the server tells messages apart: chunk (what it reads at once is a message, at "
             "most 16 KiB) or line.",
     .apply = send_apply_framing},
    {.name = "", .help = "Where to"},
    {.name = "host",
     .short_name = 'h',
     .argument = "HOST",
     .default_text = SEND_DEFAULT_HOST,
     .help = "The server's name or address; the operand means the same.",
     .apply = send_apply_host},
    {.name = "port",
     .short_name = 'p',
     .argument = "PORT",
     .default_text = "8080",
     .help = "The server's port.",
     .apply = send_apply_port},
    {.name = "connect-timeout",
     .argument = "TIME",
     .default_text = "10s",
     .help = "For resolving the name, connecting and the TLS handshake together.",
     .apply = send_apply_connect_timeout},
    {.name = "ack-timeout",
     .argument = "TIME",
     .default_text = "30s",
     .help = "For writing a message, and for its reply.",
     .apply = send_apply_ack_timeout},
    {.name = "", .help = "TLS"},
    {.name = "cacert",
     .argument = "FILE",
     .default_text = "the system's CAs",
     .help = "Trust the CA certificates in FILE (PEM).",
     .apply = send_apply_ca_file},
    {.name = "cafile", .argument = "FILE", .alias_of = "cacert"},
    {.name = "CAfile", .argument = "FILE", .alias_of = "cacert"},
    {.name = "capath",
     .argument = "FOLDER",
     .help = "Trust the CA certificates in FOLDER, prepared with `openssl rehash`.",
     .apply = send_apply_ca_path},
    {.name = "crlfile",
     .argument = "FILE",
     .help = "Refuse a server certificate that this revocation list (PEM) names.",
     .apply = send_apply_crl_file},
    {.name = "cert",
     .argument = "FILE",
     .help = "Own certificate with its chain (PEM); needs --key.",
     .apply = send_apply_certificate},
    {.name = "key",
     .argument = "FILE",
     .help = "Own private key (PEM); needs --cert.",
     .apply = send_apply_key},
    {.name = "servername",
     .argument = "NAME",
     .default_text = "the host",
     .help = "The name that the server's certificate must have.",
     .apply = send_apply_server_name},
    {.name = "insecure",
     .short_name = 'k',
     .help = "Verify nothing: anyone on the way can read and alter the messages. Warns each time.",
     .apply = send_apply_insecure},
    {.name = "tls-min",
     .argument = "VERSION",
     .default_text = "1.3",
     .help = "The lowest TLS version to accept: 1.2 or 1.3.",
     .apply = send_apply_tls_min},
    {.name = "ciphersuites",
     .argument = "LIST",
     .help = "TLS 1.3 cipher suites, separated by colons.",
     .apply = send_apply_ciphersuites},
    {.name = "groups",
     .argument = "LIST",
     .default_text = TLS_DEFAULT_GROUPS,
     .help = "Key exchange groups, separated by colons, best first.",
     .apply = send_apply_groups},
    {.name = "keylogfile",
     .argument = "FILE",
     .default_text = "$SSLKEYLOGFILE",
     .help = "Append the session's secrets to FILE, for debugging with a packet dump.",
     .apply = send_apply_keylog},
    {.name = "", .help = "Output"},
    {.name = "quiet",
     .short_name = 'q',
     .help = "Do not print replies.",
     .apply = send_apply_quiet},
    {.name = "verbose",
     .short_name = 'v',
     .help = "Say on standard error what is tried, and what TLS agreed on.",
     .apply = send_apply_verbose},
    {.name = "version",
     .short_name = 'V',
     .help = "Print the version and end.",
     .apply = send_apply_version},
    {.name = "help", .help = "Print this text and end.", .apply = send_apply_help},
    {.name = NULL},
};

void send_options_print_help(FILE *out)
{
    fputs("Usage: certpost send --plain [options] [HOST[:PORT]]\n"
          "\n"
          "Sends messages over TLS, one at a time, and waits for the acknowledgement of each.\n"
          "Ends with 0 only when every message was acknowledged.\n",
          out);
    options_print_help(send_specs, out);
    fputs("\n"
          "Exit status: 0 all acknowledged, 2 usage, 6 cannot resolve, 7 cannot connect,\n"
          "28 time is up, 35 TLS handshake, 58 own certificate or key, 60 server's\n"
          "certificate, 65 message refused, 70 defect of certpost, 74 local I/O,\n"
          "75 connection ended before all was acknowledged, 76 protocol, 77 CA file.\n",
          out);
}

static size_t send_count_standard_input(const struct send_options *options)
{
    size_t count = options->lines ? 1 : 0;
    for (size_t i = 0; i < options->source_count; i++) {
        if (options->sources[i].kind == SEND_SOURCE_FILE &&
            strcmp(options->sources[i].value, "-") == 0)
            count++;
    }
    return count;
}

static enum certpost_status send_check(const struct send_options *options,
                                       struct certpost_error *error)
{
    const char *wrong = NULL;
    if (!options->plain)
        wrong = "certpost/1 is not part of this version; use --plain";
    else if (send_count_standard_input(options) > 1)
        wrong = "standard input can be read only once; give -l or one -f -";
    else if (options->lines && options->source_count > 0)
        wrong = "-l takes all messages from standard input, so -m and -f cannot be with it";
    else if (options->certificate_file != NULL && options->key_file == NULL)
        wrong = "--cert needs --key: a certificate is of no use without its key";
    else if (options->key_file != NULL && options->certificate_file == NULL)
        wrong = "--key needs --cert: a key is of no use without its certificate";
    else if (options->quiet && options->verbose)
        wrong = "-q and -v contradict each other; give one of them";
    if (wrong != NULL)
        return error_set(error, CERTPOST_USAGE, "%s", wrong);
    return CERTPOST_OK;
}

static enum certpost_status send_fill_in(struct send_options *options, struct certpost_error *error)
{
    if (options->host[0] == '\0')
        snprintf(options->host, sizeof options->host, "%s", SEND_DEFAULT_HOST);
    if (options->port == 0)
        options->port = SEND_DEFAULT_PORT;
    if (options->server_name == NULL)
        options->server_name = options->host;
    if (options->keylog_file == NULL) {
        const char *named = secure_getenv("SSLKEYLOGFILE");
        options->keylog_file = named != NULL && *named != '\0' ? named : NULL;
    }
    if (options->source_count > 0 || options->lines)
        return CERTPOST_OK;
    return send_add_source(options, SEND_SOURCE_TEXT, SEND_DEFAULT_MESSAGE, error);
}

static enum certpost_status send_take_operands(struct send_options *options, int argc, char **argv,
                                               int first, struct certpost_error *error)
{
    if (first == argc)
        return CERTPOST_OK;
    char safe[TEXT_HOST_BYTES * 2];
    if (argc - first > 1) {
        text_escape(argv[first + 1], strlen(argv[first + 1]), safe, sizeof safe);
        return error_set(error, CERTPOST_USAGE,
                         "%s is one operand too many; a message is given with -m", safe);
    }
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = send_apply_host(options, argv[first], &cause);
    if (status == CERTPOST_OK)
        return status;
    text_escape(argv[first], strlen(argv[first]), safe, sizeof safe);
    return error_set(error, status, "%s: %s", safe, certpost_error_text(&cause, status));
}

enum certpost_status send_options_parse(int argc, char **argv, struct send_options *ret_options,
                                        struct certpost_error *error)
{
    *ret_options = (struct send_options){
        .connect_timeout_ms = SEND_CONNECT_TIMEOUT_MS,
        .ack_timeout_ms = SEND_ACK_TIMEOUT_MS,
    };
    int first = argc;
    enum certpost_status status = options_parse(send_specs, argc, argv, ret_options, &first, error);
    if (status != CERTPOST_OK || ret_options->help || ret_options->version)
        return status;
    status = send_take_operands(ret_options, argc, argv, first, error);
    if (status == CERTPOST_OK)
        status = send_check(ret_options, error);
    if (status == CERTPOST_OK)
        status = send_fill_in(ret_options, error);
    return status;
}

void send_options_free(struct send_options *options)
{
    if (options == NULL)
        return;
    free(options->sources);
    options->sources = NULL;
    options->source_count = 0;
}
