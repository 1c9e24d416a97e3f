/*
 * tls/server_material_internal.h — what server_material.c and the context_*.c of the server share.
 */
#ifndef TLS_SERVER_MATERIAL_INTERNAL_H
#define TLS_SERVER_MATERIAL_INTERNAL_H

#include "tls/material.h"
#include "tls/server_material.h"

struct tls_server_material {
    const struct tls_server_setup *setup;
    struct tls_pair **pairs;
    size_t pair_count;
};

#endif
