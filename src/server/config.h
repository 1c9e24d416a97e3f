/*
 * server/config.h — what certpostd was told to do.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "base/log.h"
#include "net/conn.h"
#include "tls/settings.h"
#include "wire/plain.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_DEFAULT_PORT = 8080, CONFIG_LISTEN_MAX = 64, CONFIG_WORKERS_MAX = 256 };

/* The length of a message on the wire of certpost/1 has 24 bits; plain keeps to the same bound. */
enum { CONFIG_MAX_MESSAGE_BYTES = (1 << 24) - 1, CONFIG_DEFAULT_MAX_MESSAGE_BYTES = 1024 * 1024 };

#define CONFIG_DEFAULT_LISTEN "127.0.0.1:8080"
#define CONFIG_DEFAULT_REPLY  "Message received!"

/* Strings are borrowed from the command line. */
struct server_config {
    const char *listen[CONFIG_LISTEN_MAX];
    size_t listen_count;
    const char *certificate_path;
    const char *key_path;
    struct tls_settings tls;
    enum plain_framing framing;
    const char *reply;
    bool print;
    size_t worker_count;
    size_t max_message_bytes;
    enum log_level log_level;
    struct net_limits limits;
    int64_t drain_timeout_ms;
};

/* What the command line asks for. */
enum config_action {
    CONFIG_RUN,
    CONFIG_SHOW_HELP,
    CONFIG_SHOW_VERSION,
};

/*
 * Fills in `ret_config` from defaults and the command line, and checks what can be checked without
 * touching a file. Errors: USAGE with words.
 */
CERTPOST_MUST_CHECK
enum certpost_status config_from_arguments(int argc, char **argv, struct server_config *ret_config,
                                           enum config_action *ret_action,
                                           struct certpost_error *error);

/* Prints how to call certpostd. */
void config_print_help(FILE *out);

#endif
