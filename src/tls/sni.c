/*
 * sni.c — certificate pairs by name (tls/sni.h).
 *
 * Uses: base, OpenSSL.  Used by: server_material.c, served.c.
 * Never: takes a name as a C string that came out of a certificate.
 */
#include "tls/sni.h"

#include "base/error.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* How well a pair fits a name. */
enum sni_fit { SNI_FIT_NONE, SNI_FIT_WILDCARD, SNI_FIT_EXACT };

struct sni_bytes {
    const unsigned char *bytes;
    size_t length;
};

/* ------------------------------------------------------------------------------ names */

static int sni_name_count(const struct tls_sni_pair *pair)
{
    return pair->names == NULL ? 0 : sk_GENERAL_NAME_num(pair->names);
}

/* A DNS name or an address of the pair; false for any other kind of name. */
static bool sni_name_at(const struct tls_sni_pair *pair, int at, int *ret_kind,
                        struct sni_bytes *ret_name)
{
    const ASN1_STRING *value =
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(pair->names, at), ret_kind);
    if (*ret_kind != GEN_DNS && *ret_kind != GEN_IPADD)
        return false;
    *ret_name = (struct sni_bytes){ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)};
    return true;
}

static bool sni_is_same_text(struct sni_bytes a, struct sni_bytes b)
{
    return a.length == b.length &&
           strncasecmp((const char *)a.bytes, (const char *)b.bytes, a.length) == 0;
}

static bool sni_has_name(const struct tls_sni_pair *pair, int wanted_kind, struct sni_bytes wanted)
{
    for (int at = 0; at < sni_name_count(pair); at++) {
        int kind = 0;
        struct sni_bytes name;
        if (!sni_name_at(pair, at, &kind, &name) || kind != wanted_kind)
            continue;
        if (kind == GEN_DNS ? sni_is_same_text(name, wanted)
                            : name.length == wanted.length &&
                                  memcmp(name.bytes, wanted.bytes, name.length) == 0)
            return true;
    }
    return false;
}

/* True when `pair` has every name of `other`, and `other` has any. */
static bool sni_has_all_names(const struct tls_sni_pair *pair, const struct tls_sni_pair *other)
{
    bool any = false;
    for (int at = 0; at < sni_name_count(other); at++) {
        int kind = 0;
        struct sni_bytes name;
        if (!sni_name_at(other, at, &kind, &name))
            continue;
        any = true;
        if (!sni_has_name(pair, kind, name))
            return false;
    }
    return any;
}

/* `*.example.org` stands for `a.example.org`, and for neither `example.org` nor `a.b.example.org`.
 */
static bool sni_wildcard_covers(struct sni_bytes pattern, struct sni_bytes name)
{
    if (pattern.length < 3 || pattern.bytes[0] != '*' || pattern.bytes[1] != '.')
        return false;
    const unsigned char *dot = memchr(name.bytes, '.', name.length);
    if (dot == NULL || dot == name.bytes)
        return false;
    struct sni_bytes parent = {dot, name.length - (size_t)(dot - name.bytes)};
    return sni_is_same_text((struct sni_bytes){pattern.bytes + 1, pattern.length - 1}, parent);
}

static enum sni_fit sni_fit(const struct tls_sni_pair *pair, struct sni_bytes wanted)
{
    enum sni_fit best = SNI_FIT_NONE;
    for (int at = 0; at < sni_name_count(pair); at++) {
        int kind = 0;
        struct sni_bytes name;
        if (!sni_name_at(pair, at, &kind, &name) || kind != GEN_DNS)
            continue;
        if (sni_is_same_text(name, wanted))
            return SNI_FIT_EXACT;
        if (sni_wildcard_covers(name, wanted))
            best = SNI_FIT_WILDCARD;
    }
    return best;
}

/* ------------------------------------------------------------------------------ sets */

static uint64_t sni_bit(size_t index)
{
    return UINT64_C(1) << index;
}

static bool sni_set_has_type(const struct tls_sni *sni, uint64_t set, int key_type)
{
    for (size_t i = 0; i < sni->count; i++) {
        if ((set & sni_bit(i)) != 0 && sni->pairs[i].key_type == key_type)
            return true;
    }
    return false;
}

/* Adds the pairs that fit so well, the first of each key type that the set lacks. */
static uint64_t sni_add_fitting(const struct tls_sni *sni, uint64_t set, struct sni_bytes name,
                                enum sni_fit wanted)
{
    for (size_t i = 0; i < sni->count; i++) {
        if (!sni_set_has_type(sni, set, sni->pairs[i].key_type) &&
            sni_fit(&sni->pairs[i], name) == wanted)
            set |= sni_bit(i);
    }
    return set;
}

uint64_t tls_sni_find(const struct tls_sni *sni, const char *name)
{
    struct sni_bytes wanted = {(const unsigned char *)name, strlen(name)};
    uint64_t set = sni_add_fitting(sni, 0, wanted, SNI_FIT_EXACT);
    return sni_add_fitting(sni, set, wanted, SNI_FIT_WILDCARD);
}

uint64_t tls_sni_default(const struct tls_sni *sni)
{
    uint64_t set = sni_bit(0);
    for (size_t i = 1; i < sni->count; i++) {
        if (!sni_set_has_type(sni, set, sni->pairs[i].key_type) &&
            sni_has_all_names(&sni->pairs[i], &sni->pairs[0]))
            set |= sni_bit(i);
    }
    return set;
}

/* ------------------------------------------------------------------------------ set-up */

static bool sni_is_same(const struct tls_sni_pair *a, const struct tls_sni_pair *b)
{
    return a->key_type == b->key_type && sni_has_all_names(a, b) && sni_has_all_names(b, a);
}

enum certpost_status tls_sni_add(struct tls_sni *sni, const X509 *leaf, const char *path,
                                 struct certpost_error *error)
{
    if (sni->count == TLS_PAIRS_MAX)
        return error_set(error, CERTPOST_OWN_CERTIFICATE, "more than %d certificates",
                         TLS_PAIRS_MAX);
    struct tls_sni_pair *pair = &sni->pairs[sni->count++];
    *pair = (struct tls_sni_pair){
        .names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL),
        .key_type = EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)),
        .path = path,
    };
    ERR_clear_error();
    for (size_t i = 0; i + 1 < sni->count; i++) {
        if (sni_is_same(&sni->pairs[i], pair))
            return error_set(error, CERTPOST_OWN_CERTIFICATE,
                             "certificates %s and %s have the same names and the same type of key, "
                             "so one would never be used; leave one out",
                             sni->pairs[i].path, path);
    }
    return CERTPOST_OK;
}

void tls_sni_free(struct tls_sni *sni)
{
    for (size_t i = 0; i < sni->count; i++)
        GENERAL_NAMES_free(sni->pairs[i].names);
    sni->count = 0;
}
