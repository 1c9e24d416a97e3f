/*
 * config_options.c — the table of certpostd's options: the one truth for the command line, the
 * configuration file and --help.
 *
 * Uses: base/options.  Used by: config.c.
 * Never: opens a file; what the options name is looked at by whoever uses it.
 */
#include "base/error.h"
#include "net/network.h"
#include "server/activation.h"
#include "server/admin_address.h"
#include "server/config.h"
#include "session/plain_receiver.h"
#include "wire/message.h"

#include <stddef.h>
#include <string.h>

/* A day: longer waits are a mistake in the unit. */
#define CONFIG_DURATION_MAX_MS   (UINT64_C(24) * 3600 * 1000)
#define CONFIG_PENDING_MAX_BYTES (UINT64_C(1) << 40)

static enum certpost_status config_take_listen(const struct options_spec *spec, void *field,
                                               const char *value, struct certpost_error *error)
{
    char host[TEXT_HOST_BYTES];
    uint16_t port = 0;
    const char *name = activation_name(value);
    if (name != NULL && !activation_is_name(name))
        return error_set(error, CERTPOST_USAGE,
                         "systemd: is followed by the name of a socket (FileDescriptorName=)");
    if (name == NULL && !text_parse_endpoint(value, CONFIG_DEFAULT_PORT, host, &port))
        return error_set(error, CERTPOST_USAGE,
                         "an address is HOST:PORT or [IPV6]:PORT, with a port of at most 65535");
    return options_take_list(spec, field, value, error);
}

static enum certpost_status config_take_admin(const struct options_spec *spec, void *field,
                                              const char *value, struct certpost_error *error)
{
    struct admin_address unused;
    enum certpost_status status = admin_address_parse(value, &unused, error);
    return status == CERTPOST_OK ? options_take_text(spec, field, value, error) : status;
}

static enum certpost_status config_take_network(const struct options_spec *spec, void *field,
                                                const char *value, struct certpost_error *error)
{
    struct net_network network;
    char safe[128];
    text_escape(value, strlen(value), safe, sizeof safe);
    if (!net_network_parse(value, &network))
        return error_set(error, CERTPOST_USAGE,
                         "%s is no address, and no network such as 10.0.0.0/8", safe);
    return options_take_list(spec, field, value, error);
}

static enum certpost_status config_take_tls_min(const struct options_spec *spec, void *field,
                                                const char *value, struct certpost_error *error)
{
    (void)spec;
    return tls_settings_parse_version(value, field, error);
}

static enum certpost_status config_take_client_verify(const struct options_spec *spec, void *field,
                                                      const char *value,
                                                      struct certpost_error *error)
{
    (void)spec;
    if (!tls_client_verify_from_name(value, field))
        return error_set(error, CERTPOST_USAGE, "the value is none, optional or require");
    return CERTPOST_OK;
}

static enum certpost_status config_take_framing(const struct options_spec *spec, void *field,
                                                const char *value, struct certpost_error *error)
{
    (void)spec;
    if (!plain_framing_from_name(value, field))
        return error_set(error, CERTPOST_USAGE, "the framing is chunk or line");
    return CERTPOST_OK;
}

static enum certpost_status config_take_reply(const struct options_spec *spec, void *field,
                                              const char *value, struct certpost_error *error)
{
    if (value[0] == '\0' || strlen(value) > PLAIN_REPLY_MAX_BYTES)
        return error_set(error, CERTPOST_USAGE, "a reply has 1 to %d bytes", PLAIN_REPLY_MAX_BYTES);
    if (strchr(value, '\n') != NULL)
        return error_set(error, CERTPOST_USAGE, "a reply is one line");
    if (strncmp(value, PLAIN_REFUSAL_PREFIX, strlen(PLAIN_REFUSAL_PREFIX)) == 0)
        return error_set(error, CERTPOST_USAGE, "a reply that begins with \"%s\" means a refusal",
                         PLAIN_REFUSAL_PREFIX);
    return options_take_text(spec, field, value, error);
}

