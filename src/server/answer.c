/*
 * answer.c — what an application says about a message, made fit for a peer (server/answer.h).
 *
 * Uses: base/text.  Used by: writer_decide.c.
 * Never: allocates.
 */
#include "server/answer.h"

#include "base/text.h"
#include "session/plain_receiver.h"
#include "wire/message.h"

#include <string.h>

static const char answer_default_reason[] = "not accepted";

/* The next character as it may be sent; a backslash stays one, since nobody undoes the escapes. */
static size_t answer_escape(const unsigned char *next, size_t length, size_t *ret_taken,
                            char ret_escaped[4 * TEXT_ESCAPE_MAX + 1])
{
    size_t taken = text_utf8_length(next, length);
    *ret_taken = taken > 0 ? taken : 1;
    if (*next != '\\')
        return text_escape(next, *ret_taken, ret_escaped, 4 * TEXT_ESCAPE_MAX + 1);
    ret_escaped[0] = '\\';
    return 1;
}

static void answer_clean(char text[CERTPOST_ANSWER_TEXT_BYTES + 1])
{
    char clean[CERTPOST_ANSWER_TEXT_BYTES + 1];
    const unsigned char *next = (const unsigned char *)text;
    size_t left = strnlen(text, CERTPOST_ANSWER_TEXT_BYTES);
    size_t used = 0;
    while (left > 0) {
        char escaped[4 * TEXT_ESCAPE_MAX + 1];
        size_t taken = 0;
        size_t length = answer_escape(next, left, &taken, escaped);
        if (used + length > CERTPOST_ANSWER_TEXT_BYTES)
            break;
        memcpy(clean + used, escaped, length);
        used += length;
        next += taken;
        left -= taken;
    }
    memcpy(text, clean, used);
    text[used] = '\0';
}

void answer_complete(enum certpost_decision decision, struct certpost_answer *answer)
{
    static const size_t prefix_length = sizeof PLAIN_REFUSAL_PREFIX - 1;
    answer_clean(answer->text);
    if (decision == CERTPOST_TAKE) {
        if (strncmp(answer->text, PLAIN_REFUSAL_PREFIX, prefix_length) == 0)
            answer->text[0] = '\0';
        return;
    }
    if (answer->code < MESSAGE_CODE_APPLICATION)
        answer->code = MESSAGE_CODE_REFUSED;
    if (answer->text[0] == '\0')
        memcpy(answer->text, answer_default_reason, sizeof answer_default_reason);
}
