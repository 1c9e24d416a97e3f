/*
 * test_server_config.c — the command line of certpostd: every option, its good and its bad values.
 */
#include "server/config.h"
#include "support/unit.h"

#include <stdlib.h>

enum { ARGUMENTS_MAX = 160, HELP_BYTES = 16 * 1024, HELP_COLUMNS = 80 };

struct parsed {
    struct server_config config;
    struct certpost_error error;
};

static void parsed_free(struct parsed *parsed)
{
    config_free(&parsed->config);
}

#define PARSED __attribute__((cleanup(parsed_free))) struct parsed

static enum certpost_status parse(struct parsed *parsed, const char *const *arguments)
{
    static char storage[ARGUMENTS_MAX][1200];
    char *argv[ARGUMENTS_MAX + 1];
    int argc = 0;
    parsed_free(parsed);
    *parsed = (struct parsed){0};
    snprintf(storage[0], sizeof storage[0], "certpostd");
    argv[argc++] = storage[0];
    for (size_t i = 0; arguments[i] != NULL; i++, argc++) {
        assert_true(argc < ARGUMENTS_MAX);
        snprintf(storage[argc], sizeof storage[argc], "%s", arguments[i]);
        argv[argc] = storage[argc];
    }
    argv[argc] = NULL;
    return config_load(argc, argv, &parsed->config, &parsed->error);
}

static enum certpost_status parse_with_pair(struct parsed *parsed, const char *option,
                                            const char *value)
{
    const char *const arguments[] = {"--cert", "c.pem", "--key", "k.pem", option, value, NULL};
    return parse(parsed, arguments);
}

/* Good values are taken; bad ones are refused in words that name the option. */
static void check_values(const char *option, const char *const *good, const char *const *bad,
                         const char *words)
{
    PARSED parsed = {0};
    for (size_t i = 0; good[i] != NULL; i++)
        assert_ok(parse_with_pair(&parsed, option, good[i]));
    for (size_t i = 0; bad[i] != NULL; i++) {
        assert_status(parse_with_pair(&parsed, option, bad[i]), CERTPOST_USAGE);
        assert_non_null(strstr(parsed.error.text, option));
        assert_non_null(strstr(parsed.error.text, words));
    }
}

static void test_defaults(void **state)
{
    (void)state;
    PARSED parsed = {0};
    const char *const arguments[] = {"--cert", "c.pem", "--key", "k.pem", NULL};
    assert_ok(parse(&parsed, arguments));
    const struct server_config *config = &parsed.config;
    assert_int_equal(parsed.config.action, CONFIG_RUN);
    assert_int_equal(config->listen.count, 1);
    assert_string_equal(config->listen.items[0], "127.0.0.1:8080");
    assert_string_equal(config->tls.certificates.items[0], "c.pem");
    assert_string_equal(config->tls.keys.items[0], "k.pem");
    assert_int_equal(config->tls.settings.min_version, TLS1_3_VERSION);
    assert_string_equal(config->tls.settings.groups, TLS_DEFAULT_GROUPS);
    assert_null(config->tls.settings.ciphersuites);
    assert_int_equal(config->framing, PLAIN_CHUNK);
    assert_string_equal(config->reply, "Message received!");
    assert_true(config->print);
    assert_in_range(config->worker_count, 1, CONFIG_WORKERS_MAX);
    assert_int_equal(config->tls.ticket_lifetime_ms, 6 * 3600 * 1000);
    assert_int_equal(config->tls.client_verify, TLS_CLIENT_VERIFY_NONE);
    assert_false(config->tls.sni_strict);
    assert_int_equal(config->limits.max_connections, 10000);
    assert_int_equal(config->limits.max_connections_per_address, 1000);
    assert_int_equal(config->limits.max_handshakes, 2000);
    assert_int_equal(config->limits.max_handshake_rate, 5000);
    assert_int_equal(config->limits.max_message_bytes, 1024 * 1024);
    assert_int_equal(config->limits.max_pending_bytes, 1024 * 1024);
    assert_int_equal(config->limits.max_pending_total_bytes, 64 * 1024 * 1024);
    assert_null(config->store);
    assert_true(config->sandbox);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(config->log_format, CONFIG_LOG_AUTO);
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_HANDSHAKE], 10000);
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_FIRST_BYTE], 30000);
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_IDLE], 600000);
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_WRITE], 30000);
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_CLOSE], 5000);
    assert_int_equal(config->drain_timeout_ms, 30000);
}

