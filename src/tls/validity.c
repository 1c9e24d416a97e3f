/*
 * validity.c — until when certificates, revocation lists and OCSP responses hold (tls/validity.h).
 *
 * Uses: explain, names, OpenSSL.  Used by: server_material.c and trust.c, which make the list;
 * server/expiry.c.
 * Never: reads a clock or a file.
 */
#include "tls/validity.h"

#include "base/error.h"
#include "base/text.h"
#include "tls/explain.h"
#include "tls/names.h"

#include <openssl/err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The end that means that there is none (RFC 5280, section 4.1.2.5). */
#define VALIDITY_NO_END "99991231235959Z"

enum { VALIDITY_FIRST_CAPACITY = 8 };

/* ------------------------------------------------------------------------------ names and steps */

const char *tls_validity_kind_name(enum tls_validity_kind kind)
{
    static const char *const names[] = {"server_certificate", "chain_certificate", "client_ca",
                                        "crl", "ocsp_response"};
    return names[kind];
}

const char *tls_validity_step_name(enum tls_validity_step step)
{
    static const char *const names[] = {"ok", "30 days", "7 days", "1 day", "ended"};
    return names[step];
}

/* Whether a step so long before the end is worth a word at all. */
static bool validity_has_step(const struct tls_validity *validity, int64_t step_s)
{
    bool is_certificate =
        validity->kind != TLS_VALIDITY_CRL && validity->kind != TLS_VALIDITY_OCSP_RESPONSE;
    return is_certificate || validity->not_after_s - validity->not_before_s > 2 * step_s;
}

enum tls_validity_step tls_validity_step(const struct tls_validity *validity, int64_t now_s)
{
    static const struct {
        int64_t days;
        enum tls_validity_step step;
    } steps[] = {{1, TLS_VALIDITY_1_DAY}, {7, TLS_VALIDITY_7_DAYS}, {30, TLS_VALIDITY_30_DAYS}};
    int64_t left_s = validity->not_after_s - now_s;
    /* At that second itself OpenSSL refuses a certificate already. */
    if (left_s <= 0)
        return TLS_VALIDITY_ENDED;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int64_t step_s = steps[i].days * TLS_VALIDITY_DAY_S;
        if (left_s <= step_s && validity_has_step(validity, step_s))
            return steps[i].step;
    }
    return TLS_VALIDITY_OK;
}

int64_t tls_validity_days_left(const struct tls_validity *validity, int64_t now_s)
{
    int64_t left_s = validity->not_after_s - now_s;
    int64_t days = left_s / TLS_VALIDITY_DAY_S;
    return left_s < 0 && left_s % TLS_VALIDITY_DAY_S != 0 ? days - 1 : days;
}

/* ------------------------------------------------------------------------------ reading */

static bool validity_time(const ASN1_TIME *time, int64_t *ret_s)
{
    struct tm parts = {0};
    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
        return false;
    *ret_s = (int64_t)timegm(&parts);
    return true;
}

static bool validity_is_endless(const ASN1_TIME *end)
{
    static const char no_end[] = VALIDITY_NO_END;
    return ASN1_STRING_length(end) == (int)(sizeof no_end - 1) &&
           memcmp(ASN1_STRING_get0_data(end), no_end, sizeof no_end - 1) == 0;
}

/* The name by which an operator knows a server: many have an empty subject. */
static void validity_server_name(X509 *certificate, char ret_name[TLS_DN_TEXT_BYTES])
{
    struct tls_names names = {0};
    struct tls_name name = {0};
    int at = 0;
    if (tls_names_read(certificate, &names, NULL) == CERTPOST_OK &&
        tls_names_next(&names, TLS_NAME_DNS, &at, &name) &&
        tls_name_fault(TLS_NAME_DNS, name) == NULL)
        text_escape(name.bytes, name.length, ret_name, TLS_DN_TEXT_BYTES);
    else
        tls_name_text(X509_get_subject_name(certificate), ret_name);
    tls_names_free(&names);
    ERR_clear_error();
}

/* ------------------------------------------------------------------------------ the list */

static void validity_free(struct tls_validity *validity)
{
    free(validity->file);
    free(validity->name);
    *validity = (struct tls_validity){0};
}

