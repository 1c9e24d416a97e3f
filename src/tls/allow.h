/*
 * tls/allow.h — allow lists: which of the verified clients are served.
 *
 * A certificate is admitted when any one entry of any list fits it:
 *
 *   DNS   any DNS name of the certificate, without regard to the case of ASCII letters. An entry
 *         `*.NAME` fits every name that is NAME with exactly one more label in front; NAME itself
 *         must have two labels or more, so `*.com` cannot be said. No other wildcard exists, and a
 *         wildcard never fits an address.
 *   URI   any URI of the certificate, byte for byte.
 *   CN    the subject's common name, byte for byte.
 *   SPKI  the pin of its key (tls/pin.h).
 *
 * With all four lists empty, every verified client is admitted.
 */
#ifndef TLS_ALLOW_H
#define TLS_ALLOW_H

#include "tls/names.h"
#include "tls/server_material.h"

#include "certpost/error.h"

#include <openssl/x509.h>
#include <stdbool.h>

struct tls_allow;

/*
 * Checks and sorts the allow lists of `setup`, whose strings must outlive the result. USAGE with
 * words that name the option and the entry for one that is malformed or could never fit; NO_MEMORY.
 * Once loaded, any thread may ask.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_allow_load(const struct tls_server_setup *setup,
                                    struct tls_allow **ret_allow, struct certpost_error *error);
void tls_allow_free(struct tls_allow *allow);

/* `names` are those of `certificate`. Takes time with the logarithm of the lists. */
CERTPOST_MUST_CHECK
bool tls_allow_admits(const struct tls_allow *allow, const struct tls_names *names,
                      const X509 *certificate);

#endif
