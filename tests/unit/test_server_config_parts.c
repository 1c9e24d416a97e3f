/*
 * test_server_config_parts.c — conf.d: which of its files are read, in which order, and what goes
 * wrong; and a configuration for which memory is lacking.
 */
#include "server/config_file.h"
#include "support/config_stage.h"
#include "support/fault_memory.h"
#include "support/unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAIR "cert = a.crt\nkey = a.key\n"

static const char *const no_arguments[] = {NULL};

static void in_folder(const struct config_stage *stage, const char *name,
                      char ret_path[2 * STAGE_PATH_BYTES])
{
    snprintf(ret_path, (size_t)2 * STAGE_PATH_BYTES, "%s/%s", stage->folder, name);
}

static void assert_failed(struct config_stage *stage, enum certpost_status expected,
                          const char *words)
{
    enum certpost_status status = config_stage_load(stage, no_arguments);
    assert_status(status, expected);
    config_stage_assert_words(stage, status, words);
}

/* By bytes: capitals before small letters, 10 before 9. */
static void test_the_order_of_names(void **state)
{
    struct config_stage *stage = *state;
    static const char *const names[] = {"10", "9", "Z", "a", "b"};
    static const int written[] = {3, 0, 4, 2, 1};
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        const char *name = names[written[i]];
        char path[32];
        char text[64];
        snprintf(path, sizeof path, "conf.d/%s.conf", name);
        snprintf(text, sizeof text, "[clients]\nallow-dns = %s\n", name);
        config_stage_write_text(stage, path, text);
    }
    assert_ok(config_stage_load_text(
        stage, PAIR "client-ca = ca\nallow-dns = main\n[limits]\nmax-connections = 5\n"));
    const struct options_list *allowed = &stage->config.tls.allow_dns;
    assert_int_equal(allowed->count, 6);
    assert_string_equal(allowed->items[0], "main");
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(allowed->items[1 + i], names[i]);
    assert_int_equal(stage->config.files.count, 6);
}

