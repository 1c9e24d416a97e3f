/*
 * server_material.c — what a server's TLS needs out of files (tls/server_material.h).
 *
 * Uses: base, material, sni, ocsp, trust, validity.  Used by: the main thread of certpostd, at
 * start and reload. Never: keeps half of it: any error means none.
 */
#include "base/clock.h"
#include "base/error.h"
#include "tls/server_material_internal.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tls_client_verify_from_name(const char *name, enum tls_client_verify *ret_verify)
{
    static const char *const names[] = {"none", "optional", "require"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_verify = (enum tls_client_verify)i;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------ pairs */

/* The file has the server's own certificate first, then those above it. */
static enum certpost_status tls_note_chain(struct tls_server_material *material, const char *path,
                                           const struct tls_credential *credential,
                                           struct certpost_error *error)
{
    enum certpost_status status = tls_validities_add_certificate(
        &material->validities, TLS_VALIDITY_SERVER_CERTIFICATE, path, 1, credential->leaf, error);
    for (int i = 0; i < sk_X509_num(credential->chain) && status == CERTPOST_OK; i++)
        status = tls_validities_add_certificate(&material->validities,
                                                TLS_VALIDITY_CHAIN_CERTIFICATE, path, (size_t)i + 2,
                                                sk_X509_value(credential->chain, i), error);
    return status;
}

static enum certpost_status tls_load_pair(struct tls_server_material *material, size_t index,
                                          const struct tls_passphrase *passphrase,
                                          struct certpost_error *error)
{
    const struct tls_server_setup *setup = material->setup;
    struct tls_server_pair *served = &material->pairs[index];
    struct tls_credential credential = {0};
    enum certpost_status status =
        tls_pair_load_encrypted(setup->certificates.items[index], setup->keys.items[index],
                                passphrase, &served->pair, error);
    if (status == CERTPOST_OK)
        status = tls_credential_parse(served->pair, &credential, error);
    if (status == CERTPOST_OK)
        status = tls_note_chain(material, setup->certificates.items[index], &credential, error);
    if (status == CERTPOST_OK) {
        served->leaf = credential.leaf;
        credential.leaf = NULL;
        status = tls_sni_add(&material->sni, served->leaf, served->pair->certificate_path, error);
    }
    tls_credential_free(&credential);
    return status;
}

static enum certpost_status tls_load_pairs(struct tls_server_material *material,
                                           struct certpost_error *error)
{
    const struct tls_server_setup *setup = material->setup;
    struct tls_passphrase passphrase = {0};
    enum certpost_status status = CERTPOST_OK;
    material->pairs = calloc(setup->certificates.count, sizeof material->pairs[0]);
    if (material->pairs == NULL)
        return error_no_memory(error);
    material->pair_count = setup->certificates.count;
    if (setup->passphrase_file != NULL)
        status = tls_passphrase_load(setup->passphrase_file, &passphrase, error);
    for (size_t i = 0; i < material->pair_count && status == CERTPOST_OK; i++)
        status = tls_load_pair(material, i, &passphrase, error);
    tls_passphrase_wipe(&passphrase);
    return status;
}

/* ------------------------------------------------------------------------------ OCSP */

static enum certpost_status tls_load_staple(struct tls_server_material *material, const char *path,
                                            X509 *const *leaves, struct certpost_error *error)
{
    struct tls_ocsp *ocsp = NULL;
    size_t index = 0;
    enum certpost_status status = tls_ocsp_load(path, leaves, material->pair_count,
                                                clock_wall_ms() / 1000, &ocsp, &index, error);
    if (status != CERTPOST_OK)
        return status;
    struct tls_server_pair *served = &material->pairs[index];
    if (served->staple != NULL) {
        status = error_set(error, CERTPOST_OWN_CERTIFICATE,
                           "the OCSP responses %s and %s are both about certificate %s; leave one "
                           "out",
                           served->staple->path, path, served->pair->certificate_path);
        tls_ocsp_free(ocsp);
        return status;
    }
    served->staple = ocsp;
    return tls_validities_add_ocsp(&material->validities, path, ocsp->this_update_s,
                                   ocsp->next_update_s, served->leaf, error);
}

static enum certpost_status tls_load_clients(struct tls_server_material *material,
                                             struct certpost_error *error)
{
    const struct tls_server_setup *setup = material->setup;
    if (setup->client_verify == TLS_CLIENT_VERIFY_NONE)
        return CERTPOST_OK;
    enum certpost_status status = tls_allow_load(setup, &material->allow, error);
    if (status == CERTPOST_OK)
        status = tls_trust_load(setup->client_ca, setup->crl_file, &material->validities,
                                &material->trust, error);
    return status;
}

static enum certpost_status tls_load_staples(struct tls_server_material *material,
                                             struct certpost_error *error)
{
    const struct options_list *files = &material->setup->ocsp;
    X509 *leaves[TLS_PAIRS_MAX];
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < material->pair_count; i++)
        leaves[i] = material->pairs[i].leaf;
    for (size_t i = 0; i < files->count && status == CERTPOST_OK; i++)
        status = tls_load_staple(material, files->items[i], leaves, error);
    return status;
}

/* ------------------------------------------------------------------------------ material */

/* Made once and thrown away, so that every fault shows here and not in a worker. */
static enum certpost_status tls_try_context(const struct tls_server_material *material,
                                            struct certpost_error *error)
{
    SSL_CTX *context = NULL;
    enum certpost_status status = tls_context_server(material, &context, error);
    if (status == CERTPOST_OK)
        SSL_CTX_free(context);
    return status;
}

enum certpost_status tls_server_material_load(const struct tls_server_setup *setup,
                                              struct tls_server_material **ret_material,
                                              struct certpost_error *error)
{
    struct tls_server_material *material = calloc(1, sizeof *material);
    if (material == NULL)
        return error_no_memory(error);
    material->setup = setup;
    enum certpost_status status = tls_load_pairs(material, error);
    if (status == CERTPOST_OK)
        status = tls_load_clients(material, error);
    if (status == CERTPOST_OK)
        status = tls_load_staples(material, error);
    if (status == CERTPOST_OK)
        status = tls_try_context(material, error);
    tls_validities_sort(&material->validities);
    if (status == CERTPOST_OK)
        *ret_material = material;
    else
        tls_server_material_free(material);
    return status;
}

void tls_server_material_free(struct tls_server_material *material)
{
    if (material == NULL)
        return;
    for (size_t i = 0; i < material->pair_count; i++) {
        tls_pair_free(material->pairs[i].pair);
        X509_free(material->pairs[i].leaf);
        tls_ocsp_free(material->pairs[i].staple);
    }
    tls_sni_free(&material->sni);
    free(material->pairs);
    tls_allow_free(material->allow);
    tls_trust_free(material->trust);
    tls_validities_free(&material->validities);
    free(material);
}

/* ------------------------------------------------------------------------------ warnings */

static void tls_warn_of_file(tls_warn warn, const char *kind, const char *path, const char *words)
{
    char text[TLS_WARNING_BYTES];
    (void)snprintf(text, sizeof text, "%s %s %s", kind, path, words);
    warn(text);
}

static void tls_warn_of_pair(const struct tls_server_pair *served, tls_warn warn)
{
    if (served->pair->key_is_public)
        tls_warn_of_file(warn, "private key", served->pair->key_path,
                         "can be read by everybody on this machine; take that right away");
    if (served->staple != NULL && !tls_ocsp_is_current(served->staple, clock_wall_ms() / 1000) &&
        tls_ocsp_note_expiry(served->staple))
        tls_warn_of_file(warn, "the OCSP response", served->staple->path,
                         "has expired and is not stapled");
}

void tls_server_material_report(const struct tls_server_material *material, tls_warn warn)
{
    const char *passphrase = material->setup->passphrase_file;
    if (passphrase != NULL && tls_file_is_public(passphrase))
        tls_warn_of_file(warn, "the passphrase file", passphrase,
                         "can be read by everybody on this machine; take that right away");
    for (size_t i = 0; i < material->pair_count; i++)
        tls_warn_of_pair(&material->pairs[i], warn);
}

const struct tls_validities *
tls_server_material_validities(const struct tls_server_material *material)
{
    return &material->validities;
}

size_t tls_server_material_pair_count(const struct tls_server_material *material)
{
    return material->pair_count;
}

const struct tls_pair *tls_server_material_pair(const struct tls_server_material *material,
                                                size_t index)
{
    return material->pairs[index].pair;
}

void tls_server_material_name(const struct tls_server_material *material,
                              char ret_name[TLS_SERVER_NAME_BYTES])
{
    struct tls_names names = {0};
    struct tls_name name = {0};
    int at = 0;
    ret_name[0] = '\0';
    if (material->pair_count > 0 &&
        tls_names_read(material->pairs[0].leaf, &names, NULL) == CERTPOST_OK &&
        tls_names_next(&names, TLS_NAME_DNS, &at, &name) && name.length < TLS_SERVER_NAME_BYTES &&
        tls_name_fault(TLS_NAME_DNS, name) == NULL) {
        memcpy(ret_name, name.bytes, name.length);
        ret_name[name.length] = '\0';
    }
    tls_names_free(&names);
}
