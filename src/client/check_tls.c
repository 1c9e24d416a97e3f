/*
 * check_tls.c — the handshake of `certpost check`, and what follows from it
 * (client/check_scene.h).
 *
 * The first handshake is that of certpost send, to the bit. When it fails, a second one that allows
 * everything shows what the server would do: with which version, cipher and certificates. On that
 * one nothing is sent, not even our certificate.
 *
 * Uses: check_link, tls.  Used by: check.c.
 * Never: sends anything on a connection that certpost send would not have.
 */
#include "base/error.h"
#include "base/text.h"
#include "client/check_scene.h"
#include "tls/context.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define TLS_NOT_CERTPOST                                                                           \
    "the server does not speak certpost/1 (ALPN); check that the port is certpostd's"

static struct check_link_target tls_target(const struct check_scene *scene, const char *alpn)
{
    return (struct check_link_target){
        .address = scene->address,
        .name = check_expected_name(scene),
        .alpn = alpn,
        .timeout_ms = scene->options->config.connect_timeout_ms,
    };
}

/* ---- a handshake that allows everything ---- */

static SSL_CTX *tls_lenient_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        return NULL;
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_options(context, SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_set_min_proto_version(context, TLS1_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0") == 1)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static bool tls_look(struct check_scene *scene, struct check_link *ret_look)
{
    struct check_link_target target = tls_target(scene, NULL);
    SSL_CTX *context = tls_lenient_context();
    enum certpost_status status = CERTPOST_NO_MEMORY;
    if (context != NULL)
        status = check_link_open(ret_look, context, &target, &scene->socket_fd, NULL);
    check_link_hang_up(ret_look);
    SSL_CTX_free(context); /* the SSL holds it */
    ERR_clear_error();
    return status == CERTPOST_OK;
}

/* ---- what was agreed on ---- */

void check_agreed_of(const struct check_link *link, struct check_agreed *ret_agreed)
{
    SSL *ssl = link->ssl;
    const char *group = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
    snprintf(ret_agreed->version, sizeof ret_agreed->version, "%s", SSL_get_version(ssl));
    snprintf(ret_agreed->cipher, sizeof ret_agreed->cipher, "%s", SSL_get_cipher_name(ssl));
    snprintf(ret_agreed->group, sizeof ret_agreed->group, "%s", group == NULL ? "unknown" : group);
    ret_agreed->handshake_us = link->handshake_us;
    ERR_clear_error();
}

static void tls_say_agreed(struct check_scene *scene, const struct check_link *link,
                           enum check_mark mark, const char *how)
{
    struct check_facts *facts = &scene->report->facts;
    char time[CHECK_DURATION_BYTES];
    check_agreed_of(link, &facts->agreed);
    facts->has_tls = true;
    check_duration(link->handshake_us, time);
    check_say(scene->report, CHECK_TLS, mark, CERTPOST_OK, "%s%s, %s, group %s (%s)", how,
              facts->agreed.version, facts->agreed.cipher, facts->agreed.group, time);
}

/* ---- ALPN ---- */

/* certpost send does not ask for it, so it is seen in a handshake of our own. */
static void tls_keep_staple(struct check_facts *facts, const struct check_link *link)
{
    const unsigned char *staple = NULL;
    long length = SSL_get_tlsext_status_ocsp_resp(link->ssl, &staple);
    facts->asked_for_staple = true;
    facts->staple_bytes = length > 0 ? length : 0;
}

static void tls_say_staple(struct check_scene *scene)
{
    const struct check_facts *facts = &scene->report->facts;
    if (facts->staple_bytes > 0)
        check_say(scene->report, CHECK_TLS, CHECK_OK, CERTPOST_OK,
                  "an OCSP response is stapled (%ld bytes; it is not verified here)",
                  facts->staple_bytes);
    else if (facts->asked_for_staple)
        check_say(scene->report, CHECK_TLS, CHECK_OK, CERTPOST_OK, "no OCSP response is stapled");
}

/*
 * Whether the server has the exchange, by a handshake that offers nothing else. Errors: as
 * check_link_open; then it is not known.
 */
static enum certpost_status tls_probe(struct check_scene *scene, const char *alpn, bool *ret_has,
                                      struct certpost_error *error)
{
    struct check_link_target target = tls_target(scene, alpn);
    struct check_link link;
    int none = -1;
    target.wants_staple = true;
    enum certpost_status status = check_link_open(&link, scene->context, &target, &none, error);
    bool is_refused = status != CERTPOST_OK && link.alert == SSL_AD_NO_APPLICATION_PROTOCOL;
    *ret_has = status == CERTPOST_OK && check_link_chose(&link, alpn);
    if (status == CERTPOST_OK)
        tls_keep_staple(&scene->report->facts, &link);
    check_link_free(&link);
    return is_refused ? CERTPOST_OK : status;
}

static bool tls_say_alpn(struct check_scene *scene, const struct check_link *link)
{
    struct check_facts *facts = &scene->report->facts;
    facts->alpn_certpost = check_link_chose(link, TLS_ALPN_CERTPOST_1);
    if (facts->alpn_certpost)
        check_say(scene->report, CHECK_ALPN, CHECK_OK, CERTPOST_OK, "the server has %s",
                  TLS_ALPN_CERTPOST_1);
    else
        check_say(scene->report, CHECK_ALPN, CHECK_FAIL, CERTPOST_HANDSHAKE,
                  TLS_NOT_CERTPOST ": it chose no protocol");
    return facts->alpn_certpost;
}

static void tls_say_alpn_refused(struct check_scene *scene)
{
    check_say(scene->report, CHECK_ALPN, CHECK_FAIL, CERTPOST_HANDSHAKE,
              TLS_NOT_CERTPOST ": it refused that name");
}

/* Comes last: no other connection is open then. */
static void tls_say_plain(struct check_scene *scene)
{
    struct check_facts *facts = &scene->report->facts;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = tls_probe(scene, TLS_ALPN_PLAIN, &facts->alpn_plain, &error);
    if (status != CERTPOST_OK)
        check_say(scene->report, CHECK_ALPN, CHECK_SKIPPED, CERTPOST_OK,
                  "whether the server has " TLS_ALPN_PLAIN " is not known: %s",
                  certpost_error_text(&error, status));
    else
        check_say(scene->report, CHECK_ALPN, facts->alpn_plain ? CHECK_OK : CHECK_SKIPPED,
                  CERTPOST_OK, "the server %s " TLS_ALPN_PLAIN "%s",
                  facts->alpn_plain ? "has" : "does not have",
                  facts->alpn_plain ? ", the exchange of certpost send --plain" : "");
    tls_say_staple(scene);
}

/* ---- when it holds ---- */

static void tls_say_tickets(struct check_scene *scene, const struct check_link *link)
{
    struct check_facts *facts = &scene->report->facts;
    facts->tickets = link->tickets;
    if (!facts->has_welcome) /* tickets come no later than that */
        return;
    if (link->tickets > 0)
        check_say(scene->report, CHECK_TLS, CHECK_OK, CERTPOST_OK,
                  "resumption is offered (%u ticket%s)", link->tickets,
                  link->tickets == 1 ? "" : "s");
    else
        check_say(scene->report, CHECK_TLS, CHECK_OK, CERTPOST_OK, "resumption is not offered");
}

static void tls_go_on(struct check_scene *scene, struct check_link *link)
{
    tls_say_agreed(scene, link, CHECK_OK, "");
    scene->report->facts.verified = !scene->options->config.insecure;
    (void)check_certificates(scene, link->ssl, link->ssl);
    bool speaks = tls_say_alpn(scene, link);
    check_client_asked(scene, link);
    if (speaks) {
        check_exchange(scene, link);
        tls_say_tickets(scene, link);
    } else {
        check_say(scene->report, CHECK_SERVER, CHECK_SKIPPED, CERTPOST_OK,
                  "not asked: it is no certpost server");
    }
    check_link_hang_up(link);
    tls_say_plain(scene);
}

/* ---- when it does not ---- */

static void tls_say_no_tls(struct check_scene *scene, const struct check_link *link,
                           enum certpost_status status, const struct certpost_error *error)
{
    char guess[CHECK_GUESS_BYTES];
    const char *words = check_guess(link->first, link->first_length, guess);
    if (words != NULL)
        check_say(scene->report, CHECK_TLS, CHECK_FAIL, status, "the peer %s", words);
    else
        check_say(scene->report, CHECK_TLS, CHECK_FAIL, status, "%s",
                  certpost_error_text(error, status));
}

/* What the lenient handshake had to allow, as far as an option here can allow it too. */
static void tls_say_difference(struct check_scene *scene, const struct check_link *look)
{
    int wanted = scene->options->config.tls.min_version;
    int has = SSL_version(look->ssl);
    if (wanted == 0)
        wanted = TLS1_3_VERSION;
    tls_say_agreed(scene, look, CHECK_SKIPPED,
                   "the server does agree on this, where everything is allowed: ");
    if (has >= wanted)
        return;
    if (has == TLS1_2_VERSION)
        check_say(
            scene->report, CHECK_TLS, CHECK_SKIPPED, CERTPOST_OK,
            "the server has TLS 1.2 at most; allow that here with --tls-min 1.2, or update it");
    else
        check_say(scene->report, CHECK_TLS, CHECK_SKIPPED, CERTPOST_OK,
                  "the server has %s at most, which certpost never takes; update it",
                  SSL_get_version(look->ssl));
}

/* The certificates of whichever handshake got to see them, judged by the rules of the first. */
static void tls_say_certificates(struct check_scene *scene, const struct check_link *link,
                                 const struct check_link *look, enum certpost_status status,
                                 const struct certpost_error *error)
{
    const SSL *source = look->ssl;
    if (link->ssl != NULL && SSL_get_peer_cert_chain(link->ssl) != NULL)
        source = link->ssl;
    size_t faults = source == NULL ? 0 : check_certificates(scene, source, link->ssl);
    /* A pin that differs, or what only the handshake could see. */
    if (faults == 0 && status == CERTPOST_PEER_CERTIFICATE)
        check_say(scene->report, CHECK_CHAIN, CHECK_FAIL, status, "%s",
                  certpost_error_text(error, status));
}

static void tls_say_failure(struct check_scene *scene, const struct check_link *link,
                            enum certpost_status status, const struct certpost_error *error)
{
    if (link->alert == SSL_AD_NO_APPLICATION_PROTOCOL)
        tls_say_alpn_refused(scene);
    else if (status == CERTPOST_CERTIFICATE_REFUSED || (link->asked && !link->sent))
        check_client_verdict(scene, link, status, error);
    else if (status != CERTPOST_PEER_CERTIFICATE)
        check_say(scene->report, CHECK_TLS, CHECK_FAIL, status, "%s",
                  certpost_error_text(error, status));
}

static void tls_say_not_asked(struct check_scene *scene)
{
    check_say(scene->report, CHECK_SERVER, CHECK_SKIPPED, CERTPOST_OK,
              "not asked: nothing was sent to a server that certpost send would not talk to");
}

static void tls_look_on(struct check_scene *scene, struct check_link *link,
                        enum certpost_status status, const struct certpost_error *error)
{
    struct check_link look;
    check_link_init(&look);
    check_link_hang_up(link);
    bool looked = tls_look(scene, &look);
    bool only_certificate = status == CERTPOST_PEER_CERTIFICATE;
    if (looked && only_certificate)
        tls_say_agreed(scene, &look, CHECK_OK, "");
    tls_say_failure(scene, link, status, error);
    if (looked && !only_certificate)
        tls_say_difference(scene, &look);
    tls_say_certificates(scene, link, &look, status, error);
    tls_say_not_asked(scene);
    if (link->alert == SSL_AD_NO_APPLICATION_PROTOCOL)
        tls_say_plain(scene);
    check_link_free(&look);
}

/* Without usable files there is no handshake as certpost send has it. */
static void tls_look_only(struct check_scene *scene)
{
    struct check_link look;
    check_link_init(&look);
    if (tls_look(scene, &look)) {
        tls_say_agreed(scene, &look, CHECK_SKIPPED, "the server does agree on this: ");
        (void)check_certificates(scene, look.ssl, NULL);
    }
    tls_say_not_asked(scene);
    check_link_free(&look);
}

void check_tls(struct check_scene *scene)
{
    struct check_link_target target = tls_target(scene, TLS_ALPN_CERTPOST_1);
    struct check_link link;
    struct certpost_error error;
    if (scene->context == NULL) {
        tls_look_only(scene);
        return;
    }
    certpost_error_clear(&error);
    enum certpost_status status =
        check_link_open(&link, scene->context, &target, &scene->socket_fd, &error);
    if (status == CERTPOST_OK)
        tls_go_on(scene, &link);
    else if (check_link_may_be_tls(&link) && link.first_length > 0)
        tls_look_on(scene, &link, status, &error);
    else
        tls_say_no_tls(scene, &link, status, &error);
    check_link_free(&link);
}
