/*
 * test_server_config_sections.c — sections of the configuration file, and those of listeners.
 */
#include "server/config_file.h"
#include "server/fixed_options.h"
#include "support/config_stage.h"
#include "support/unit.h"

#include <stdlib.h>

#define PAIR "cert = a.crt\nkey = a.key\n"

static void test_each_key_in_its_section(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(
        stage, "[limits]\nmax-connections = 7\n[ certificate ]\t\n" PAIR
               "[time]\r\nidle-timeout = 90s\n[server]\nworkers = 2\nlisten = 127.0.0.1:1\n"));
    assert_int_equal(stage->config.limits.max_connections, 7);
    assert_int_equal(stage->config.times.timeout_ms[NET_DEADLINE_IDLE], 90000);
    assert_int_equal(stage->config.worker_count, 2);
    assert_string_equal(stage->config.listen.items[0], "127.0.0.1:1");
    assert_int_equal(stage->config.listeners.count, 0);
}

static void test_a_section_may_come_again(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(stage, PAIR "[limits]\nmax-handshakes = 5\n[logs]\n[limits]\n"
                                                 "max-connections = 7\n"));
    assert_int_equal(stage->config.limits.max_connections, 7);
    config_stage_assert_refused(
        stage, PAIR "[limits]\nmax-connections = 5\n[logs]\n[limits]\nmax-connections = 7\n",
        "main.conf:7: max-connections is set already in line 4");
}

static void test_a_key_in_the_wrong_section(void **state)
{
    struct config_stage *stage = *state;
    config_stage_assert_refused(
        stage, "[limits]\nworkers = 2\n",
        "main.conf:2: workers belongs in [server], or before all sections, and not in [limits]");
    config_stage_assert_refused(stage, "[limits]\nworkrs = 2\n",
                                "main.conf:2: unknown key workrs; did you mean workers?");
    config_stage_assert_refused(stage, "[limits]\nconfig = x\n",
                                "main.conf:2: config belongs on the command line");
}

static void test_unknown_sections(void **state)
{
    struct config_stage *stage = *state;
    config_stage_assert_refused(stage, "[limit]\n",
                                "main.conf:1: unknown section [limit]; did you mean [limits]?");
    config_stage_assert_refused(
        stage, "\n[]\n", "main.conf:2: unknown section []; certpostd.conf(5) lists them all");
    config_stage_assert_refused(stage, "[Limits]\n",
                                "main.conf:1: unknown section [Limits]; did you mean [limits]?");
    config_stage_assert_refused(stage, "[\x1b[2J]\n",
                                "main.conf:1: unknown section [\\x1b[2J]; certpostd.conf(5) lists "
                                "them all");
    config_stage_assert_refused(
        stage, "[listner x]\n",
        "main.conf:1: unknown section [listner x]; did you mean [listener NAME]?");
}

static void test_broken_sections(void **state)
{
    struct config_stage *stage = *state;
    config_stage_assert_refused(stage, "[limits\n", "main.conf:1: the section's ] is missing");
    config_stage_assert_refused(stage, "[", "main.conf:1: the section's ] is missing");
    config_stage_assert_refused(stage, "[limits] # all of them\n",
                                "main.conf:1: nothing may follow the section's ]");
    config_stage_assert_refused(stage, "[limits]]\n",
                                "main.conf:1: nothing may follow the section's ]");
}

/* What the table says: everything that a file can set has a section. */
static void test_every_option_of_a_file_has_a_section(void **state)
{
    (void)state;
    size_t checked = 0;
    assert_string_equal(config_options[0].name, "");
    for (const struct options_spec *spec = config_options; spec->name != NULL; spec++) {
        if (spec->name[0] == '\0' || spec->command_line_only)
            continue;
        if (config_group_of(spec)->section == NULL)
            fail_msg("%s is in a group without a section", spec->name);
        checked++;
    }
    assert_in_range(checked, 30, 1000);
}