static void test_every_option_lands_in_its_place(void **state)
{
    (void)state;
    PARSED parsed = {0};
    const char *const arguments[] = {"--listen=[::1]:0",
                                     "--listen",
                                     "localhost:9",
                                     "--workers",
                                     "3",
                                     "--cert=a",
                                     "--key=b",
                                     "--tls-min",
                                     "1.2",
                                     "--groups=X25519",
                                     "--ciphersuites=S",
                                     "--framing=line",
                                     "--reply=ok",
                                     "--no-print",
                                     "--max-message=4KiB",
                                     "--handshake-timeout=1s",
                                     "--write-timeout=2m",
                                     "--drain-timeout=500ms",
                                     "--log-level=debug",
                                     NULL};
    assert_ok(parse(&parsed, arguments));
    const struct server_config *config = &parsed.config;
    assert_int_equal(config->listen.count, 2);
    assert_string_equal(config->listen.items[0], "[::1]:0");
    assert_string_equal(config->listen.items[1], "localhost:9");
    assert_int_equal(config->worker_count, 3);
    assert_string_equal(config->tls.certificates.items[0], "a");
    assert_string_equal(config->tls.keys.items[0], "b");
    assert_int_equal(config->tls.settings.min_version, TLS1_2_VERSION);
    assert_string_equal(config->tls.settings.groups, "X25519");
    assert_string_equal(config->tls.settings.ciphersuites, "S");
    assert_int_equal(config->framing, PLAIN_LINE);
    assert_string_equal(config->reply, "ok");
    assert_false(config->print);
    assert_int_equal(config->limits.max_message_bytes, 4096);
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_HANDSHAKE], 1000);
    assert_int_equal(config->times.timeout_ms[NET_DEADLINE_WRITE], 120000);
    assert_int_equal(config->drain_timeout_ms, 500);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
}

static void test_listen_values(void **state)
{
    (void)state;
    const char *const good[] = {"127.0.0.1:0", ":8080", "[::1]:1", "::1", "host", "h:65535", NULL};
    const char *const bad[] = {"h:65536", "h:x", "[::1", "h:-1", "[h]:1", "h:1:2", NULL};
    check_values("--listen", good, bad, "an address is HOST:PORT or [IPV6]:PORT");
}

static void test_listen_count_is_bounded(void **state)
{
    (void)state;
    PARSED parsed = {0};
    const char *arguments[ARGUMENTS_MAX] = {"--cert", "c", "--key", "k"};
    for (size_t i = 0; i < CONFIG_LIST_MAX; i++)
        arguments[4 + i] = "--listen=:0";
    assert_ok(parse(&parsed, arguments));
    assert_int_equal(parsed.config.listen.count, CONFIG_LIST_MAX);
    arguments[4 + CONFIG_LIST_MAX] = "--listen=:0";
    assert_status(parse(&parsed, arguments), CERTPOST_USAGE);
    assert_non_null(strstr(parsed.error.text, "at most 64 of them"));
}

static void test_worker_values(void **state)
{
    (void)state;
    const char *const good[] = {"1", "256", NULL};
    const char *const bad[] = {"0", "257", "-1", "x", "", "1.5", "99999999999999999999", NULL};
    check_values("--workers", good, bad, "the number is 1 to 256");
}

