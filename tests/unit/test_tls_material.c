/*
 * test_tls_material.c — certificate and key files: every way in which they can be wrong, in words.
 */
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/material.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 64, WORDS_BYTES = 512 };

/* A folder with a good pair in it. */
struct files {
    char folder[PATH_BYTES / 2];
    char certificate[PATH_BYTES];
    char key[PATH_BYTES];
    char other[PATH_BYTES];
    struct test_pki pki;
};

static int set_up(void **state)
{
    struct files *files = calloc(1, sizeof *files);
    assert_non_null(files);
    snprintf(files->folder, sizeof files->folder, "/tmp/certpost-material-XXXXXX");
    assert_non_null(mkdtemp(files->folder));
    snprintf(files->certificate, sizeof files->certificate, "%s/cert.pem", files->folder);
    snprintf(files->key, sizeof files->key, "%s/key.pem", files->folder);
    snprintf(files->other, sizeof files->other, "%s/other", files->folder);
    files->pki = test_pki_make((struct test_leaf){0});
    test_pki_write_certificate(files->pki.leaf, files->certificate);
    test_pki_write_key(files->pki.leaf_key, files->key);
    *state = files;
    return 0;
}

static int tear_down(void **state)
{
    struct files *files = *state;
    (void)unlink(files->certificate);
    (void)unlink(files->key);
    (void)unlink(files->other);
    (void)rmdir(files->other);
    assert_int_equal(rmdir(files->folder), 0);
    test_pki_free(&files->pki);
    free(files);
    return 0;
}

static void write_file(const char *path, const char *mode, const void *bytes, size_t length)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void append_certificate(const char *path, X509 *certificate)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
}

/* `words` may hold one %s, for `path`. */
static void check_refused(const char *certificate, const char *key, const char *before,
                          const char *path, const char *after)
{
    struct certpost_error error;
    struct tls_pair *pair = NULL;
    char words[WORDS_BYTES];
    certpost_error_clear(&error);
    assert_status(tls_pair_load(certificate, key, &pair, &error), CERTPOST_OWN_CERTIFICATE);
    snprintf(words, sizeof words, "%s%s%s", before, path, after);
    assert_string_equal(error.text, words);
    assert_null(pair);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_a_good_pair(void **state)
{
    struct files *files = *state;
    struct tls_pair *pair = NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    assert_ok(tls_pair_load(files->certificate, files->key, &pair, NULL));
    assert_string_equal(pair->certificate_path, files->certificate);
    assert_string_equal(pair->key_path, files->key);
    assert_ok(tls_pair_install(pair, context, NULL));
    assert_int_equal(X509_cmp(SSL_CTX_get0_certificate(context), files->pki.leaf), 0);
    assert_int_equal(SSL_CTX_check_private_key(context), 1);
    SSL_CTX_free(context);
    tls_pair_free(pair);
    tls_pair_free(NULL);
}

/* A reload has to be all or nothing: the files may be gone once they have been read. */
static void test_the_files_are_read_once(void **state)
{
    struct files *files = *state;
    struct tls_pair *pair = NULL;
    assert_ok(tls_pair_load(files->certificate, files->key, &pair, NULL));
    assert_int_equal(unlink(files->certificate), 0);
    assert_int_equal(unlink(files->key), 0);
    for (int i = 0; i < 2; i++) {
        SSL_CTX *context = SSL_CTX_new(TLS_method());
        assert_ok(tls_pair_install(pair, context, NULL));
        SSL_CTX_free(context);
    }
    tls_pair_free(pair);
}

static void test_missing_files(void **state)
{
    struct files *files = *state;
    check_refused(files->other, files->key, "cannot read certificate ", files->other,
                  ": No such file or directory");
    check_refused(files->certificate, files->other, "cannot read private key ", files->other,
                  ": No such file or directory");
    check_refused("", files->key, "cannot read certificate ", "", ": No such file or directory");
}

static void test_unreadable_files(void **state)
{
    struct files *files = *state;
    if (geteuid() == 0) {
        assert_int_equal(symlink(files->other, files->other), 0); /* root may read all but this */
        check_refused(files->other, files->key, "cannot read certificate ", files->other,
                      ": Too many levels of symbolic links");
        return;
    }
    assert_int_equal(chmod(files->key, 0), 0);
    check_refused(files->certificate, files->key, "cannot read private key ", files->key,
                  ": Permission denied");
}

static void test_a_folder_is_no_file(void **state)
{
    struct files *files = *state;
    assert_int_equal(mkdir(files->other, 0700), 0);
    check_refused(files->other, files->key, "cannot read certificate ", files->other,
                  ": Is a directory");
    check_refused(files->certificate, files->other, "cannot read private key ", files->other,
                  ": Is a directory");
}

static void test_empty_files(void **state)
{
    struct files *files = *state;
    write_file(files->other, "w", "", 0);
    check_refused(files->other, files->key, "certificate ", files->other, " is empty");
    check_refused(files->certificate, files->other, "private key ", files->other, " is empty");
}

/* Nobody writes to it: opening it must not wait. */
static void test_a_named_pipe_does_not_hang(void **state)
{
    struct files *files = *state;
    assert_int_equal(mkfifo(files->other, 0600), 0);
    check_refused(files->other, files->key, "certificate ", files->other, " is empty");
}

static void test_files_that_are_not_pem(void **state)
{
    struct files *files = *state;
    struct certpost_error error;
    struct tls_pair *pair = NULL;
    static const char text[] = "this is not PEM\n\0\xff";
    write_file(files->other, "w", text, sizeof text);
    certpost_error_clear(&error);
    assert_status(tls_pair_load(files->other, files->key, &pair, &error), CERTPOST_OWN_CERTIFICATE);
    assert_non_null(strstr(error.text, files->other));
    assert_non_null(strstr(error.text, "PEM"));
    check_refused(files->certificate, files->other, "", files->other,
                  " holds no private key in PEM format");
}

static void test_files_that_are_swapped(void **state)
{
    struct files *files = *state;
    struct certpost_error error;
    struct tls_pair *pair = NULL;
    certpost_error_clear(&error);
    assert_status(tls_pair_load(files->key, files->certificate, &pair, &error),
                  CERTPOST_OWN_CERTIFICATE);
    assert_non_null(strstr(error.text, files->key));
    check_refused(files->certificate, files->certificate, "", files->certificate,
                  " holds no private key in PEM format");
}

/* OpenSSL's default would ask on the terminal, and so hang a service. */
static void test_an_encrypted_key(void **state)
{
    struct files *files = *state;
    FILE *file = fopen(files->other, "w");
    char passphrase[] = "secret";
    assert_non_null(file);
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, files->pki.leaf_key, EVP_aes_128_cbc(), NULL,
                                               0, NULL, passphrase),
                     1);
    assert_int_equal(fclose(file), 0);
    check_refused(files->certificate, files->other, "private key ", files->other,
                  " is encrypted; give one without a passphrase");
}

