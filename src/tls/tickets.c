/*
 * tickets.c — the keys of session tickets (tls/tickets.h).
 *
 * Uses: base, OpenSSL.  Used by: context_server.c, server.c of certpostd.
 * Never: decides who gets a ticket, and never keeps a key longer than its lifetime once anybody
 * asks.
 */
#include "tls/tickets.h"

#include "base/error.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TICKET_NAME_BYTES = 16, TICKET_KEY_BYTES = 32, TICKET_IV_BYTES = 16 };

/* What OpenSSL expects of its ticket callback. */
enum { TICKET_FAILED = -1, TICKET_UNKNOWN = 0, TICKET_GOOD = 1, TICKET_GOOD_RENEW = 2 };

struct ticket_key {
    unsigned char name[TICKET_NAME_BYTES];
    unsigned char cipher_key[TICKET_KEY_BYTES];
    unsigned char mac_key[TICKET_KEY_BYTES];
    int64_t made_ms;
    bool exists;
};

struct tls_ticket_keys {
    pthread_rwlock_t lock;
    tls_tickets_clock clock;
    int64_t lifetime_ms;
    struct ticket_key current;
    struct ticket_key previous;
};

static pthread_once_t ticket_index_once = PTHREAD_ONCE_INIT;
static int ticket_index = -1;

static void ticket_make_index(void)
{
    ticket_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* ------------------------------------------------------------------------------ keys */

static void ticket_key_wipe(struct ticket_key *key)
{
    OPENSSL_cleanse(key, sizeof *key);
}

static bool ticket_key_make(struct ticket_key *key, int64_t now_ms)
{
    if (RAND_bytes(key->name, sizeof key->name) != 1 ||
        RAND_priv_bytes(key->cipher_key, sizeof key->cipher_key) != 1 ||
        RAND_priv_bytes(key->mac_key, sizeof key->mac_key) != 1) {
        ticket_key_wipe(key);
        return false;
    }
    key->made_ms = now_ms;
    key->exists = true;
    return true;
}

static bool ticket_key_opens(const struct tls_ticket_keys *keys, const struct ticket_key *key,
                             int64_t now_ms)
{
    return key->exists && now_ms - key->made_ms < keys->lifetime_ms;
}

static bool ticket_key_seals(const struct tls_ticket_keys *keys, const struct ticket_key *key,
                             int64_t now_ms)
{
    return key->exists && now_ms - key->made_ms < (keys->lifetime_ms + 1) / 2;
}

/* With the lock held for writing. Without random numbers there is no key, and no ticket. */
static void ticket_keys_refresh(struct tls_ticket_keys *keys, int64_t now_ms)
{
    if (!ticket_key_opens(keys, &keys->previous, now_ms))
        ticket_key_wipe(&keys->previous);
    if (ticket_key_seals(keys, &keys->current, now_ms))
        return;
    if (ticket_key_opens(keys, &keys->current, now_ms))
        keys->previous = keys->current;
    ticket_key_wipe(&keys->current);
    (void)ticket_key_make(&keys->current, now_ms);
}

void tls_ticket_keys_rotate(struct tls_ticket_keys *keys)
{
    (void)pthread_rwlock_wrlock(&keys->lock);
    ticket_keys_refresh(keys, keys->clock());
    (void)pthread_rwlock_unlock(&keys->lock);
}

/* A copy of the key that seals now, to be wiped; false when there is none. */
static bool ticket_keys_copy_current(struct tls_ticket_keys *keys, struct ticket_key *ret_key)
{
    (void)pthread_rwlock_rdlock(&keys->lock);
    bool found = ticket_key_seals(keys, &keys->current, keys->clock());
    if (found)
        *ret_key = keys->current;
    (void)pthread_rwlock_unlock(&keys->lock);
    if (found)
        return true;
    (void)pthread_rwlock_wrlock(&keys->lock);
    ticket_keys_refresh(keys, keys->clock());
    *ret_key = keys->current;
    (void)pthread_rwlock_unlock(&keys->lock);
    return ret_key->exists;
}

/* A copy of the key of that name, to be wiped; false when it is unknown or its time is over. */
static bool ticket_keys_copy_named(struct tls_ticket_keys *keys, const unsigned char *name,
                                   struct ticket_key *ret_key, bool *ret_seals)
{
    (void)pthread_rwlock_rdlock(&keys->lock);
    int64_t now_ms = keys->clock();
    const struct ticket_key *const all[] = {&keys->current, &keys->previous};
    const struct ticket_key *found = NULL;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && found == NULL; i++) {
        if (ticket_key_opens(keys, all[i], now_ms) &&
            memcmp(all[i]->name, name, TICKET_NAME_BYTES) == 0)
            found = all[i];
    }
    if (found != NULL) {
        *ret_key = *found;
        *ret_seals = ticket_key_seals(keys, found, now_ms);
    }
    (void)pthread_rwlock_unlock(&keys->lock);
    return found != NULL;
}

