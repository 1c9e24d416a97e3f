/*
 * test_server_config_file.c — the configuration file: what a line may be, what is wrong with it,
 * and who wins. All through config_load, as the server calls it.
 */
#include "base/error.h"
#include "server/config.h"
#include "support/unit.h"

#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 64, ARGUMENTS_MAX = 16 };

struct stage {
    char path[PATH_BYTES];
    char *arguments[ARGUMENTS_MAX];
    int count;
    struct server_config config;
    struct certpost_error error;
};

static int stage_set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL)
        return -1;
    snprintf(stage->path, sizeof stage->path, "/tmp/certpost-config-XXXXXX");
    int descriptor = mkstemp(stage->path);
    if (descriptor < 0)
        return -1;
    close(descriptor);
    *state = stage;
    return 0;
}

static int stage_tear_down(void **state)
{
    struct stage *stage = *state;
    (void)unlink(stage->path);
    config_free(&stage->config);
    free(stage);
    return 0;
}

static void write_file(const struct stage *stage, const void *text, size_t length)
{
    FILE *file = fopen(stage->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Loads `text` as the configuration, with the arguments (NULL-ended) after --config. */
static enum certpost_status load_bytes(struct stage *stage, const void *text, size_t length,
                                       const char *const *arguments)
{
    static char program[] = "certpostd";
    static char option[] = "--config";
    write_file(stage, text, length);
    config_free(&stage->config);
    certpost_error_clear(&stage->error);
    stage->count = 0;
    stage->arguments[stage->count++] = program;
    stage->arguments[stage->count++] = option;
    stage->arguments[stage->count++] = stage->path;
    while (*arguments != NULL)
        stage->arguments[stage->count++] = (char *)(uintptr_t)*arguments++;
    stage->arguments[stage->count] = NULL;
    return config_load(stage->count, stage->arguments, &stage->config, &stage->error);
}

static const char *const no_arguments[] = {NULL};

#define PAIR "cert = a.crt\nkey = a.key\n"

static enum certpost_status load(struct stage *stage, const char *text)
{
    return load_bytes(stage, text, strlen(text), no_arguments);
}

/* The words of the error; the file's path is FILE in what is expected. */
static void assert_words(struct stage *stage, enum certpost_status status, const char *expected)
{
    char words[sizeof stage->error.text + PATH_BYTES];
    const char *said = certpost_error_text(&stage->error, status);
    const char *at = strstr(said, stage->path);
    assert_non_null(at);
    snprintf(words, sizeof words, "%.*sFILE%s", (int)(at - said), said, at + strlen(stage->path));
    assert_string_equal(words, expected);
}

static void assert_refused(struct stage *stage, const char *text, const char *expected)
{
    enum certpost_status status = load(stage, text);
    assert_status(status, CERTPOST_USAGE);
    assert_words(stage, status, expected);
}

static void test_values_of_every_kind(void **state)
{
    struct stage *stage = *state;
    assert_ok(load(stage, PAIR "listen = 127.0.0.1:1\nworkers = 3\nframing = line\nprint = no\n"
                               "max-message = 64KiB\nidle-timeout = 90s\nreply = so be it\n"
                               "log-level = debug\nmax-connections = 7\n"));
    const struct server_config *config = &stage->config;
    assert_string_equal(config->listen.items[0], "127.0.0.1:1");
    assert_int_equal(config->worker_count, 3);
    assert_int_equal(config->framing, PLAIN_LINE);
    assert_false(config->print);
    assert_int_equal(config->limits.max_message_bytes, 65536);
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_IDLE], 90000);
    assert_string_equal(config->reply, "so be it");
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config->limits.max_connections, 7);
}

static void test_comments_and_white_space(void **state)
{
    struct stage *stage = *state;
    assert_ok(load(stage, "# first\n\n   \n\t\n; second\n   # third = no option\n" PAIR
                          "  reply\t =\t a # b = c ; d  \t\nworkers=2"));
    assert_string_equal(stage->config.reply, "a # b = c ; d");
    assert_int_equal(stage->config.worker_count, 2); /* the last line needs no end */
}