static void test_listeners(void **state)
{
    struct config_stage *stage = *state;
    assert_ok(config_stage_load_text(stage, PAIR "[listener public]\nlisten = 127.0.0.1:1\n"
                                                 "listen = [::1]:1\nframing = line\n"
                                                 "[listener lb-1.x_Y]\n"
                                                 "proxy-from = 10.0.0.0/8\nlisten = :2\n"));
    const struct config_listeners *listeners = &stage->config.listeners;
    assert_int_equal(listeners->count, 2);
    assert_string_equal(listeners->items[0].name, "public");
    assert_int_equal(listeners->items[0].listen.count, 2);
    assert_string_equal(listeners->items[0].listen.items[1], "[::1]:1");
    assert_int_equal(listeners->items[0].framing, PLAIN_LINE);
    assert_int_equal(listeners->items[0].proxy_from.count, 0);
    assert_string_equal(listeners->items[1].name, "lb-1.x_Y");
    assert_int_equal(listeners->items[1].framing, PLAIN_CHUNK);
    assert_string_equal(listeners->items[1].proxy_from.items[0], "10.0.0.0/8");
    /* With a listener of one's own there is no default address. */
    assert_int_equal(stage->config.listen.count, 0);
    assert_int_equal(stage->config.proxy_from.count, 0);
}

static void test_a_listener_has_what_holds_for_all(void **state)
{
    struct config_stage *stage = *state;
    static const char *const more[] = {"--framing", "line", "--listen", ":9", NULL};
    config_stage_write_text(stage, "main.conf",
                            "[listener a]\nlisten = :1\n[listener b]\nlisten = :2\n"
                            "framing = chunk\nproxy-from = 10.1.1.1\n"
                            "[limits]\nproxy-from = 10.0.0.0/8\nproxy-from = ::1\n"
                            "[certificate]\n" PAIR);
    assert_ok(config_stage_load(stage, more));
    const struct config_listener *listeners = stage->config.listeners.items;
    assert_int_equal(listeners[0].framing, PLAIN_LINE);
    assert_int_equal(listeners[0].proxy_from.count, 2);
    assert_string_equal(listeners[0].proxy_from.items[1], "::1");
    assert_int_equal(listeners[1].framing, PLAIN_CHUNK);
    assert_int_equal(listeners[1].proxy_from.count, 1);
    assert_string_equal(stage->config.listen.items[0], ":9");
    assert_int_equal(stage->config.listen.count, 1);
}

static void test_wrong_listeners(void **state)
{
    struct config_stage *stage = *state;
    static const char names[] = "the name has 1 to 64 letters, digits, dashes, underscores or dots";
    char expected[256];
    char text[256];
    config_stage_assert_refused(stage, "[listener]\n",
                                "main.conf:1: a listener has a name: [listener NAME]");
    config_stage_assert_refused(stage, "[listener a]\n\n[listener b]\n[ listener  a ]\n",
                                "main.conf:4: [listener a] is there already in line 1");
    config_stage_assert_refused(stage, PAIR "[listener a]\nframing = line\n",
                                "main.conf:3: [listener a] has no `listen`");
    config_stage_assert_refused(
        stage, "[listener a]\nlisten = :1\nworkers = 2\n",
        "main.conf:3: workers holds for all listeners; it belongs in [server], or before all "
        "sections");
    config_stage_assert_refused(stage, "[listener a]\nframing = line\nframing = line\n",
                                "main.conf:3: framing is set already in line 2");
    config_stage_assert_refused(stage, "[listener a]\nframing = both\n",
                                "main.conf:2: --framing: the framing is chunk or line");
    config_stage_assert_refused(stage, "[listener a]\nproxy-from = nobody\n",
                                "main.conf:2: --proxy-from: nobody is no address, and no network "
                                "such as 10.0.0.0/8");
    snprintf(expected, sizeof expected, "main.conf:1: [listener a b]: %s", names);
    config_stage_assert_refused(stage, "[listener a b]\n", expected);
    snprintf(text, sizeof text, "[listener %065d]\n", 0);
    snprintf(expected, sizeof expected, "main.conf:1: [listener %065d]: %s", 0, names);
    config_stage_assert_refused(stage, text, expected);
    snprintf(text, sizeof text, PAIR "[listener %064d]\nlisten = :1\n", 0);
    assert_ok(config_stage_load_text(stage, text));
}

