/*
 * support/server_files.h — a server's certificate, key and CA as files, and a handshake in memory.
 */
#ifndef SUPPORT_SERVER_FILES_H
#define SUPPORT_SERVER_FILES_H

#include "support/test_pki.h"
#include "tls/server_material.h"

#include <openssl/ssl.h>
#include <stdbool.h>

enum { SERVER_FILES_PATH_BYTES = 64 };

/* A temporary folder with a pair in it, and the setup that names them. */
struct server_files {
    char folder[SERVER_FILES_PATH_BYTES / 2];
    char certificate[SERVER_FILES_PATH_BYTES];
    char key[SERVER_FILES_PATH_BYTES];
    char ca[SERVER_FILES_PATH_BYTES];
    char ocsp[SERVER_FILES_PATH_BYTES]; /* the test's to write */
    const char *certificates[1];
    const char *keys[1];
    const char *responses[1];
    struct tls_server_setup setup; /* for one pair, without an OCSP response */
};

/* Aborts the test program on failure. `files` must stay where it is. */
void server_files_write(struct server_files *files, const struct test_pki *pki);
void server_files_remove(struct server_files *files);

/* A client and a server with nothing but memory between them. */
struct meeting {
    SSL *client;
    SSL *server;
};

struct meeting meeting_new(SSL_CTX *server, SSL_CTX *client);
void meeting_free(struct meeting *meeting);

/* The handshake, and what the server sends right after it; true when both ends are content. */
bool meeting_handshake(struct meeting *meeting);

#endif
