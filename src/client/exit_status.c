/*
 * exit_status.c — status to exit status (client/exit_status.h).
 *
 * The numbers are curl's and sysexits' where these have one for the case.
 *
 * Uses: status.  Used by: the subcommands.  Never: exits.
 */
#include "client/exit_status.h"

enum exit_status exit_status_of(enum certpost_status status)
{
    switch (status) {
    case CERTPOST_OK:
        return EXIT_STATUS_OK;
    case CERTPOST_USAGE:
        return EXIT_STATUS_USAGE;
    case CERTPOST_RESOLVE:
        return EXIT_STATUS_RESOLVE;
    case CERTPOST_CONNECT:
        return EXIT_STATUS_CONNECT;
    case CERTPOST_TIMEOUT:
        return EXIT_STATUS_TIMEOUT;
    case CERTPOST_HANDSHAKE:
        return EXIT_STATUS_HANDSHAKE;
    case CERTPOST_OWN_CERTIFICATE:
        return EXIT_STATUS_OWN_CERTIFICATE;
    case CERTPOST_PEER_CERTIFICATE:
        return EXIT_STATUS_PEER_CERTIFICATE;
    case CERTPOST_REFUSED:
    case CERTPOST_LIMIT:
        return EXIT_STATUS_REFUSED;
    case CERTPOST_CLOSED:
    case CERTPOST_TRUNCATED:
    case CERTPOST_RESET:
    case CERTPOST_NETWORK_IO:
    case CERTPOST_SUPERSEDED:
    case CERTPOST_INTERRUPTED:
        return EXIT_STATUS_UNACKNOWLEDGED;
    case CERTPOST_PROTOCOL:
    case CERTPOST_DIGEST:
        return EXIT_STATUS_PROTOCOL;
    case CERTPOST_CA_FILE:
        return EXIT_STATUS_CA_FILE;
    case CERTPOST_LOCAL_IO:
    case CERTPOST_STORE:
    case CERTPOST_SYSTEM:
    case CERTPOST_NO_MEMORY:
        return EXIT_STATUS_LOCAL_IO;
    case CERTPOST_WANT_READ:
    case CERTPOST_WANT_WRITE:
    case CERTPOST_INTERNAL:
        break;
    }
    return EXIT_STATUS_INTERNAL;
}
