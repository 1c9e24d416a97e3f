/*
 * test_server_config_file.c — the configuration file: what a line may be, what is wrong with it,
 * and who wins. All through config_load, as the server calls it.
 */
#include "base/error.h"
#include "server/config_file.h"
#include "support/config_stage.h"
#include "support/unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAIR "cert = a.crt\nkey = a.key\n"

static const char *const no_arguments[] = {NULL};

static enum certpost_status load_bytes(struct config_stage *stage, const void *text, size_t length,
                                       const char *const *arguments)
{
    config_stage_write(stage, "main.conf", text, length);
    return config_stage_load(stage, arguments);
}

static void test_values_of_every_kind(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(
        stage, PAIR "listen = 127.0.0.1:1\nworkers = 3\nframing = line\nprint = no\n"
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
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(stage,
                                     "# first\n\n   \n\t\n; second\n   # third = no option\n" PAIR
                                     "  reply\t =\t a # b = c ; d  \t\nworkers=2"));
    assert_string_equal(stage->config.reply, "a # b = c ; d");
    assert_int_equal(stage->config.worker_count, 2); /* the last line needs no end */
}

static void test_lines_that_end_with_cr_lf(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(
        stage, "# comment\r\n\r\ncert = a.crt\r\nkey = a.key\r\nreply = yes \r\n"));
    assert_string_equal(stage->config.reply, "yes");
    assert_string_equal(stage->config.tls.certificates.items[0], "a.crt");
}

static void test_an_empty_file(void **state)
{
    struct config_stage *stage = *state;
    static const char *const pair[] = {"--cert", "a.crt", "--key", "a.key", NULL};
    assert_ok(load_bytes(stage, "", 0, pair));
    assert_ok(load_bytes(stage, "\n", 1, pair));
    assert_string_equal(stage->config.listen.items[0], CONFIG_DEFAULT_LISTEN);
}

static void test_a_key_twice(void **state)
{
    struct config_stage *stage = *state;
    config_stage_assert_refused(stage, PAIR "workers = 1\n# between\nworkers = 1\n",
                                "main.conf:5: workers is set already in line 3");
}

/* The other name of a thing is no second place for it. */
static void test_print_and_no_print_contradict_in_any_order(void **state)
{
    struct config_stage *stage = *state;
    config_stage_assert_refused(stage, PAIR "print = yes\nworkers = 1\nno-print = yes\n",
                                "main.conf:5: no-print = yes contradicts print = yes in line 3");
    config_stage_assert_refused(stage, PAIR "no-print = yes\nworkers = 1\nprint = yes\n",
                                "main.conf:5: print = yes contradicts no-print = yes in line 3");
    config_stage_assert_refused(stage, PAIR "print = no\nno-print = no\n",
                                "main.conf:4: no-print = no contradicts print = no in line 3");
    config_stage_write_text(stage, "conf.d/a.conf", "no-print = yes\n");
    config_stage_write_text(stage, "main.conf", PAIR "print = yes\n");
    enum certpost_status status = config_stage_load(stage, no_arguments);
    assert_status(status, CERTPOST_USAGE);
    config_stage_assert_words(
        stage, status, "conf.d/a.conf:1: no-print = yes contradicts print = yes at main.conf:3");
}

static void test_print_and_no_print_agree(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(stage, PAIR "print = yes\nno-print = no\n"));
    assert_true(stage->config.print);
    assert_ok(config_stage_load_text(stage, PAIR "no-print = yes\nprint = no\n"));
    assert_false(stage->config.print);
}

/* Of the command line the last one holds, whatever the files say. */
static void test_print_and_no_print_on_the_command_line(void **state)
{
    struct config_stage *stage = *state;
    static const char *const off[] = {"--print", "--no-print", NULL};
    static const char *const on[] = {"--no-print", "--print", NULL};
    static const char text[] = PAIR "print = yes\nno-print = no\n";
    assert_ok(load_bytes(stage, text, sizeof text - 1, off));
    assert_false(stage->config.print);
    assert_ok(load_bytes(stage, text, sizeof text - 1, on));
    assert_true(stage->config.print);
}

static void test_repeatable_keys_add_up(void **state)
{
    struct config_stage *stage = *state;
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
    struct config_stage *stage = *state;
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
    struct config_stage *stage = *state;
    config_stage_assert_refused(
        stage, PAIR "max-conections = 5\n",
        "main.conf:3: unknown key max-conections; did you mean max-connections?");
    assert_status(config_stage_load_text(stage, PAIR "qwertyuiop = 5\n"), CERTPOST_USAGE);
    assert_non_null(strstr(stage->error.text, ":3: unknown key qwertyuiop"));
    assert_null(strstr(stage->error.text, "did you mean"));
    config_stage_assert_refused(stage, PAIR "= 5\n",
                                "main.conf:3: there is no key in front of the =");
    assert_status(config_stage_load_text(stage, PAIR "--workers = 5\n"), CERTPOST_USAGE);
    assert_status(config_stage_load_text(stage, PAIR "Workers = 5\n"), CERTPOST_USAGE);
}

