/*
 * explain_certificate.c — why a peer's certificate was refused (tls/explain.h).
 *
 * The verified chain of the failed handshake is still with the SSL, so the words can say which
 * certificate of the chain is meant and what it says. All that comes out of it is a stranger's
 * bytes: bounded and escaped.
 *
 * Uses: base.  Used by: tls/explain.c, client (for --verbose).
 * Never: decides whether a certificate is good; OpenSSL has done that.
 */
#include "base/error.h"
#include "base/text.h"
#include "tls/explain.h"
#include "tls/peer_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum certificate_detail {
    DETAIL_NONE,
    DETAIL_ENDED,  /* since when a certificate of the chain has expired */
    DETAIL_BEGINS, /* from when on it will be valid */
    DETAIL_ISSUER, /* who issued the last certificate of the chain */
    DETAIL_NAMES,  /* which name was expected, and which the certificate has */
};

struct certificate_row {
    int code;
    enum certificate_detail detail;
    const char *words; /* go on from "the peer's certificate" */
    const char *advice;
};

#define ADVICE_CA     "give its CA's certificate as the CA file (--cacert, --client-ca)"
#define ADVICE_STRICT "have it issued again according to RFC 5280"
#define ADVICE_NAMES  "use one of these names, or name the one you expect with --servername"
#define ADVICE_CRL    "get a current CRL of its CA and give it with --crlfile"

static const struct certificate_row certificate_rows[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, DETAIL_ENDED, "has expired",
     "have it renewed, or check this machine's clock"},
    {X509_V_ERR_CERT_NOT_YET_VALID, DETAIL_BEGINS, "is not valid yet",
     "check the clocks of both machines"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, DETAIL_ISSUER, "is from an unknown CA",
     ADVICE_CA},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, DETAIL_ISSUER, "is from an unknown CA", ADVICE_CA},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, DETAIL_ISSUER, "is from an unknown CA", ADVICE_CA},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, DETAIL_NONE, "is self-signed and not trusted here",
     "if it is the one you expect, give it as the CA file (--cacert)"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, DETAIL_ISSUER,
     "ends in a root CA that is not trusted "
     "here",
     ADVICE_CA},
    {X509_V_ERR_HOSTNAME_MISMATCH, DETAIL_NAMES, "is for other names", ADVICE_NAMES},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, DETAIL_NAMES, "is for other names", ADVICE_NAMES},
    {X509_V_ERR_INVALID_PURPOSE, DETAIL_NONE, "is not for this purpose (extended key usage)",
     "use one that was issued for this role (serverAuth for servers, clientAuth for clients)"},
    {X509_V_ERR_CERT_REVOKED, DETAIL_NONE, "has been revoked by its CA",
     "do not trust this peer until it has a new one"},
    {X509_V_ERR_UNABLE_TO_GET_CRL, DETAIL_ISSUER,
     "cannot be checked: the CRL file has no list of "
     "its CA",
     ADVICE_CRL},
    {X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, DETAIL_ISSUER,
     "cannot be checked: who issued the CRL "
     "is not known here",
     ADVICE_CRL},
    {X509_V_ERR_CRL_HAS_EXPIRED, DETAIL_NONE, "cannot be checked: the CRL is out of date",
     ADVICE_CRL},
    {X509_V_ERR_CRL_NOT_YET_VALID, DETAIL_NONE, "cannot be checked: the CRL is not valid yet",
     "check this machine's clock"},
    {X509_V_ERR_CRL_SIGNATURE_FAILURE, DETAIL_NONE,
     "cannot be checked: the CRL's signature is "
     "wrong",
     ADVICE_CRL},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, DETAIL_ISSUER, "has a wrong signature",
     "check that the CA file holds this CA and not an older one of the same name"},
    {X509_V_ERR_INVALID_CA, DETAIL_ISSUER, "was issued by a certificate that is no CA's",
     "have it issued by a CA"},
    {X509_V_ERR_INVALID_NON_CA, DETAIL_NONE, "is wrongly marked as a CA's", ADVICE_STRICT},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED, DETAIL_NONE, "has more CAs above it than its root allows",
     "have it issued by a CA higher up"},
    {X509_V_ERR_CERT_CHAIN_TOO_LONG, DETAIL_NONE, "has too many CAs above it",
     "have it issued by a CA higher up"},
    {X509_V_ERR_CERT_UNTRUSTED, DETAIL_NONE, "is from a CA that is not trusted for this purpose",
     ADVICE_CA},
    {X509_V_ERR_CERT_REJECTED, DETAIL_NONE, "is from a CA that is marked as rejected", ADVICE_CA},
    {X509_V_ERR_EE_KEY_TOO_SMALL, DETAIL_NONE, "has a key that is too short",
     "have it issued with a longer key"},
    {X509_V_ERR_CA_KEY_TOO_SMALL, DETAIL_NONE, "is from a CA whose key is too short",
     "have it issued by a CA with a longer key"},
    {X509_V_ERR_CA_MD_TOO_WEAK, DETAIL_NONE, "is signed with a digest that is too weak",
     "have it issued again with SHA-256"},
    {X509_V_ERR_PERMITTED_VIOLATION, DETAIL_NONE, "has a name that its CA may not certify",
     "have it issued by a CA without such name constraints"},
    {X509_V_ERR_EXCLUDED_VIOLATION, DETAIL_NONE, "has a name that its CA may not certify",
     "have it issued by a CA without such name constraints"},
    {X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER, DETAIL_NONE,
     "breaks a rule: a certificate of the chain lacks its authority key identifier", ADVICE_STRICT},
    {X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER, DETAIL_NONE,
     "breaks a rule: a CA certificate of the chain lacks its subject key identifier",
     ADVICE_STRICT},
    {X509_V_ERR_CA_BCONS_NOT_CRITICAL, DETAIL_NONE,
     "breaks a rule: its CA's basic constraints are not marked critical", ADVICE_STRICT},
    {X509_V_ERR_CA_CERT_MISSING_KEY_USAGE, DETAIL_NONE,
     "breaks a rule: its CA's certificate does not say its key usage", ADVICE_STRICT},
    {X509_V_ERR_KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA, DETAIL_NONE,
     "breaks a rule: it may sign certificates without being a CA's", ADVICE_STRICT},
    {X509_V_ERR_ISSUER_NAME_EMPTY, DETAIL_NONE, "breaks a rule: its issuer has no name",
     ADVICE_STRICT},
    {X509_V_ERR_EMPTY_SUBJECT_SAN_NOT_CRITICAL, DETAIL_NONE,
     "breaks a rule: it has no subject, and its alternative names are not marked critical",
     ADVICE_STRICT},
    {X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3, DETAIL_NONE,
     "breaks a rule: it has extensions but is not of version 3", ADVICE_STRICT},
};

