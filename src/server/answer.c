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

/* A backslash stays one, since nobody undoes the escapes. */
static void answer_clean(char text[CERTPOST_ANSWER_TEXT_BYTES + 1])
{
    char raw[CERTPOST_ANSWER_TEXT_BYTES];
    size_t length = strnlen(text, CERTPOST_ANSWER_TEXT_BYTES);
    memcpy(raw, text, length);
    (void)text_escape_rest(raw, length, text, CERTPOST_ANSWER_TEXT_BYTES + 1);
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
