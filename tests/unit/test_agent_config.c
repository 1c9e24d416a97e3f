#include "agent/config.h"
#include "base/clock.h"
#include "base/error.h"
#include "support/unit.h"

static struct agent_config config;
static struct certpost_error error;

static int set_up(void **state)
{
    (void)state;
    agent_config_init(&config);
    certpost_error_clear(&error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    agent_config_free(&config);
    return 0;
}

static enum certpost_status set(const char *name, const char *value)
{
    certpost_error_clear(&error);
    return agent_config_set(&config, name, value, &error);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_ok(agent_config_settle(&config, &error));
    assert_int_equal(config.server_count, 1);
    assert_string_equal(config.servers[0].host, "127.0.0.1");
    assert_int_equal(config.servers[0].port, 8080);
    assert_int_equal(config.connect_timeout_ms, 10000);
    assert_int_equal(config.ack_timeout_ms, 30000);
    assert_int_equal(config.retry_for_ms, 30000);
    assert_int_equal(config.max_buffered_bytes, 8 << 20);
    assert_int_equal(config.required_level, MESSAGE_LEVEL_ACCEPTED);
}

static void test_several_hosts_and_their_ports(void **state)
{
    (void)state;
    assert_ok(set("host", "one.example"));
    assert_ok(set("host", "[::1]:99"));
    assert_ok(set("host", ":77"));
    assert_ok(set("port", "1234"));
    assert_ok(agent_config_settle(&config, &error));
    assert_int_equal(config.server_count, 3);
    assert_string_equal(config.servers[0].host, "one.example");
    assert_int_equal(config.servers[0].port, 1234);
    assert_string_equal(config.servers[1].host, "::1");
    assert_int_equal(config.servers[1].port, 99);
    assert_string_equal(config.servers[2].host, "127.0.0.1");
    assert_int_equal(config.servers[2].port, 77);
}

static void test_too_many_hosts(void **state)
{
    (void)state;
    for (int i = 0; i < AGENT_SERVERS_MAX; i++)
        assert_ok(set("host", "127.0.0.1"));
    assert_status(set("host", "127.0.0.1"), CERTPOST_USAGE);
}

static void test_retry_for(void **state)
{
    (void)state;
    assert_ok(set("retry-for", "0"));
    assert_int_equal(config.retry_for_ms, 0);
    assert_ok(set("retry-for", "2m"));
    assert_int_equal(config.retry_for_ms, 120000);
    assert_ok(set("retry-for", "forever"));
    assert_true(config.retry_for_ms == CLOCK_NEVER_MS);
    assert_status(set("retry-for", "-1"), CERTPOST_USAGE);
}

static void test_the_last_value_counts(void **state)
{
    (void)state;
    char value[] = "first";
    assert_ok(set("stream", value));
    value[0] = 'x'; /* it was copied */
    assert_string_equal(config.stream, "first");
    assert_ok(set("stream", "second"));
    assert_string_equal(config.stream, "second");
}

static void test_names_near_and_far(void **state)
{
    (void)state;
    assert_status(set("cacrt", "x"), CERTPOST_USAGE);
    assert_string_equal(error.text, "unknown option cacrt; did you mean cacert?");
    assert_status(set("zzzzzzzzzzzz\x1b", "x"), CERTPOST_USAGE);
    assert_string_equal(error.text, "unknown option zzzzzzzzzzzz\\x1b");
    assert_status(set("", "x"), CERTPOST_USAGE);
}

static void test_wrong_values_name_the_option(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"host", "a b:c:d"},
        {"host", "h:0"},
        {"port", "65536"},
        {"ack-timeout", "0"},
        {"connect-timeout", "2days"},
        {"pin", "sha256//short"},
        {"tls-min", "1.1"},
        {"stream", ""},
        {"stream", "a\nb"},
        {"require", "safe"},
        {"resume", "0"},
        {"resume", "9223372036854775808"},
        {"insecure", "maybe"},
        {"max-buffered", "5GiB"},
        {"software", "\xff"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "--%s: ", wrong[i][0]);
        assert_status(set(wrong[i][0], wrong[i][1]), CERTPOST_USAGE);
        assert_memory_equal(error.text, prefix, strlen(prefix));
    }
}

static void test_resume(void **state)
{
    (void)state;
    assert_ok(set("resume", ""));
    assert_int_equal(config.resume_from, 1);
    assert_ok(set("resume", "501"));
    assert_int_equal(config.resume_from, 501);
    assert_ok(agent_config_settle(&config, &error));
}

static void test_what_does_not_go_together(void **state)
{
    (void)state;
    assert_ok(set("cert", "c"));
    assert_status(agent_config_settle(&config, &error), CERTPOST_USAGE);
    assert_ok(set("key", "k"));
    assert_ok(agent_config_settle(&config, &error));
    assert_ok(set("spool", "s"));
    assert_ok(set("resume", "1"));
    assert_status(agent_config_settle(&config, &error), CERTPOST_USAGE);
}

static void test_a_spool_requires_stored(void **state)
{
    (void)state;
    assert_ok(set("spool", "s"));
    assert_ok(agent_config_settle(&config, &error));
    assert_int_equal(config.required_level, MESSAGE_LEVEL_STORED);
    assert_ok(set("require", "accepted"));
    assert_status(agent_config_settle(&config, &error), CERTPOST_USAGE);
    assert_ok(set("require", "replicated"));
    assert_ok(agent_config_settle(&config, &error));
    assert_int_equal(config.required_level, MESSAGE_LEVEL_REPLICATED);
}

static void test_a_bound_on_the_number_of_options(void **state)
{
    (void)state;
    for (int i = 0; i < AGENT_TEXTS_MAX; i++)
        assert_ok(set("stream", "s"));
    assert_status(set("stream", "s"), CERTPOST_USAGE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

UNIT_MAIN(CASE(test_defaults), CASE(test_several_hosts_and_their_ports), CASE(test_too_many_hosts),
          CASE(test_retry_for), CASE(test_the_last_value_counts), CASE(test_names_near_and_far),
          CASE(test_wrong_values_name_the_option), CASE(test_resume),
          CASE(test_what_does_not_go_together), CASE(test_a_spool_requires_stored),
          CASE(test_a_bound_on_the_number_of_options))
