/*
 * chain.c — the digest chain over a stream (base/chain.h, docs/protocol.md).
 *
 * The algorithm is fetched once and the context is used again for each message: a fetch per message
 * costs more than the hash of a short one.
 *
 * Uses: OpenSSL's EVP.  Used by: session (both roles), store (the first digest), the store's audit.
 * Never: keeps a stream's state, or compares digests.
 */
#include "base/chain.h"

#include "base/error.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct chain {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

enum certpost_status chain_new(struct chain **ret_chain, struct certpost_error *error)
{
    struct chain *chain = calloc(1, sizeof *chain);
    if (chain == NULL)
        return error_no_memory(error);
    chain->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    chain->context = EVP_MD_CTX_new();
    if (chain->sha256 == NULL || chain->context == NULL) {
        chain_free(chain);
        return error_set(error, CERTPOST_SYSTEM, "OpenSSL cannot provide SHA-256");
    }
    *ret_chain = chain;
    return CERTPOST_OK;
}

void chain_free(struct chain *chain)
{
    if (chain == NULL)
        return;
    EVP_MD_CTX_free(chain->context);
    EVP_MD_free(chain->sha256);
    free(chain);
}

static bool chain_update(struct chain *chain, const void *bytes, size_t length)
{
    return length == 0 || EVP_DigestUpdate(chain->context, bytes, length) == 1;
}

static enum certpost_status chain_finish(struct chain *chain, bool hashed,
                                         unsigned char ret_digest[CHAIN_DIGEST_BYTES])
{
    unsigned char digest[CHAIN_DIGEST_BYTES];
    if (!hashed || EVP_DigestFinal_ex(chain->context, digest, NULL) != 1)
        return CERTPOST_SYSTEM;
    memcpy(ret_digest, digest, sizeof digest);
    return CERTPOST_OK;
}

enum certpost_status chain_first(struct chain *chain, const void *identity, size_t identity_length,
                                 const void *name, size_t name_length,
                                 unsigned char ret_digest[CHAIN_DIGEST_BYTES])
{
    static const char label[] = "certpost/1"; /* its NUL is the 0x00 that follows the label */
    bool hashed = EVP_DigestInit_ex2(chain->context, chain->sha256, NULL) == 1 &&
                  chain_update(chain, label, sizeof label) &&
                  chain_update(chain, identity, identity_length) && chain_update(chain, "", 1) &&
                  chain_update(chain, name, name_length);
    return chain_finish(chain, hashed, ret_digest);
}

enum certpost_status chain_next(struct chain *chain,
                                const unsigned char previous[CHAIN_DIGEST_BYTES],
                                const void *message, size_t length,
                                unsigned char ret_digest[CHAIN_DIGEST_BYTES])
{
    if (length > UINT32_MAX)
        return CERTPOST_LIMIT;
    unsigned char head[CHAIN_DIGEST_BYTES + 4];
    memcpy(head, previous, CHAIN_DIGEST_BYTES);
    for (size_t i = 0; i < 4; i++)
        head[CHAIN_DIGEST_BYTES + i] = (unsigned char)(length >> (24 - 8 * i));
    bool hashed = EVP_DigestInit_ex2(chain->context, chain->sha256, NULL) == 1 &&
                  chain_update(chain, head, sizeof head) && chain_update(chain, message, length);
    return chain_finish(chain, hashed, ret_digest);
}
