/*
 * resolve.c — getaddrinfo(3) that can be polled and abandoned (agent/resolve.h).
 *
 * getaddrinfo cannot be given a deadline nor be interrupted. So it runs in a thread of its own; the
 * job that the two threads share is counted, and freed by whichever lets go of it last. The thread
 * tells that it is done by an eventfd, which a poll(2) can wait for beside other things.
 *
 * Uses: base, pthread.  Used by: link.c, client/channel.c.
 * Never: blocks past a deadline; touches the caller's memory from its thread.
 */
#include "agent/resolve.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* "65535" and its NUL. */
enum { RESOLVE_SERVICE_BYTES = 6 };

struct resolve_job {
    pthread_mutex_t mutex; /* guards what follows, up to the descriptor */
    int holders;
    bool done;
    int code; /* of getaddrinfo */
    int system_errno;
    struct addrinfo *addresses;
    int done_fd; /* these are set before the thread starts and never again */
    char host[TEXT_HOST_BYTES];
    char service[RESOLVE_SERVICE_BYTES];
};

static int resolve_call(const char *host, const char *service, int extra_flags,
                        struct addrinfo **ret_addresses)
{
    struct addrinfo hints;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | extra_flags;
    return getaddrinfo(host, service, &hints, ret_addresses);
}

static void resolve_job_destroy(struct resolve_job *job)
{
    if (job->addresses != NULL)
        freeaddrinfo(job->addresses);
    if (job->done_fd >= 0)
        close(job->done_fd);
    pthread_mutex_destroy(&job->mutex);
    free(job);
}

/* Lets go of the job; it must be locked. */
static void resolve_job_release(struct resolve_job *job)
{
    bool last = --job->holders == 0;
    pthread_mutex_unlock(&job->mutex);
    if (last)
        resolve_job_destroy(job);
}

static void *resolve_thread(void *argument)
{
    struct resolve_job *job = argument;
    struct addrinfo *addresses = NULL;
    int code = resolve_call(job->host, job->service, AI_ADDRCONFIG, &addresses);
    int system_errno = errno;
    pthread_mutex_lock(&job->mutex);
    job->code = code;
    job->system_errno = system_errno;
    job->addresses = code == 0 ? addresses : NULL;
    job->done = true;
    /* The counter is 0, so that adding 1 to it cannot fail. */
    (void)eventfd_write(job->done_fd, 1);
    resolve_job_release(job);
    return NULL;
}

static struct resolve_job *resolve_job_new(const char *host, uint16_t port)
{
    struct resolve_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    pthread_mutex_init(&job->mutex, NULL);
    job->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(job->host, sizeof job->host, "%s", host);
    snprintf(job->service, sizeof job->service, "%u", (unsigned)port);
    return job;
}

/* Starts the thread with every signal blocked: signals are for the program's own threads. */
static int resolve_start_thread(struct resolve_job *job)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    job->holders = 2;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, resolve_thread, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

enum certpost_status resolve_begin(const char *host, uint16_t port, struct resolve_job **ret_job,
                                   struct certpost_error *error)
{
    struct resolve_job *job = resolve_job_new(host, port);
    if (job == NULL)
        return error_no_memory(error);
    int failed = job->done_fd < 0 ? errno : resolve_start_thread(job);
    if (failed != 0) {
        resolve_job_destroy(job);
        (void)error_set_errno(error, CERTPOST_SYSTEM, failed, "the resolver cannot be started");
        return CERTPOST_SYSTEM;
    }
    *ret_job = job;
    return CERTPOST_OK;
}

int resolve_descriptor(const struct resolve_job *job)
{
    return job->done_fd;
}

static enum certpost_status resolve_result(struct resolve_job *job, struct addrinfo **ret_addresses,
                                           struct certpost_error *error)
{
    if (job->code == EAI_MEMORY)
        return error_no_memory(error);
    if (job->code == 0) {
        *ret_addresses = job->addresses;
        job->addresses = NULL;
        return CERTPOST_OK;
    }
    char safe[TEXT_HOST_BYTES * 2];
    text_escape(job->host, strlen(job->host), safe, sizeof safe);
    const char *words =
        job->code == EAI_SYSTEM ? strerror(job->system_errno) : gai_strerror(job->code);
    (void)error_set(error, CERTPOST_RESOLVE,
                    "the name %s cannot be resolved (%s); check its spelling and this machine's "
                    "DNS",
                    safe, words);
    return CERTPOST_RESOLVE;
}

enum certpost_status resolve_finish(struct resolve_job *job, struct addrinfo **ret_addresses,
                                    struct certpost_error *error)
{
    pthread_mutex_lock(&job->mutex);
    if (!job->done) {
        pthread_mutex_unlock(&job->mutex);
        return CERTPOST_WANT_READ;
    }
    enum certpost_status status = resolve_result(job, ret_addresses, error);
    resolve_job_release(job);
    return status;
}

void resolve_abandon(struct resolve_job *job)
{
    if (job == NULL)
        return;
    pthread_mutex_lock(&job->mutex);
    resolve_job_release(job);
}

enum certpost_status resolve_timed_out(const char *host, struct certpost_error *error)
{
    char safe[TEXT_HOST_BYTES * 2];
    text_escape(host, strlen(host), safe, sizeof safe);
    return error_set(error, CERTPOST_TIMEOUT,
                     "the name %s was not resolved in time; check this machine's DNS", safe);
}

enum certpost_status resolve_figures(const char *host, uint16_t port,
                                     struct addrinfo **ret_addresses)
{
    char service[RESOLVE_SERVICE_BYTES];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    return resolve_call(host, service, AI_NUMERICHOST, ret_addresses) == 0 ? CERTPOST_OK
                                                                           : CERTPOST_RESOLVE;
}

enum certpost_status resolve_host(const char *host, uint16_t port, int64_t deadline_ms,
                                  struct addrinfo **ret_addresses, struct certpost_error *error)
{
    if (resolve_figures(host, port, ret_addresses) == CERTPOST_OK)
        return CERTPOST_OK;
    struct resolve_job *job = NULL;
    enum certpost_status status = resolve_begin(host, port, &job, error);
    if (status != CERTPOST_OK)
        return status;
    for (;;) {
        status = resolve_finish(job, ret_addresses, error);
        if (status != CERTPOST_WANT_READ)
            return status;
        struct pollfd waiting = {.fd = resolve_descriptor(job), .events = POLLIN};
        int ready = poll(&waiting, 1, clock_poll_timeout_ms(deadline_ms));
        if (ready == 0 || (ready < 0 && errno != EINTR)) {
            resolve_abandon(job);
            return resolve_timed_out(host, error);
        }
    }
}
