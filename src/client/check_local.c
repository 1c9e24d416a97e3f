/*
 * check_local.c — the client's own files (client/check_scene.h).
 *
 * Uses: agent/context, tls.  Used by: check.c.  Never: looks at the network.
 */
#include "agent/context.h"
#include "base/text.h"
#include "client/check_scene.h"
#include "tls/identity.h"

#include <openssl/x509v3.h>
#include <stdio.h>

/* By which name a server that believes this certificate will know us. */
static void local_identity(struct check_scene *scene, X509 *certificate)
{
    struct check_facts *facts = &scene->report->facts;
    struct tls_names names = {0};
    struct tls_identity identity = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = tls_names_read(certificate, &names, &error);
    if (status == CERTPOST_OK)
        status = tls_identity_from(&names, &identity, &error);
    if (status == CERTPOST_OK) {
        text_escape(identity.bytes, identity.length, facts->identity, sizeof facts->identity);
        check_say(scene->report, CHECK_LOCAL, CHECK_OK, CERTPOST_OK,
                  "own certificate: it makes this client known as %s", facts->identity);
    } else {
        check_say(scene->report, CHECK_LOCAL, CHECK_WARNING, CERTPOST_OWN_CERTIFICATE,
                  "own certificate: certpostd will refuse it: %s",
                  certpost_error_text(&error, status));
    }
    tls_names_free(&names);
    tls_identity_free(&identity);
}

static void local_certificate(struct check_scene *scene)
{
    X509 *certificate = SSL_CTX_get0_certificate(scene->context);
    if (certificate == NULL)
        return;
    local_identity(scene, certificate);
    if (X509_check_purpose(certificate, X509_PURPOSE_SSL_CLIENT, 0) != 1)
        check_say(scene->report, CHECK_LOCAL, CHECK_WARNING, CERTPOST_OWN_CERTIFICATE,
                  "own certificate: it is not for clients (extended key usage clientAuth), so "
                  "servers refuse it");
    check_expiry(scene, certificate, CERTPOST_OWN_CERTIFICATE, "own certificate");
}

void check_local(struct check_scene *scene)
{
    const struct agent_config *config = &scene->options->config;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status =
        agent_context_new(config, &scene->options->pins, &scene->context, &scene->keylog, &error);
    if (status != CERTPOST_OK) {
        check_say(scene->report, CHECK_LOCAL, CHECK_FAIL, status, "%s",
                  certpost_error_text(&error, status));
        return;
    }
    if (config->insecure)
        check_say(scene->report, CHECK_LOCAL, CHECK_WARNING, CERTPOST_PEER_CERTIFICATE,
                  "--insecure: certpost send would talk to anyone who holds %s",
                  config->pin_count > 0 ? "the pinned key" : "any key");
    local_certificate(scene);
}
