/*
 * resolve.c — getaddrinfo(3) with a deadline (client/resolve.h).
 *
 * getaddrinfo cannot be given a deadline nor be interrupted. So it runs in a thread of its own; the
 * job that the two threads share is counted, and freed by whichever lets go of it last.
 *
 * Uses: base, pthread.  Used by: channel.c.  Never: blocks past its deadline.
 */
#include "client/resolve.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "65535" and its NUL. */
enum { RESOLVE_SERVICE_BYTES = 6 };

struct resolve_job {
    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t finished;
    int holders;
    bool done;
    int code; /* of getaddrinfo */
    int system_errno;
    struct addrinfo *addresses;
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
    pthread_cond_destroy(&job->finished);
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
    /* Host and service are written before the thread starts and never again: no lock needed. */
    int code = resolve_call(job->host, job->service, AI_ADDRCONFIG, &addresses);
    int system_errno = errno;
    pthread_mutex_lock(&job->mutex);
    job->code = code;
    job->system_errno = system_errno;
    job->addresses = code == 0 ? addresses : NULL;
    job->done = true;
    pthread_cond_signal(&job->finished);
    resolve_job_release(job);
    return NULL;
}

static struct resolve_job *resolve_job_new(const char *host, const char *service)
{
    struct resolve_job *job = calloc(1, sizeof *job);
    pthread_condattr_t attributes;
    if (job == NULL)
        return NULL;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&job->finished, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&job->mutex, NULL);
    snprintf(job->host, sizeof job->host, "%s", host);
    snprintf(job->service, sizeof job->service, "%s", service);
    return job;
}

/* Starts the thread with every signal blocked: signals are for the main thread. */
static int resolve_start(struct resolve_job *job)
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

static enum certpost_status resolve_result(struct resolve_job *job, const char *host,
                                           struct addrinfo **ret_addresses,
                                           struct certpost_error *error)
{
    char safe[TEXT_HOST_BYTES * 2];
    text_escape(host, strlen(host), safe, sizeof safe);
    if (!job->done)
        return error_set(error, CERTPOST_TIMEOUT,
                         "the name %s was not resolved in time; check this machine's DNS", safe);
    if (job->code == EAI_MEMORY)
        return error_no_memory(error);
    if (job->code != 0) {
        const char *words =
            job->code == EAI_SYSTEM ? strerror(job->system_errno) : gai_strerror(job->code);
        return error_set(error, CERTPOST_RESOLVE,
                         "the name %s cannot be resolved (%s); check its spelling and this "
                         "machine's DNS",
                         safe, words);
    }
    *ret_addresses = job->addresses;
    job->addresses = NULL;
    return CERTPOST_OK;
}

static void resolve_wait(struct resolve_job *job, int64_t deadline_ms)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ms / 1000),
        .tv_nsec = (long)(deadline_ms % 1000) * 1000000,
    };
    int waited = 0;
    while (!job->done && waited != ETIMEDOUT) {
        waited = deadline_ms == CLOCK_NEVER_MS
                     ? pthread_cond_wait(&job->finished, &job->mutex)
                     : pthread_cond_timedwait(&job->finished, &job->mutex, &until);
    }
}

enum certpost_status resolve_host(const char *host, uint16_t port, int64_t deadline_ms,
                                  struct addrinfo **ret_addresses, struct certpost_error *error)
{
    char service[RESOLVE_SERVICE_BYTES];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    if (resolve_call(host, service, AI_NUMERICHOST, ret_addresses) == 0)
        return CERTPOST_OK;
    struct resolve_job *job = resolve_job_new(host, service);
    if (job == NULL)
        return error_no_memory(error);
    int failed = resolve_start(job);
    if (failed != 0) {
        resolve_job_destroy(job);
        return error_set_errno(error, CERTPOST_SYSTEM, failed, "no thread for the resolver");
    }
    pthread_mutex_lock(&job->mutex);
    resolve_wait(job, deadline_ms);
    enum certpost_status status = resolve_result(job, host, ret_addresses, error);
    resolve_job_release(job);
    return status;
}
