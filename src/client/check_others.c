/*
 * check_others.c — TLS with the other addresses of the host (client/check_scene.h).
 *
 * What certpost send meets when the first address is away: one handshake with each, the same as
 * that with the first. They share the time that a handshake has, so that a name with many addresses
 * does not take many times as long.
 *
 * Uses: check_link, connect, tls.  Used by: check.c.
 * Never: sends anything after the handshake.
 */
#include "base/clock.h"
#include "base/error.h"
#include "client/check_scene.h"
#include "client/connect.h"
#include "tls/context.h"

#include <openssl/err.h>
#include <stdio.h>

enum { OTHERS_WHOSE_BYTES = TLS_DN_TEXT_BYTES + TEXT_ENDPOINT_BYTES + 8 };

static bool others_wants(const struct check_scene *scene, const struct addrinfo *address,
                         size_t index)
{
    const struct check_facts *facts = &scene->report->facts;
    return index < facts->address_count && address != scene->address &&
           facts->addresses[index].connected;
}

static int64_t others_timeout_ms(int64_t deadline_ms, int64_t left)
{
    int64_t share_ms = connect_share(deadline_ms, left) - clock_monotonic_ms();
    return share_ms > 0 ? share_ms : 1;
}

/* A certificate of its own has an end of its own. */
static void others_say_certificate(struct check_scene *scene, const struct check_address *address,
                                   const X509 *certificate)
{
    char subject[TLS_DN_TEXT_BYTES];
    char whose[OTHERS_WHOSE_BYTES];
    tls_name_text(X509_get_subject_name(certificate), subject);
    snprintf(whose, sizeof whose, "%s: %s", address->endpoint, subject);
    check_expiry(scene, certificate, CERTPOST_PEER_CERTIFICATE, whose);
}

static void others_say_agreed(struct check_scene *scene, struct check_address *address,
                              const struct check_link *link)
{
    struct check_agreed *agreed = &address->agreed;
    char time[CHECK_DURATION_BYTES];
    X509 *certificate = SSL_get0_peer_certificate(link->ssl);
    check_agreed_of(link, agreed);
    check_duration(agreed->handshake_us, time);
    address->has_certpost = check_link_chose(link, TLS_ALPN_CERTPOST_1);
    address->same_certificate = certificate != NULL && scene->certificate != NULL &&
                                X509_cmp(certificate, scene->certificate) == 0;
    check_say(scene->report, CHECK_TLS, address->has_certpost ? CHECK_OK : CHECK_WARNING,
              address->has_certpost ? CERTPOST_OK : CERTPOST_HANDSHAKE,
              "%s: %s, %s, group %s, %s certificate%s (%s)", address->endpoint, agreed->version,
              agreed->cipher, agreed->group, address->same_certificate ? "the same" : "another",
              address->has_certpost ? "" : ", and no certpost/1 (ALPN)", time);
    if (certificate != NULL && !address->same_certificate)
        others_say_certificate(scene, address, certificate);
}

/* As with an address that cannot be reached: certpost send goes on with the next. */
static void others_say_failure(struct check_scene *scene, struct check_address *address,
                               const struct check_link *link, enum certpost_status status,
                               const struct certpost_error *error)
{
    bool is_refused = link->alert == SSL_AD_NO_APPLICATION_PROTOCOL;
    snprintf(address->fault, sizeof address->fault, "%s",
             is_refused ? "it does not speak certpost/1 (ALPN)"
                        : certpost_error_text(error, status));
    check_say(scene->report, CHECK_TLS, CHECK_WARNING, status, "%s: %s", address->endpoint,
              address->fault);
}

static void others_look(struct check_scene *scene, const struct addrinfo *info,
                        struct check_address *address, int64_t timeout_ms)
{
    const struct check_link_target target = {
        .address = info,
        .name = check_expected_name(scene),
        .alpn = TLS_ALPN_CERTPOST_1,
        .timeout_ms = timeout_ms,
    };
    struct check_link link;
    struct certpost_error error;
    int none = -1;
    certpost_error_clear(&error);
    address->was_looked_at = true;
    enum certpost_status status = check_link_open(&link, scene->context, &target, &none, &error);
    address->holds = status == CERTPOST_OK;
    if (address->holds)
        others_say_agreed(scene, address, &link);
    else
        others_say_failure(scene, address, &link, status, &error);
    check_link_free(&link);
    ERR_clear_error();
}

void check_others(struct check_scene *scene)
{
    struct check_facts *facts = &scene->report->facts;
    int64_t left = 0;
    size_t index = 0;
    if (scene->context == NULL) /* told already: the files are at fault */
        return;
    for (const struct addrinfo *each = scene->addresses; each != NULL; each = each->ai_next)
        left += others_wants(scene, each, index++) ? 1 : 0;
    int64_t deadline_ms = clock_deadline_ms(scene->options->config.connect_timeout_ms);
    index = 0;
    for (const struct addrinfo *each = scene->addresses; each != NULL; each = each->ai_next) {
        if (others_wants(scene, each, index))
            others_look(scene, each, &facts->addresses[index],
                        others_timeout_ms(deadline_ms, left--));
        index++;
    }
    if (index > CHECK_ADDRESSES_MAX)
        check_say(scene->report, CHECK_TLS, CHECK_SKIPPED, CERTPOST_OK,
                  "of %zu addresses, TLS was looked at with the first %d only", index,
                  (int)CHECK_ADDRESSES_MAX);
}
