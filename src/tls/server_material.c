/*
 * server_material.c — what a server's TLS needs out of files (tls/server_material.h).
 *
 * Uses: material, settings.  Used by: the main thread of certpostd, at start and reload.
 * Never: keeps half of it: any error means none.
 */
#include "base/error.h"
#include "tls/server_material_internal.h"

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

static enum certpost_status tls_load_pairs(struct tls_server_material *material,
                                           struct certpost_error *error)
{
    const struct tls_server_setup *setup = material->setup;
    material->pairs = calloc(setup->certificates.count, sizeof(struct tls_pair *));
    if (material->pairs == NULL)
        return error_no_memory(error);
    for (size_t i = 0; i < setup->certificates.count; i++) {
        enum certpost_status status = tls_pair_load(
            setup->certificates.items[i], setup->keys.items[i], &material->pairs[i], error);
        if (status != CERTPOST_OK)
            return status;
        material->pair_count++;
    }
    return CERTPOST_OK;
}

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
        status = tls_try_context(material, error);
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
    for (size_t i = 0; i < material->pair_count; i++)
        tls_pair_free(material->pairs[i]);
    free(material->pairs);
    free(material);
}