static void test_lines_that_end_with_cr_lf(void **state)
{
    struct stage *stage = *state;
    assert_ok(load(stage, "# comment\r\n\r\ncert = a.crt\r\nkey = a.key\r\nreply = yes \r\n"));
    assert_string_equal(stage->config.reply, "yes");
    assert_string_equal(stage->config.tls.certificates.items[0], "a.crt");
}

static void test_an_empty_file(void **state)
{
    struct stage *stage = *state;
    static const char *const pair[] = {"--cert", "a.crt", "--key", "a.key", NULL};
    assert_ok(load_bytes(stage, "", 0, pair));
    assert_ok(load_bytes(stage, "\n", 1, pair));
    assert_string_equal(stage->config.listen.items[0], CONFIG_DEFAULT_LISTEN);
}

static void test_a_key_twice(void **state)
{
    struct stage *stage = *state;
    assert_refused(stage, PAIR "workers = 1\n# between\nworkers = 1\n",
                   "FILE:5: workers is set already in line 3");
}

static void test_repeatable_keys_add_up(void **state)
{
    struct stage *stage = *state;
    static const char *const more[] = {"--listen", "127.0.0.1:3", NULL};
    static const char text[] = PAIR "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\n";
    assert_ok(load_bytes(stage, text, sizeof text - 1, more));
    const struct options_list *listen = &stage->config.listen;
    assert_int_equal(listen->count, 3);
    assert_string_equal(listen->items[0], "127.0.0.1:1");
    assert_string_equal(listen->items[1], "127.0.0.1:2");
    assert_string_equal(listen->items[2], "127.0.0.1:3");
}

static void test_the_command_line_wins(void **state)
{
    struct stage *stage = *state;
    static const char *const arguments[] = {"--workers", "5", "--print", "--reply", "mine", NULL};
    static const char text[] = PAIR "workers = 2\nprint = no\nreply = yours\nmax-message = 9\n";
    assert_ok(load_bytes(stage, text, sizeof text - 1, arguments));
    assert_int_equal(stage->config.worker_count, 5);
    assert_true(stage->config.print);
    assert_string_equal(stage->config.reply, "mine");
    assert_int_equal(stage->config.limits.max_message_bytes, 9);
}

static void test_unknown_keys(void **state)
{
    struct stage *stage = *state;
    assert_refused(stage, PAIR "max-conections = 5\n",
                   "FILE:3: unknown key max-conections; did you mean max-connections?");
    assert_status(load(stage, PAIR "qwertyuiop = 5\n"), CERTPOST_USAGE);
    assert_non_null(strstr(stage->error.text, ":3: unknown key qwertyuiop"));
    assert_null(strstr(stage->error.text, "did you mean"));
    assert_status(load(stage, PAIR "= 5\n"), CERTPOST_USAGE);
    assert_status(load(stage, PAIR "--workers = 5\n"), CERTPOST_USAGE);
    assert_status(load(stage, PAIR "Workers = 5\n"), CERTPOST_USAGE);
}

static void test_keys_of_the_command_line_only(void **state)
{
    struct stage *stage = *state;
    static const char *const only[] = {"config = x\n", "test-config = yes\n", "help = yes\n",
                                       "version = yes\n"};
    for (size_t i = 0; i < sizeof only / sizeof only[0]; i++) {
        assert_status(load(stage, only[i]), CERTPOST_USAGE);
        assert_non_null(strstr(stage->error.text, ":1: "));
    }
}

static void test_wrong_lines_and_values(void **state)
{
    struct stage *stage = *state;
    assert_refused(stage, "workers\n", "FILE:1: a line is `key = value`");
    assert_refused(stage, "\n\nworkers =\n", "FILE:3: the value is empty");
    assert_refused(stage, "workers =  \t \n", "FILE:1: the value is empty");
    assert_refused(stage, "workers = many\n", "FILE:1: --workers: the number is 1 to 256");
    assert_refused(stage, "workers = 257\n", "FILE:1: --workers: the number is 1 to 256");
    assert_refused(stage, "workers = 0\n", "FILE:1: --workers: the number is 1 to 256");
    assert_refused(stage, "framing = block\n", "FILE:1: --framing: the framing is chunk or line");
    assert_refused(stage, "print = perhaps\n", "FILE:1: --print: the value is yes or no");
    assert_refused(stage, "max-message = 16MiB\n",
                   "FILE:1: --max-message: a size is 1 to 16777215 bytes, such as 4096, 64KiB or "
                   "1MiB");
    assert_refused(stage, "idle-timeout = 25h\n",
                   "FILE:1: --idle-timeout: a duration is 1ms to 86400s, such as 500ms, 10s or 2m");
}

