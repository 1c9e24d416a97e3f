/*
 * check_client.c — the client's certificate, as the server sees it (client/check_scene.h).
 *
 * In TLS 1.3 a client's handshake is complete before the server has judged the client's
 * certificate: only WELCOME says that it was taken.
 *
 * Uses: check_link, tls.  Used by: check_tls.c, check_exchange.c.
 * Never: sends anything.
 */
#include "client/check_scene.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

enum {
    CLIENT_CAS_SHOWN_MAX = 5,
    CLIENT_CAS_BYTES = CLIENT_CAS_SHOWN_MAX * (TLS_DN_TEXT_BYTES + 2)
};

static X509 *client_certificate(const struct check_scene *scene)
{
    return scene->context == NULL ? NULL : SSL_CTX_get0_certificate(scene->context);
}

/* ---- the CAs that the server names ---- */

static bool client_issuer_is_named(const X509 *certificate, const STACK_OF(X509_NAME) * names)
{
    for (int i = 0; i < sk_X509_NAME_num(names); i++) {
        if (X509_NAME_cmp(X509_get_issuer_name(certificate), sk_X509_NAME_value(names, i)) == 0)
            return true;
    }
    return false;
}

/* By one of our certificates: an intermediate CA's leads to its root. */
static bool client_chain_is_named(const struct check_scene *scene,
                                  const STACK_OF(X509_NAME) * names)
{
    STACK_OF(X509) *above = NULL;
    if (client_issuer_is_named(client_certificate(scene), names))
        return true;
    SSL_CTX_get0_chain_certs(scene->context, &above);
    for (int i = 0; i < sk_X509_num(above); i++) {
        if (client_issuer_is_named(sk_X509_value(above, i), names))
            return true;
    }
    return false;
}

static void client_cas_text(const STACK_OF(X509_NAME) * names, char ret_text[CLIENT_CAS_BYTES])
{
    int count = sk_X509_NAME_num(names);
    size_t used = 0;
    for (int i = 0; i < count && i < CLIENT_CAS_SHOWN_MAX; i++) {
        char name[TLS_DN_TEXT_BYTES];
        tls_name_text(sk_X509_NAME_value(names, i), name);
        used += (size_t)snprintf(ret_text + used, CLIENT_CAS_BYTES - used, "%s%s",
                                 i > 0 ? "; " : "", name);
    }
}

static void client_say_cas(struct check_scene *scene, const struct check_link *link)
{
    const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(link->ssl);
    char text[CLIENT_CAS_BYTES];
    int count = names == NULL ? 0 : sk_X509_NAME_num(names);
    if (count == 0) {
        check_say(scene->report, CHECK_CLIENT, CHECK_OK, CERTPOST_OK,
                  "the server asks for a certificate, and does not name its CAs");
        return;
    }
    client_cas_text(names, text);
    check_say(scene->report, CHECK_CLIENT, CHECK_OK, CERTPOST_OK,
              "the server asks for a certificate of %s%s", text,
              count > CLIENT_CAS_SHOWN_MAX ? "; and others" : "");
    if (client_certificate(scene) != NULL && !client_chain_is_named(scene, names)) {
        char issuer[TLS_DN_TEXT_BYTES];
        tls_name_text(X509_get_issuer_name(client_certificate(scene)), issuer);
        check_say(scene->report, CHECK_CLIENT, CHECK_WARNING, CERTPOST_CERTIFICATE_REFUSED,
                  "own certificate is from %s, which is none of these", issuer);
    }
}

void check_client_asked(struct check_scene *scene, const struct check_link *link)
{
    struct check_facts *facts = &scene->report->facts;
    bool has = client_certificate(scene) != NULL;
    facts->client_asked = link->asked;
    facts->client_sent = link->sent;
    if (link->asked) {
        client_say_cas(scene, link);
        if (has && !link->sent)
            check_say(
                scene->report, CHECK_CLIENT, CHECK_WARNING, CERTPOST_OWN_CERTIFICATE,
                "own certificate was not sent: the server takes no signature that its key can "
                "make; use another type of key");
        return;
    }
    if (has)
        check_say(scene->report, CHECK_CLIENT, CHECK_WARNING, CERTPOST_OWN_CERTIFICATE,
                  "the server does not ask for a certificate, so ours is of no use: its streams "
                  "are those of nobody");
    else
        check_say(scene->report, CHECK_CLIENT, CHECK_OK, CERTPOST_OK,
                  "the server does not ask for a certificate");
}

/* ---- the verdict ---- */

static void client_say_accepted(struct check_scene *scene, const struct check_link *link)
{
    struct check_facts *facts = &scene->report->facts;
    facts->client_accepted = link->sent;
    if (link->sent)
        check_say(scene->report, CHECK_CLIENT, CHECK_OK, CERTPOST_OK,
                  "own certificate was sent and accepted%s%s",
                  facts->identity[0] != '\0' ? ": this client is " : "", facts->identity);
    else if (link->asked)
        check_say(scene->report, CHECK_CLIENT, CHECK_OK, CERTPOST_OK,
                  "no certificate was sent, and the server serves this client without one");
}

void check_client_verdict(struct check_scene *scene, const struct check_link *link,
                          enum certpost_status status, const struct certpost_error *error)
{
    struct check_facts *facts = &scene->report->facts;
    facts->client_asked = link->asked;
    facts->client_sent = link->sent;
    if (status == CERTPOST_OK) {
        client_say_accepted(scene, link);
        return;
    }
    /* TLS 1.2 has no alert of its own for a certificate that is missing. */
    bool is_guess = status != CERTPOST_CERTIFICATE_REFUSED && !link->sent;
    check_say(scene->report, CHECK_CLIENT, CHECK_FAIL, status, "%s%s",
              certpost_error_text(error, status),
              is_guess ? "; it asked for a certificate and got none: give one with --cert and --key"
                       : "");
}
