/*
 * fuzz_config.c — certpostd's command line and configuration file (server/config.h,
 * base/options.h): what is accepted lies within its bounds, what is not is told in words that can
 * be shown.
 *
 * Script: u8 allocation that fails, u8 how many words, each a u8 length and the bytes; the rest is
 * the configuration file.
 */
#include "fuzz/fuzz.h"
#include "server/config.h"
#include "session/plain_receiver.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 32 };

static void config_check_accepted(const struct server_config *config)
{
    char host[TEXT_HOST_BYTES];
    uint16_t port = 0;
    if (config->action != CONFIG_RUN)
        return;
    FUZZ_CHECK(config->worker_count > 0 && config->worker_count <= CONFIG_WORKERS_MAX);
    FUZZ_CHECK(config->listen.count > 0 && config->listen.count <= CONFIG_LIST_MAX);
    for (size_t i = 0; i < config->listen.count; i++)
        FUZZ_CHECK(text_parse_endpoint(config->listen.items[i], 1, host, &port));
    FUZZ_CHECK(config->tls.certificates.count == config->tls.keys.count);
    FUZZ_CHECK(config->tls.certificates.count > 0);
    FUZZ_CHECK(config->reply[0] != '\0' && strlen(config->reply) <= PLAIN_REPLY_MAX_BYTES);
    FUZZ_CHECK(config->limits.max_message_bytes > 0 &&
               config->limits.max_message_bytes <= CONFIG_MAX_MESSAGE_BYTES);
    FUZZ_CHECK(config->limits.max_connections > 0 &&
               config->limits.max_connections <= CONFIG_CONNECTIONS_MAX);
    for (size_t i = 0; i < sizeof config->times.timeout_ms / sizeof config->times.timeout_ms[0];
         i++)
        FUZZ_CHECK(config->times.timeout_ms[i] > 0);
    FUZZ_CHECK(config->tls.client_verify != TLS_CLIENT_VERIFY_UNSET);
    FUZZ_CHECK(config->tls.client_verify == TLS_CLIENT_VERIFY_NONE ||
               config->tls.client_ca != NULL);
}

static void config_show_help(void)
{
    static FILE *nowhere;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    FUZZ_CHECK(nowhere != NULL);
    config_print_help(nowhere);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    struct cursor fault = script;
    (void)fuzz_u8(&script);
    char *words[WORDS_MAX + 5] = {fuzz_text("certpostd", 9)};
    int count = 1;
    for (uint8_t wanted = fuzz_u8(&script) % WORDS_MAX; wanted > 0; wanted--) {
        const uint8_t *bytes = NULL;
        size_t length = fuzz_take(&script, fuzz_u8(&script), &bytes);
        words[count++] = fuzz_text(bytes, length);
    }
    if (script.left_bytes > 0) {
        const char *path = fuzz_file(script.next, script.left_bytes);
        words[count++] = fuzz_text("--config", 8);
        words[count++] = fuzz_text(path, strlen(path));
    }
    char *given[WORDS_MAX + 5];
    memcpy(given, words, sizeof given); /* the parser changes the order */
    struct server_config config;
    struct certpost_error error;
    certpost_error_clear(&error);
    fuzz_arm_memory(&fault);
    enum certpost_status status = config_load(count, given, &config, &error);
    bool struck = fuzz_heal_memory();
    /* A path is repeated as it was typed, so that the words name the right file. */
    if (status != CERTPOST_LOCAL_IO)
        fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_USAGE || status == CERTPOST_LOCAL_IO ||
               (status == CERTPOST_NO_MEMORY && struck));
    if (status == CERTPOST_OK)
        config_check_accepted(&config);
    if (status == CERTPOST_OK && config.action == CONFIG_SHOW_HELP)
        config_show_help();
    config_free(&config);
    config_free(NULL);
    for (int i = 0; i < count; i++)
        free(words[i]);
    return 0;
}
