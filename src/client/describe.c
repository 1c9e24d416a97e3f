/*
 * describe.c — a certificate in words (client/describe.h).
 *
 * Uses: tls/explain, output.  Used by: channel.c, send_certified.c.
 * Never: judges; that was done in the handshake.
 */
#include "client/describe.h"

#include "client/output.h"
#include "tls/explain.h"

void describe_certificate(const SSL *ssl)
{
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == NULL)
        return;
    char subject[TLS_DN_TEXT_BYTES];
    char issuer[TLS_DN_TEXT_BYTES];
    char names[TLS_NAMES_TEXT_BYTES];
    char ends[TLS_TIME_TEXT_BYTES];
    tls_name_text(X509_get_subject_name(certificate), subject);
    tls_name_text(X509_get_issuer_name(certificate), issuer);
    tls_certificate_names(certificate, names);
    tls_time_text(X509_get0_notAfter(certificate), ends);
    output_note("server certificate: %s, names %s, issued by %s, valid until %s", subject, names,
                issuer, ends);
    X509_free(certificate);
}
