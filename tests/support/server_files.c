/*
 * server_files.c — a server's files, and a handshake in memory (support/server_files.h).
 *
 * Uses: OpenSSL, support/test_pki.  Used by: unit tests.  Never: is part of a program that ships.
 */
#include "support/server_files.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HANDSHAKE_STEPS_MAX = 20 };

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "server files: %s failed\n", what);
    abort();
}

static void make_path(char path[SERVER_FILES_PATH_BYTES], const char *folder, const char *name)
{
    (void)snprintf(path, SERVER_FILES_PATH_BYTES, "%s/%s", folder, name);
}

void server_files_write(struct server_files *files, const struct test_pki *pki)
{
    *files = (struct server_files){.folder = "/tmp/certpost-test-XXXXXX"};
    require(mkdtemp(files->folder) != NULL, "mkdtemp");
    make_path(files->certificate, files->folder, "server.crt");
    make_path(files->key, files->folder, "server.key");
    make_path(files->ca, files->folder, "ca.crt");
    make_path(files->ocsp, files->folder, "server.ocsp");
    test_pki_write_certificate(pki->leaf, files->certificate);
    test_pki_write_certificate(pki->ca, files->ca);
    test_pki_write_key(pki->leaf_key, files->key);
    require(chmod(files->key, S_IRUSR | S_IWUSR) == 0, "chmod");
    files->certificates[0] = files->certificate;
    files->keys[0] = files->key;
    files->responses[0] = files->ocsp;
    files->setup = (struct tls_server_setup){
        .settings = {.min_version = TLS1_2_VERSION},
        .certificates = {.items = files->certificates, .count = 1},
        .keys = {.items = files->keys, .count = 1},
        .ocsp = {.items = files->responses, .count = 0},
        .client_verify = TLS_CLIENT_VERIFY_NONE,
    };
}

void server_files_remove(struct server_files *files)
{
    (void)unlink(files->certificate);
    (void)unlink(files->key);
    (void)unlink(files->ca);
    (void)unlink(files->ocsp);
    require(rmdir(files->folder) == 0, "rmdir");
}

struct meeting meeting_new(SSL_CTX *server, SSL_CTX *client)
{
    struct meeting meeting = {.client = SSL_new(client), .server = SSL_new(server)};
    BIO *to_server = BIO_new(BIO_s_mem());
    BIO *to_client = BIO_new(BIO_s_mem());
    require(meeting.client != NULL && meeting.server != NULL && to_server != NULL &&
                to_client != NULL && BIO_up_ref(to_server) == 1 && BIO_up_ref(to_client) == 1,
            "SSL_new");
    BIO_set_mem_eof_return(to_server, -1);
    BIO_set_mem_eof_return(to_client, -1);
    SSL_set_bio(meeting.client, to_client, to_server);
    SSL_set_bio(meeting.server, to_server, to_client);
    SSL_set_connect_state(meeting.client);
    SSL_set_accept_state(meeting.server);
    return meeting;
}

void meeting_free(struct meeting *meeting)
{
    /* Without a shutdown OpenSSL takes a session for broken and does not resume it. */
    SSL_set_shutdown(meeting->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(meeting->server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(meeting->client);
    SSL_free(meeting->server);
    *meeting = (struct meeting){0};
}

/* False when it has failed; true when it is complete or waits for the other end. */
static bool meeting_step(SSL *ssl, bool *ret_complete)
{
    int result = SSL_do_handshake(ssl);
    *ret_complete = result == 1;
    return result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
}

bool meeting_handshake(struct meeting *meeting)
{
    bool client_complete = false;
    bool server_complete = false;
    ERR_clear_error();
    for (int i = 0; i < HANDSHAKE_STEPS_MAX && !(client_complete && server_complete); i++) {
        if (!meeting_step(meeting->client, &client_complete) ||
            !meeting_step(meeting->server, &server_complete))
            return false;
    }
    /* Tickets come after the handshake, in front of the data that is not there. */
    unsigned char byte = 0;
    size_t length = 0;
    (void)SSL_read_ex(meeting->client, &byte, sizeof byte, &length);
    ERR_clear_error();
    return client_complete && server_complete && length == 0;
}
