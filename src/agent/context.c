/*
 * context.c — from options to an SSL_CTX (agent/context.h).
 *
 * Uses: tls.  Used by: client.c, and client/channel.c for the plain exchange.
 * Never: touches the network.
 */
#include "agent/context.h"

#include "tls/context.h"
#include "tls/keylog.h"
#include "tls/material.h"

static enum certpost_status agent_context_make(const struct agent_config *config,
                                               const struct tls_pins *pins, SSL_CTX **ret_context,
                                               struct certpost_error *error)
{
    struct tls_pair *pair = NULL;
    enum certpost_status status = CERTPOST_OK;
    if (config->certificate_file != NULL)
        status = tls_pair_load(config->certificate_file, config->key_file, &pair, error);
    if (status == CERTPOST_OK) {
        struct tls_client_config tls = {
            .settings = config->tls,
            .ca_file = config->ca_file,
            .ca_path = config->ca_path,
            .crl_file = config->crl_file,
            .pair = pair,
            .insecure = config->insecure,
            .pins = pins,
        };
        status = tls_context_client(&tls, ret_context, error);
    }
    tls_pair_free(pair);
    return status;
}

enum certpost_status agent_context_new(const struct agent_config *config,
                                       const struct tls_pins *pins, SSL_CTX **ret_context,
                                       FILE **ret_keylog, struct certpost_error *error)
{
    SSL_CTX *context = NULL;
    FILE *keylog = NULL;
    enum certpost_status status = agent_context_make(config, pins, &context, error);
    if (status == CERTPOST_OK && config->keylog_file != NULL)
        status = tls_keylog_open(context, config->keylog_file, &keylog, error);
    if (status != CERTPOST_OK) {
        SSL_CTX_free(context);
        return status;
    }
    *ret_context = context;
    *ret_keylog = keylog;
    return CERTPOST_OK;
}
