/* support/fault_socket_calls.c — sockets, and all that reads or writes; see fault_shim.h. */
#include "support/fault_calls.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

FAULT_REAL(read);
FAULT_REAL(write);
FAULT_REAL(readv);
FAULT_REAL(writev);
FAULT_REAL(recv);
FAULT_REAL(send);
FAULT_REAL(recvfrom);
FAULT_REAL(sendto);
FAULT_REAL(recvmsg);
FAULT_REAL(sendmsg);
FAULT_REAL(accept);
FAULT_REAL(accept4);
FAULT_REAL(socket);
FAULT_REAL(bind);
FAULT_REAL(listen);
FAULT_REAL(connect);
FAULT_REAL(setsockopt);
FAULT_REAL(getsockopt);
FAULT_REAL(getsockname);
FAULT_REAL(shutdown);
FAULT_REAL(getaddrinfo);

/* The fortified names, which have no declaration. */
ssize_t __read_chk(int descriptor, void *bytes, size_t length, size_t room);
ssize_t __recv_chk(int descriptor, void *bytes, size_t length, size_t room, int flags);

FAULT_EXPORT ssize_t read(int descriptor, void *bytes, size_t length)
{
    if (fault_strikes_bytes(fault_kind_of(descriptor, false), length, &length))
        return -1;
    return real_read()(descriptor, bytes, length);
}

FAULT_EXPORT ssize_t __read_chk(int descriptor, void *bytes, size_t length, size_t room)
{
    if (length > room)
        __builtin_trap();
    return read(descriptor, bytes, length);
}

FAULT_EXPORT ssize_t write(int descriptor, const void *bytes, size_t length)
{
    if (fault_strikes_bytes(fault_kind_of(descriptor, true), length, &length))
        return -1;
    return real_write()(descriptor, bytes, length);
}

/* The first of several pieces, in full or in part: a call may always do less than it was asked to.
 */
static bool fault_strikes_pieces(int descriptor, bool writing, const struct iovec **pieces,
                                 size_t *count, struct iovec *first)
{
    if (*count == 0)
        return false;
    *first = (*pieces)[0];
    size_t before = first->iov_len;
    if (fault_strikes_bytes(fault_kind_of(descriptor, writing), before, &first->iov_len))
        return true;
    if (first->iov_len < before) {
        *pieces = first;
        *count = 1;
    }
    return false;
}

FAULT_EXPORT ssize_t readv(int descriptor, const struct iovec *pieces, int piece_count)
{
    struct iovec first;
    size_t count = (size_t)piece_count;
    if (fault_strikes_pieces(descriptor, false, &pieces, &count, &first))
        return -1;
    return real_readv()(descriptor, pieces, (int)count);
}

FAULT_EXPORT ssize_t writev(int descriptor, const struct iovec *pieces, int piece_count)
{
    struct iovec first;
    size_t count = (size_t)piece_count;
    if (fault_strikes_pieces(descriptor, true, &pieces, &count, &first))
        return -1;
    return real_writev()(descriptor, pieces, (int)count);
}

FAULT_EXPORT ssize_t recv(int descriptor, void *bytes, size_t length, int flags)
{
    if (fault_strikes_bytes(FAULT_KIND_SOCKET_READ, length, &length))
        return -1;
    return real_recv()(descriptor, bytes, length, flags);
}

FAULT_EXPORT ssize_t __recv_chk(int descriptor, void *bytes, size_t length, size_t room, int flags)
{
    if (length > room)
        __builtin_trap();
    return recv(descriptor, bytes, length, flags);
}

FAULT_EXPORT ssize_t send(int descriptor, const void *bytes, size_t length, int flags)
{
    if (fault_strikes_bytes(FAULT_KIND_SOCKET_WRITE, length, &length))
        return -1;
    return real_send()(descriptor, bytes, length, flags);
}