static bool validities_reserve(struct tls_validities *list)
{
    if (list->count == 2 * (size_t)TLS_VALIDITIES_MAX)
        tls_validities_sort(list);
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity == 0 ? VALIDITY_FIRST_CAPACITY : 2 * list->capacity;
    struct tls_validity *items = reallocarray(list->items, capacity, sizeof *items);
    if (items == NULL)
        return false;
    list->items = items;
    list->capacity = capacity;
    return true;
}

/* `validity` has all but copies of `file` and `name`. */
static enum certpost_status validities_add(struct tls_validities *list,
                                           struct tls_validity validity, const char *file,
                                           const char *name, struct certpost_error *error)
{
    validity.file = strdup(file);
    validity.name = strdup(name);
    if (validity.file == NULL || validity.name == NULL || !validities_reserve(list)) {
        validity_free(&validity);
        return error_no_memory(error);
    }
    list->items[list->count++] = validity;
    return CERTPOST_OK;
}

enum certpost_status tls_validities_add_certificate(struct tls_validities *list,
                                                    enum tls_validity_kind kind, const char *file,
                                                    size_t position, X509 *certificate,
                                                    struct certpost_error *error)
{
    struct tls_validity validity = {.kind = kind, .position = position};
    char name[TLS_DN_TEXT_BYTES];
    if (!validity_time(X509_get0_notBefore(certificate), &validity.not_before_s) ||
        !validity_time(X509_get0_notAfter(certificate), &validity.not_after_s) ||
        validity_is_endless(X509_get0_notAfter(certificate)))
        return CERTPOST_OK;
    if (kind == TLS_VALIDITY_SERVER_CERTIFICATE)
        validity_server_name(certificate, name);
    else
        tls_name_text(X509_get_subject_name(certificate), name);
    return validities_add(list, validity, file, name, error);
}

enum certpost_status tls_validities_add_crl(struct tls_validities *list, const char *file,
                                            size_t position, const X509_CRL *crl,
                                            struct certpost_error *error)
{
    struct tls_validity validity = {.kind = TLS_VALIDITY_CRL, .position = position};
    char name[TLS_DN_TEXT_BYTES];
    if (!validity_time(X509_CRL_get0_lastUpdate(crl), &validity.not_before_s) ||
        !validity_time(X509_CRL_get0_nextUpdate(crl), &validity.not_after_s))
        return CERTPOST_OK;
    tls_name_text(X509_CRL_get_issuer(crl), name);
    return validities_add(list, validity, file, name, error);
}

enum certpost_status tls_validities_add_ocsp(struct tls_validities *list, const char *file,
                                             int64_t this_update_s, int64_t next_update_s,
                                             X509 *leaf, struct certpost_error *error)
{
    const struct tls_validity validity = {.kind = TLS_VALIDITY_OCSP_RESPONSE,
                                          .position = 1,
                                          .not_before_s = this_update_s,
                                          .not_after_s = next_update_s};
    char name[TLS_DN_TEXT_BYTES];
    validity_server_name(leaf, name);
    return validities_add(list, validity, file, name, error);
}

/* What ends at one moment stays together by file. */
static int validity_compare(const void *left, const void *right)
{
    const struct tls_validity *one = left;
    const struct tls_validity *other = right;
    if (one->not_after_s != other->not_after_s)
        return one->not_after_s < other->not_after_s ? -1 : 1;
    if (one->kind != other->kind)
        return one->kind < other->kind ? -1 : 1;
    int files = strcmp(one->file, other->file);
    if (files != 0)
        return files;
    return one->position < other->position ? -1 : one->position > other->position;
}

/* A file may be named by two options; what is in it ends once. */
static void validities_drop_doubles(struct tls_validities *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (kept > 0 && validity_compare(&list->items[kept - 1], &list->items[i]) == 0)
            validity_free(&list->items[i]);
        else
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

void tls_validities_sort(struct tls_validities *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof list->items[0], validity_compare);
    validities_drop_doubles(list);
    while (list->count > TLS_VALIDITIES_MAX)
        validity_free(&list->items[--list->count]);
}

void tls_validities_free(struct tls_validities *list)
{
    for (size_t i = 0; i < list->count; i++)
        validity_free(&list->items[i]);
    free(list->items);
    *list = (struct tls_validities){0};
}
