/* support/fault_system_calls.c — threads, event loops, chance and clocks; see fault_shim.h. */
#include "support/fault_calls.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

FAULT_REAL(pthread_create);
FAULT_REAL(pthread_getattr_np);
FAULT_REAL(getrandom);
FAULT_REAL(getentropy);
FAULT_REAL(epoll_create1);
FAULT_REAL(eventfd);
FAULT_REAL(pipe2);
FAULT_REAL(epoll_ctl);
FAULT_REAL(epoll_wait);
FAULT_REAL(epoll_pwait);
FAULT_REAL(poll);
FAULT_REAL(clock_gettime);

int __poll_chk(struct pollfd *descriptors, nfds_t count, int timeout_ms, size_t room);

FAULT_EXPORT int pthread_create(pthread_t *restrict ret_thread,
                                const pthread_attr_t *restrict attributes, void *(*run)(void *),
                                void *restrict argument)
{
    if (fault_strikes(FAULT_KIND_THREAD))
        return errno;
    return real_pthread_create()(ret_thread, attributes, run, argument);
}

/* A sanitizer asks for the bounds of each new thread's stack, and is lost without the answer. */
FAULT_EXPORT int pthread_getattr_np(pthread_t thread, pthread_attr_t *ret_attributes)
{
    bool was_aside = fault_stand_aside(true);
    int failed = real_pthread_getattr_np()(thread, ret_attributes);
    (void)fault_stand_aside(was_aside);
    return failed;
}

FAULT_EXPORT ssize_t getrandom(void *bytes, size_t length, unsigned flags)
{
    if (fault_strikes_bytes(FAULT_KIND_RANDOM, length, &length))
        return -1;
    return real_getrandom()(bytes, length, flags);
}

FAULT_EXPORT int getentropy(void *bytes, size_t length)
{
    return fault_strikes(FAULT_KIND_RANDOM) ? -1 : real_getentropy()(bytes, length);
}

FAULT_EXPORT int epoll_create1(int flags)
{
    return fault_strikes(FAULT_KIND_LOOP_MADE) ? -1 : real_epoll_create1()(flags);
}

FAULT_EXPORT int eventfd(unsigned count, int flags)
{
    return fault_strikes(FAULT_KIND_LOOP_MADE) ? -1 : real_eventfd()(count, flags);
}

FAULT_EXPORT int pipe2(int descriptors[2], int flags)
{
    return fault_strikes(FAULT_KIND_LOOP_MADE) ? -1 : real_pipe2()(descriptors, flags);
}

/* The kernel looks first whether the descriptor is there already (EEXIST), then whether it may be.
 */
FAULT_EXPORT int epoll_ctl(int loop, int operation, int descriptor, struct epoll_event *event)
{
    int failed = real_epoll_ctl()(loop, operation, descriptor, event);
    if (failed != 0 || operation != EPOLL_CTL_ADD || !fault_strikes(FAULT_KIND_LOOP_ADD))
        return failed;
    int wanted_errno = errno;
    (void)real_epoll_ctl()(loop, EPOLL_CTL_DEL, descriptor, event);
    errno = wanted_errno;
    return -1;
}

FAULT_EXPORT int epoll_wait(int loop, struct epoll_event *events, int room, int timeout_ms)
{
    return fault_strikes(FAULT_KIND_WAIT) ? -1 : real_epoll_wait()(loop, events, room, timeout_ms);
}

FAULT_EXPORT int epoll_pwait(int loop, struct epoll_event *events, int room, int timeout_ms,
                             const sigset_t *signals)
{
    return fault_strikes(FAULT_KIND_WAIT)
               ? -1
               : real_epoll_pwait()(loop, events, room, timeout_ms, signals);
}

FAULT_EXPORT int poll(struct pollfd *descriptors, nfds_t count, int timeout_ms)
{
    return fault_strikes(FAULT_KIND_WAIT) ? -1 : real_poll()(descriptors, count, timeout_ms);
}

FAULT_EXPORT int __poll_chk(struct pollfd *descriptors, nfds_t count, int timeout_ms, size_t room)
{
    if (count > room / sizeof *descriptors)
        __builtin_trap();
    return poll(descriptors, count, timeout_ms);
}

static int64_t fault_offset_of(clockid_t clock)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return fault_clock_offset_s(FAULT_KIND_CLOCK_REAL);
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        return fault_clock_offset_s(FAULT_KIND_CLOCK_MONOTONIC);
    default:
        return 0;
    }
}

FAULT_EXPORT int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    int failed = real_clock_gettime()(clock, ret_time);
    if (failed == 0)
        ret_time->tv_sec += fault_offset_of(clock);
    return failed;
}

FAULT_EXPORT time_t time(time_t *ret_time)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret_time != NULL)
        *ret_time = now.tv_sec;
    return now.tv_sec;
}

FAULT_EXPORT int gettimeofday(struct timeval *restrict ret_time, void *restrict unused)
{
    (void)unused;
    struct timespec now = {0};
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    ret_time->tv_sec = now.tv_sec;
    ret_time->tv_usec = now.tv_nsec / 1000;
    return failed;
}
