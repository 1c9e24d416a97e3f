/*
 * check_chain.c — the server's certificates, one by one (client/check_scene.h).
 *
 * OpenSSL ends a verification at the first fault, and tells one. Here the chain is verified once
 * more under the same rules, by a callback that notes each fault and goes on, so that all of them
 * come out at once. Nothing follows from it: who is talked to was decided in the handshake.
 *
 * Uses: tls/explain, check_expiry, OpenSSL.  Used by: check_tls.c.
 * Never: makes a connection acceptable.
 */
#include "base/text.h"
#include "client/check_scene.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum {
    CHAIN_FAULTS_MAX = 32,
    CHAIN_WEAK_BITS = 112, /* NIST SP 800-57: what is below must not be used any more */
    CHAIN_WHOSE_BYTES = TLS_DN_TEXT_BYTES + 32,
};

struct chain_fault {
    int code;
    int depth; /* 0: the server's own certificate */
};

struct chain_verdict {
    struct chain_fault faults[CHAIN_FAULTS_MAX];
    size_t count;
    STACK_OF(X509) * chain; /* as it was built, its own certificate first; owned */
};

/* ---- verification ---- */

/* These say of one gap in the chain that it is there; the first to come is the one with words. */
static bool chain_is_untrusted(int code)
{
    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return true;
    default:
        return false;
    }
}

static bool chain_is_noted(const struct chain_verdict *verdict, int code, int depth)
{
    for (size_t i = 0; i < verdict->count; i++) {
        const struct chain_fault *fault = &verdict->faults[i];
        if ((fault->code == code && fault->depth == depth) ||
            (chain_is_untrusted(code) && chain_is_untrusted(fault->code)))
            return true;
    }
    return false;
}

static int chain_on_fault(int good, X509_STORE_CTX *store)
{
    struct chain_verdict *verdict = X509_STORE_CTX_get_app_data(store);
    int code = X509_STORE_CTX_get_error(store);
    int depth = X509_STORE_CTX_get_error_depth(store);
    if (good == 0 && verdict->count < CHAIN_FAULTS_MAX && !chain_is_noted(verdict, code, depth))
        verdict->faults[verdict->count++] = (struct chain_fault){code, depth};
    return 1;
}

/* As OpenSSL's ssl_verify_cert_chain sets it up for a server's certificate. */
static bool chain_verify(const SSL *judge, STACK_OF(X509) * sent, struct chain_verdict *verdict)
{
    SSL_CTX *context = SSL_get_SSL_CTX(judge);
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    bool done = store != NULL &&
                X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(context), sk_X509_value(sent, 0),
                                    sent) == 1 &&
                X509_STORE_CTX_set_default(store, "ssl_server") == 1;
    if (done) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
        X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(judge));
        done = X509_VERIFY_PARAM_set1(param, SSL_get0_param((SSL *)(uintptr_t)judge)) == 1;
    }
    if (done) {
        X509_STORE_CTX_set_app_data(store, verdict);
        X509_STORE_CTX_set_verify_cb(store, chain_on_fault);
        (void)X509_verify_cert(store);
        verdict->chain = X509_STORE_CTX_get1_chain(store);
    }
    X509_STORE_CTX_free(store);
    ERR_clear_error();
    return done && verdict->chain != NULL;
}

/* ---- words about one certificate ---- */

static void chain_key_text(X509 *certificate, char *ret_text, size_t capacity)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    char group[32];
    size_t length = 0;
    const char *type = key == NULL ? NULL : EVP_PKEY_get0_type_name(key);
    if (type == NULL)
        snprintf(ret_text, capacity, "an unknown key");
    else if (EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1)
        snprintf(ret_text, capacity, "%s %s", type, group);
    else
        snprintf(ret_text, capacity, "%s %d bits", type, EVP_PKEY_get_bits(key));
    ERR_clear_error();
}

static const char *chain_signature_text(const X509 *certificate)
{
    const char *name = OBJ_nid2ln(X509_get_signature_nid(certificate));
    return name == NULL ? "an unknown algorithm" : name;
}

static bool chain_is_self_signed(X509 *certificate)
{
    return X509_self_signed(certificate, 0) == 1;
}

/* What OpenSSL's security level may let pass, and nobody should rely on any more. */
static const char *chain_weakness(X509 *certificate)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    int strength_bits = 0;
    if (key != NULL && EVP_PKEY_get_security_bits(key) < CHAIN_WEAK_BITS)
        return "its key is too short; have it issued with a longer key";
    if (!chain_is_self_signed(certificate) &&
        X509_get_signature_info(certificate, NULL, NULL, &strength_bits, NULL) == 1 &&
        strength_bits < CHAIN_WEAK_BITS)
        return "it is signed with a digest that is too weak; have it issued again with SHA-256";
    return NULL;
}

static bool chain_holds(STACK_OF(X509) * certificates, const X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        if (X509_cmp(sk_X509_value(certificates, i), certificate) == 0)
            return true;
    }
    return false;
}

