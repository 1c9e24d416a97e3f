/*
 * fuzz_config.c — certpostd's command line and configuration files (server/config.h,
 * base/options.h): what is accepted lies within its bounds, and printed it is a file that says the
 * same; what is not is told in words that can be shown.
 *
 * Script: u8 allocation that fails, u8 how many words, each a u8 length and the bytes; the rest is
 * the configuration file. Where it has bytes FS (0x1c), these end it and each of the files of
 * conf.d.
 */
#include "fuzz/fuzz.h"
#include "server/config_file.h"
#include "server/fixed_options.h"
#include "session/plain_receiver.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS_MAX = 32, PARTS_MAX = 8, PATH_BYTES = 96, SEPARATOR = 0x1c };

static void config_check_listeners(const struct server_config *config)
{
    char host[TEXT_HOST_BYTES];
    uint16_t port = 0;
    size_t addresses = config->listen.count;
    for (size_t i = 0; i < config->listen.count; i++)
        FUZZ_CHECK(text_parse_endpoint(config->listen.items[i], 1, host, &port));
    for (size_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *listener = &config->listeners.items[i];
        size_t length = strlen(listener->name);
        FUZZ_CHECK(length > 0 && length < CONFIG_LISTENER_NAME_BYTES);
        FUZZ_CHECK(strpbrk(listener->name, " \t\r\n[]:") == NULL);
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(strcmp(listener->name, config->listeners.items[j].name) != 0);
        FUZZ_CHECK(listener->listen.count > 0);
        FUZZ_CHECK(listener->framing == PLAIN_CHUNK || listener->framing == PLAIN_LINE);
        FUZZ_CHECK(listener->proxy_from.count >= (config->proxy_from.count > 0));
        for (size_t j = 0; j < listener->listen.count; j++)
            FUZZ_CHECK(text_parse_endpoint(listener->listen.items[j], 1, host, &port));
        addresses += listener->listen.count;
    }
    FUZZ_CHECK(addresses > 0 && addresses <= CONFIG_LIST_MAX);
}

static void config_check_accepted(const struct server_config *config)
{
    if (config->action != CONFIG_RUN && config->action != CONFIG_PRINT)
        return;
    config_check_listeners(config);
    FUZZ_CHECK(config->worker_count > 0 && config->worker_count <= CONFIG_WORKERS_MAX);
    FUZZ_CHECK(config->tls.certificates.count == config->tls.keys.count);
    FUZZ_CHECK(config->tls.certificates.count > 0 || config->action == CONFIG_PRINT);
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

/* ------------------------------------------------------------------------------ printing */

/* What is printed; NULL: a value that no file can have. To be freed. */
static char *config_printed(const struct server_config *config)
{
    char *text = NULL;
    size_t length = 0;
    struct certpost_error error;
    certpost_error_clear(&error);
    FILE *out = open_memstream(&text, &length);
    FUZZ_CHECK(out != NULL);
    enum certpost_status status = config_print(config, out, &error);
    FUZZ_CHECK(fclose(out) == 0);
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_USAGE);
    if (status == CERTPOST_OK)
        return text;
    free(text);
    return NULL;
}

/* The next line that is no comment. */
static const char *config_next_line(const char *text)
{
    while (*text == '#')
        text = strchr(text, '\n') + 1;
    return text;
}

static void config_check_same(const char *one, const char *other)
{
    one = config_next_line(one);
    other = config_next_line(other);
    while (*one != '\0') {
        size_t length = strcspn(one, "\n") + 1;
        FUZZ_CHECK(strncmp(one, other, length) == 0);
        one = config_next_line(one + length);
        other = config_next_line(other + length);
    }
    FUZZ_CHECK(*other == '\0');
}

/* What a running server cannot change is the same. */
static void config_check_fixed(const struct server_config *one, const struct server_config *other)
{
    struct fixed_options *left = NULL;
    struct fixed_options *right = NULL;
    size_t position = 0;
    FUZZ_CHECK(fixed_options_new(one, &left, NULL) == CERTPOST_OK);
    FUZZ_CHECK(fixed_options_new(other, &right, NULL) == CERTPOST_OK);
    FUZZ_CHECK(fixed_options_next_difference(left, right, &position) == NULL);
    fixed_options_free(left);
    fixed_options_free(right);
}

