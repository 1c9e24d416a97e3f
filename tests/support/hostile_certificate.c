/*
 * hostile_certificate.c — certificates with hostile names (support/hostile_certificate.h).
 *
 * Uses: OpenSSL.  Used by: unit tests.  Never: is part of a program that ships.
 */
#include "support/hostile_certificate.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "hostile certificates: %s failed\n", what);
    abort();
}

static EVP_PKEY *shared_key(void)
{
    static EVP_PKEY *key;
    if (key == NULL)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    require(key != NULL, "EVP_PKEY_Q_keygen");
    return key;
}

/* By hand, because X509_NAME_add_entry_by_NID would check length and characters. */
static void add_common_name(X509 *certificate, const struct hostile_name *name)
{
    X509_NAME_ENTRY *entry = X509_NAME_ENTRY_new();
    ASN1_STRING *value = entry == NULL ? NULL : X509_NAME_ENTRY_get_data(entry);
    require(entry != NULL && value != NULL, "X509_NAME_ENTRY_new");
    require(X509_NAME_ENTRY_set_object(entry, OBJ_nid2obj(NID_commonName)) == 1, "set_object");
    require(X509_NAME_ENTRY_set_data(entry, name->string == 0 ? V_ASN1_UTF8STRING : name->string,
                                     (const unsigned char *)name->bytes, (int)name->length) == 1,
            "set_data");
    require(X509_NAME_add_entry(X509_get_subject_name(certificate), entry, -1, 0) == 1,
            "X509_NAME_add_entry");
    X509_NAME_ENTRY_free(entry);
}

static void add_alternative(GENERAL_NAMES *all, const struct hostile_name *name)
{
    GENERAL_NAME *general = GENERAL_NAME_new();
    ASN1_STRING *value =
        ASN1_STRING_type_new(name->type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    require(general != NULL && value != NULL, "GENERAL_NAME_new");
    require(ASN1_STRING_set(value, name->bytes, (int)name->length) == 1, "ASN1_STRING_set");
    GENERAL_NAME_set0_value(general, name->type, value);
    require(sk_GENERAL_NAME_push(all, general) > 0, "sk_GENERAL_NAME_push");
}

X509 *hostile_certificate(const struct hostile_name *names)
{
    X509 *certificate = X509_new();
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    require(certificate != NULL && all != NULL, "X509_new");
    require(X509_set_version(certificate, X509_VERSION_3) == 1, "X509_set_version");
    require(X509_set_pubkey(certificate, shared_key()) == 1, "X509_set_pubkey");
    for (; names->bytes != NULL; names++) {
        if (names->type == GEN_DIRNAME)
            add_common_name(certificate, names);
        else
            add_alternative(all, names);
    }
    if (sk_GENERAL_NAME_num(all) > 0)
        require(X509_add1_ext_i2d(certificate, NID_subject_alt_name, all, 0, X509V3_ADD_APPEND) ==
                    1,
                "X509_add1_ext_i2d");
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    return certificate;
}

void hostile_add_alternative_names(X509 *certificate, const void *der, size_t length)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    require(value != NULL && ASN1_OCTET_STRING_set(value, der, (int)length) == 1,
            "ASN1_OCTET_STRING_set");
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
    require(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, "X509_add_ext");
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
}
