/*
 * test_pki.c — certificates made in memory (support/test_pki.h).
 *
 * Uses: OpenSSL.  Used by: unit tests.  Never: is part of a program that ships.
 */
#include "support/test_pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { HOUR_S = 3600, DAY_S = 86400, SERIAL_BITS = 127 };

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "test certificates: %s failed\n", what);
    abort();
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    require(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static X509 *new_certificate(const char *common_name, EVP_PKEY *key, long starts_in_s,
                             long ends_in_s)
{
    X509 *certificate = X509_new();
    BIGNUM *serial = BN_new();
    require(certificate != NULL && serial != NULL, "X509_new");
    require(BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1, "BN_rand");
    BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate));
    BN_free(serial);
    X509_set_version(certificate, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(certificate), starts_in_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), ends_in_s);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)common_name, -1, -1, 0);
    return certificate;
}

static X509 *make_ca(EVP_PKEY *key)
{
    X509 *ca = new_certificate("certpost test CA", key, -2 * HOUR_S, 10 * DAY_S);
    X509_set_issuer_name(ca, X509_get_subject_name(ca));
    add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(ca, ca, NID_subject_key_identifier, "hash");
    require(X509_sign(ca, key, EVP_sha256()) > 0, "X509_sign");
    return ca;
}

static X509 *make_leaf(const struct test_pki *pki, const struct test_leaf *wanted)
{
    X509 *leaf = new_certificate("certpost test leaf", pki->leaf_key,
                                 wanted->starts_in_s == 0 ? -HOUR_S : wanted->starts_in_s,
                                 wanted->ends_in_s == 0 ? DAY_S : wanted->ends_in_s);
    X509 *issuer = wanted->self_signed ? leaf : pki->ca;
    X509_set_issuer_name(leaf, X509_get_subject_name(issuer));
    add_extension(leaf, issuer, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(leaf, issuer, NID_key_usage, "critical,digitalSignature");
    add_extension(leaf, issuer, NID_subject_key_identifier, "hash");
    add_extension(leaf, issuer, NID_authority_key_identifier, "keyid");
    add_extension(leaf, issuer, NID_ext_key_usage,
                  wanted->purpose == NULL ? "serverAuth,clientAuth" : wanted->purpose);
    add_extension(leaf, issuer, NID_subject_alt_name,
                  wanted->names == NULL ? "DNS:localhost,IP:127.0.0.1,IP:::1" : wanted->names);
    require(X509_sign(leaf, wanted->self_signed ? pki->leaf_key : pki->ca_key, EVP_sha256()) > 0,
            "X509_sign");
    return leaf;
}

struct test_pki test_pki_make(struct test_leaf leaf)
{
    struct test_pki pki = {.ca_key = EVP_EC_gen("P-256"), .leaf_key = EVP_EC_gen("P-256")};
    require(pki.ca_key != NULL && pki.leaf_key != NULL, "EVP_EC_gen");
    pki.ca = make_ca(pki.ca_key);
    pki.leaf = make_leaf(&pki, &leaf);
    return pki;
}

void test_pki_free(struct test_pki *pki)
{
    X509_free(pki->ca);
    X509_free(pki->leaf);
    EVP_PKEY_free(pki->ca_key);
    EVP_PKEY_free(pki->leaf_key);
    *pki = (struct test_pki){0};
}

static SSL_CTX *new_context(const SSL_METHOD *method, int version)
{
    SSL_CTX *context = SSL_CTX_new(method);
    require(context != NULL, "SSL_CTX_new");
    require(SSL_CTX_set_min_proto_version(context, version) == 1 &&
                SSL_CTX_set_max_proto_version(context, version) == 1,
            "SSL_CTX_set_min_proto_version");
    return context;
}

SSL_CTX *test_pki_server_context(const struct test_pki *pki, int version)
{
    SSL_CTX *context = new_context(TLS_server_method(), version);
    require(SSL_CTX_use_certificate(context, pki->leaf) == 1, "SSL_CTX_use_certificate");
    require(SSL_CTX_use_PrivateKey(context, pki->leaf_key) == 1, "SSL_CTX_use_PrivateKey");
    return context;
}

SSL_CTX *test_pki_client_context(const struct test_pki *pki, int version)
{
    SSL_CTX *context = new_context(TLS_client_method(), version);
    require(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), pki->ca) == 1,
            "X509_STORE_add_cert");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

static FILE *open_for_writing(const char *path)
{
    FILE *file = fopen(path, "wb");
    require(file != NULL, path);
    return file;
}

void test_pki_write_certificate(X509 *certificate, const char *path)
{
    FILE *file = open_for_writing(path);
    require(PEM_write_X509(file, certificate) == 1, "PEM_write_X509");
    fclose(file);
}

void test_pki_write_key(EVP_PKEY *key, const char *path)
{
    FILE *file = open_for_writing(path);
    require(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1,
            "PEM_write_PrivateKey");
    fclose(file);
}