static void test_keys_of_the_command_line_only(void **state)
{
    struct config_stage *stage = *state;
    static const char *const only[] = {"config = x\n", "test-config = yes\n", "help = yes\n",
                                       "version = yes\n"};
    for (size_t i = 0; i < sizeof only / sizeof only[0]; i++) {
        assert_status(config_stage_load_text(stage, only[i]), CERTPOST_USAGE);
        assert_non_null(strstr(stage->error.text, ":1: "));
    }
}

static void test_wrong_lines_and_values(void **state)
{
    struct config_stage *stage = *state;
    config_stage_assert_refused(stage, "workers\n", "main.conf:1: a line is `key = value`");
    config_stage_assert_refused(stage, "\n\nworkers =\n", "main.conf:3: the value is empty");
    config_stage_assert_refused(stage, "workers =  \t \n", "main.conf:1: the value is empty");
    config_stage_assert_refused(stage, "workers = many\n",
                                "main.conf:1: --workers: the number is 1 to 256");
    config_stage_assert_refused(stage, "workers = 257\n",
                                "main.conf:1: --workers: the number is 1 to 256");
    config_stage_assert_refused(stage, "workers = 0\n",
                                "main.conf:1: --workers: the number is 1 to 256");
    config_stage_assert_refused(stage, "framing = block\n",
                                "main.conf:1: --framing: the framing is chunk or line");
    config_stage_assert_refused(stage, "print = perhaps\n",
                                "main.conf:1: --print: the value is yes or no");
    config_stage_assert_refused(
        stage, "max-message = 16MiB\n",
        "main.conf:1: --max-message: a size is 1 to 16777215 bytes, such as 4096, 64KiB or "
        "1MiB");
    config_stage_assert_refused(
        stage, "idle-timeout = 25h\n",
        "main.conf:1: --idle-timeout: a duration is 1ms to 86400s, such as 500ms, 10s or 2m");
}

static void test_a_nul_byte(void **state)
{
    struct config_stage *stage = *state;
    static const char text[] = PAIR "reply = a\0b\n";
    enum certpost_status status = load_bytes(stage, text, sizeof text - 1, no_arguments);
    assert_status(status, CERTPOST_USAGE);
    config_stage_assert_words(stage, status, "configuration main.conf is not a text file");
}

static void test_a_missing_file(void **state)
{
    struct config_stage *stage = *state;
    enum certpost_status status = config_stage_load(stage, no_arguments);
    assert_status(status, CERTPOST_LOCAL_IO);
    config_stage_assert_words(stage, status,
                              "cannot read configuration main.conf: No such file or directory");
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

static void assert_config_refused(char *path, const char *expected)
{
    static char program[] = "certpostd";
    static char option[] = "--config";
    char *arguments[] = {program, option, path, NULL};
    struct server_config config;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(config_load(3, arguments, &config, &error), CERTPOST_LOCAL_IO);
    assert_string_equal(error.text, expected);
    config_free(&config);
}

/* A FIFO that nobody ever writes to would make the start wait. */
static void test_what_is_no_file(void **state)
{
    struct config_stage *stage = *state;
    static char null_device[] = "/dev/null";
    char link[2 * STAGE_PATH_BYTES];
    char expected[4 * STAGE_PATH_BYTES];
    snprintf(link, sizeof link, "%s/link.conf", stage->folder);
    assert_int_equal(mkfifo(stage->path, 0600), 0);
    assert_int_equal(symlink(stage->path, link), 0);
    snprintf(expected, sizeof expected, "configuration %s is not a regular file", stage->path);
    assert_config_refused(stage->path, expected);
    snprintf(expected, sizeof expected, "configuration %s is not a regular file", link);
    assert_config_refused(link, expected);
    assert_config_refused(null_device, "configuration /dev/null is not a regular file");
}

/* As `--config <(command)` names it. */
static void test_a_pipe_is_read_once(void **state)
{
    (void)state;
    static const char text[] = PAIR "workers = 7\n";
    static char program[] = "certpostd";
    static char option[] = "--config";
    int ends[2];
    char path[64];
    char *arguments[] = {program, option, path, NULL};
    struct server_config config;
    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    assert_int_equal(write(ends[1], text, sizeof text - 1), sizeof text - 1);
    close(ends[1]);
    assert_ok(config_load(3, arguments, &config, NULL));
    assert_int_equal(config.worker_count, 7);
    config_free(&config);
    char expected[256];
    snprintf(expected, sizeof expected,
             "configuration %s is a pipe that nothing comes out of; what was read once cannot be "
             "read again",
             path);
    assert_config_refused(path, expected);
    close(ends[0]);
}

static void test_a_byte_order_mark(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(stage, "\xef\xbb\xbf" PAIR "workers = 2\n"));
    assert_int_equal(stage->config.worker_count, 2);
    config_stage_assert_refused(stage, PAIR "\xef\xbb\xbfworkers = 2\n",
                                "main.conf:3: unknown key \\xef\\xbb\\xbfworkers; did you mean "
                                "workers?");
}