/* A file of what is printed is taken, and prints as the same again. */
static void config_check_print(const struct server_config *config)
{
    char *first = config_printed(config);
    if (first == NULL)
        return;
    const char *file = fuzz_file(first, strlen(first));
    char *path = fuzz_text(file, strlen(file));
    char program[] = "certpostd";
    char print[] = "--print-config";
    char option[] = "--config";
    char *arguments[] = {program, print, option, path, NULL};
    struct server_config again;
    struct certpost_error error;
    certpost_error_clear(&error);
    FUZZ_CHECK(config_load(4, arguments, &again, &error) == CERTPOST_OK);
    config_check_fixed(config, &again);
    char *second = config_printed(&again);
    FUZZ_CHECK(second != NULL);
    config_check_same(first, second);
    config_free(&again);
    free(first);
    free(second);
    free(path);
}

/* ------------------------------------------------------------------------------ files */

/* A folder with a file main.conf and files of conf.d; `parts` counts them. */
struct config_folder {
    char path[PATH_BYTES];
    char main[2 * PATH_BYTES];
    size_t parts;
};

static void config_part_path(const struct config_folder *folder, size_t part,
                             char ret_path[2 * PATH_BYTES])
{
    snprintf(ret_path, 2UL * PATH_BYTES, "%s/conf.d/%zu.conf", folder->path, part);
}

static void config_write(const char *path, const uint8_t *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file != NULL && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
}

static void config_folder_make(struct config_folder *folder, const uint8_t *bytes, size_t length)
{
    char path[2 * PATH_BYTES];
    snprintf(folder->path, sizeof folder->path, "/tmp/certpost-fuzz-XXXXXX");
    FUZZ_CHECK(mkdtemp(folder->path) != NULL);
    snprintf(folder->main, sizeof folder->main, "%s/main.conf", folder->path);
    snprintf(path, sizeof path, "%s/conf.d", folder->path);
    FUZZ_CHECK(mkdir(path, 0700) == 0);
    const char *name = folder->main;
    for (;;) {
        const uint8_t *end = memchr(bytes, SEPARATOR, length);
        size_t taken = end == NULL || folder->parts == PARTS_MAX ? length : (size_t)(end - bytes);
        config_write(name, bytes, taken);
        if (taken == length)
            return;
        bytes += taken + 1;
        length -= taken + 1;
        config_part_path(folder, folder->parts++, path);
        name = path;
    }
}

static void config_folder_remove(const struct config_folder *folder)
{
    char path[2 * PATH_BYTES];
    if (folder->path[0] == '\0')
        return;
    for (size_t i = 0; i < folder->parts; i++) {
        config_part_path(folder, i, path);
        FUZZ_CHECK(unlink(path) == 0);
    }
    snprintf(path, sizeof path, "%s/conf.d", folder->path);
    FUZZ_CHECK(rmdir(path) == 0 && unlink(folder->main) == 0 && rmdir(folder->path) == 0);
}

/* ------------------------------------------------------------------------------ all */

static void config_try(int count, char **words, struct cursor *fault)
{
    char *given[WORDS_MAX + 5];
    memcpy(given, words, sizeof given); /* the parser changes the order */
    struct server_config config;
    struct certpost_error error;
    certpost_error_clear(&error);
    fuzz_arm_memory(fault);
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
    if (status == CERTPOST_OK && config.action == CONFIG_PRINT)
        config_check_print(&config);
    config_free(&config);
    config_free(NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    struct cursor fault = script;
    struct config_folder folder = {.parts = 0};
    (void)fuzz_u8(&script);
    char *words[WORDS_MAX + 5] = {fuzz_text("certpostd", 9)};
    int count = 1;
    for (uint8_t wanted = fuzz_u8(&script) % WORDS_MAX; wanted > 0; wanted--) {
        const uint8_t *bytes = NULL;
        size_t length = fuzz_take(&script, fuzz_u8(&script), &bytes);
        words[count++] = fuzz_text(bytes, length);
    }
    if (script.left_bytes > 0) {
        const char *path = folder.main;
        if (memchr(script.next, SEPARATOR, script.left_bytes) != NULL)
            config_folder_make(&folder, script.next, script.left_bytes);
        else
            path = fuzz_file(script.next, script.left_bytes);
        words[count++] = fuzz_text("--config", 8);
        words[count++] = fuzz_text(path, strlen(path));
    }
    config_try(count, words, &fault);
    config_folder_remove(&folder);
    for (int i = 0; i < count; i++)
        free(words[i]);
    return 0;
}
