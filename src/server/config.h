/*
 * server/config.h — what certpostd was told to do, on its command line and in its configuration
 * file.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "base/buffer.h"
#include "base/log.h"
#include "base/options.h"
#include "net/conn.h"
#include "net/listener.h"
#include "tls/server_material.h"
#include "wire/plain.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_DEFAULT_PORT = 8080, CONFIG_LIST_MAX = 64, CONFIG_WORKERS_MAX = 256 };

/* The descriptors that a process can have on Linux (fs.nr_open's default). */
enum { CONFIG_CONNECTIONS_MAX = 1024 * 1024 };

/* What is known as [listener NAME] in a file, and to systemd as the name of a socket. */
enum { CONFIG_LISTENERS_MAX = 64, CONFIG_LISTENER_NAME_BYTES = NET_LISTENER_NAME_BYTES };

/* Allow lists may hold one entry for each machine of a large site. */
enum { CONFIG_ALLOW_MAX = 100 * 1000 };

/* The length of a message on the wire of certpost/1 has 24 bits; plain keeps to the same bound. */
enum { CONFIG_MAX_MESSAGE_BYTES = (1 << 24) - 1, CONFIG_DEFAULT_MAX_MESSAGE_BYTES = 1024 * 1024 };

#define CONFIG_DEFAULT_LISTEN "127.0.0.1:8080"
#define CONFIG_DEFAULT_REPLY  "Message received!"

enum config_log_format {
    CONFIG_LOG_AUTO, /* the journal's form under systemd, else text */
    CONFIG_LOG_TEXT,
    CONFIG_LOG_JSON,
};

enum config_choice { CONFIG_UNDECIDED, CONFIG_ON, CONFIG_OFF };

/* What the command line asks for. */
enum config_action {
    CONFIG_RUN,
    CONFIG_PRINT, /* what a start would run with */
    CONFIG_SHOW_HELP,
    CONFIG_SHOW_VERSION,
};

/* Bounds of what peers can make the server hold or do. */
struct config_limits {
    size_t max_connections;
    size_t max_connections_per_address; /* IPv6: per /64 */
    size_t max_handshakes;              /* under way at once */
    size_t max_handshake_rate;          /* begun per second */
    size_t max_message_bytes;
    size_t max_pending_bytes;       /* read and not yet made safe, per connection */
    size_t max_pending_total_bytes; /* the same, of all connections */
};

/* Where a value was set. */
struct config_place {
    const char *path; /* a configuration file; NULL: the command line */
    unsigned line;    /* from 1 */
};

/* A value as it was written. */
struct config_entry {
    const struct options_spec *spec;
    const char *value; /* "" for a flag */
    struct config_place place;
    size_t listener; /* whose own it is: an index of `listeners` and 1; 0: the server's */
};

struct config_entries {
    struct config_entry *items;
    size_t count;
};

/*
 * One [listener NAME]: addresses, and what holds for connections that come in there. Where the
 * section says nothing about framing or proxies, what holds for all stands here too.
 */
struct config_listener {
    const char *name; /* letters, digits, `-`, `_` and `.` */
    struct config_place place;
    struct options_list listen;
    enum plain_framing framing;
    struct options_list proxy_from;
};

struct config_listeners {
    struct config_listener *items;
    size_t count;
};

/* The files that were read, in order. */
struct config_file {
    char *path;
    struct buffer text; /* values point into it */
};

struct config_files {
    struct config_file *items;
    size_t count;
};

/*
 * Strings are borrowed from the command line or the settings, which must outlive the configuration,
 * or lie in `files`.
 */
