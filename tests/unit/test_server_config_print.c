/*
 * test_server_config_print.c — --print-config: every value, where it comes from, and that a file of
 * it says the same.
 */
#include "server/config_file.h"
#include "support/config_stage.h"
#include "support/unit.h"

#include <stdlib.h>

#define PAIR "cert = a.crt\nkey = a.key\n"

static const char *const print_only[] = {"--print-config", NULL};

static enum certpost_status load(struct config_stage *stage, const char *text,
                                 const char *const *arguments)
{
    config_stage_write_text(stage, "main.conf", text);
    return config_stage_load(stage, arguments);
}

static void assert_has(const char *text, const char *lines)
{
    if (strstr(text, lines) == NULL)
        fail_msg("no\n%s\nin\n%s", lines, text);
}

static void assert_lacks(const char *text, const char *lines)
{
    if (strstr(text, lines) != NULL)
        fail_msg("there is\n%s\nin\n%s", lines, text);
}

/* Whether a line is `KEY = …`, `# KEY is not set…`, or neither. */
static bool names_key(const char *text, const char *key)
{
    char set[80];
    char unset[80];
    snprintf(set, sizeof set, "\n%s = ", key);
    snprintf(unset, sizeof unset, "\n# %s is not set", key);
    return strstr(text, set) != NULL || strstr(text, unset) != NULL;
}

static void test_every_option_is_printed(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(load(stage, "", print_only));
    assert_int_equal(stage->config.action, CONFIG_PRINT);
    char *text = config_stage_print(stage);
    for (const struct options_spec *spec = config_options; spec->name != NULL; spec++) {
        bool is_of_files = spec->name[0] != '\0' && !spec->command_line_only;
        /* no-print is the other side of print. */
        if (is_of_files && strcmp(spec->name, "no-print") != 0 && !names_key(text, spec->name))
            fail_msg("%s is not printed", spec->name);
        if (spec->command_line_only)
            assert_false(names_key(text, spec->name));
    }
    free(text);
}

/* The defaults of help are printed, and, read from there, change nothing. */
static void test_defaults_are_those_of_help(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(load(stage, "", print_only));
    char *text = config_stage_print(stage);
    size_t checked = 0;
    for (const struct options_spec *spec = config_options; spec->name != NULL; spec++) {
        char line[160];
        if (spec->default_text == NULL)
            continue;
        snprintf(line, sizeof line, "\n# default\n%s = %s\n", spec->name, spec->default_text);
        assert_has(text, line);
        checked++;
    }
    assert_in_range(checked, 20, 1000);
    assert_has(text, "\n# default: without a store\nprint = yes\n");
    assert_has(text, "\n# default: require with --client-ca, else none\nclient-verify = none\n");
    assert_has(text, "\n# default: one per core\nworkers = ");
    assert_has(text, "\n# ciphersuites is not set: OpenSSL's\n");
    free(text);
}

static void test_where_values_come_from(void **state)
{
    struct config_stage *stage = *state;
    static const char *const arguments[] = {"--print-config", "--workers",   "5", "--sni-strict",
                                            "--allow-dns",    "from.a.line", NULL};
    config_stage_write_text(stage, "conf.d/10.conf", "\n[limits]\nmax-connections = 7\n");
    assert_ok(
        load(stage, PAIR "workers = 2\nclient-ca = ca.crt\nallow-dns = from.a.file\n", arguments));
    char *text = config_stage_print(stage);
    assert_has(text, "\n# read: main.conf\n# read: conf.d/10.conf\n");
    assert_has(text, "\n# command line\nworkers = 5\n");
    assert_lacks(text, "workers = 2");
    assert_has(text, "\n# command line\nsni-strict = yes\n");
    assert_has(text, "\n# main.conf:1\ncert = a.crt\n");
    assert_has(text, "\n[limits]\n# conf.d/10.conf:3\nmax-connections = 7\n");
    assert_has(text, "\n# main.conf:5\nallow-dns = from.a.file\n"
                     "# command line\nallow-dns = from.a.line\n");
    assert_has(text, "client-verify = require\n");
    free(text);
}

static void test_listeners_are_printed(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(load(stage,
                   PAIR "framing = line\n[listener a]\nlisten = :1\n[listener b]\nlisten = :2\n"
                        "framing = chunk\nproxy-from = ::1\n",
                   print_only));
    char *text = config_stage_print(stage);
    assert_has(text, "\n# listen is not set\n");
    assert_has(text, "\n[listener a]\n# main.conf:5\nlisten = :1\n"
                     "# as all listeners: main.conf:3\nframing = line\n"
                     "# proxy-from is not set\n");
    assert_has(text, "\n[listener b]\n# main.conf:7\nlisten = :2\n# main.conf:8\nframing = chunk\n"
                     "# main.conf:9\nproxy-from = ::1\n");
    free(text);
    assert_ok(load(stage, PAIR "proxy-from = ::1\nproxy-from = ::2\n[listener a]\nlisten = :1\n",
                   print_only));
    text = config_stage_print(stage);
    assert_has(text, "[listener a]\n# main.conf:6\nlisten = :1\n# default\nframing = chunk\n"
                     "# as all listeners: main.conf:3\nproxy-from = ::1\n"
                     "# as all listeners: main.conf:4\nproxy-from = ::2\n");
    free(text);
}