/* Just as long as it may be, and one byte more; also where it is a comment. */
static void test_a_long_line(void **state)
{
    struct config_stage *stage = *state;
    static const char key[] = "client-ca = ";
    char *text = malloc(CONFIG_LINE_MAX_BYTES + 2);
    assert_non_null(text);
    memset(text, 'x', CONFIG_LINE_MAX_BYTES + 1);
    memcpy(text, key, sizeof key - 1);
    text[CONFIG_LINE_MAX_BYTES] = '\0';
    static const char *const pair[] = {"--cert", "a.crt", "--key", "a.key", NULL};
    assert_ok(load_bytes(stage, text, CONFIG_LINE_MAX_BYTES, pair));
    assert_int_equal(strlen(stage->config.tls.client_ca), CONFIG_LINE_MAX_BYTES - strlen(key));
    text[CONFIG_LINE_MAX_BYTES] = 'x';
    text[CONFIG_LINE_MAX_BYTES + 1] = '\0';
    config_stage_assert_refused(stage, text, "main.conf:1: a line has at most 65536 bytes");
    text[0] = '#';
    config_stage_assert_refused(stage, text, "main.conf:1: a line has at most 65536 bytes");
    free(text);
}

/* The bound is on what is read; the file is one hole, and costs no room. */
static void test_too_large(void **state)
{
    struct config_stage *stage = *state;
    config_stage_write_text(stage, "main.conf", "");
    assert_int_equal(truncate(stage->path, 2L * CONFIG_FILES_MAX_BYTES), 0);
    enum certpost_status status = config_stage_load(stage, no_arguments);
    assert_status(status, CERTPOST_LOCAL_IO);
    config_stage_assert_words(stage, status,
                              "configuration main.conf is too large: at most 32 MiB, all files "
                              "together");
}

/* More than one read's worth, and numbers of lines beyond a byte. */
static void test_a_long_file(void **state)
{
    struct config_stage *stage = *state;
    enum { LINES = 10000, LINE_BYTES = 32 };
    char *text = calloc(LINES, LINE_BYTES);
    assert_non_null(text);
    size_t length = 0;
    for (int i = 0; i < LINES; i++)
        length += (size_t)snprintf(text + length, LINE_BYTES, "allow-dns = host-%d.example\n", i);
    length += (size_t)snprintf(text + length, LINE_BYTES, "oops\n");
    enum certpost_status status = load_bytes(stage, text, length, no_arguments);
    assert_status(status, CERTPOST_USAGE);
    config_stage_assert_words(stage, status, "main.conf:10001: a line is `key = value`");
    assert_int_equal(stage->config.tls.allow_dns.count, LINES);
    assert_string_equal(stage->config.tls.allow_dns.items[LINES - 1], "host-9999.example");
    free(text);
}

/* A reload loads again with the same arguments: the same result, and nothing of the old one. */
static void test_loading_again(void **state)
{
    struct config_stage *stage = *state;
    static const char *const arguments[] = {"--listen", "127.0.0.1:3", NULL};
    static const char first[] = PAIR "listen = 127.0.0.1:1\nworkers = 2\n";
    static const char second[] = PAIR "reply = other\n";
    assert_ok(load_bytes(stage, first, sizeof first - 1, arguments));
    assert_ok(load_bytes(stage, second, sizeof second - 1, arguments));
    assert_int_equal(stage->config.listen.count, 1);
    assert_string_equal(stage->config.reply, "other");
}

UNIT_MAIN(STAGE_CASE(test_values_of_every_kind), STAGE_CASE(test_comments_and_white_space),
          STAGE_CASE(test_lines_that_end_with_cr_lf), STAGE_CASE(test_an_empty_file),
          STAGE_CASE(test_a_key_twice), STAGE_CASE(test_print_and_no_print_contradict_in_any_order),
          STAGE_CASE(test_print_and_no_print_agree),
          STAGE_CASE(test_print_and_no_print_on_the_command_line),
          STAGE_CASE(test_repeatable_keys_add_up), STAGE_CASE(test_the_command_line_wins),
          STAGE_CASE(test_unknown_keys), STAGE_CASE(test_keys_of_the_command_line_only),
          STAGE_CASE(test_wrong_lines_and_values), STAGE_CASE(test_a_nul_byte),
          STAGE_CASE(test_a_missing_file), cmocka_unit_test(test_a_folder),
          STAGE_CASE(test_what_is_no_file), cmocka_unit_test(test_a_pipe_is_read_once),
          STAGE_CASE(test_a_long_file), STAGE_CASE(test_loading_again),
          STAGE_CASE(test_a_byte_order_mark), STAGE_CASE(test_a_long_line),
          STAGE_CASE(test_too_large))