static void test_bounds_of_listeners(void **state)
{
    struct config_stage *stage = *state;
    enum { LINE_BYTES = 48 };
    char *text = calloc(CONFIG_LISTENERS_MAX + 2, LINE_BYTES);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, LINE_BYTES, PAIR);
    for (int i = 0; i < CONFIG_LISTENERS_MAX; i++)
        used += (size_t)snprintf(text + used, LINE_BYTES, "[listener %d]\nlisten = :0\n", i);
    assert_ok(config_stage_load_text(stage, text));
    snprintf(text + used, LINE_BYTES, "listen = :0\n");
    assert_status(config_stage_load_text(stage, text), CERTPOST_USAGE);
    assert_string_equal(stage->error.text, "65 addresses to listen on; at most 64");
    snprintf(text + used, LINE_BYTES, "[listener one-more]\n");
    config_stage_assert_refused(stage, text, "main.conf:131: at most 64 listeners");
    free(text);
}

/* What could never start, since it is in its own way. */
static void test_addresses_that_meet(void **state)
{
    struct config_stage *stage = *state;
    config_stage_assert_refused(
        stage, PAIR "[listener a]\nlisten = 127.0.0.1:1\n[listener b]\nlisten = 127.0.0.1:1\n",
        "main.conf:6: [listener b] cannot be at 127.0.0.1:1: [listener a] is at 127.0.0.1:1 "
        "(main.conf:4)");
    config_stage_assert_refused(
        stage, "listen = :1\n" PAIR "[listener a]\nlisten = 127.0.0.1:1\n",
        "main.conf:5: [listener a] cannot be at 127.0.0.1:1: --listen is at :1 (main.conf:1)");
    config_stage_assert_refused(
        stage, PAIR "listen = Example.org:1\nlisten = example.org:1\n",
        "main.conf:4: --listen cannot be at example.org:1: --listen is at Example.org:1 "
        "(main.conf:3)");
    config_stage_assert_refused(
        stage, PAIR "listen = [::1]:1\nlisten = [0::0:1]:1\n",
        "main.conf:4: --listen cannot be at [0::0:1]:1: --listen is at [::1]:1 (main.conf:3)");
    config_stage_assert_refused(
        stage, PAIR "listen = 0.0.0.0:1\nadmin = localhost:1\n",
        "main.conf:4: --admin cannot be at localhost:1: --listen is at 0.0.0.0:1 (main.conf:3)");
    config_stage_assert_refused(
        stage, PAIR "admin = 127.0.0.1:8080\n",
        "main.conf:3: --admin cannot be at 127.0.0.1:8080: --listen is at 127.0.0.1:8080");
    config_stage_assert_refused(
        stage, PAIR "listen = systemd:a\n[listener a]\nlisten = systemd:a\n",
        "main.conf:5: [listener a] cannot be at systemd:a: --listen is at systemd:a (main.conf:3)");
}

static void test_addresses_of_the_command_line_that_meet(void **state)
{
    struct config_stage *stage = *state;
    static const char *const more[] = {"--listen", "127.0.0.1", NULL};
    config_stage_write_text(stage, "main.conf", PAIR "listen = 127.0.0.1:8080\n");
    enum certpost_status status = config_stage_load(stage, more);
    assert_status(status, CERTPOST_USAGE);
    config_stage_assert_words(stage, status,
                              "--listen cannot be at 127.0.0.1: --listen is at 127.0.0.1:8080 "
                              "(main.conf:3)");
}