/* What was said last of two options for one thing. */
static void test_print_and_no_print(void **state)
{
    struct config_stage *stage = *state;
    static const char *const no_print[] = {"--print-config", "--no-print", NULL};
    assert_ok(load(stage, PAIR "print = yes\n", no_print));
    char *text = config_stage_print(stage);
    assert_has(text, "\n# command line\nno-print = yes\n");
    assert_lacks(text, "\nprint = ");
    free(text);
    assert_ok(load(stage, PAIR "store = s.db\n", print_only));
    text = config_stage_print(stage);
    assert_has(text, "\n# default: without a store\nprint = no\n");
    free(text);
}

/* The lines of the text that are no comments. */
static char *without_comments(const char *text)
{
    char *kept = calloc(1, strlen(text) + 1);
    assert_non_null(kept);
    size_t used = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        size_t length = (size_t)(strchr(line, '\n') - line) + 1;
        if (*line != '#') {
            memcpy(kept + used, line, length);
            used += length;
        }
    }
    return kept;
}

static void test_a_file_of_it_says_the_same(void **state)
{
    struct config_stage *stage = *state;
    static const char *const arguments[] = {"--print-config",
                                            "--workers",
                                            "3",
                                            "--reply",
                                            "# not = a [comment]",
                                            "--no-print",
                                            "--sni-strict",
                                            "--store",
                                            "/s;x.db",
                                            "--proxy-from",
                                            "10.0.0.0/8",
                                            NULL};
    assert_ok(load(stage,
                   PAIR "listen = :1\nidle-timeout = 90s\nmax-message = 64K\nclient-ca = c\n"
                        "client-verify = optional\nallow-uri = spiffe://x\n"
                        "[listener a]\nlisten = :2\nframing = line\n",
                   arguments));
    char *first = config_stage_print(stage);
    assert_ok(load(stage, first, print_only));
    char *second = config_stage_print(stage);
    char *one = without_comments(first);
    char *other = without_comments(second);
    assert_string_equal(other, one);
    const struct server_config *config = &stage->config;
    assert_int_equal(config->worker_count, 3);
    assert_string_equal(config->reply, "# not = a [comment]");
    assert_false(config->print);
    assert_string_equal(config->store, "/s;x.db");
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_IDLE], 90000);
    assert_int_equal(config->limits.max_message_bytes, 65536);
    assert_int_equal(config->tls.client_verify, TLS_CLIENT_VERIFY_OPTIONAL);
    assert_int_equal(config->listeners.items[0].framing, PLAIN_LINE);
    assert_string_equal(config->listeners.items[0].proxy_from.items[0], "10.0.0.0/8");
    free(first);
    free(second);
    free(one);
    free(other);
}

/* A line's end in a value would be another key. */
static void test_values_that_no_file_can_have(void **state)
{
    struct config_stage *stage = *state;
    static const char *const values[] = {" a", "a ", "\ta", "a\t", "a\r", "a\nworkers = 9"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        const char *arguments[] = {"--print-config", "--client-ca", values[i], NULL};
        assert_ok(load(stage, PAIR, arguments));
        assert_status(config_print(&stage->config, stderr, &stage->error), CERTPOST_USAGE);
        assert_non_null(strstr(stage->error.text, "--client-ca: a configuration file cannot have"));
    }
}

static void test_with_test_config_the_pair_is_required(void **state)
{
    struct config_stage *stage = *state;
    static const char *const both[] = {"--print-config", "--test-config", NULL};
    assert_status(load(stage, "", both), CERTPOST_USAGE);
    assert_ok(load(stage, PAIR, both));
    assert_int_equal(stage->config.action, CONFIG_RUN);
    assert_true(stage->config.print_config);
    assert_status(load(stage, "cert = a.crt\n", print_only), CERTPOST_USAGE);
}

/* Notes of what was set are for printing only. */
static void test_nothing_is_kept_without_need(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(stage, PAIR));
    assert_int_equal(stage->config.entries.count, 0);
}

UNIT_MAIN(STAGE_CASE(test_every_option_is_printed), STAGE_CASE(test_defaults_are_those_of_help),
          STAGE_CASE(test_where_values_come_from), STAGE_CASE(test_listeners_are_printed),
          STAGE_CASE(test_print_and_no_print), STAGE_CASE(test_a_file_of_it_says_the_same),
          STAGE_CASE(test_values_that_no_file_can_have),
          STAGE_CASE(test_with_test_config_the_pair_is_required),
          STAGE_CASE(test_nothing_is_kept_without_need))