static void test_a_nul_byte(void **state)
{
    struct stage *stage = *state;
    static const char text[] = PAIR "reply = a\0b\n";
    enum certpost_status status = load_bytes(stage, text, sizeof text - 1, no_arguments);
    assert_status(status, CERTPOST_USAGE);
    assert_words(stage, status, "configuration FILE is not a text file");
}

static void test_a_missing_file(void **state)
{
    struct stage *stage = *state;
    static char program[] = "certpostd";
    static char option[] = "--config";
    char *arguments[] = {program, option, stage->path, NULL};
    assert_int_equal(unlink(stage->path), 0);
    enum certpost_status status = config_load(3, arguments, &stage->config, &stage->error);
    assert_status(status, CERTPOST_LOCAL_IO);
    assert_words(stage, status, "cannot read configuration FILE: No such file or directory");
}

static void test_a_folder(void **state)
{
    (void)state;
    static char program[] = "certpostd";
    static char option[] = "--config=/tmp";
    char *arguments[] = {program, option, NULL};
    struct server_config config;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(config_load(2, arguments, &config, &error), CERTPOST_LOCAL_IO);
    assert_string_equal(error.text, "cannot read configuration /tmp: Is a directory");
    config_free(&config);
}

/* More than one read's worth, and numbers of lines beyond a byte. */
static void test_a_long_file(void **state)
{
    struct stage *stage = *state;
    enum { LINES = 10000, LINE_BYTES = 32 };
    char *text = calloc(LINES, LINE_BYTES);
    assert_non_null(text);
    size_t length = 0;
    for (int i = 0; i < LINES; i++)
        length += (size_t)snprintf(text + length, LINE_BYTES, "allow-dns = host-%d.example\n", i);
    length += (size_t)snprintf(text + length, LINE_BYTES, "oops\n");
    enum certpost_status status = load_bytes(stage, text, length, no_arguments);
    assert_status(status, CERTPOST_USAGE);
    assert_words(stage, status, "FILE:10001: a line is `key = value`");
    assert_int_equal(stage->config.tls.allow_dns.count, LINES);
    assert_string_equal(stage->config.tls.allow_dns.items[LINES - 1], "host-9999.example");
    free(text);
}

/* A reload loads again with the same arguments: the same result, and nothing of the old one. */
static void test_loading_again(void **state)
{
    struct stage *stage = *state;
    static const char *const arguments[] = {"--listen", "127.0.0.1:3", NULL};
    static const char first[] = PAIR "listen = 127.0.0.1:1\nworkers = 2\n";
    static const char second[] = PAIR "reply = other\n";
    assert_ok(load_bytes(stage, first, sizeof first - 1, arguments));
    assert_ok(load_bytes(stage, second, sizeof second - 1, arguments));
    assert_int_equal(stage->config.listen.count, 1);
    assert_string_equal(stage->config.reply, "other");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)

UNIT_MAIN(CASE(test_values_of_every_kind), CASE(test_comments_and_white_space),
          CASE(test_lines_that_end_with_cr_lf), CASE(test_an_empty_file), CASE(test_a_key_twice),
          CASE(test_repeatable_keys_add_up), CASE(test_the_command_line_wins),
          CASE(test_unknown_keys), CASE(test_keys_of_the_command_line_only),
          CASE(test_wrong_lines_and_values), CASE(test_a_nul_byte), CASE(test_a_missing_file),
          cmocka_unit_test(test_a_folder), CASE(test_a_long_file), CASE(test_loading_again))
