/* agent/context.h — the TLS settings of a client, from its options. */
#ifndef AGENT_CONTEXT_H
#define AGENT_CONTEXT_H

#include "agent/config.h"
#include "tls/context_pin.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stdio.h>

/*
 * Reads certificates and makes the context; with the option `keylogfile`, `*ret_keylog` is the file
 * that it writes to until it is freed, else NULL. `pins` must live as long as the context. Errors:
 * those of tls_pair_load, tls_context_client and tls_keylog_open.
 */
CERTPOST_MUST_CHECK
enum certpost_status agent_context_new(const struct agent_config *config,
                                       const struct tls_pins *pins, SSL_CTX **ret_context,
                                       FILE **ret_keylog, struct certpost_error *error);

#endif
