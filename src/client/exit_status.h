/* client/exit_status.h — what `certpost` ends with, so that scripts can tell failures apart. */
#ifndef CLIENT_EXIT_STATUS_H
#define CLIENT_EXIT_STATUS_H

#include "certpost/status.h"

enum exit_status {
    EXIT_STATUS_OK = 0,               /* every message was acknowledged */
    EXIT_STATUS_USAGE = 2,            /* the command line is wrong */
    EXIT_STATUS_RESOLVE = 6,          /* the name cannot be resolved */
    EXIT_STATUS_CONNECT = 7,          /* no connection */
    EXIT_STATUS_TIMEOUT = 28,         /* time is up */
    EXIT_STATUS_HANDSHAKE = 35,       /* TLS handshake failed */
    EXIT_STATUS_OWN_CERTIFICATE = 58, /* own certificate or key */
    EXIT_STATUS_PEER_CERTIFICATE = 60,
    EXIT_STATUS_REFUSED = 65,  /* the message was refused, by the server or before sending */
    EXIT_STATUS_INTERNAL = 70, /* certpost broke its own rules */
    EXIT_STATUS_LOCAL_IO = 74,
    EXIT_STATUS_UNACKNOWLEDGED = 75, /* the connection ended before every acknowledgement came */
    EXIT_STATUS_PROTOCOL = 76,       /* the peer broke the protocol, digest mismatch included */
    EXIT_STATUS_CA_FILE = 77,
};

/* Total: every status has an exit status; OK alone is 0. */
enum exit_status exit_status_of(enum certpost_status status);

#endif
