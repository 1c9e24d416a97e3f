/*
 * test_server_credentials.c — credential:NAME in place of a file.
 */
#include "server/config.h"
#include "support/unit.h"

#include <stdlib.h>

#define FOLDER "/run/credentials/certpostd.service"

static enum certpost_status resolve(struct server_config *config, struct certpost_error *error)
{
    certpost_error_clear(error);
    return config_resolve_credentials(config, error);
}

static void test_every_file_of_tls(void **state)
{
    const struct options_spec list = {.max = 4};
    struct server_config config = {0};
    struct certpost_error error;
    (void)state;
    assert_return_code(setenv("CREDENTIALS_DIRECTORY", FOLDER, 1), 0);
    assert_ok(options_take_list(&list, &config.tls.certificates, "/etc/server.crt", NULL));
    assert_ok(options_take_list(&list, &config.tls.certificates, "credential:two.crt", NULL));
    assert_ok(options_take_list(&list, &config.tls.keys, "credential:one.key", NULL));
    assert_ok(options_take_list(&list, &config.tls.keys, "credential:two.key", NULL));
    assert_ok(options_take_list(&list, &config.tls.ocsp, "credential:ocsp", NULL));
    config.tls.client_ca = "credential:ca.crt";
    config.tls.crl_file = "credential:crl";
    config.tls.passphrase_file = "credential:passphrase";
    assert_ok(resolve(&config, &error));
    assert_string_equal(config.tls.certificates.items[0], "/etc/server.crt");
    assert_string_equal(config.tls.certificates.items[1], FOLDER "/two.crt");
    assert_string_equal(config.tls.keys.items[0], FOLDER "/one.key");
    assert_string_equal(config.tls.keys.items[1], FOLDER "/two.key");
    assert_string_equal(config.tls.ocsp.items[0], FOLDER "/ocsp");
    assert_string_equal(config.tls.client_ca, FOLDER "/ca.crt");
    assert_string_equal(config.tls.crl_file, FOLDER "/crl");
    assert_string_equal(config.tls.passphrase_file, FOLDER "/passphrase");
    config_free(&config);
}

static void test_paths_stay_as_they_are(void **state)
{
    struct server_config config = {.tls.client_ca = "./credential:ca"};
    struct certpost_error error;
    (void)state;
    assert_return_code(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_ok(resolve(&config, &error));
    assert_string_equal(config.tls.client_ca, "./credential:ca");
    config_free(&config);
}

static void check_refused(const char *value, const char *words)
{
    struct server_config config = {.tls.client_ca = value};
    struct certpost_error error;
    assert_status(resolve(&config, &error), CERTPOST_USAGE);
    assert_non_null(strstr(error.text, "--client-ca"));
    assert_non_null(strstr(error.text, words));
    config_free(&config);
}

static void test_names_with_a_folder_are_refused(void **state)
{
    char name[sizeof "credential:" + 256];
    (void)state;
    assert_return_code(setenv("CREDENTIALS_DIRECTORY", FOLDER, 1), 0);
    check_refused("credential:", "without a folder");
    check_refused("credential:.", "without a folder");
    check_refused("credential:..", "without a folder");
    check_refused("credential:../shadow", "without a folder");
    check_refused("credential:/etc/shadow", "without a folder");
    snprintf(name, sizeof name, "credential:%0256d", 0);
    check_refused(name, "without a folder");
}

static void test_without_a_folder_of_credentials(void **state)
{
    (void)state;
    assert_return_code(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    check_refused("credential:ca", "sets CREDENTIALS_DIRECTORY");
    assert_return_code(setenv("CREDENTIALS_DIRECTORY", "relative", 1), 0);
    check_refused("credential:ca", "sets CREDENTIALS_DIRECTORY");
}

UNIT_MAIN(cmocka_unit_test(test_every_file_of_tls), cmocka_unit_test(test_paths_stay_as_they_are),
          cmocka_unit_test(test_names_with_a_folder_are_refused),
          cmocka_unit_test(test_without_a_folder_of_credentials))