struct server_config {
    enum config_action action;
    const char *config_path;           /* NULL: none */
    bool test_only;                    /* --test-config */
    bool print_config;                 /* --print-config */
    struct options_list listen;        /* addresses of the listener without a name */
    struct config_listeners listeners; /* those with a name, beside it */
    const char *admin;                 /* where the admin endpoint is; NULL: there is none */
    size_t worker_count;
    struct tls_server_setup tls;
    enum plain_framing framing;
    const char *reply;
    const char *name;  /* in WELCOME and receipts; NULL: the certificate's */
    const char *store; /* a path; NULL: none */
    enum config_choice print_wish;
    bool print; /* the wish, or where there is none, whether there is no store */
    struct config_limits limits;
    struct net_limits times;
    int64_t drain_timeout_ms;
    struct options_list proxy_from; /* addresses that speak the PROXY protocol */
    const char *user;               /* to become after start; NULL: stay */
    bool sandbox;
    enum config_log_format log_format;
    enum log_level log_level;
    struct config_files files;
    struct config_entries entries; /* everything that was set, in order; dropped once it is loaded,
                                      unless it is to be printed */
    char **credentials;            /* the paths that credential:NAME stands for */
    size_t credential_count;
};

/*
 * Fills in `ret_config` from defaults, the configuration files if one is named, and the command
 * line, which wins; the values of repeatable options add up. With --print-config, and without
 * --test-config, the action is CONFIG_PRINT, and there need be no certificate. Checks what can be
 * checked without touching other files. May be called again with the same arguments, for a reload.
 * Free with config_free, also after a failure. Errors: USAGE, LOCAL_IO (a configuration file),
 * NO_MEMORY, with words.
 */
CERTPOST_MUST_CHECK
enum certpost_status config_load(int argc, char **argv, struct server_config *ret_config,
                                 struct certpost_error *error);
void config_free(struct server_config *config);

/* One option by its name, as a program that embeds the server sets it. */
struct config_setting {
    char *name;
    char *value; /* "" for a flag */
};

/* In the order in which they were set. All zero: none. */
struct config_settings {
    struct config_setting *items;
    size_t count;
};

/*
 * Adds a copy, once the value alone is known to be good; what was set for an option that is not
 * repeatable is replaced. A `value` of NULL switches a flag on, and takes everything back that was
 * set for any other option. Errors: USAGE: an option that is unknown (with the nearest known one)
 * or about the process, a wrong value; NO_MEMORY. After an error nothing has changed.
 */
CERTPOST_MUST_CHECK
enum certpost_status config_settings_set(struct config_settings *settings, const char *name,
                                         const char *value, struct certpost_error *error);
void config_settings_free(struct config_settings *settings);

/*
 * As config_load, from settings, which must outlive the configuration; the process is left alone:
 * no printing, no sandbox. Errors: USAGE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status config_load_settings(const struct config_settings *settings,
                                          struct server_config *ret_config,
                                          struct certpost_error *error);

/* Where a configuration comes from, now and at each reload. Everything is borrowed. */
struct config_source {
    const struct config_settings *settings; /* NULL: the command line */
    int argc;
    char **argv;
};

/* config_load or config_load_settings. */
CERTPOST_MUST_CHECK
enum certpost_status config_load_source(const struct config_source *source,
                                        struct server_config *ret_config,
                                        struct certpost_error *error);

/* config.c, for config_settings.c: what holds when nothing is said, and what follows from what was
 * said. Errors: INTERNAL (the table), USAGE, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status config_set_defaults(struct server_config *config,
                                         struct certpost_error *error);
CERTPOST_MUST_CHECK
enum certpost_status config_complete(struct server_config *config, struct certpost_error *error);

/*
 * config_credentials.c, for config.c: puts the file in CREDENTIALS_DIRECTORY in place of
 * credential:NAME, wherever a file of TLS is named. Errors: USAGE (no such folder, a name with a
 * folder in it), NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status config_resolve_credentials(struct server_config *config,
                                                struct certpost_error *error);
void config_free_credentials(struct server_config *config);

/* Prints how to call certpostd. */
void config_print_help(FILE *out);

/*
 * config_print.c: prints every value and where it comes from, as a configuration file that says the
 * same. For a configuration loaded with --print-config. Errors: USAGE: a value of the command line
 * that a file cannot say.
 */
CERTPOST_MUST_CHECK
enum certpost_status config_print(const struct server_config *config, FILE *out,
                                  struct certpost_error *error);

/* The table of all options, ended by a NULL name; its first row is a group. */
extern const struct options_spec config_options[];

/* The row of the group that an option of the table stands in. */
const struct options_spec *config_group_of(const struct options_spec *spec);

#endif
