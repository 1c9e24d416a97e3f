/*
 * identity.c — who a peer is (tls/identity.h).
 *
 * Uses: names.  Used by: peer.c, for the certificate that a handshake has verified.
 * Never: takes a second choice when the first is bad.
 */
#include "tls/identity.h"

#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* How much of a refused name is shown. */
enum { IDENTITY_SHOWN_BYTES = 300 };

struct identity_choice {
    enum tls_identity_kind kind;
    enum tls_name_type type;
    const char *mark;
};

/* In order of preference. */
static const struct identity_choice identity_choices[] = {
    {TLS_IDENTITY_URI, TLS_NAME_URI, "uri:"},
    {TLS_IDENTITY_DNS, TLS_NAME_DNS, "dns:"},
    {TLS_IDENTITY_CN, TLS_NAME_CN, "cn:"},
};

static const struct identity_choice *identity_choose(const struct tls_names *names,
                                                     struct tls_name *ret_name)
{
    for (size_t i = 0; i < sizeof identity_choices / sizeof identity_choices[0]; i++) {
        const struct identity_choice *choice = &identity_choices[i];
        if (choice->type != TLS_NAME_CN && tls_names_next(names, choice->type, &(int){0}, ret_name))
            return choice;
        if (choice->type == TLS_NAME_CN && names->common_name.length > 0) {
            *ret_name = names->common_name;
            return choice;
        }
    }
    return NULL;
}

enum certpost_status tls_identity_from(const struct tls_names *names,
                                       struct tls_identity *ret_identity,
                                       struct certpost_error *error)
{
    struct tls_name name;
    const struct identity_choice *choice = identity_choose(names, &name);
    if (choice == NULL)
        return error_set(error, CERTPOST_PEER_CERTIFICATE,
                         "it has no name to know its owner by (URI, DNS name or common name)");
    const char *fault = tls_name_identity_fault(choice->type, name);
    if (fault != NULL) {
        char shown[IDENTITY_SHOWN_BYTES];
        text_escape(name.bytes, name.length, shown, sizeof shown);
        return error_set(error, CERTPOST_PEER_CERTIFICATE, "its %s %s %s",
                         tls_name_type_words(choice->type), shown, fault);
    }
    size_t mark_length = strlen(choice->mark);
    unsigned char *bytes = malloc(mark_length + name.length);
    if (bytes == NULL)
        return error_no_memory(error);
    memcpy(bytes, choice->mark, mark_length);
    memcpy(bytes + mark_length, name.bytes, name.length);
    *ret_identity = (struct tls_identity){
        .kind = choice->kind,
        .bytes = bytes,
        .length = mark_length + name.length,
    };
    return CERTPOST_OK;
}

void tls_identity_free(struct tls_identity *identity)
{
    if (identity == NULL)
        return;
    free(identity->bytes);
    *identity = (struct tls_identity){0};
}