static void chain_keep(struct check_facts *facts, X509 *certificate, bool sent)
{
    if (facts->chain_count == CHECK_CHAIN_MAX)
        return;
    struct check_certificate *kept = &facts->chain[facts->chain_count++];
    tls_name_text(X509_get_subject_name(certificate), kept->subject);
    tls_name_text(X509_get_issuer_name(certificate), kept->issuer);
    chain_key_text(certificate, kept->key, sizeof kept->key);
    snprintf(kept->signature, sizeof kept->signature, "%s", chain_signature_text(certificate));
    tls_time_text(X509_get0_notBefore(certificate), kept->begins);
    tls_time_text(X509_get0_notAfter(certificate), kept->ends);
    kept->left_ms = check_left_ms(certificate);
    kept->sent = sent;
}

static void chain_say_certificate(struct check_scene *scene, X509 *certificate, int depth,
                                  bool sent)
{
    char subject[TLS_DN_TEXT_BYTES];
    char issuer[TLS_DN_TEXT_BYTES] = "";
    char key[64];
    bool by_itself = chain_is_self_signed(certificate);
    const char *weakness = chain_weakness(certificate);
    tls_name_text(X509_get_subject_name(certificate), subject);
    if (!by_itself)
        tls_name_text(X509_get_issuer_name(certificate), issuer);
    chain_key_text(certificate, key, sizeof key);
    check_say(scene->report, CHECK_CHAIN, weakness == NULL ? CHECK_OK : CHECK_WARNING,
              weakness == NULL ? CERTPOST_OK : CERTPOST_PEER_CERTIFICATE,
              "%d: %s; %s; %s%s with %s%s%s%s", depth, subject, key,
              by_itself ? "self-signed" : "signed by ", issuer, chain_signature_text(certificate),
              sent ? "" : "; known here, not sent", weakness == NULL ? "" : "; ",
              weakness == NULL ? "" : weakness);
    chain_keep(&scene->report->facts, certificate, sent);
}

/* ---- words about faults ---- */

static enum check_layer chain_layer_of(int code)
{
    switch (code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return CHECK_HOST;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return CHECK_EXPIRY;
    default:
        return CHECK_CHAIN;
    }
}

/* What distinguishes the two causes of an issuer that nobody here knows. */
static void chain_say_gap(struct check_scene *scene, STACK_OF(X509) * sent, X509 *last)
{
    char issuer[TLS_DN_TEXT_BYTES];
    tls_name_text(X509_get_issuer_name(last), issuer);
    if (chain_is_self_signed(last))
        return;
    check_say(scene->report, CHECK_CHAIN, CHECK_SKIPPED, CERTPOST_OK,
              "the server sent %d certificate%s, and nothing leads from there to %s: if that is an "
              "intermediate CA, the server's certificate file has to have it too; if it is a root, "
              "--cacert has to",
              sk_X509_num(sent), sk_X509_num(sent) == 1 ? "" : "s", issuer);
}

static void chain_time_text(const X509 *certificate, int code, char *ret_text, size_t capacity)
{
    char time[TLS_TIME_TEXT_BYTES];
    bool ended = code == X509_V_ERR_CERT_HAS_EXPIRED;
    ret_text[0] = '\0';
    if (chain_layer_of(code) != CHECK_EXPIRY)
        return;
    tls_time_text(ended ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate), time);
    snprintf(ret_text, capacity, ": it %s on %s", ended ? "ended" : "begins", time);
}

static void chain_say_fault(struct check_scene *scene, const struct chain_verdict *verdict,
                            const struct chain_fault *fault, STACK_OF(X509) * sent)
{
    X509 *certificate = sk_X509_value(verdict->chain, fault->depth);
    char subject[TLS_DN_TEXT_BYTES] = "the certificate";
    char detail[TLS_TIME_TEXT_BYTES + 32] = "";
    bool overlooked = scene->options->config.insecure;
    const char *advice = tls_certificate_advice(fault->code);
    if (certificate != NULL) {
        tls_name_text(X509_get_subject_name(certificate), subject);
        chain_time_text(certificate, fault->code, detail, sizeof detail);
    }
    check_say(scene->report, chain_layer_of(fault->code), overlooked ? CHECK_WARNING : CHECK_FAIL,
              CERTPOST_PEER_CERTIFICATE, "%d: %s %s%s%s%s", fault->depth, subject,
              tls_certificate_fault(fault->code), detail, advice == NULL ? "" : "; ",
              advice == NULL ? "" : advice);
    if (certificate != NULL && chain_is_untrusted(fault->code))
        chain_say_gap(scene, sent, sk_X509_value(verdict->chain, sk_X509_num(verdict->chain) - 1));
}

/* ---- names and pins ---- */