const char *tls_certificate_fault(int code)
{
    for (size_t i = 0; i < sizeof certificate_rows / sizeof certificate_rows[0]; i++) {
        if (certificate_rows[i].code == code)
            return certificate_rows[i].words;
    }
    return X509_verify_cert_error_string(code);
}

const char *tls_certificate_advice(int code)
{
    for (size_t i = 0; i < sizeof certificate_rows / sizeof certificate_rows[0]; i++) {
        if (certificate_rows[i].code == code)
            return certificate_rows[i].advice;
    }
    return NULL;
}

void tls_time_text(const ASN1_TIME *time, char ret_text[TLS_TIME_TEXT_BYTES])
{
    struct tm parts;
    memset(&parts, 0, sizeof parts);
    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1 ||
        strftime(ret_text, TLS_TIME_TEXT_BYTES, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
        snprintf(ret_text, TLS_TIME_TEXT_BYTES, "an unreadable time");
}

void tls_name_text(const X509_NAME *name, char ret_text[TLS_DN_TEXT_BYTES])
{
    ret_text[0] = '\0';
    BIO *memory = BIO_new(BIO_s_mem());
    /* Bytes above 0x7f stay as they are here: text_escape decides about them. */
    unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    if (memory != NULL && name != NULL && X509_NAME_print_ex(memory, name, 0, flags) >= 0) {
        char *bytes = NULL;
        long length = BIO_get_mem_data(memory, &bytes);
        if (length > 0)
            text_escape(bytes, (size_t)length, ret_text, TLS_DN_TEXT_BYTES);
    }
    if (ret_text[0] == '\0')
        snprintf(ret_text, TLS_DN_TEXT_BYTES, "without a name");
    BIO_free(memory);
}

/* Writes one subject alternative name; false when it is of a kind that certpost does not use. */
static bool certificate_one_name(const GENERAL_NAME *name, char *ret_text, size_t capacity)
{
    int kind = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
    const char *prefix = kind == GEN_DNS ? "" : kind == GEN_URI ? "URI " : NULL;
    if (kind == GEN_IPADD) {
        int family = ASN1_STRING_length(value) == 4    ? AF_INET
                     : ASN1_STRING_length(value) == 16 ? AF_INET6
                                                       : AF_UNSPEC;
        return family != AF_UNSPEC && inet_ntop(family, ASN1_STRING_get0_data(value), ret_text,
                                                (socklen_t)capacity) != NULL;
    }
    if (prefix == NULL)
        return false;
    size_t used = (size_t)snprintf(ret_text, capacity, "%s", prefix);
    text_escape(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), ret_text + used,
                capacity - used);
    return true;
}