static void test_names_that_are_left_out(void **state)
{
    struct config_stage *stage = *state;
    static const char *const names[] = {"conf.d/.hidden.conf",    "conf.d/README", "conf.d/a.conf~",
                                        "conf.d/a.conf.dpkg-old", "conf.d/.conf",  "conf.d/aconf"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        config_stage_write_text(stage, names[i], "not a line\n");
    assert_ok(config_stage_load_text(stage, PAIR));
    assert_int_equal(stage->config.files.count, 1);
    config_stage_write_text(stage, "conf.d/a.conf", "not a line\n");
    assert_failed(stage, CERTPOST_USAGE, "conf.d/a.conf:1: a line is `key = value`");
}

/* A file begins before all sections, whatever the one before it ended in. */
static void test_a_section_ends_with_its_file(void **state)
{
    struct config_stage *stage = *state;
    config_stage_write_text(stage, "conf.d/1.conf", "workers = 2\n[listener a]\nlisten = :1\n");
    config_stage_write_text(stage, "conf.d/2.conf", "framing = line\n[limits]\n");
    assert_ok(config_stage_load_text(stage, PAIR "[logs]\nlog-level = debug\n"));
    assert_int_equal(stage->config.worker_count, 2);
    assert_int_equal(stage->config.framing, PLAIN_LINE);
    assert_int_equal(stage->config.listeners.count, 1);
}

static void test_what_is_there_already_in_another_file(void **state)
{
    struct config_stage *stage = *state;
    config_stage_write_text(stage, "conf.d/1.conf", "\nworkers = 2\n");
    enum certpost_status status =
        config_stage_load_text(stage, PAIR "[server]\nworkers = 3\n[listener a]\nlisten = :1\n");
    assert_status(status, CERTPOST_USAGE);
    config_stage_assert_words(stage, status,
                              "conf.d/1.conf:2: workers is set already at main.conf:4");
    config_stage_write_text(stage, "conf.d/1.conf", "# ours\n[listener a]\nlisten = :2\n");
    assert_failed(stage, CERTPOST_USAGE,
                  "conf.d/1.conf:2: [listener a] is there already at main.conf:5");
    config_stage_write_text(stage, "conf.d/1.conf", "framing = line\n");
    config_stage_write_text(stage, "conf.d/2.conf", "framing = line\n");
    assert_failed(stage, CERTPOST_USAGE,
                  "conf.d/2.conf:1: framing is set already at conf.d/1.conf:1");
}

static void test_the_command_line_wins_over_parts(void **state)
{
    struct config_stage *stage = *state;
    static const char *const arguments[] = {"--workers", "5", NULL};
    config_stage_write_text(stage, "main.conf", PAIR);
    config_stage_write_text(stage, "conf.d/1.conf", "workers = 2\nmax-message = 9\n");
    assert_ok(config_stage_load(stage, arguments));
    assert_int_equal(stage->config.worker_count, 5);
    assert_int_equal(stage->config.limits.max_message_bytes, 9);
}

static void test_a_path_without_a_folder(void **state)
{
    (void)state;
    static const struct {
        const char *path, *folder;
    } rows[] = {
        {"main.conf", "conf.d"},
        {"/main.conf", "/conf.d"},
        {"/etc/certpost/certpostd.conf", "/etc/certpost/conf.d"},
        {"../x", "../conf.d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *folder = config_parts_folder(rows[i].path);
        assert_non_null(folder);
        assert_string_equal(folder, rows[i].folder);
        free(folder);
    }
}

static void test_parts_that_cannot_be_read(void **state)
{
    struct config_stage *stage = *state;
    char path[2 * STAGE_PATH_BYTES];
    config_stage_write_text(stage, "main.conf", PAIR);
    config_stage_write_text(stage, "conf.d", "a file\n");
    in_folder(stage, "conf.d", path);
    assert_failed(stage, CERTPOST_LOCAL_IO, "cannot read configuration conf.d: Not a directory");
    assert_int_equal(unlink(path), 0);
    config_stage_write_text(stage, "conf.d/README", "");
    in_folder(stage, "conf.d/1.conf", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_failed(stage, CERTPOST_LOCAL_IO,
                  "cannot read configuration conf.d/1.conf: Is a directory");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_failed(stage, CERTPOST_LOCAL_IO, "configuration conf.d/1.conf is not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_failed(stage, CERTPOST_LOCAL_IO,
                  "cannot read configuration conf.d/1.conf: No such file or directory");
    assert_int_equal(unlink(path), 0);
    config_stage_write(stage, "conf.d/1.conf", "a\0b", 3);
    assert_failed(stage, CERTPOST_USAGE, "configuration conf.d/1.conf is not a text file");
}

static void test_too_many_parts(void **state)
{
    struct config_stage *stage = *state;
    char name[32];
    config_stage_write_text(stage, "main.conf", PAIR);
    for (int i = 0; i < CONFIG_PARTS_MAX; i++) {
        snprintf(name, sizeof name, "conf.d/%d.conf", i);
        config_stage_write_text(stage, name, "");
    }
    assert_ok(config_stage_load(stage, no_arguments));
    assert_int_equal(stage->config.files.count, 1 + CONFIG_PARTS_MAX);
    config_stage_write_text(stage, "conf.d/more.conf", "");
    assert_failed(stage, CERTPOST_LOCAL_IO, "configuration conf.d has more than 256 files *.conf");
}

/* Each allocation in turn: out of memory, or all is well; and nothing is left behind. */
static void test_memory_that_is_lacking(void **state)
{
    struct config_stage *stage = *state;
    static const char *const arguments[] = {"--print-config", "--allow-dns", "b", NULL};
    config_stage_write_text(stage, "main.conf",
                            PAIR "client-ca = c\n[listener a]\nlisten = :1\n"
                                 "[limits]\nproxy-from = ::1\n");
    config_stage_write_text(stage, "conf.d/1.conf", "[clients]\nallow-dns = a\n");
    uint64_t at = 0;
    bool struck = true;
    while (struck) {
        fault_memory_arm(++at);
        enum certpost_status status = config_stage_load(stage, arguments);
        struck = fault_memory_heal();
        if (struck) {
            assert_status(status, CERTPOST_NO_MEMORY);
            assert_non_null(strstr(certpost_error_text(&stage->error, status), "out of memory"));
        } else {
            assert_ok(status);
        }
    }
    assert_in_range(at, 15, 200);
    assert_int_equal(stage->config.tls.allow_dns.count, 2);
    assert_string_equal(stage->config.listeners.items[0].proxy_from.items[0], "::1");
}

UNIT_MAIN(STAGE_CASE(test_the_order_of_names), STAGE_CASE(test_names_that_are_left_out),
          STAGE_CASE(test_a_section_ends_with_its_file),
          STAGE_CASE(test_what_is_there_already_in_another_file),
          STAGE_CASE(test_the_command_line_wins_over_parts),
          cmocka_unit_test(test_a_path_without_a_folder),
          STAGE_CASE(test_parts_that_cannot_be_read), STAGE_CASE(test_too_many_parts),
          STAGE_CASE(test_memory_that_is_lacking))
