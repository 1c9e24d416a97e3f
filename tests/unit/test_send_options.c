/* test_send_options.c — the command line of `certpost send`. */
#include "client/send_options.h"
#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS_MAX = 16 };

/* Parses "send" and the arguments, which end with NULL. */
static enum certpost_status parse(struct send_options *options, struct certpost_error *error,
                                  const char *const *arguments)
{
    static char words[ARGUMENTS_MAX][300];
    char *argv[ARGUMENTS_MAX + 1] = {words[0]};
    int argc = 1;
    snprintf(words[0], sizeof words[0], "send");
    for (; arguments[argc - 1] != NULL; argc++) {
        snprintf(words[argc], sizeof words[argc], "%s", arguments[argc - 1]);
        argv[argc] = words[argc];
    }
    certpost_error_clear(error);
    return send_options_parse(argc, argv, options, error);
}

#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void check_usage(const char *words, const char *const *arguments)
{
    struct send_options options;
    struct certpost_error error;
    assert_status(parse(&options, &error, arguments), CERTPOST_USAGE);
    assert_string_equal(error.text, words);
    send_options_free(&options);
}

static void test_defaults(void **state)
{
    (void)state;
    struct send_options options;
    struct certpost_error error;
    unsetenv("SSLKEYLOGFILE");
    assert_ok(parse(&options, &error, ARGUMENTS("--plain")));
    assert_int_equal(options.config.server_count, 1);
    assert_string_equal(options.config.servers[0].host, "127.0.0.1");
    assert_int_equal(options.config.servers[0].port, 8080);
    assert_null(options.config.server_name);
    assert_int_equal(options.source_count, 1);
    assert_string_equal(options.sources[0].value, "Hello, server!");
    assert_int_equal(options.framing, PLAIN_FRAMING_CHUNK);
    assert_int_equal(options.config.connect_timeout_ms, 10000);
    assert_int_equal(options.config.ack_timeout_ms, 30000);
    assert_null(options.config.keylog_file);
    assert_false(options.config.insecure);
    send_options_free(&options);
    send_options_free(NULL);
}

static void check_endpoint(const char *host, int port, const char *const *arguments)
{
    struct send_options options;
    struct certpost_error error;
    assert_ok(parse(&options, &error, arguments));
    assert_int_equal(options.config.server_count, 1);
    assert_string_equal(options.config.servers[0].host, host);
    assert_int_equal(options.config.servers[0].port, port);
    send_options_free(&options);
}

static void test_where_to(void **state)
{
    (void)state;
    check_endpoint("h", 8080, ARGUMENTS("--plain", "h"));
    check_endpoint("h", 1, ARGUMENTS("--plain", "h:1"));
    check_endpoint("127.0.0.1", 65535, ARGUMENTS("--plain", ":65535"));
    check_endpoint("::1", 8080, ARGUMENTS("--plain", "--host", "::1"));
    check_endpoint("::1", 9, ARGUMENTS("--plain", "[::1]:9"));
    check_endpoint("h", 5, ARGUMENTS("--plain", "-h", "h", "-p", "5"));
    check_endpoint("h", 5, ARGUMENTS("--plain", "-p", "5", "h"));
}

static void test_several_servers(void **state)
{
    (void)state;
    struct send_options options;
    struct certpost_error error;
    assert_ok(parse(&options, &error, ARGUMENTS("-h", "a", "b:1", "[::1]", "-p", "5")));
    assert_int_equal(options.config.server_count, 3);
    assert_string_equal(options.config.servers[1].host, "b");
    assert_int_equal(options.config.servers[1].port, 1);
    assert_string_equal(options.config.servers[2].host, "::1");
    assert_int_equal(options.config.servers[2].port, 5);
    send_options_free(&options);
    check_usage("--plain takes one host: it could not know which of them has a message",
                ARGUMENTS("--plain", "a", "b"));
}

static void test_resume_with_and_without_a_number(void **state)
{
    (void)state;
    struct send_options options;
    struct certpost_error error;
    assert_ok(parse(&options, &error, ARGUMENTS("--resume", "h")));
    assert_true(options.resumes);
    assert_int_equal(options.config.resume_from, 1);
    assert_string_equal(options.config.servers[0].host, "h");
    send_options_free(&options);
    assert_ok(parse(&options, &error, ARGUMENTS("--resume=7")));
    assert_int_equal(options.config.resume_from, 7);
    send_options_free(&options);
    check_usage("5 would be a host here; a number for --resume is joined to it: --resume=5",
                ARGUMENTS("--resume", "5"));
}