static void test_a_pair_that_does_not_belong_together(void **state)
{
    struct files *files = *state;
    struct certpost_error error;
    struct tls_pair *pair = NULL;
    EVP_PKEY *elliptic = EVP_EC_gen("P-256");
    EVP_PKEY *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *const others[] = {elliptic, ed25519};
    for (size_t i = 0; i < 2; i++) {
        test_pki_write_key(others[i], files->other);
        certpost_error_clear(&error);
        assert_status(tls_pair_load(files->certificate, files->other, &pair, &error),
                      CERTPOST_OWN_CERTIFICATE);
        assert_non_null(strstr(error.text, files->certificate));
        assert_non_null(strstr(error.text, files->other));
        EVP_PKEY_free(others[i]);
    }
}

static void test_the_chain_is_installed(void **state)
{
    struct files *files = *state;
    struct tls_pair *pair = NULL;
    STACK_OF(X509) *chain = NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    append_certificate(files->certificate, files->pki.ca);
    write_file(files->certificate, "a", "a comment at the end\n", 21);
    assert_ok(tls_pair_load(files->certificate, files->key, &pair, NULL));
    assert_ok(tls_pair_install(pair, context, NULL));
    assert_int_equal(SSL_CTX_get0_chain_certs(context, &chain), 1);
    assert_int_equal(sk_X509_num(chain), 1);
    assert_int_equal(X509_cmp(sk_X509_value(chain, 0), files->pki.ca), 0);
    SSL_CTX_free(context);
    tls_pair_free(pair);
}

/* Half a chain would be found out by clients only. */
static void test_a_chain_with_a_damaged_tail(void **state)
{
    struct files *files = *state;
    static const char *const tails[] = {
        "-----BEGIN CERTIFICATE-----\nMIIB\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----\n",
    };
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        test_pki_write_certificate(files->pki.leaf, files->certificate);
        append_certificate(files->certificate, files->pki.ca);
        write_file(files->certificate, "a", tails[i], strlen(tails[i]));
        check_refused(files->certificate, files->key, "certificate file ", files->certificate,
                      " is damaged after its first certificate");
    }
}

static void test_a_file_that_is_too_large(void **state)
{
    struct files *files = *state;
    write_file(files->other, "w", "", 0);
    assert_int_equal(truncate(files->other, TLS_PEM_MAX_BYTES + 1), 0);
    check_refused(files->other, files->key, "certificate ", files->other,
                  " is too large to be one");
    check_refused(files->certificate, files->other, "private key ", files->other,
                  " is too large to be one");
    check_refused("/dev/zero", files->key, "certificate ", "/dev/zero", " is too large to be one");
}

static void test_certificate_and_key_in_one_file(void **state)
{
    struct files *files = *state;
    struct tls_pair *pair = NULL;
    FILE *file = fopen(files->certificate, "a");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, files->pki.leaf_key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
    assert_ok(tls_pair_load(files->certificate, files->certificate, &pair, NULL));
    tls_pair_free(pair);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

UNIT_MAIN(CASE(test_a_good_pair), CASE(test_the_files_are_read_once), CASE(test_missing_files),
          CASE(test_unreadable_files), CASE(test_a_folder_is_no_file), CASE(test_empty_files),
          CASE(test_a_named_pipe_does_not_hang), CASE(test_files_that_are_not_pem),
          CASE(test_files_that_are_swapped), CASE(test_an_encrypted_key),
          CASE(test_a_pair_that_does_not_belong_together), CASE(test_the_chain_is_installed),
          CASE(test_a_chain_with_a_damaged_tail), CASE(test_a_file_that_is_too_large),
          CASE(test_certificate_and_key_in_one_file))
