/*
 * certpost/server.h — certpostd inside a program of yours, which decides on each message.
 *
 *     struct certpost_server *server = NULL;
 *     struct certpost_error error;
 *     certpost_error_clear(&error);
 *     if (certpost_server_new(&server, &error) != CERTPOST_OK ||
 *         certpost_server_set(server, "listen", "0.0.0.0:8080", &error) != CERTPOST_OK ||
 *         certpost_server_set(server, "cert", "server.crt", &error) != CERTPOST_OK ||
 *         certpost_server_set(server, "key", "server.key", &error) != CERTPOST_OK ||
 *         certpost_server_start(server, decide, my_data, &error) != CERTPOST_OK)
 *         puts(certpost_error_text(&error, error.status));
 *     …
 *     certpost_server_stop(server, &error);
 *     certpost_server_free(server);
 *
 * It is the same server, with the same options, limits and exchanges; examples/embedded_server.c is
 * a whole program. What differs:
 *
 *   - nothing is printed, and the process is left as it is: no signal is caught, no sandbox entered,
 *     no user changed. The options `print`, `user`, `config` and `no-sandbox` are refused.
 *   - the log goes to the process's standard error; `log-level` and `log-format` say how.
 *   - a message is only acknowledged after the program's decision.
 *
 * Threads: certpost_server_new, _set, _start, _stop and _free of one server from one thread at a
 * time. The server runs on threads of its own, on which all signals are blocked. More than one
 * server may run in a process; the log's settings are those of the last that was started.
 */
#ifndef CERTPOST_SERVER_H
#define CERTPOST_SERVER_H

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct certpost_server;

/* A message that waits for the decision. Everything is borrowed for the call. */
struct certpost_message {
    const unsigned char *bytes;
    size_t length;
    uint64_t seq; /* its number in its stream; the first is 1 */
    /* Who sent it: "uri:…", "dns:…" or "cn:…" from the verified certificate; empty without one.
     * Bytes of a peer: escape them before they reach a terminal. Not NUL-terminated. */
    const char *identity;
    size_t identity_length;
    const char *stream; /* likewise */
    size_t stream_length;
};

enum certpost_decision {
    CERTPOST_TAKE,
    CERTPOST_REJECT,
};

/* The longest text of an answer; what is longer is cut. */
#define CERTPOST_ANSWER_TEXT_BYTES 255

/* What else the program wants to say. All zero when the handler is called. */
struct certpost_answer {
    /* With REJECT: the code that the sender is told, 1000 to 65535, the application's own range;
     * any other value becomes 1000. The plain exchange shows the text only. */
    uint16_t code;
    /* With REJECT: why, in words. With TAKE, in the plain exchange: the reply to this message,
     * instead of the option `reply` (in certpost/1 the reply is agreed on once, in WELCOME, and an
     * acknowledgement has no text). NUL-terminated; control characters are escaped. */
    char text[CERTPOST_ANSWER_TEXT_BYTES + 1];
};

/*
 * Decides on a message. Called on the server's writer thread, one message at a time for the whole
 * server, in the order of each stream; it may take its time, and the senders are then slowed down.
 * It must not call functions of this server.
 *
 * CERTPOST_TAKE: without a store (level `accepted`) the message is the program's from now on, and
 * it is acknowledged when the call returns: whatever has to survive must be safe by then. With a
 * store it is stored, and acknowledged after the commit; when the commit fails it is not
 * acknowledged, the sender offers it again, and the handler sees it a second time: (identity,
 * stream, seq) tell.
 *
 * CERTPOST_REJECT: the message is not stored. In certpost/1 the sender is told REJECT and the
 * connection ends; messages behind it are not taken. In the plain exchange the reply is
 * `Message refused: TEXT`, and the connection ends.
 */
typedef enum certpost_decision (*certpost_message_handler)(void *context,
                                                           const struct certpost_message *message,
                                                           struct certpost_answer *ret_answer);

/* A server that is not started. Free it with certpost_server_free. Errors: NO_MEMORY. */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_server_new(struct certpost_server **ret_server,
                                         struct certpost_error *error);

/*
 * Sets an option of certpostd(8) by its long name without the dashes; `value` is NULL for one that
 * takes none. Repeatable options add up, others are replaced. Copies both. What is wrong with the
 * value is said by certpost_server_start.
 *
 * Errors: USAGE: no such option, or one that a library must not have; or the server runs.
 * NO_MEMORY.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_server_set(struct certpost_server *server, const char *name,
                                         const char *value, struct certpost_error *error);

/*
 * Starts to serve; returns when connections are taken. `handler` may be NULL: all are taken.
 *
 * Errors: USAGE: an option's value, or already running; OWN_CERTIFICATE, CA_FILE, LOCAL_IO: a file;
 * STORE: the store cannot be opened; SYSTEM: an address cannot be listened on, no thread;
 * NO_MEMORY. After a failure nothing runs, options can be changed, and a new start may be tried.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_server_start(struct certpost_server *server,
                                           certpost_message_handler handler, void *context,
                                           struct certpost_error *error);

/*
 * The address of the listener number `index`, "HOST:PORT", with the port that was chosen where 0
 * was asked for; NULL when there is none, or the server does not run. Lives until the stop.
 */
CERTPOST_API const char *certpost_server_address(const struct certpost_server *server,
                                                 size_t index);

/* False while the store fails: senders are sent away, and it is tried again each second. */
CERTPOST_API bool certpost_server_is_ready(const struct certpost_server *server);

/*
 * Reads certificates, keys and lists again, all of them or, on any error, none; connections that
 * live go on. Errors: those of the start. USAGE: it does not run.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_server_reload(struct certpost_server *server,
                                            struct certpost_error *error);

/*
 * Ends it: no new connections; what has arrived is decided on and answered; what is left after the
 * option `drain-timeout` is cut. Returns when all threads have ended. Nothing to do when it does
 * not run.
 *
 * Errors: TIMEOUT: connections were cut; what was not acknowledged is still with its senders.
 */
CERTPOST_API enum certpost_status certpost_server_stop(struct certpost_server *server,
                                                       struct certpost_error *error);

/* Stops it if it runs, and frees it. NULL does nothing. */
CERTPOST_API void certpost_server_free(struct certpost_server *server);

#ifdef __cplusplus
}
#endif
#endif
