/* client/send_plain.h — `certpost send --plain`. */
#ifndef CLIENT_SEND_PLAIN_H
#define CLIENT_SEND_PLAIN_H

#include "client/send_options.h"

#include "certpost/error.h"

/*
 * Sends what the options say, prints the replies and keeps the summary. Errors: those of
 * channel_open, input_next_wait and plain_exchange_send.
 */
CERTPOST_MUST_CHECK
enum certpost_status send_plain_run(const struct send_options *options,
                                    struct certpost_error *error);

#endif
