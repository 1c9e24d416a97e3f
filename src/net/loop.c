/*
 * loop.c — what libuv would abort for, done or tried before it (net/loop.h).
 *
 * Uses: libuv, epoll.  Used by: conn.c, server/server, server/worker.
 * Never: runs a loop.
 */
#include "net/loop.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

static enum certpost_status net_loop_fail(int system_errno, struct certpost_error *error)
{
    return error_set_errno(error, CERTPOST_SYSTEM, system_errno, "cannot start an event loop");
}

int net_loop_add_socket(uv_loop_t *loop, int descriptor)
{
    struct epoll_event nothing = {.data.fd = descriptor};
    return epoll_ctl(uv_backend_fd(loop), EPOLL_CTL_ADD, descriptor, &nothing) == 0 ? 0 : errno;
}

/* As many as libuv opens at once: its epoll, and the pipe for signals. */
static enum certpost_status net_loop_check_descriptors(struct certpost_error *error)
{
    int descriptors[4] = {-1, -1, -1, -1};
    enum certpost_status status = CERTPOST_OK;
    if (pipe2(&descriptors[0], O_CLOEXEC) != 0 || pipe2(&descriptors[2], O_CLOEXEC) != 0)
        status = net_loop_fail(errno, error);
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++) {
        if (descriptors[i] != -1)
            (void)close(descriptors[i]);
    }
    return status;
}

/* The kernel bounds what a user may watch over all processes (epoll(7), max_user_watches). */
static enum certpost_status net_loop_check_epoll(uv_loop_t *loop, struct certpost_error *error)
{
    int probe = eventfd(0, EFD_CLOEXEC);
    int failed = probe == -1 ? errno : net_loop_add_socket(loop, probe);
    if (probe != -1)
        (void)close(probe); /* and with it out of epoll */
    return failed == 0 ? CERTPOST_OK : net_loop_fail(failed, error);
}

enum certpost_status net_loop_init(uv_loop_t *loop, struct certpost_error *error)
{
    enum certpost_status status = net_loop_check_descriptors(error);
    if (status != CERTPOST_OK)
        return status;
    int failed = uv_loop_init(loop);
    if (failed != 0)
        return net_loop_fail(-failed, error);
    status = net_loop_check_epoll(loop, error);
    if (status != CERTPOST_OK)
        (void)uv_loop_close(loop);
    return status;
}

/* A descriptor with the highest number that the process may have, `wanted` at most. */
static int net_loop_high_descriptor(int low, size_t wanted)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= wanted)
        wanted = (size_t)limit.rlim_cur - 1;
    return fcntl(low, F_DUPFD_CLOEXEC, (int)wanted);
}

static void net_loop_ignore(uv_poll_t *handle, int status, int events)
{
    (void)handle;
    (void)status;
    (void)events;
}

enum certpost_status net_loop_make_room(uv_loop_t *loop, size_t count, uv_poll_t *handle,
                                        struct certpost_error *error)
{
    int low = eventfd(0, EFD_CLOEXEC);
    if (low == -1)
        return net_loop_fail(errno, error);
    int high = net_loop_high_descriptor(low, count);
    int failed = high == -1 ? UV_EMFILE : uv_poll_init(loop, handle, high);
    if (failed == 0) {
        failed = uv_poll_start(handle, UV_READABLE, net_loop_ignore);
        uv_close((uv_handle_t *)handle, NULL);
    }
    if (high != -1)
        (void)close(high);
    (void)close(low);
    return failed == 0 ? CERTPOST_OK : net_loop_fail(-failed, error);
}
