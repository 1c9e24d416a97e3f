/*
 * certpost/status.h — the one result type of certpost.
 *
 * Every function of certpost that can fail returns a `certpost_status`, and the compiler warns when
 * the result is dropped. What to do about a failure follows from its group; the sentence that a
 * person should read is in the `struct certpost_error` (certpost/error.h) that the call filled in.
 *
 * Threads: all functions here are pure and may be called from any thread.
 */
#ifndef CERTPOST_STATUS_H
#define CERTPOST_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CERTPOST_MUST_CHECK __attribute__((warn_unused_result))
#define CERTPOST_API        __attribute__((visibility("default")))
#else
#define CERTPOST_MUST_CHECK
#define CERTPOST_API
#endif

/*
 * What a caller does, group by group:
 *
 *   SUCCESS  go on.
 *   WAIT     nothing is wrong: poll for what the status names, then call again.
 *   ENDED    the conversation is over; nothing more comes on this connection.
 *   NETWORK  the peer was not reached in time or not at all: try later, or another address.
 *   PEER     the peer broke a rule or refused: trying again will not help until one side changes.
 *   LOCAL    this machine or its files are at fault: mend them, then try again.
 *   USAGE    the call itself was wrong: mend the caller.
 */
enum certpost_status_group {
    CERTPOST_GROUP_SUCCESS,
    CERTPOST_GROUP_WAIT,
    CERTPOST_GROUP_ENDED,
    CERTPOST_GROUP_NETWORK,
    CERTPOST_GROUP_PEER,
    CERTPOST_GROUP_LOCAL,
    CERTPOST_GROUP_USAGE,
};

/* X(constant, name, group, sentence): the only list of statuses; all tables are made from it. */
#define CERTPOST_STATUS_LIST(X)                                                                    \
    X(OK, "ok", SUCCESS, "success")                                                                \
    X(WANT_READ, "want-read", WAIT, "the peer has to send more first")                             \
    X(WANT_WRITE, "want-write", WAIT, "the network has to take more first")                        \
    X(CLOSED, "closed", ENDED, "the peer ended the connection cleanly")                            \
    X(TRUNCATED, "truncated", ENDED, "the peer vanished without a close_notify")                   \
    X(RESET, "reset", ENDED, "the connection was reset")                                           \
    X(RESOLVE, "resolve", NETWORK, "the name cannot be resolved")                                  \
    X(CONNECT, "connect", NETWORK, "the peer cannot be reached")                                   \
    X(TIMEOUT, "timeout", NETWORK, "time is up")                                                   \
    X(NETWORK_IO, "network-io", NETWORK, "sending or receiving failed")                            \
    X(HANDSHAKE, "handshake", PEER, "the TLS handshake failed")                                    \
    X(PEER_CERTIFICATE, "peer-certificate", PEER, "the peer's certificate is not acceptable")      \
    X(CERTIFICATE_REFUSED, "certificate-refused", PEER,                                            \
      "the peer refused this side's certificate")                                                  \
    X(PROTOCOL, "protocol", PEER, "the peer broke the protocol")                                   \
    X(REFUSED, "refused", PEER, "the peer refused the message")                                    \
    X(SUPERSEDED, "superseded", PEER, "a newer connection owns the stream")                        \
    X(DIGEST, "digest", PEER, "what the peer holds is not what was sent")                          \
    X(NO_MEMORY, "no-memory", LOCAL, "out of memory")                                              \
    X(LIMIT, "limit", LOCAL, "a configured limit is reached")                                      \
    X(LOCAL_IO, "local-io", LOCAL, "reading or writing on this machine failed")                    \
    X(STORE, "store", LOCAL, "the store cannot take messages")                                     \
    X(OWN_CERTIFICATE, "own-certificate", LOCAL, "the own certificate or key cannot be used")      \
    X(CA_FILE, "ca-file", LOCAL, "the CA certificates cannot be used")                             \
    X(SYSTEM, "system", LOCAL, "the operating system refused")                                     \
    X(INTERRUPTED, "interrupted", LOCAL, "interrupted on this side")                               \
    X(USAGE, "usage", USAGE, "the call or the command line is wrong")                              \
    X(INTERNAL, "internal", USAGE, "certpost broke one of its own rules")

enum certpost_status {
#define CERTPOST_STATUS_ENUM(constant, name, group, sentence) CERTPOST_##constant,
    CERTPOST_STATUS_LIST(CERTPOST_STATUS_ENUM)
#undef CERTPOST_STATUS_ENUM
};

/* The group of a status; CERTPOST_GROUP_USAGE for a value that is no status. */
CERTPOST_API enum certpost_status_group certpost_status_group(enum certpost_status status);

/* The short name, as logs and JSON show it ("truncated"). Static; never NULL. */
CERTPOST_API const char *certpost_status_name(enum certpost_status status);

/* One sentence without a full stop, for people. Static; never NULL. */
CERTPOST_API const char *certpost_status_sentence(enum certpost_status status);

#ifdef __cplusplus
}
#endif
#endif
