/* client/send_certified.h — `certpost send` by certpost/1. */
#ifndef CLIENT_SEND_CERTIFIED_H
#define CLIENT_SEND_CERTIFIED_H

#include "client/send_options.h"

#include "certpost/client.h"

/*
 * Delivers what the options say and keeps the summary. The messages that could not be delivered are
 * in the spool, where there is one. `ret_endpoint` is the server that was tried last, or "".
 *
 * Errors: those of certpost/client.h; NETWORK_IO instead of RESOLVE, CONNECT and TIMEOUT when the
 * server has answered before: "not everything was acknowledged" is then the news. LIMIT and
 * LOCAL_IO also for the input; what came before is delivered first. INTERRUPTED by a signal.
 */
CERTPOST_MUST_CHECK
enum certpost_status send_certified_run(const struct send_options *options,
                                        char ret_endpoint[CERTPOST_ENDPOINT_BYTES],
                                        struct certpost_error *error);

#endif
