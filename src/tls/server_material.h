/*
 * tls/server_material.h — all that a server's TLS needs out of files, read and checked once.
 *
 * The material is loaded as a whole or not at all, so that a reload changes everything or nothing.
 * Each worker then makes its own SSL_CTX from it (openssl issues 17064 and 20286: shared reference
 * counts cost). Once loaded it is never changed, and may be read by any thread.
 */
#ifndef TLS_SERVER_MATERIAL_H
#define TLS_SERVER_MATERIAL_H

#include "base/options.h"
#include "tls/settings.h"
#include "tls/validity.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tls_client_verify {
    TLS_CLIENT_VERIFY_NONE,
    TLS_CLIENT_VERIFY_OPTIONAL,
    TLS_CLIENT_VERIFY_REQUIRE,
    TLS_CLIENT_VERIFY_UNSET, /* not said; never in a setup that is loaded */
};

/* "none", "optional", "require"; false for anything else. */
CERTPOST_MUST_CHECK
bool tls_client_verify_from_name(const char *name, enum tls_client_verify *ret_verify);

struct tls_ticket_keys;

/* The longest warning, with its NUL; longer ones are cut. */
enum { TLS_WARNING_BYTES = 1024 };

/* Takes a sentence for the log, borrowed for the call. Any thread may call it. */
typedef void (*tls_warn)(const char *words);

/* What the options say; strings are borrowed. Certificates and keys are pairs in order. */
struct tls_server_setup {
    struct tls_settings settings;
    struct options_list certificates;
    struct options_list keys;
    const char *passphrase_file; /* first line: the passphrase of encrypted keys; or NULL */
    struct options_list ocsp;    /* OCSP response files in DER, each for the pair it is about */
    bool sni_strict;             /* refuse a name that no certificate has */
    int64_t ticket_lifetime_ms;  /* of resumption tickets (certpost/1 only), and key rotation */
    const char *client_ca;       /* PEM; NULL only with TLS_CLIENT_VERIFY_NONE */
    enum tls_client_verify client_verify;
    const char *crl_file;          /* PEM, one list or several; NULL: revocation is not checked */
    struct options_list allow_dns; /* all four empty: every verified client is allowed */
    struct options_list allow_uri;
    struct options_list allow_cn;
    struct options_list allow_spki; /* sha256//BASE64 */

    /* Not options: what the program adds before it makes contexts. */
    struct tls_ticket_keys *ticket_keys; /* outlive the setup; NULL: no tickets */
    tls_warn warn;                       /* for what shows while it runs; NULL: nobody listens */
    bool serve_certpost_1;               /* certpost/1 is offered beside the plain exchange */
};

struct tls_server_material;
struct tls_pair;

/*
 * Reads every file and checks that it can be used. `setup` must outlive the material. Errors:
 * OWN_CERTIFICATE, CA_FILE, USAGE, NO_MEMORY, with words that name the file.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_server_material_load(const struct tls_server_setup *setup,
                                              struct tls_server_material **ret_material,
                                              struct certpost_error *error);
void tls_server_material_free(struct tls_server_material *material);

/*
 * Tells `warn` what an operator should know about material that is good enough to serve with: a key
 * or a passphrase that everybody can read, an OCSP response that has expired and is not stapled.
 */
void tls_server_material_report(const struct tls_server_material *material, tls_warn warn);

/* Until when each of its certificates, lists and responses holds; lives as long as the material. */
const struct tls_validities *
tls_server_material_validities(const struct tls_server_material *material);

/* Its certificate pairs, in the order of their options; they live as long as the material. */
size_t tls_server_material_pair_count(const struct tls_server_material *material);
const struct tls_pair *tls_server_material_pair(const struct tls_server_material *material,
                                                size_t index);

/*
 * The first DNS name of the first pair's certificate, cut to nothing when it has none that can be
 * shown. NUL-terminated.
 */
enum { TLS_SERVER_NAME_BYTES = 254 };
void tls_server_material_name(const struct tls_server_material *material,
                              char ret_name[TLS_SERVER_NAME_BYTES]);

/*
 * A context of one thread. It keeps pointers into the material, which must outlive it and every SSL
 * made from it. Free with SSL_CTX_free. Errors: as above.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_context_server(const struct tls_server_material *material,
                                        SSL_CTX **ret_context, struct certpost_error *error);

#endif
