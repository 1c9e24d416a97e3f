/*
 * client/connect_options.h — the options of every subcommand that connects to a server: their rows,
 * which each puts into its own table, and how they are taken into the library's configuration.
 */
#ifndef CLIENT_CONNECT_OPTIONS_H
#define CLIENT_CONNECT_OPTIONS_H

#include "agent/config.h"
#include "base/options.h"

#include "certpost/error.h"

/*
 * Sets the option `name` of the library. The words of an error do not name the option: the parser
 * of the command line does. Errors: as agent_config_set.
 */
CERTPOST_MUST_CHECK
enum certpost_status connect_set(struct agent_config *config, const char *name, const char *value,
                                 struct certpost_error *error);

/*
 * The file that the environment names for the session's secrets, unless an option has named one;
 * NULL: none. Borrowed from the environment.
 */
const char *connect_keylog_file(const struct agent_config *config);

/* In all of them, `take_setting` is an options_take that calls connect_set. */

#define CONNECT_HOST_OPTIONS(take_setting, host_help, timeout_help)                                \
    {.name = "host",                                                                               \
     .short_name = 'h',                                                                            \
     .argument = "HOST",                                                                           \
     .hints = "@host",                                                                             \
     .default_text = "127.0.0.1",                                                                  \
     .help = (host_help),                                                                          \
     .take = (take_setting)},                                                                      \
        {.name = "port",                                                                           \
         .short_name = 'p',                                                                        \
         .argument = "PORT",                                                                       \
         .default_text = "8080",                                                                   \
         .help = "The server's port.",                                                             \
         .take = (take_setting)},                                                                  \
    {                                                                                              \
        .name = "connect-timeout", .argument = "TIME", .default_text = "10s",                      \
        .help = (timeout_help), .take = (take_setting)                                             \
    }

#define CONNECT_TLS_OPTIONS(take_setting)                                                          \
    {.name = "cacert",                                                                             \
     .argument = "FILE",                                                                           \
     .default_text = "the system's CAs",                                                           \
     .help = "Trust the CA certificates in FILE (PEM).",                                           \
     .take = (take_setting)},                                                                      \
        {.name = "cafile", .argument = "FILE", .alias_of = "cacert"},                              \
        {.name = "CAfile", .argument = "FILE", .alias_of = "cacert"},                              \
        {.name = "capath",                                                                         \
         .argument = "FOLDER",                                                                     \
         .help = "Trust the CA certificates in FOLDER, prepared with `openssl rehash`.",           \
         .take = (take_setting)},                                                                  \
        {.name = "crlfile",                                                                        \
         .argument = "FILE",                                                                       \
         .help = "Refuse a server certificate that this revocation list (PEM) names.",             \
         .take = (take_setting)},                                                                  \
        {.name = "cert",                                                                           \
         .argument = "FILE",                                                                       \
         .help = "Own certificate with its chain (PEM); needs --key.",                             \
         .take = (take_setting)},                                                                  \
        {.name = "key",                                                                            \
         .argument = "FILE",                                                                       \
         .help = "Own private key (PEM); needs --cert.",                                           \
         .take = (take_setting)},                                                                  \
        {.name = "servername",                                                                     \
         .argument = "NAME",                                                                       \
         .default_text = "the host",                                                               \
         .help = "The name that the server's certificate must have.",                              \
         .take = (take_setting)},                                                                  \
        {.name = "pin",                                                                            \
         .argument = "PIN",                                                                        \
         .help =                                                                                   \
             "Accept only a server whose key has this pin, sha256//BASE64, beside the checks of "  \
             "its certificate. Repeatable: any one of them.",                                      \
         .take = (take_setting)},                                                                  \
        {.name = "insecure",                                                                       \
         .short_name = 'k',                                                                        \
         .help = "Verify nothing but pins: without one, anyone on the way can read and alter the " \
                 "messages. Warns each time.",                                                     \
         .take = (take_setting)},                                                                  \
        {.name = "tls-min",                                                                        \
         .argument = "VERSION",                                                                    \
         .words = "1.2 1.3",                                                                       \
         .default_text = "1.3",                                                                    \
         .help = "The lowest TLS version to accept: 1.2 or 1.3.",                                  \
         .take = (take_setting)},                                                                  \
        {.name = "ciphersuites",                                                                   \
         .argument = "LIST",                                                                       \
         .help = "TLS 1.3 cipher suites, separated by colons.",                                    \
         .take = (take_setting)},                                                                  \
        {.name = "groups",                                                                         \
         .argument = "LIST",                                                                       \
         .default_text = TLS_DEFAULT_GROUPS,                                                       \
         .help = "Key exchange groups, separated by colons, best first.",                          \
         .take = (take_setting)},                                                                  \
    {                                                                                              \
        .name = "keylogfile", .argument = "FILE", .default_text = "$SSLKEYLOGFILE",                \
        .help = "Append the session's secrets to FILE, for debugging with a packet dump.",         \
        .take = (take_setting)                                                                     \
    }

#define CONNECT_REQUIRE_OPTION(take_setting, require_default)                                      \
    {                                                                                              \
        .name = "require", .argument = "LEVEL", .words = "accepted stored replicated",             \
        .default_text = (require_default),                                                         \
        .help = "The least that an acknowledgement must mean: accepted, stored or replicated.",    \
        .take = (take_setting)                                                                     \
    }

#endif