static void test_addresses_that_do_not_meet(void **state)
{
    struct config_stage *stage = *state;
    static const char *const texts[] = {
        "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\nlisten = 127.0.0.2:1\nlisten = [::1]:1\n",
        "listen = 0.0.0.0:1\nlisten = [::]:1\nlisten = 0.0.0.0:2\n",
        "listen = 127.0.0.1:0\nlisten = 127.0.0.1:0\nlisten = :0\nadmin = 127.0.0.1:0\n",
        "listen = [fe80::1%eth0]:1\nlisten = [fe80::1%eth1]:1\n",
        "listen = :8080\nadmin = unix:8080\n",
        /* What these come to is not known here. */
        "listen = a.example:1\nlisten = b.example:1\nlisten = 127.0.0.1:1\n",
        "listen = systemd:a\nlisten = systemd:b\nadmin = unix:/a\n",
        "listen = [::]:1\nadmin = 127.0.0.1:1\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, PAIR "%s", texts[i]);
        assert_ok(config_stage_load_text(stage, text));
    }
}

static struct fixed_options *fixed_of(struct config_stage *stage, const char *text)
{
    struct fixed_options *fixed = NULL;
    assert_ok(config_stage_load_text(stage, text));
    assert_ok(fixed_options_new(&stage->config, &fixed, &stage->error));
    return fixed;
}

/* The names of all that differ from `first`, each with a space behind it. */
static void assert_differences(struct config_stage *stage, const struct fixed_options *first,
                               const char *text, const char *expected)
{
    char names[256] = "";
    size_t position = 0;
    const char *name = NULL;
    struct fixed_options *second = fixed_of(stage, text);
    while ((name = fixed_options_next_difference(first, second, &position)) != NULL) {
        strncat(names, name, sizeof names - strlen(names) - 1);
        strncat(names, " ", sizeof names - strlen(names) - 1);
    }
    assert_string_equal(names, expected);
    fixed_options_free(second);
}

static void test_what_a_running_server_cannot_change(void **state)
{
    struct config_stage *stage = *state;
    static const char text[] = PAIR "workers = 2\n[listener a]\nlisten = :1\nlisten = :2\n";
    struct fixed_options *first = fixed_of(stage, text);
    assert_differences(stage, first, text, "");
    assert_differences(stage, first,
                       PAIR "workers = 2\n[listener a]\nlisten = :1\nlisten = :2\n"
                            "framing = line\nproxy-from = ::1\n",
                       "");
    assert_differences(stage, first, PAIR "workers = 2\n[listener a]\nlisten = :1\n", "listen ");
    assert_differences(stage, first, PAIR "workers = 2\n[listener b]\nlisten = :1\nlisten = :2\n",
                       "listen ");
    assert_differences(stage, first,
                       PAIR "workers = 2\n[listener a]\nlisten = :1\n[listener b]\nlisten = :2\n",
                       "listen ");
    assert_differences(stage, first, PAIR "workers = 2\nlisten = :1\nlisten = :2\n", "listen ");
    assert_differences(stage, first,
                       PAIR "workers = 3\nadmin = unix:/a\nno-print = yes\nstore = s\n"
                            "no-sandbox = yes\nuser = u\n[listener a]\nlisten = :1\nlisten = :2\n",
                       "admin workers print store no-sandbox user ");
    fixed_options_free(first);
}

UNIT_MAIN(STAGE_CASE(test_each_key_in_its_section), STAGE_CASE(test_a_section_may_come_again),
          STAGE_CASE(test_a_key_in_the_wrong_section), STAGE_CASE(test_unknown_sections),
          STAGE_CASE(test_broken_sections),
          cmocka_unit_test(test_every_option_of_a_file_has_a_section), STAGE_CASE(test_listeners),
          STAGE_CASE(test_a_listener_has_what_holds_for_all), STAGE_CASE(test_wrong_listeners),
          STAGE_CASE(test_bounds_of_listeners), STAGE_CASE(test_addresses_that_meet),
          STAGE_CASE(test_addresses_of_the_command_line_that_meet),
          STAGE_CASE(test_addresses_that_do_not_meet),
          STAGE_CASE(test_what_a_running_server_cannot_change))