enum certpost_status tls_ticket_keys_new(int64_t lifetime_ms, tls_tickets_clock clock,
                                         struct tls_ticket_keys **ret_keys,
                                         struct certpost_error *error)
{
    struct tls_ticket_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL || pthread_rwlock_init(&keys->lock, NULL) != 0) {
        free(keys);
        return error_no_memory(error);
    }
    keys->clock = clock;
    keys->lifetime_ms = lifetime_ms;
    if (!ticket_key_make(&keys->current, clock())) {
        ERR_clear_error();
        tls_ticket_keys_free(keys);
        return error_set(error, CERTPOST_SYSTEM, "the system gives no random numbers");
    }
    *ret_keys = keys;
    return CERTPOST_OK;
}

void tls_ticket_keys_free(struct tls_ticket_keys *keys)
{
    if (keys == NULL)
        return;
    ticket_key_wipe(&keys->current);
    ticket_key_wipe(&keys->previous);
    (void)pthread_rwlock_destroy(&keys->lock);
    free(keys);
}

void tls_ticket_keys_set_lifetime(struct tls_ticket_keys *keys, int64_t lifetime_ms)
{
    (void)pthread_rwlock_wrlock(&keys->lock);
    keys->lifetime_ms = lifetime_ms;
    ticket_keys_refresh(keys, keys->clock());
    (void)pthread_rwlock_unlock(&keys->lock);
}

/* ------------------------------------------------------------------------------ tickets */

static bool ticket_init_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac_key, sizeof key->mac_key),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static int ticket_seal(struct tls_ticket_keys *keys, unsigned char *ret_name, unsigned char *ret_iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key key = {0};
    int result = TICKET_FAILED;
    if (ticket_keys_copy_current(keys, &key) && RAND_bytes(ret_iv, TICKET_IV_BYTES) == 1 &&
        EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher_key, ret_iv, NULL) == 1 &&
        ticket_init_mac(mac, &key)) {
        memcpy(ret_name, key.name, TICKET_NAME_BYTES);
        result = TICKET_GOOD;
    }
    ticket_key_wipe(&key);
    return result;
}

/*
 * TLS 1.3 asks that a ticket be used once (RFC 8446, section C.4), so every resumption gets a new
 * one; in TLS 1.2 only a ticket under the older key is renewed.
 */
static int ticket_open(struct tls_ticket_keys *keys, int version, const unsigned char *name,
                       const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key key = {0};
    bool seals = false;
    if (!ticket_keys_copy_named(keys, name, &key, &seals))
        return TICKET_UNKNOWN;
    int result = TICKET_FAILED;
    if (ticket_init_mac(mac, &key) &&
        EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher_key, iv, NULL) == 1)
        result = seals && version < TLS1_3_VERSION ? TICKET_GOOD : TICKET_GOOD_RENEW;
    ticket_key_wipe(&key);
    return result;
}

static int ticket_on_use(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int sealing)
{
    struct tls_ticket_keys *keys = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ticket_index);
    if (keys == NULL)
        return sealing != 0 ? TICKET_FAILED : TICKET_UNKNOWN;
    if (sealing != 0)
        return ticket_seal(keys, name, iv, cipher, mac);
    return ticket_open(keys, SSL_version(ssl), name, iv, cipher, mac);
}

enum certpost_status tls_tickets_enable(SSL_CTX *context, struct tls_ticket_keys *keys,
                                        int64_t lifetime_ms, struct certpost_error *error)
{
    (void)pthread_once(&ticket_index_once, ticket_make_index);
    /* Without our callback OpenSSL would seal with keys of this one context, so half is an error.
     */
    if (SSL_CTX_set_ex_data(context, ticket_index, keys) != 1 ||
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_on_use) != 1)
        return error_no_memory(error);
    SSL_CTX_set_timeout(context, (long)((lifetime_ms + 999) / 1000));
    return CERTPOST_OK;
}
