/*
 * check_expiry.c — how long certificates are valid (client/check_scene.h).
 *
 * Uses: OpenSSL.  Used by: check_chain.c, check_local.c.  Never: a clock of its own.
 */
#include "client/check_scene.h"

#include <inttypes.h>
#include <stdio.h>

enum { EXPIRY_DAY_S = 24 * 60 * 60, EXPIRY_HOUR_S = 60 * 60, EXPIRY_TEXT_BYTES = 48 };

int64_t check_left_ms(const X509 *certificate)
{
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
        return 0;
    return ((int64_t)days * EXPIRY_DAY_S + seconds) * 1000;
}

static void expiry_text(int64_t left_s, char ret_text[EXPIRY_TEXT_BYTES])
{
    bool in_days = left_s >= 2 * (int64_t)EXPIRY_DAY_S;
    int64_t count = left_s / (in_days ? EXPIRY_DAY_S : EXPIRY_HOUR_S);
    snprintf(ret_text, EXPIRY_TEXT_BYTES, "%" PRId64 " %s%s", count, in_days ? "day" : "hour",
             count == 1 ? "" : "s");
}

static const char *expiry_advice(int64_t left_s)
{
    if (left_s < EXPIRY_DAY_S)
        return "; renew it now";
    return left_s < 7 * (int64_t)EXPIRY_DAY_S ? "; renew it this week" : "; renew it";
}

void check_expiry(struct check_scene *scene, const X509 *certificate, enum certpost_status fault,
                  const char *whose)
{
    int64_t left_ms = check_left_ms(certificate);
    bool is_soon = left_ms < scene->options->expiry_warning_ms;
    char left[EXPIRY_TEXT_BYTES];
    char ends[TLS_TIME_TEXT_BYTES];
    tls_time_text(X509_get0_notAfter(certificate), ends);
    expiry_text(left_ms / 1000, left);
    if (left_ms < 0)
        check_say(scene->report, CHECK_EXPIRY, CHECK_WARNING, fault,
                  "%s: it ended on %s; have it renewed, or check this machine's clock", whose,
                  ends);
    else
        check_say(scene->report, CHECK_EXPIRY, is_soon ? CHECK_WARNING : CHECK_OK,
                  is_soon ? fault : CERTPOST_OK, "%s: %s left, until %s%s", whose, left, ends,
                  is_soon ? expiry_advice(left_ms / 1000) : "");
}
