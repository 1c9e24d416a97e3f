/*
 * check_guess.c — what a peer is that does not speak TLS (client/check_scene.h).
 *
 * Many protocols let the server speak first, and others answer a ClientHello with words of their
 * own. Either way the first bytes tell.
 *
 * Uses: base/text.  Used by: check_tls.c.  Never: sends anything to find out more.
 */
#include "base/text.h"
#include "client/check_scene.h"

#include <stdio.h>
#include <string.h>

/* How much of what the peer said is shown. */
enum { GUESS_SHOWN_BYTES = 60 };

static const struct guess_row {
    const char *begin;
    const char *words;
} guess_rows[] = {
    {"HTTP/", "is an HTTP server without TLS; check the port"},
    {"<", "sends a page of HTML or XML, as an HTTP server without TLS does; check the port"},
    {"SSH-", "is an SSH server; check the port"},
    {"220", "is an SMTP or FTP server; it begins TLS only when asked to (STARTTLS), which certpost "
            "does not do; check the port"},
    {"* OK", "is an IMAP server without TLS; check the port"},
    {"+OK", "is a POP3 server without TLS; check the port"},
    {"-ERR", "is a Redis or POP3 server without TLS; check the port"},
    {"RFB ", "is a VNC server; check the port"},
};

static const char *guess_known(const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < sizeof guess_rows / sizeof guess_rows[0]; i++) {
        size_t wanted = strlen(guess_rows[i].begin);
        if (length >= wanted && memcmp(bytes, guess_rows[i].begin, wanted) == 0)
            return guess_rows[i].words;
    }
    return NULL;
}

/* The first line, as far as it is shown. */
static size_t guess_line_length(const unsigned char *bytes, size_t length)
{
    size_t end = 0;
    while (end < length && end < GUESS_SHOWN_BYTES && bytes[end] != '\n' && bytes[end] != '\r')
        end++;
    return end;
}

const char *check_guess(const unsigned char *bytes, size_t length, char ret_text[CHECK_GUESS_BYTES])
{
    char said[GUESS_SHOWN_BYTES * TEXT_ESCAPE_MAX + 1];
    if (length == 0)
        return NULL;
    const char *words = guess_known(bytes, length);
    text_escape(bytes, guess_line_length(bytes, length), said, sizeof said);
    snprintf(ret_text, CHECK_GUESS_BYTES, "%s (it said \"%s\")",
             words != NULL ? words : "does not speak TLS on this port; check the port", said);
    return ret_text;
}
