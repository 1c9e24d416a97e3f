/*
 * server/answer.h — what an application says about a message, made fit for a peer.
 */
#ifndef SERVER_ANSWER_H
#define SERVER_ANSWER_H

#include "certpost/server.h"

/*
 * Makes the text of an answer what certpost/server.h promises: terminated, one line of valid UTF-8,
 * not too long; and with REJECT the code one of an application's, and the text not empty; with TAKE
 * the text empty if it would be taken for a refusal.
 */
void answer_complete(enum certpost_decision decision, struct certpost_answer *answer);

#endif
