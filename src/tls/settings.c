/*
 * settings.c — versions, groups, cipher suites and modes of an SSL_CTX (tls/settings.h).
 *
 * Uses: base, OpenSSL.  Used by: context_server.c, context_client.c.
 * Never: lowers what OpenSSL's own configuration demands, and never fails because this OpenSSL
 * lacks one group of a list.
 */
#include "tls/settings.h"

#include "base/error.h"
#include "base/text.h"
#include "tls/explain.h"

#include <openssl/err.h>
#include <stdbool.h>
#include <string.h>

/* A list of groups or cipher suites on a command line; real ones are a tenth of this. */
enum { TLS_LIST_MAX_BYTES = 1024 };

/* TLS 1.2 with what TLS 1.3 demands anyway: ephemeral keys and authenticated encryption. */
#define TLS_12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!PSK:!SRP"

enum certpost_status tls_settings_parse_version(const char *text, int *ret_version,
                                                struct certpost_error *error)
{
    if (strcmp(text, "1.3") == 0)
        *ret_version = TLS1_3_VERSION;
    else if (strcmp(text, "1.2") == 0)
        *ret_version = TLS1_2_VERSION;
    else
        return error_set(error, CERTPOST_USAGE, "the lowest TLS version is 1.2 or 1.3");
    return CERTPOST_OK;
}

/* Takes the next name of a colon-separated list; false at the end of the list. */
static bool tls_list_next(const char **list, char ret_name[TLS_LIST_MAX_BYTES])
{
    size_t length = 0;
    do {
        *list += strspn(*list, ":");
        length = strcspn(*list, ":");
    } while (length == 0 && **list != '\0');
    if (length == 0)
        return false;
    memcpy(ret_name, *list, length);
    ret_name[length] = '\0';
    *list += length;
    return true;
}

/*
 * OpenSSL before 3.3 rejects a whole list for one unknown name, and every version for one that is
 * there already under another name. So each is tried behind those that were taken.
 */
static enum certpost_status tls_take_group(SSL_CTX *context, char known[TLS_LIST_MAX_BYTES],
                                           const char *name, bool *ret_taken,
                                           struct certpost_error *error)
{
    size_t used = strlen(known);
    size_t at = used > 0 ? used + 1 : 0;
    memcpy(known + at, name, strlen(name) + 1);
    if (used > 0)
        known[used] = ':';
    bool taken = SSL_CTX_set1_groups_list(context, known) == 1;
    if (!taken)
        known[used] = '\0';
    /* A group that is left out for lack of memory would be a weaker list than was asked for. */
    if (tls_explain_no_memory(NULL))
        return error_no_memory(error);
    *ret_taken = taken;
    return CERTPOST_OK;
}

static enum certpost_status tls_apply_groups(SSL_CTX *context, const char *list,
                                             struct certpost_error *error)
{
    const char *wanted = list != NULL ? list : TLS_DEFAULT_GROUPS;
    if (strlen(wanted) >= TLS_LIST_MAX_BYTES)
        return error_set(error, CERTPOST_USAGE, "the list of groups is too long");
    char known[TLS_LIST_MAX_BYTES] = "";
    char name[TLS_LIST_MAX_BYTES];
    enum certpost_status status = CERTPOST_OK;
    for (const char *rest = wanted; status == CERTPOST_OK && tls_list_next(&rest, name);) {
        bool taken = false;
        status = tls_take_group(context, known, name, &taken, error);
        /* OpenSSL before 3.5 does not know the asterisk, and sends one key share only. */
        if (status == CERTPOST_OK && !taken && name[0] == '*')
            status = tls_take_group(context, known, name + 1, &taken, error);
    }
    if (status != CERTPOST_OK)
        return status;
    if (known[0] == '\0' || SSL_CTX_set1_groups_list(context, known) != 1) {
        char safe[TLS_LIST_MAX_BYTES];
        text_escape(wanted, strlen(wanted), safe, sizeof safe);
        if (tls_explain_no_memory(NULL))
            return error_no_memory(error);
        return error_set(error, CERTPOST_USAGE,
                         "no group of the list %s is known to this OpenSSL; "
                         "`openssl list -kem-algorithms` and `openssl ecparam -list_curves` show "
                         "what there is",
                         safe);
    }
    return CERTPOST_OK;
}

static enum certpost_status tls_apply_ciphersuites(SSL_CTX *context, const char *list,
                                                   struct certpost_error *error)
{
    if (list == NULL)
        return CERTPOST_OK;
    if (*list != '\0' && SSL_CTX_set_ciphersuites(context, list) == 1)
        return CERTPOST_OK;
    char safe[TLS_LIST_MAX_BYTES];
    text_escape(list, strlen(list), safe, sizeof safe);
    if (tls_explain_no_memory(NULL))
        return error_no_memory(error);
    return error_set(error, CERTPOST_USAGE,
                     "no TLS 1.3 cipher suite of the list %s is known to this OpenSSL; "
                     "`openssl ciphers -s -tls1_3` shows what there is",
                     safe);
}

enum certpost_status tls_settings_apply(SSL_CTX *context, const struct tls_settings *settings,
                                        struct certpost_error *error)
{
    int min_version = settings->min_version == 0 ? TLS1_3_VERSION : settings->min_version;
    if (SSL_CTX_set_min_proto_version(context, min_version) != 1 ||
        SSL_CTX_set_cipher_list(context, TLS_12_CIPHERS) != 1) {
        const char *words = NULL;
        if (tls_explain_no_memory(&words))
            return error_no_memory(error);
        return error_set(error, CERTPOST_USAGE, "TLS versions cannot be set: %s", words);
    }
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    enum certpost_status status = tls_apply_groups(context, settings->groups, error);
    if (status == CERTPOST_OK)
        status = tls_apply_ciphersuites(context, settings->ciphersuites, error);
    return status;
}