FAULT_EXPORT ssize_t recvfrom(int descriptor, void *restrict bytes, size_t length, int flags,
                              struct sockaddr *restrict from, socklen_t *restrict from_length)
{
    if (fault_strikes_bytes(FAULT_KIND_SOCKET_READ, length, &length))
        return -1;
    return real_recvfrom()(descriptor, bytes, length, flags, from, from_length);
}

FAULT_EXPORT ssize_t sendto(int descriptor, const void *bytes, size_t length, int flags,
                            const struct sockaddr *to, socklen_t to_length)
{
    if (fault_strikes_bytes(FAULT_KIND_SOCKET_WRITE, length, &length))
        return -1;
    return real_sendto()(descriptor, bytes, length, flags, to, to_length);
}

FAULT_EXPORT ssize_t recvmsg(int descriptor, struct msghdr *message, int flags)
{
    if (fault_strikes(FAULT_KIND_SOCKET_READ) && errno != FAULT_WAY_SHORT)
        return -1;
    return real_recvmsg()(descriptor, message, flags);
}

FAULT_EXPORT ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    struct msghdr part = *message;
    struct iovec first;
    const struct iovec *pieces = message->msg_iov;
    size_t count = message->msg_iovlen;
    if (fault_strikes_pieces(descriptor, true, &pieces, &count, &first))
        return -1;
    if (pieces == &first)
        part.msg_iov = &first;
    part.msg_iovlen = count;
    return real_sendmsg()(descriptor, &part, flags);
}

FAULT_EXPORT int accept(int descriptor, struct sockaddr *restrict address,
                        socklen_t *restrict length)
{
    return fault_strikes(FAULT_KIND_ACCEPT) ? -1 : real_accept()(descriptor, address, length);
}

FAULT_EXPORT int accept4(int descriptor, struct sockaddr *restrict address,
                         socklen_t *restrict length, int flags)
{
    return fault_strikes(FAULT_KIND_ACCEPT) ? -1
                                            : real_accept4()(descriptor, address, length, flags);
}

FAULT_EXPORT int socket(int domain, int type, int protocol)
{
    return fault_strikes(FAULT_KIND_SOCKET) ? -1 : real_socket()(domain, type, protocol);
}

FAULT_EXPORT int bind(int descriptor, const struct sockaddr *address, socklen_t length)
{
    return fault_strikes(FAULT_KIND_SOCKET) ? -1 : real_bind()(descriptor, address, length);
}

FAULT_EXPORT int listen(int descriptor, int backlog)
{
    return fault_strikes(FAULT_KIND_SOCKET) ? -1 : real_listen()(descriptor, backlog);
}

FAULT_EXPORT int connect(int descriptor, const struct sockaddr *address, socklen_t length)
{
    return fault_strikes(FAULT_KIND_SOCKET) ? -1 : real_connect()(descriptor, address, length);
}

FAULT_EXPORT int setsockopt(int descriptor, int level, int name, const void *value,
                            socklen_t length)
{
    return fault_strikes(FAULT_KIND_SOCKET)
               ? -1
               : real_setsockopt()(descriptor, level, name, value, length);
}

FAULT_EXPORT int getsockopt(int descriptor, int level, int name, void *restrict value,
                            socklen_t *restrict length)
{
    return fault_strikes(FAULT_KIND_SOCKET)
               ? -1
               : real_getsockopt()(descriptor, level, name, value, length);
}

FAULT_EXPORT int getsockname(int descriptor, struct sockaddr *restrict address,
                             socklen_t *restrict length)
{
    return fault_strikes(FAULT_KIND_SOCKET) ? -1 : real_getsockname()(descriptor, address, length);
}

FAULT_EXPORT int shutdown(int descriptor, int how)
{
    return fault_strikes(FAULT_KIND_SOCKET) ? -1 : real_shutdown()(descriptor, how);
}

FAULT_EXPORT int getaddrinfo(const char *restrict name, const char *restrict service,
                             const struct addrinfo *restrict hints,
                             struct addrinfo **restrict ret_addresses)
{
    if (fault_strikes(FAULT_KIND_NAME))
        return errno; /* an EAI_ code */
    return real_getaddrinfo()(name, service, hints, ret_addresses);
}
