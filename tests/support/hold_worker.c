/*
 * hold_worker.c — a library to be preloaded into certpostd: while the pipe that HOLD_WORKER names
 * is empty, a worker that is about to accept a connection stands still, until a byte comes.
 *
 * The pipe is opened at the start, so that a server in its sandbox can read it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int accept4_function(int descriptor, struct sockaddr *address, socklen_t *length,
                             int flags);

static int hold_pipe = -1;
static accept4_function *hold_real;

__attribute__((constructor)) static void hold_begin(void)
{
    const char *path = getenv("HOLD_WORKER");
    void *symbol = dlsym(RTLD_NEXT, "accept4");
    if (path != NULL)
        hold_pipe = open(path, O_RDONLY | O_CLOEXEC);
    memcpy(&hold_real, &symbol, sizeof hold_real);
}

__attribute__((visibility("default"))) int accept4(int descriptor, struct sockaddr *address,
                                                   socklen_t *length, int flags)
{
    char ignored = 0;
    ssize_t got = 0;
    do
        got = read(hold_pipe, &ignored, 1);
    while (got < 0 && errno == EINTR);
    return hold_real(descriptor, address, length, flags);
}