static enum certpost_status config_take_name(const struct options_spec *spec, void *field,
                                             const char *value, struct certpost_error *error)
{
    if (!message_stream_name_is_valid(value, strlen(value)))
        return error_set(error, CERTPOST_USAGE,
                         "a name has 1 to 255 bytes of UTF-8 without control characters");
    return options_take_text(spec, field, value, error);
}

static enum certpost_status config_take_no(const struct options_spec *spec, void *field,
                                           const char *value, struct certpost_error *error)
{
    bool no = false;
    enum certpost_status status = options_take_switch(spec, &no, value, error);
    if (status == CERTPOST_OK)
        *(bool *)field = !no;
    return status;
}

static enum certpost_status config_take_print(const struct options_spec *spec, void *field,
                                              const char *value, struct certpost_error *error)
{
    bool on = false;
    enum certpost_status status = options_take_switch(spec, &on, value, error);
    if (status == CERTPOST_OK)
        *(enum config_choice *)field = on ? CONFIG_ON : CONFIG_OFF;
    return status;
}

static enum certpost_status config_take_no_print(const struct options_spec *spec, void *field,
                                                 const char *value, struct certpost_error *error)
{
    bool off = false;
    enum certpost_status status = options_take_switch(spec, &off, value, error);
    if (status == CERTPOST_OK)
        *(enum config_choice *)field = off ? CONFIG_OFF : CONFIG_ON;
    return status;
}

static enum certpost_status config_take_store(const struct options_spec *spec, void *field,
                                              const char *value, struct certpost_error *error)
{
    if (strcmp(value, "none") != 0)
        return options_take_text(spec, field, value, error);
    *(const char **)field = NULL;
    return CERTPOST_OK;
}

static enum certpost_status config_take_log_format(const struct options_spec *spec, void *field,
                                                   const char *value, struct certpost_error *error)
{
    static const char *const names[] = {"auto", "text", "json"};
    (void)spec;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *(enum config_log_format *)field = (enum config_log_format)i;
            return CERTPOST_OK;
        }
    }
    return error_set(error, CERTPOST_USAGE, "the format is auto, text or json");
}

static enum certpost_status config_take_log_level(const struct options_spec *spec, void *field,
                                                  const char *value, struct certpost_error *error)
{
    (void)spec;
    if (!log_level_from_name(value, field))
        return error_set(error, CERTPOST_USAGE, "the level is error, warning, info or debug");
    return CERTPOST_OK;
}

static enum certpost_status config_show_help(void *config, const char *value,
                                             struct certpost_error *error)
{
    (void)value;
    (void)error;
    ((struct server_config *)config)->action = CONFIG_SHOW_HELP;
    return CERTPOST_OK;
}

static enum certpost_status config_show_version(void *config, const char *value,
                                                struct certpost_error *error)
{
    (void)value;
    (void)error;
    ((struct server_config *)config)->action = CONFIG_SHOW_VERSION;
    return CERTPOST_OK;
}

/* SECTION: a group whose options a configuration file can set. */
#define GROUP(heading)                                                                             \
    {                                                                                              \
        .name = "", .help = (heading)                                                              \
    }
#define SECTION(title, heading)                                                                    \
    {                                                                                              \
        .name = "", .section = (title), .help = (heading)                                          \
    }
#define FIELD(field) .offset = offsetof(struct server_config, field)

