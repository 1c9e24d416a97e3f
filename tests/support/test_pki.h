/*
 * support/test_pki.h — certificates for unit tests, made in memory when they are needed.
 *
 * P-256 keys. Nothing is checked in, so nothing expires.
 */
#ifndef SUPPORT_TEST_PKI_H
#define SUPPORT_TEST_PKI_H

#include <openssl/ssl.h>

struct test_pki {
    X509 *ca;
    EVP_PKEY *ca_key;
    X509 *leaf;
    EVP_PKEY *leaf_key;
};

/* What a leaf is made from; {0} is a good server certificate for localhost and the loopbacks. */
struct test_leaf {
    const char *names;   /* as openssl's subjectAltName, e.g. "DNS:a,IP:127.0.0.1" */
    const char *purpose; /* as openssl's extendedKeyUsage; NULL: serverAuth,clientAuth */
    long starts_in_s;    /* from now; 0 means an hour ago */
    long ends_in_s;      /* from now; 0 means in a day */
    int self_signed;     /* signed by its own key instead of the CA's */
};

/* Aborts the test program when OpenSSL fails. */
struct test_pki test_pki_make(struct test_leaf leaf);
void test_pki_free(struct test_pki *pki);

/* Contexts for both ends: the server has the leaf, the client trusts the CA. `version` fixes the
 * TLS version. Free with SSL_CTX_free. */
SSL_CTX *test_pki_server_context(const struct test_pki *pki, int version);
SSL_CTX *test_pki_client_context(const struct test_pki *pki, int version);

/* Writes a certificate or a key as PEM to `path`. */
void test_pki_write_certificate(X509 *certificate, const char *path);
void test_pki_write_key(EVP_PKEY *key, const char *path);

#endif