void tls_certificate_names(X509 *certificate, char ret_text[TLS_NAMES_TEXT_BYTES])
{
    enum { NAMES_SHOWN_MAX = 5, NAME_TEXT_BYTES = 100, NAMES_TAIL_BYTES = 40 };
    size_t used = 0;
    int shown = 0;
    int more = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = names == NULL ? 0 : sk_GENERAL_NAME_num(names);
    for (int i = 0; i < count; i++) {
        char text[NAME_TEXT_BYTES];
        if (!certificate_one_name(sk_GENERAL_NAME_value(names, i), text, sizeof text))
            continue;
        size_t needed = strlen(text) + 2;
        if (shown == NAMES_SHOWN_MAX || used + needed + NAMES_TAIL_BYTES > TLS_NAMES_TEXT_BYTES) {
            more++;
            continue;
        }
        used += (size_t)snprintf(ret_text + used, TLS_NAMES_TEXT_BYTES - used, "%s%s",
                                 shown > 0 ? ", " : "", text);
        shown++;
    }
    if (shown == 0)
        snprintf(ret_text, TLS_NAMES_TEXT_BYTES, "no names");
    else if (more > 0)
        snprintf(ret_text + used, TLS_NAMES_TEXT_BYTES - used, " and %d more", more);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

/* The certificate of the chain, leaf first, that is out of its time; NULL when none is. */
static X509 *certificate_out_of_time(STACK_OF(X509) * chain, bool ended)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *candidate = sk_X509_value(chain, i);
        /* 0 is a time that cannot be read; -1 is past, 1 is to come. */
        int compared = X509_cmp_current_time(ended ? X509_get0_notAfter(candidate)
                                                   : X509_get0_notBefore(candidate));
        if (ended ? compared < 0 : compared > 0)
            return candidate;
    }
    return NULL;
}

/* Room for a detail: two names and the words between them. */
enum { DETAIL_TEXT_BYTES = TLS_NAMES_TEXT_BYTES + TEXT_ESCAPE_MAX * 64 };

static void certificate_time_detail(STACK_OF(X509) * chain, bool ended,
                                    char ret_text[DETAIL_TEXT_BYTES])
{
    X509 *culprit = certificate_out_of_time(chain, ended);
    if (culprit == NULL)
        return;
    char time[TLS_TIME_TEXT_BYTES];
    tls_time_text(ended ? X509_get0_notAfter(culprit) : X509_get0_notBefore(culprit), time);
    const char *verb = ended ? "ended" : "begins";
    if (culprit == sk_X509_value(chain, 0)) {
        snprintf(ret_text, DETAIL_TEXT_BYTES, ": it %s on %s", verb, time);
        return;
    }
    char name[TLS_DN_TEXT_BYTES];
    tls_name_text(X509_get_subject_name(culprit), name);
    snprintf(ret_text, DETAIL_TEXT_BYTES, ": its CA %s %s on %s", name, verb, time);
}

static void certificate_issuer_detail(STACK_OF(X509) * chain, char ret_text[DETAIL_TEXT_BYTES])
{
    char name[TLS_DN_TEXT_BYTES];
    tls_name_text(X509_get_issuer_name(sk_X509_value(chain, sk_X509_num(chain) - 1)), name);
    snprintf(ret_text, DETAIL_TEXT_BYTES, " (%s)", name);
}

static void certificate_names_detail(SSL *ssl, STACK_OF(X509) * chain,
                                     char ret_text[DETAIL_TEXT_BYTES])
{
    char has[TLS_NAMES_TEXT_BYTES];
    tls_certificate_names(sk_X509_value(chain, 0), has);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
    char *address = host == NULL ? X509_VERIFY_PARAM_get1_ip_asc(param) : NULL;
    const char *expected = host != NULL ? host : address;
    char safe[TEXT_ESCAPE_MAX * 48];
    text_escape(expected == NULL ? "" : expected, expected == NULL ? 0 : strlen(expected), safe,
                sizeof safe);
    snprintf(ret_text, DETAIL_TEXT_BYTES, ": expected %s, it has %s", safe, has);
    OPENSSL_free(address);
}

static void certificate_detail(SSL *ssl, enum certificate_detail detail,
                               char ret_text[DETAIL_TEXT_BYTES])
{
    ret_text[0] = '\0';
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    if (chain == NULL || sk_X509_num(chain) < 1)
        return;
    switch (detail) {
    case DETAIL_NONE:
        break;
    case DETAIL_ENDED:
    case DETAIL_BEGINS:
        certificate_time_detail(chain, detail == DETAIL_ENDED, ret_text);
        break;
    case DETAIL_ISSUER:
        certificate_issuer_detail(chain, ret_text);
        break;
    case DETAIL_NAMES:
        certificate_names_detail(ssl, chain, ret_text);
        break;
    }
}

enum certpost_status tls_explain_certificate(SSL *ssl, struct certpost_error *error)
{
    long code = tls_peer_refusal_code(ssl);
    const char *words = tls_peer_refusal_words(ssl);
    const char *whose = SSL_is_server(ssl) ? "the client's" : "the server's";
    if (words != NULL)
        return error_set(error, CERTPOST_PEER_CERTIFICATE, "%s certificate is refused: %s", whose,
                         words);
    char detail[DETAIL_TEXT_BYTES];
    for (size_t i = 0; i < sizeof certificate_rows / sizeof certificate_rows[0]; i++) {
        const struct certificate_row *row = &certificate_rows[i];
        if (row->code != code)
            continue;
        certificate_detail(ssl, row->detail, detail);
        return error_set(error, CERTPOST_PEER_CERTIFICATE, "%s certificate %s%s; %s", whose,
                         row->words, detail, row->advice);
    }
    return error_set(error, CERTPOST_PEER_CERTIFICATE, "%s certificate is refused: %s", whose,
                     X509_verify_cert_error_string(code));
}