const struct options_spec config_options[] = {
    SECTION("server", "Where to serve"),
    {.name = "listen",
     .argument = "HOST:PORT",
     .hints = CONFIG_DEFAULT_LISTEN " systemd:",
     .default_text = CONFIG_DEFAULT_LISTEN,
     .help = "Serve here; repeatable. [::1]:8080 for IPv6, port 0 for a free one, :8080 for all "
             "addresses of the machine, systemd:NAME for a socket that systemd passes.",
     .take = config_take_listen,
     FIELD(listen),
     .max = CONFIG_LIST_MAX,
     .repeatable = true},
    {.name = "workers",
     .argument = "N",
     .default_words = "one per core",
     .help = "Threads that serve connections.",
     .take = options_take_count,
     FIELD(worker_count),
     .max = CONFIG_WORKERS_MAX},
    {.name = "admin",
     .argument = "ADDRESS",
     .hints = "unix:@file 127.0.0.1:9180",
     .default_words = "none",
     .help = "Answer HTTP here about the server itself: unix:PATH, or a loopback address such as "
             "127.0.0.1:9180.",
     .take = config_take_admin,
     FIELD(admin)},

    SECTION("certificate", "Certificate"),
    {.name = "cert",
     .argument = "FILE",
     .help = "Certificate, and its chain after it, in PEM format. Required.",
     .take = options_take_list,
     FIELD(tls.certificates),
     .max = CONFIG_LIST_MAX},
    {.name = "key",
     .argument = "FILE",
     .help = "The certificate's private key in PEM format. Required. Repeatable together with "
             "--cert: the client's SNI and key types choose.",
     .take = options_take_list,
     FIELD(tls.keys),
     .max = CONFIG_LIST_MAX},

    {.name = "passphrase-file",
     .argument = "FILE",
     .help = "The first line of FILE is the passphrase of encrypted keys.",
     .take = options_take_text,
     FIELD(tls.passphrase_file)},
    {.name = "ocsp-file",
     .argument = "FILE",
     .help = "OCSP response in DER to staple, for the certificate that it is about; repeatable.",
     .take = options_take_list,
     FIELD(tls.ocsp),
     .max = CONFIG_LIST_MAX},
    {.name = "sni-strict",
     .help = "Refuse clients that ask for a name which no certificate has.",
     .take = options_take_switch,
     FIELD(tls.sni_strict)},
    {.name = "ticket-lifetime",
     .argument = "DURATION",
     .default_text = "6h",
     .help = "How long a session of certpost/1 can be resumed at most; the keys of session tickets "
             "are changed twice in that time.",
     .take = options_take_duration,
     FIELD(tls.ticket_lifetime_ms),
     .max = CONFIG_DURATION_MAX_MS},

    SECTION("clients", "Clients"),
    {.name = "client-ca",
     .argument = "FILE",
     .help = "CA certificates (PEM) that sign client certificates.",
     .take = options_take_text,
     FIELD(tls.client_ca)},
    {.name = "client-verify",
     .argument = "HOW",
     .words = "none optional require",
     .default_words = "require with --client-ca, else none",
     .help = "none, optional (a client without a certificate is anonymous) or require.",
     .take = config_take_client_verify,
     FIELD(tls.client_verify)},
    {.name = "crlfile",
     .argument = "FILE",
     .help = "Revoked client certificates (PEM); one list for each CA.",
     .take = options_take_text,
     FIELD(tls.crl_file)},
    {.name = "allow-dns",
     .argument = "NAME",
     .help = "Serve only clients whose certificate has this DNS name; *.NAME matches one label. "
             "Repeatable, like the three below; any one that matches is enough.",
     .take = options_take_list,
     FIELD(tls.allow_dns),
     .max = CONFIG_ALLOW_MAX},
    {.name = "allow-uri",
     .argument = "URI",
     .help = "The same by URI, exactly.",
     .take = options_take_list,
     FIELD(tls.allow_uri),
     .max = CONFIG_ALLOW_MAX},
    {.name = "allow-cn",
     .argument = "NAME",
     .help = "The same by the subject's common name, exactly.",
     .take = options_take_list,
     FIELD(tls.allow_cn),
     .max = CONFIG_ALLOW_MAX},
    {.name = "allow-spki",
     .argument = "PIN",
     .help = "The same by public key: sha256//BASE64.",
     .take = options_take_list,
     FIELD(tls.allow_spki),
     .max = CONFIG_ALLOW_MAX},

    SECTION("tls", "TLS"),
    {.name = "tls-min",
     .argument = "VERSION",
     .words = "1.2 1.3",
     .default_text = "1.3",
     .help = "Lowest TLS version to accept: 1.2 or 1.3.",
     .take = config_take_tls_min,
     FIELD(tls.settings.min_version)},
    {.name = "groups",
     .argument = "LIST",
     .default_text = TLS_DEFAULT_GROUPS,
     .help = "Key-exchange groups, best first; those that OpenSSL lacks are skipped.",
     .take = options_take_text,
     FIELD(tls.settings.groups)},
    {.name = "ciphersuites",
     .argument = "LIST",
     .default_words = "OpenSSL's",
     .help = "TLS 1.3 cipher suites, best first.",
     .take = options_take_text,
     FIELD(tls.settings.ciphersuites)},

    SECTION("messages", "Messages"),
    {.name = "store",
     .argument = "FILE|none",
     .words = "none",
     .default_text = "none",
     .help = "Store messages in this SQLite database, made if it is not there, before they are "
             "acknowledged. none: they are handed on (see --print) and not kept.",
     .take = config_take_store,
     FIELD(store)},
    {.name = "framing",
     .argument = "chunk|line",
     .words = "chunk line",
     .default_text = "chunk",
     .help = "What a message of the plain exchange is: what one read returns, or a line.",
     .take = config_take_framing,
     FIELD(framing)},
    {.name = "name",
     .argument = "NAME",
     .default_words = "the first DNS name of the first certificate",
     .help = "The name of this server, which clients of certpost/1 are told and receipts carry.",
     .take = config_take_name,
     FIELD(name)},
    {.name = "reply",
     .argument = "TEXT",
     .default_text = CONFIG_DEFAULT_REPLY,
     .help = "The acknowledgement of a message.",
     .take = config_take_reply,
     FIELD(reply)},
    {.name = "max-message",
     .argument = "SIZE",
     .default_text = "1MiB",
     .help = "The longest message to take.",
     .take = options_take_size,
     FIELD(limits.max_message_bytes),
     .max = CONFIG_MAX_MESSAGE_BYTES},
    {.name = "print",
     .default_words = "without a store",
     .help = "Print connections and messages on standard output.",
     .take = config_take_print,
     FIELD(print_wish),
     .process_only = true},
    {.name = "no-print",
     .help = "Print only the addresses.",
     .take = config_take_no_print,
     FIELD(print_wish),
     .process_only = true},

    SECTION("time", "Time (500ms, 10s, 2m)"),
    {.name = "handshake-timeout",
     .argument = "DURATION",
     .default_text = "10s",
     .help = "For a connection's TLS handshake.",
     .take = options_take_duration,
     FIELD(times.timeout_ms[NET_DEADLINE_HANDSHAKE]),
     .max = CONFIG_DURATION_MAX_MS},
    {.name = "first-byte-timeout",
     .argument = "DURATION",
     .default_text = "30s",
     .help = "For a client's first message to begin, after its handshake.",
     .take = options_take_duration,
     FIELD(times.timeout_ms[NET_DEADLINE_FIRST_BYTE]),
     .max = CONFIG_DURATION_MAX_MS},
    {.name = "idle-timeout",
     .argument = "DURATION",
     .default_text = "10m",
     .help = "For a client that has sent something to send more.",
     .take = options_take_duration,
     FIELD(times.timeout_ms[NET_DEADLINE_IDLE]),
     .max = CONFIG_DURATION_MAX_MS},
    {.name = "write-timeout",
     .argument = "DURATION",
     .default_text = "30s",
     .help = "For a peer to take some of what waits for it.",
     .take = options_take_duration,
     FIELD(times.timeout_ms[NET_DEADLINE_WRITE]),
     .max = CONFIG_DURATION_MAX_MS},
    {.name = "close-timeout",
     .argument = "DURATION",
     .default_text = "5s",
     .help = "For a peer to close after the last bytes were sent.",
     .take = options_take_duration,
     FIELD(times.timeout_ms[NET_DEADLINE_CLOSE]),
     .max = CONFIG_DURATION_MAX_MS},
    {.name = "drain-timeout",
     .argument = "DURATION",
     .default_text = "30s",
     .help = "For ending all connections after SIGTERM or SIGINT.",
     .take = options_take_duration,
     FIELD(drain_timeout_ms),
     .max = CONFIG_DURATION_MAX_MS},

    SECTION("limits", "Limits"),
    {.name = "max-connections",
     .argument = "N",
     .default_text = "10000",
     .help = "Connections at once. At the limit others wait to be accepted.",
     .take = options_take_count,
     FIELD(limits.max_connections),
     .max = CONFIG_CONNECTIONS_MAX},
    {.name = "max-connections-per-address",
     .argument = "N",
     .default_text = "1000",
     .help = "The same for one IPv4 address or one IPv6 /64; others are refused.",
     .take = options_take_count,
     FIELD(limits.max_connections_per_address),
     .max = CONFIG_CONNECTIONS_MAX},
    {.name = "max-handshakes",
     .argument = "N",
     .default_text = "2000",
     .help = "TLS handshakes under way at once; the oldest is ended for a new one.",
     .take = options_take_count,
     FIELD(limits.max_handshakes),
     .max = CONFIG_CONNECTIONS_MAX},
    {.name = "max-handshake-rate",
     .argument = "N",
     .default_text = "5000",
     .help = "Handshakes begun per second; others wait to be accepted.",
     .take = options_take_count,
     FIELD(limits.max_handshake_rate),
     .max = CONFIG_CONNECTIONS_MAX},
    {.name = "max-pending",
     .argument = "SIZE",
     .default_text = "1MiB",
     .help = "Bytes read and not yet safe, per connection; above, its peer has to wait. The window "
             "of certpost/1.",
     .take = options_take_size,
     FIELD(limits.max_pending_bytes),
     .max = CONFIG_PENDING_MAX_BYTES},
    {.name = "max-pending-total",
     .argument = "SIZE",
     .default_text = "64MiB",
     .help = "The same for all connections together.",
     .take = options_take_size,
     FIELD(limits.max_pending_total_bytes),
     .max = CONFIG_PENDING_MAX_BYTES},
    {.name = "proxy-from",
     .argument = "ADDRESS",
     .help = "Expect the PROXY protocol (version 1 or 2) from this address or network "
             "(10.0.0.0/8); repeatable.",
     .take = config_take_network,
     FIELD(proxy_from),
     .max = CONFIG_LIST_MAX,
     .repeatable = true},

    SECTION("rights", "Rights"),
    {.name = "user",
     .argument = "NAME",
     .hints = "@user",
     .help = "Become this user once sockets and files are open (start as root for that).",
     .take = options_take_text,
     FIELD(user),
     .process_only = true},
    {.name = "no-sandbox",
     .help = "Do not restrict the process to what it needs (Landlock, seccomp).",
     .take = config_take_no,
     FIELD(sandbox),
     .process_only = true},

    SECTION("logs", "Logs"),
    {.name = "log-level",
     .argument = "LEVEL",
     .words = "error warning info debug",
     .default_text = "info",
     .help = "error, warning, info or debug.",
     .take = config_take_log_level,
     FIELD(log_level)},
    {.name = "log-format",
     .argument = "FORMAT",
     .words = "auto text json",
     .default_text = "auto",
     .help = "auto (the journal's under systemd, else text), text or json.",
     .take = config_take_log_format,
     FIELD(log_format)},

    GROUP("Other"),
    {.name = "config",
     .argument = "FILE",
     .help = "Read options from FILE, one `key = value` a line, under their names here, and from "
             "conf.d/*.conf beside it; see certpostd.conf(5). The command line wins.",
     .take = options_take_text,
     FIELD(config_path),
     .command_line_only = true},
    {.name = "test-config",
     .help = "Check the options and every file that they name, and exit.",
     .take = options_take_switch,
     FIELD(test_only),
     .command_line_only = true},
    {.name = "print-config",
     .help = "Print every option's value and where it was set, as a configuration file, and exit.",
     .take = options_take_switch,
     FIELD(print_config),
     .command_line_only = true},
    {.name = "help",
     .help = "Show this and exit.",
     .apply = config_show_help,
     .command_line_only = true},
    {.name = "version",
     .short_name = 'V',
     .help = "Show the version and exit.",
     .apply = config_show_version,
     .command_line_only = true},
    {0},
};