static void test_the_default_stream_is_the_user_at_the_host(void **state)
{
    (void)state;
    struct send_options options;
    struct certpost_error error;
    assert_ok(parse(&options, &error, ARGUMENTS("-m", "a")));
    assert_non_null(strchr(options.config.stream, '@'));
    send_options_free(&options);
    assert_ok(parse(&options, &error, ARGUMENTS("--stream", "s")));
    assert_string_equal(options.config.stream, "s");
    send_options_free(&options);
    /* A spool that exists knows its stream; this file stands for one. */
    assert_ok(parse(&options, &error, ARGUMENTS("--spool", "/dev/null", "-l")));
    assert_null(options.config.stream);
    send_options_free(&options);
    assert_ok(parse(&options, &error, ARGUMENTS("--spool", "/nonexistent", "-l")));
    assert_non_null(options.config.stream);
    send_options_free(&options);
}

static void test_a_spool_without_messages(void **state)
{
    (void)state;
    struct send_options options;
    struct certpost_error error;
    assert_ok(parse(&options, &error, ARGUMENTS("--spool", "/dev/null")));
    assert_int_equal(options.source_count, 0);
    send_options_free(&options);
    assert_status(parse(&options, &error, ARGUMENTS("--spool", "/nonexistent")), CERTPOST_LOCAL_IO);
    send_options_free(&options);
}

static void test_wrong_values(void **state)
{
    (void)state;
    check_usage("--port: a port is a number from 1 to 65535", ARGUMENTS("--plain", "-p", "0"));
    check_usage("--port: a port is a number from 1 to 65535", ARGUMENTS("--plain", "-p", "65536"));
    check_usage("h:0: write HOST, HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535",
                ARGUMENTS("--plain", "h:0"));
    check_usage("--framing: it is chunk or line; did you mean line?",
                ARGUMENTS("--plain", "--framing", "lines"));
    check_usage("--cacert: the value is empty", ARGUMENTS("--plain", "--CAfile", ""));
    check_usage("--ack-timeout: a duration is 1ms to 86400s, such as 500ms, 10s or 2m",
                ARGUMENTS("--plain", "--ack-timeout", "0"));
    check_usage("unknown option --plan; did you mean --plain?", ARGUMENTS("--plan"));
}

static void test_which_options_go_together(void **state)
{
    (void)state;
    check_usage("--framing is for the plain exchange; give --plain too, or leave it out: "
                "certpost/1 keeps messages apart by itself",
                ARGUMENTS("--framing", "chunk"));
    check_usage("--stream is for certpost/1; the plain exchange (--plain) has nothing like it",
                ARGUMENTS("--plain", "--stream", "s"));
    check_usage("--cert needs --key: a certificate is of no use without its key",
                ARGUMENTS("--plain", "--cert", "c"));
    check_usage("--key needs --cert: a key is of no use without its certificate",
                ARGUMENTS("--plain", "--key", "k"));
    check_usage("standard input can be read only once; give -l or one -f -",
                ARGUMENTS("--plain", "-f", "-", "-f", "-"));
    check_usage("standard input can be read only once; give -l or one -f -",
                ARGUMENTS("--plain", "-l", "-f", "-"));
    check_usage("-l takes all messages from standard input, so -m and -f cannot be with it",
                ARGUMENTS("--plain", "-l", "-m", "a"));
    check_usage("-q and -v contradict each other; give one of them",
                ARGUMENTS("--plain", "-q", "-v"));
}

static void test_help_and_version_need_nothing_else(void **state)
{
    (void)state;
    struct send_options options;
    struct certpost_error error;
    assert_ok(parse(&options, &error, ARGUMENTS("--help")));
    assert_true(options.help);
    send_options_free(&options);
    assert_ok(parse(&options, &error, ARGUMENTS("-V")));
    assert_true(options.version);
    send_options_free(&options);
}

static void test_key_log_comes_from_the_environment_or_the_option(void **state)
{
    (void)state;
    struct send_options options;
    struct certpost_error error;
    setenv("SSLKEYLOGFILE", "from-environment", 1);
    assert_ok(parse(&options, &error, ARGUMENTS("--plain")));
    assert_string_equal(options.config.keylog_file, "from-environment");
    send_options_free(&options);
    assert_ok(parse(&options, &error, ARGUMENTS("--plain", "--keylogfile", "from-option")));
    assert_string_equal(options.config.keylog_file, "from-option");
    send_options_free(&options);
    setenv("SSLKEYLOGFILE", "", 1);
    assert_ok(parse(&options, &error, ARGUMENTS("--plain")));
    assert_null(options.config.keylog_file);
    send_options_free(&options);
}

UNIT_MAIN(cmocka_unit_test(test_defaults), cmocka_unit_test(test_where_to),
          cmocka_unit_test(test_several_servers),
          cmocka_unit_test(test_resume_with_and_without_a_number),
          cmocka_unit_test(test_the_default_stream_is_the_user_at_the_host),
          cmocka_unit_test(test_a_spool_without_messages), cmocka_unit_test(test_wrong_values),
          cmocka_unit_test(test_which_options_go_together),
          cmocka_unit_test(test_help_and_version_need_nothing_else),
          cmocka_unit_test(test_key_log_comes_from_the_environment_or_the_option))