static void test_tls_min_values(void **state)
{
    (void)state;
    const char *const good[] = {"1.2", "1.3", NULL};
    const char *const bad[] = {"1.1", "1.0", "3", "", "TLSv1.3", NULL};
    check_values("--tls-min", good, bad, "the lowest TLS version is 1.2 or 1.3");
}

static void test_framing_values(void **state)
{
    (void)state;
    const char *const good[] = {"chunk", "line", NULL};
    const char *const bad[] = {"lines", "", "Chunk", NULL};
    check_values("--framing", good, bad, "the framing is chunk or line");
}

static void test_max_message_values(void **state)
{
    (void)state;
    const char *const good[] = {"1", "16777215", "1MiB", "4K", NULL};
    const char *const bad[] = {"0", "16777216", "16MiB", "-1", "", "1X", NULL};
    check_values("--max-message", good, bad, "a size is 1 to 16777215 bytes");
}

static void test_duration_values(void **state)
{
    (void)state;
    static const char *const options[] = {"--handshake-timeout", "--write-timeout",
                                          "--drain-timeout"};
    const char *const good[] = {"1ms", "24h", "1d", "86400", NULL};
    const char *const bad[] = {"0", "0ms", "25h", "86401", "", "-1s", "1w", "10 s", NULL};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        check_values(options[i], good, bad, "a duration is 1ms to 86400s");
}

static void test_log_level_values(void **state)
{
    (void)state;
    const char *const good[] = {"error", "warning", "info", "debug", NULL};
    const char *const bad[] = {"warn", "", "INFO", "5", NULL};
    check_values("--log-level", good, bad, "the level is error, warning, info or debug");
}

static void test_reply_values(void **state)
{
    (void)state;
    char longest[PLAIN_CHUNK_MAX_BYTES];
    memset(longest, 'r', sizeof longest);
    longest[1024] = '\0';
    const char *const good[] = {"ok", longest, "Message refused", NULL};
    const char *const none[] = {NULL};
    check_values("--reply", good, none, "");
    longest[1024] = 'r';
    longest[1025] = '\0';
    const char *const bad_length[] = {"", longest, NULL};
    check_values("--reply", none, bad_length, "a reply has 1 to 1024 bytes");
    const char *const bad_lines[] = {"a\nb", "a\n", NULL};
    check_values("--reply", none, bad_lines, "a reply is one line");
    const char *const refusals[] = {"Message refused: ", "Message refused: no", NULL};
    check_values("--reply", none, refusals, "means a refusal");
}

/* Printing is what happens to messages that are not stored; both is possible too. */
static void test_store_and_print(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value;
        const char *store;
        bool print;
    } rows[] = {
        {"--store", "none", NULL, true},
        {"--store=s.db", "--log-level=info", "s.db", false},
        {"--store=s.db", "--print", "s.db", true},
        {"--print", "--store=s.db", "s.db", true},
        {"--store=s.db", "--store=none", NULL, true},
        {"--store=./none", "--no-print", "./none", false},
    };
    PARSED parsed = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_ok(parse_with_pair(&parsed, rows[i].option, rows[i].value));
        assert_int_equal(parsed.config.print, rows[i].print);
        if (rows[i].store == NULL)
            assert_null(parsed.config.store);
        else
            assert_string_equal(parsed.config.store, rows[i].store);
    }
    assert_status(parse_with_pair(&parsed, "--store", ""), CERTPOST_USAGE);
}

static void test_print_and_no_print(void **state)
{
    (void)state;
    PARSED parsed = {0};
    assert_ok(parse_with_pair(&parsed, "--no-print", "--print"));
    assert_true(parsed.config.print);
    assert_ok(parse_with_pair(&parsed, "--print", "--no-print"));
    assert_false(parsed.config.print);
}

