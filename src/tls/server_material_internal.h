/*
 * tls/server_material_internal.h — what server_material.c and the parts of the server's context
 * share.
 */
#ifndef TLS_SERVER_MATERIAL_INTERNAL_H
#define TLS_SERVER_MATERIAL_INTERNAL_H

#include "tls/allow.h"
#include "tls/material.h"
#include "tls/ocsp.h"
#include "tls/server_material.h"
#include "tls/sni.h"
#include "tls/trust.h"
#include "tls/validity.h"

/* One --cert with its --key. */
struct tls_server_pair {
    struct tls_pair *pair;
    X509 *leaf;              /* for the main thread, while the material is loaded */
    struct tls_ocsp *staple; /* NULL: none */
};

struct tls_server_material {
    const struct tls_server_setup *setup;
    struct tls_server_pair *pairs;
    size_t pair_count;
    struct tls_trust *trust; /* NULL when clients are not verified */
    struct tls_allow *allow; /* NULL likewise */
    struct tls_sni sni;
    struct tls_validities validities;
};

#endif
