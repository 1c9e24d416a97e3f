/*
 * support/hostile_certificate.h — certificates with names that no honest CA would sign, made in
 * memory by OpenSSL. They are not signed: what reads names does not ask for that.
 */
#ifndef SUPPORT_HOSTILE_CERTIFICATE_H
#define SUPPORT_HOSTILE_CERTIFICATE_H

#include <openssl/x509v3.h>
#include <stddef.h>

/* A name: length-counted, so that a NUL byte can be in it. Ended by one with `bytes` NULL. */
struct hostile_name {
    int type;   /* GEN_URI, GEN_DNS, GEN_EMAIL, GEN_IPADD; GEN_DIRNAME: a common name */
    int string; /* V_ASN1_…, of a common name; 0: UTF8String */
    const char *bytes;
    size_t length;
};

/* A name from a literal. */
#define HOSTILE(kind, literal)                                                                     \
    {                                                                                              \
        .type = (kind), .bytes = (literal), .length = sizeof(literal) - 1                          \
    }

/* Aborts the test program when OpenSSL fails. Free with X509_free. */
X509 *hostile_certificate(const struct hostile_name *names);

/* Adds an extension with the alternative names' number and this DER, whatever it is. */
void hostile_add_alternative_names(X509 *certificate, const void *der, size_t length);

#endif