static void test_the_pair_is_required(void **state)
{
    (void)state;
    static const struct {
        const char *arguments[4];
        const char *words;
    } cases[] = {
        {{NULL}, "--cert and --key are required"},
        {{"--cert", "c", NULL}, "--key is required"},
        {{"--key", "k", NULL}, "--cert is required"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PARSED parsed = {0};
        assert_status(parse(&parsed, cases[i].arguments), CERTPOST_USAGE);
        assert_int_equal(strncmp(parsed.error.text, cases[i].words, strlen(cases[i].words)), 0);
        assert_non_null(strstr(parsed.error.text, "scripts/make-certs"));
    }
}

static void test_unknown_words_are_refused(void **state)
{
    (void)state;
    PARSED parsed = {0};
    assert_status(parse_with_pair(&parsed, "now", NULL), CERTPOST_USAGE);
    assert_string_equal(parsed.error.text, "unexpected word now; see --help");
    assert_status(parse_with_pair(&parsed, "\x1b[2J", NULL), CERTPOST_USAGE);
    assert_null(strchr(parsed.error.text, '\x1b'));
    assert_status(parse_with_pair(&parsed, "--lisen", ":0"), CERTPOST_USAGE);
    assert_non_null(strstr(parsed.error.text, "--listen"));
    assert_status(parse_with_pair(&parsed, "--listen", NULL), CERTPOST_USAGE);
}

static void test_help_and_version_need_nothing_else(void **state)
{
    (void)state;
    PARSED parsed = {0};
    const char *const help[] = {"--help", NULL};
    const char *const version[] = {"--version", NULL};
    const char *const short_version[] = {"-V", NULL};
    assert_ok(parse(&parsed, help));
    assert_int_equal(parsed.config.action, CONFIG_SHOW_HELP);
    assert_ok(parse(&parsed, version));
    assert_int_equal(parsed.config.action, CONFIG_SHOW_VERSION);
    assert_ok(parse(&parsed, short_version));
    assert_int_equal(parsed.config.action, CONFIG_SHOW_VERSION);
}

/* Each option with its default as the code has it, and no line too wide for a terminal. */
static void test_help_is_complete(void **state)
{
    (void)state;
    static const char *const words[] = {
        "Usage: certpostd",
        "--listen HOST:PORT",
        "127.0.0.1:8080",
        "--workers N",
        "--cert FILE",
        "--key FILE",
        "Required",
        "--tls-min VERSION",
        "--groups LIST",
        "--ciphersuites LIST",
        "--framing chunk|line",
        "--reply TEXT",
        "Message received!",
        "--max-message SIZE",
        "1MiB",
        "--print",
        "--no-print",
        "--handshake-timeout DURATION",
        "--write-timeout DURATION",
        "--drain-timeout DURATION",
        "--log-level LEVEL",
        "--help",
        "-V, --version",
    };
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    config_print_help(out);
    assert_int_equal(fclose(out), 0);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strstr(text, words[i]) == NULL)
            fail_msg("help does not say %s", words[i]);
    }
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        assert_in_range((size_t)(strchr(line, '\n') - line), 0, HELP_COLUMNS);
    free(text);
}

UNIT_MAIN(cmocka_unit_test(test_defaults), cmocka_unit_test(test_every_option_lands_in_its_place),
          cmocka_unit_test(test_listen_values), cmocka_unit_test(test_listen_count_is_bounded),
          cmocka_unit_test(test_worker_values), cmocka_unit_test(test_tls_min_values),
          cmocka_unit_test(test_framing_values), cmocka_unit_test(test_max_message_values),
          cmocka_unit_test(test_duration_values), cmocka_unit_test(test_log_level_values),
          cmocka_unit_test(test_reply_values), cmocka_unit_test(test_print_and_no_print),
          cmocka_unit_test(test_store_and_print), cmocka_unit_test(test_the_pair_is_required),
          cmocka_unit_test(test_unknown_words_are_refused),
          cmocka_unit_test(test_help_and_version_need_nothing_else),
          cmocka_unit_test(test_help_is_complete))