static void chain_say_names(struct check_scene *scene, const struct chain_verdict *verdict,
                            X509 *certificate)
{
    struct check_facts *facts = &scene->report->facts;
    char expected[TEXT_ESCAPE_MAX * 64];
    bool overlooked = scene->options->config.insecure;
    const char *name = check_expected_name(scene);
    bool differs = chain_is_noted(verdict, X509_V_ERR_HOSTNAME_MISMATCH, 0) ||
                   chain_is_noted(verdict, X509_V_ERR_IP_ADDRESS_MISMATCH, 0);
    text_escape(name, strlen(name), expected, sizeof expected);
    tls_certificate_names(certificate, facts->names);
    if (differs)
        check_say(scene->report, CHECK_HOST, overlooked ? CHECK_WARNING : CHECK_FAIL,
                  CERTPOST_PEER_CERTIFICATE, "expected %s, the certificate has %s; %s", expected,
                  facts->names, tls_certificate_advice(X509_V_ERR_HOSTNAME_MISMATCH));
    else
        check_say(scene->report, CHECK_HOST, CHECK_OK, CERTPOST_OK,
                  "the certificate is for %s (it has %s)", expected, facts->names);
}

/* With --pin, a wrong one is a fault of the handshake, and told there. */
static void chain_keep_pin(struct check_facts *facts, const X509 *certificate)
{
    struct tls_pin pin;
    if (tls_pin_of(certificate, &pin))
        tls_pin_format(&pin, facts->pin);
    ERR_clear_error();
}

/* ---- all of it ---- */

static void chain_say_dates(struct check_scene *scene, const struct chain_verdict *verdict)
{
    char whose[CHAIN_WHOSE_BYTES];
    char subject[TLS_DN_TEXT_BYTES];
    for (int i = 0; i < sk_X509_num(verdict->chain) && i < CHECK_CHAIN_MAX; i++) {
        const X509 *certificate = sk_X509_value(verdict->chain, i);
        if (chain_is_noted(verdict, X509_V_ERR_CERT_HAS_EXPIRED, i) ||
            chain_is_noted(verdict, X509_V_ERR_CERT_NOT_YET_VALID, i))
            continue;
        tls_name_text(X509_get_subject_name(certificate), subject);
        snprintf(whose, sizeof whose, "%d: %s", i, subject);
        check_expiry(scene, certificate, CERTPOST_PEER_CERTIFICATE, whose);
    }
}

static void chain_say_strangers(struct check_scene *scene, const struct chain_verdict *verdict,
                                STACK_OF(X509) * sent)
{
    char subject[TLS_DN_TEXT_BYTES];
    for (int i = 1; i < sk_X509_num(sent) && i < CHECK_CHAIN_MAX; i++) {
        X509 *certificate = sk_X509_value(sent, i);
        if (chain_holds(verdict->chain, certificate))
            continue;
        tls_name_text(X509_get_subject_name(certificate), subject);
        check_say(scene->report, CHECK_CHAIN, CHECK_WARNING, CERTPOST_PEER_CERTIFICATE,
                  "the server also sent %s, which is not part of this chain; other clients may be "
                  "led astray by it",
                  subject);
    }
}

static void chain_say_all(struct check_scene *scene, const struct chain_verdict *verdict,
                          STACK_OF(X509) * sent)
{
    X509 *own = sk_X509_value(sent, 0);
    for (int i = 0; i < sk_X509_num(verdict->chain) && i < CHECK_CHAIN_MAX; i++) {
        X509 *certificate = sk_X509_value(verdict->chain, i);
        chain_say_certificate(scene, certificate, i, chain_holds(sent, certificate));
    }
    for (size_t i = 0; i < verdict->count; i++) {
        if (chain_layer_of(verdict->faults[i].code) != CHECK_HOST)
            chain_say_fault(scene, verdict, &verdict->faults[i], sent);
    }
    chain_say_strangers(scene, verdict, sent);
    chain_say_names(scene, verdict, own);
    chain_say_dates(scene, verdict);
    chain_keep_pin(&scene->report->facts, own);
}

/* Without a verdict: there are no rules, or no memory to follow them. */
static void chain_say_sent(struct check_scene *scene, STACK_OF(X509) * sent, bool has_rules)
{
    for (int i = 0; i < sk_X509_num(sent) && i < CHECK_CHAIN_MAX; i++)
        chain_say_certificate(scene, sk_X509_value(sent, i), i, true);
    if (has_rules)
        check_say(scene->report, CHECK_CHAIN, CHECK_FAIL, CERTPOST_NO_MEMORY,
                  "not looked at: out of memory");
    else
        check_say(scene->report, CHECK_CHAIN, CHECK_SKIPPED, CERTPOST_OK,
                  "not verified: the CA certificates cannot be used");
}

size_t check_certificates(struct check_scene *scene, const SSL *link, const SSL *judge)
{
    STACK_OF(X509) *sent = SSL_get_peer_cert_chain(link);
    struct chain_verdict verdict = {.count = 0};
    if (sent == NULL || sk_X509_num(sent) < 1)
        return 0;
    if (scene->certificate == NULL && X509_up_ref(sk_X509_value(sent, 0)) == 1)
        scene->certificate = sk_X509_value(sent, 0);
    if (judge != NULL && chain_verify(judge, sent, &verdict))
        chain_say_all(scene, &verdict, sent);
    else
        chain_say_sent(scene, sent, judge != NULL);
    sk_X509_pop_free(verdict.chain, X509_free);
    return verdict.count;
}
