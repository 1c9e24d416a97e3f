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
 *     if (certpost_server_stop(server, &error) != CERTPOST_OK)
 *         puts(certpost_error_text(&error, error.status));
 *     certpost_server_free(server);
 *
 * It is the same server, with the same options, limits and exchanges; examples/embedded_server.c is
 * a whole program. What differs:
 *
 *   - nothing is printed, and the process is left as it is: no signal is caught or ignored, no
 *     sandbox entered, no user, right or limit changed. The options `print`, `no-print`, `user`,
 *     `no-sandbox`, `config`, `test-config`, `help` and `version` are refused.
 *   - as many connections are served as the process's own limit of descriptors (RLIMIT_NOFILE)
 *     leaves room for; the log says so when these are fewer than `max-connections`.
 *   - the log goes to the process's standard error; `log-level` and `log-format` say how.
 *   - a message is only acknowledged after the program's decision.
 *
 * Threads: certpost_server_new, _set, _start, _address, _is_ready, _reload, _stop and _free of one
 * server from one thread at a time, and not from its handler. The server runs on threads of its
 * own. On these all signals are blocked but those that report a fault of the thread itself (SIGSEGV
 * and the like): no handler of the program runs there, and the SIGPIPE of a peer that has gone
 * reaches nobody. More than one server may run in a process; the log's settings are those of the
 * last that was started. Stop all of them before the program ends: OpenSSL gives its memory back at
 * exit(3), whoever still uses it. A running server does not survive fork(2) in the child: there,
 * only exec.
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
    const unsigned char *bytes; /* not NUL-terminated */
    size_t length;
    uint64_t seq; /* its number in its stream; the first is 1 */
    /* Who sent it: "uri:…", "dns:…" or "cn:…" from the verified certificate; empty without one.
     * Bytes of a peer: escape them before they reach a terminal. Not NUL-terminated. */
    const char *identity;
    size_t identity_length;
    /* The name of its stream, likewise. A connection of the plain exchange is a stream of its own,
     * whose name begins with "plain/". */
    const char *stream;
    size_t stream_length;
};

enum certpost_decision {
    CERTPOST_TAKE,
    CERTPOST_REJECT, /* and every value that is not listed here */
};

/* The longest text of an answer, in bytes. */
#define CERTPOST_ANSWER_TEXT_BYTES 255

/*
 * What else the program wants to say. All zero when the handler is called.
 *
 * `text` is NUL-terminated UTF-8 on one line: control characters, those that turn the direction of
 * text, and bytes that are not UTF-8 are sent as \n, \r, \t or \xHH; what is longer than the bound
 * then is cut behind a whole character.
 */
struct certpost_answer {
    /* With REJECT, in certpost/1: the code that the sender is told, 256 to 65535, the application's
     * own range; any other value becomes 33, `refused` (docs/protocol.md, section 9). */
    uint16_t code;
    /* With REJECT: why, in words; "not accepted" when it is empty. With TAKE, in the plain
     * exchange: the reply to this message; empty, or one that begins with "Message refused: " and
     * would be taken for a refusal, means the option `reply`. In certpost/1 the reply is agreed on
     * once, in WELCOME, and an acknowledgement has no text. */
    char text[CERTPOST_ANSWER_TEXT_BYTES + 1];
};

/*
 * Decides on a message. Called on the server's writer thread, one message at a time for the whole
 * server, in the order of each stream. It may take its time: what has arrived waits, and at
 * `max-pending` for each connection and `max-pending-total` for all, senders have to wait too. All
 * that has arrived while a group of messages was decided on is the next group, which is
 * acknowledged as one: where a decision takes long, a smaller `max-pending` (certpost/1: the
 * window) brings acknowledgements sooner. It must not call functions of this server, and must
 * return: certpost_server_stop waits for it.
 *
 * CERTPOST_TAKE: without a store (level `accepted`) the message is the program's from now on, and
 * it is acknowledged when the group is through: whatever has to survive must be safe when the call
 * returns. With a store it is stored, and acknowledged after the commit.
 *
 * CERTPOST_REJECT: the message is not stored. What came before it in its stream is stored and
 * acknowledged. In certpost/1 the sender is then told REJECT, in the plain exchange
 * `Message refused: TEXT`, and the connection ends; messages behind it are not taken, and the
 * handler does not see them.
 *
 * A message can come again: when the commit fails, or the connection or the server ends before the
 * acknowledgement, the sender offers it again, and the handler decides anew. In certpost/1 it has
 * then the same identity, stream and number (without a store, as long as the server is not started
 * again); in the plain exchange it comes in another stream. A handler that does something else with
 * a message must therefore be able to tell, or do no harm the second time.
 */
typedef enum certpost_decision (*certpost_message_handler)(void *context,
                                                           const struct certpost_message *message,
                                                           struct certpost_answer *ret_answer);

/* A server that is not started. Free it with certpost_server_free. Errors: NO_MEMORY; SYSTEM. */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_server_new(struct certpost_server **ret_server,
                                         struct certpost_error *error);

/*
 * Sets an option of certpostd(8) by its long name without the dashes. Both texts are copied.
 * Repeatable options add up, others are replaced. `value` may be NULL: for an option that takes
 * none it means yes (so does "yes"; "no" is the other value); for any other it takes back all that
 * was set. `cert` and `key` are required.
 *
 * Errors: USAGE: no such option (the text has the nearest name), one that is about the process, a
 * value that is wrong by itself, or the server runs. NO_MEMORY. After an error nothing has changed.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_server_set(struct certpost_server *server, const char *name,
                                         const char *value, struct certpost_error *error);

/*
 * Starts to serve; returns when connections are taken. `handler` may be NULL: all are taken.
 * `context` is handed to it as it is, and must live until the stop.
 *
 * Errors: USAGE: options that do not go together, or it runs already; OWN_CERTIFICATE, CA_FILE,
 * LOCAL_IO: a file, which the text names; STORE: the store cannot be opened, or another server has
 * it; RESOLVE, SYSTEM: an address cannot be listened on, no thread, no descriptors; NO_MEMORY.
 * After a failure nothing runs, options can be changed, and the start may be tried again.
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

/*
 * True while messages can be taken. False while the store fails: senders are then sent away, and
 * the store is tried again each second; and when the server does not run.
 */
CERTPOST_API bool certpost_server_is_ready(const struct certpost_server *server);

/*
 * Reads certificates, keys and lists again, all of them or, on any error, none; connections that
 * live go on. Errors: those of the start; what was in force goes on. USAGE: it does not run.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_server_reload(struct certpost_server *server,
                                            struct certpost_error *error);

/*
 * Ends it: no new connections; what has arrived is decided on and answered. What is left after the
 * option `drain-timeout` is cut, and what the handler has not seen by then it does not see; so this
 * takes that long at most, and one call of the handler and one commit more. Returns when all
 * threads have ended; the server can then be started again. Nothing to do when it does not run.
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
