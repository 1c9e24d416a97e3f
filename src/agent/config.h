/*
 * agent/config.h — the options of a client (certpost/client.h), from one table.
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include "base/options.h"
#include "base/text.h"
#include "tls/context_pin.h"
#include "tls/settings.h"
#include "wire/message.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { AGENT_SERVERS_MAX = 16, AGENT_PINS_MAX = 16, AGENT_TEXTS_MAX = 256 };

struct agent_server {
    char host[TEXT_HOST_BYTES];
    uint16_t port; /* 0: `port` of the configuration */
};

struct agent_config {
    struct agent_server servers[AGENT_SERVERS_MAX];
    size_t server_count;
    uint16_t port;
    int64_t connect_timeout_ms;
    int64_t ack_timeout_ms;
    int64_t retry_for_ms; /* CLOCK_NEVER_MS: for ever */

    const char *ca_file;
    const char *ca_path;
    const char *crl_file;
    const char *certificate_file;
    const char *key_file;
    const char *server_name; /* NULL: the host */
    const char *keylog_file;
    bool insecure;
    struct tls_pin pin_list[AGENT_PINS_MAX];
    size_t pin_count;
    struct tls_settings tls;

    const char *stream; /* NULL: that of the spool, or the machine's name */
    const char *software;
    const char *spool_file;
    const char *receipt_file; /* NULL: none is asked for */
    bool has_required_level;
    enum message_level required_level;
    uint64_t resume_from; /* number of the first message; 0: do not resume */
    size_t max_buffered_bytes;

    char *texts[AGENT_TEXTS_MAX]; /* owned; the strings above point into these */
    size_t text_count;
};

void agent_config_init(struct agent_config *config);
void agent_config_free(struct agent_config *config);

/* One option by its name; both strings are copied. Errors: USAGE, with words; NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status agent_config_set(struct agent_config *config, const char *name,
                                      const char *value, struct certpost_error *error);

/*
 * Checks what goes together, and fills in the servers. May be called again after changes.
 * Errors: USAGE.
 */
CERTPOST_MUST_CHECK
enum certpost_status agent_config_settle(struct agent_config *config, struct certpost_error *error);

#endif
