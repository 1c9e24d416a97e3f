/*
 * embedded.c — a server inside another program: the public API over server.h (certpost/server.h).
 *
 * Uses: server, config.  Used by: programs that link certpost::server.
 * Never: changes the process (signals, rights, limits, standard streams), or does anything but wait
 * on a thread of the program: the server's own thread reads files, logs and writes, so that no
 * SIGPIPE can come up on a thread that does not block it.
 *
 *   caller                       the server's thread
 *   start: makes the thread ───► loads, sets up, reports the outcome ───► waits in its loop
 *   reload, stop: leave a request, wake the loop, wait for the outcome (stop: for the thread's end)
 */
#include "base/error.h"
#include "server/server.h"

#include "certpost/server.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum embedded_request {
    EMBEDDED_NOTHING,
    EMBEDDED_START,
    EMBEDDED_RELOAD,
    EMBEDDED_STOP,
};

struct certpost_server {
    struct config_settings settings; /* the caller's; fixed while the server runs */
    struct config_source source;
    struct writer_judge judge;
    bool runs;
    pthread_t thread;

    pthread_mutex_t mutex; /* for the four that follow */
    pthread_cond_t answered;
    enum embedded_request request; /* NOTHING once it is answered */
    enum certpost_status outcome;  /* of the last request, and its words: */
    struct certpost_error words;

    /* The server's thread makes these before it answers START, and unmakes them after STOP. */
    struct server *server;
    uv_async_t wake;
    uint64_t cut_count;
};

/* ------------------------------------------------------------------------------ requests */

static void embedded_answer(struct certpost_server *embedded, enum certpost_status outcome,
                            const struct certpost_error *words)
{
    (void)pthread_mutex_lock(&embedded->mutex);
    embedded->outcome = outcome;
    embedded->words = *words;
    embedded->request = EMBEDDED_NOTHING;
    (void)pthread_cond_signal(&embedded->answered);
    (void)pthread_mutex_unlock(&embedded->mutex);
}

static void embedded_ask(struct certpost_server *embedded, enum embedded_request request)
{
    (void)pthread_mutex_lock(&embedded->mutex);
    embedded->request = request;
    (void)pthread_mutex_unlock(&embedded->mutex);
}

static enum certpost_status embedded_await(struct certpost_server *embedded,
                                           struct certpost_error *error)
{
    (void)pthread_mutex_lock(&embedded->mutex);
    while (embedded->request != EMBEDDED_NOTHING)
        (void)pthread_cond_wait(&embedded->answered, &embedded->mutex);
    enum certpost_status outcome = embedded->outcome;
    if (outcome != CERTPOST_OK)
        (void)error_adopt(error, outcome, &embedded->words);
    (void)pthread_mutex_unlock(&embedded->mutex);
    return outcome;
}

/* ------------------------------------------------------------------------------ thread */

static void embedded_reload(struct certpost_server *embedded)
{
    struct certpost_error words;
    certpost_error_clear(&words);
    enum certpost_status outcome = server_reload(embedded->server, &words);
    embedded_answer(embedded, outcome, &words);
}

static void embedded_on_wake(uv_async_t *handle)
{
    struct certpost_server *embedded = handle->data;
    (void)pthread_mutex_lock(&embedded->mutex);
    enum embedded_request request = embedded->request;
    (void)pthread_mutex_unlock(&embedded->mutex);
    if (request == EMBEDDED_RELOAD)
        embedded_reload(embedded);
    else if (request == EMBEDDED_STOP)
        server_stop(embedded->server);
}

static enum certpost_status embedded_set_up(struct certpost_server *embedded,
                                            struct certpost_error *words)
{
    struct server_setup setup = {.source = &embedded->source, .judge = embedded->judge};
    enum certpost_status status = state_load(&embedded->source, &setup.state, words);
    if (status == CERTPOST_OK)
        status = server_new(&setup, &embedded->server, words);
    if (status != CERTPOST_OK)
        return status;
    embedded->wake.data = embedded;
    int failed = uv_async_init(server_loop(embedded->server), &embedded->wake, embedded_on_wake);
    if (failed != 0)
        return error_set(words, CERTPOST_SYSTEM, "cannot start an event loop: %s",
                         uv_strerror(failed));
    status = server_set_up(embedded->server, words);
    return status == CERTPOST_OK ? server_start(embedded->server, words) : status;
}

static void *embedded_run(void *argument)
{
    struct certpost_server *embedded = argument;
    struct certpost_error words;
    certpost_error_clear(&words);
    enum certpost_status status = embedded_set_up(embedded, &words);
    if (status == CERTPOST_OK) {
        embedded_answer(embedded, CERTPOST_OK, &words);
        server_serve(embedded->server);
        embedded->cut_count = server_cut_count(embedded->server);
    }
    server_free(embedded->server);
    embedded->server = NULL;
    OPENSSL_thread_stop();
    /* Only when all is given back: the caller may try again at once. */
    if (status != CERTPOST_OK)
        embedded_answer(embedded, status, &words);
    return NULL;
}

/*
 * A fault of the thread itself cannot be blocked: the kernel would end the process without asking
 * the program's handler, which has the right to report it.
 */
static void embedded_signals_to_block(sigset_t *ret_signals)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    (void)sigfillset(ret_signals);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        (void)sigdelset(ret_signals, faults[i]);
}

/* What the thread starts inherits its signal mask: workers, writer, the store's checkpoints. */
static enum certpost_status embedded_start_thread(struct certpost_server *embedded,
                                                  struct certpost_error *error)
{
    sigset_t blocked, before;
    embedded_signals_to_block(&blocked);
    embedded->cut_count = 0;
    embedded_ask(embedded, EMBEDDED_START);
    int failed = pthread_sigmask(SIG_SETMASK, &blocked, &before);
    if (failed == 0) {
        failed = pthread_create(&embedded->thread, NULL, embedded_run, embedded);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (failed != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, failed, "cannot start a thread");
    return CERTPOST_OK;
}

/* ------------------------------------------------------------------------------ API */

enum certpost_status certpost_server_new(struct certpost_server **ret_server,
                                         struct certpost_error *error)
{
    struct certpost_server *embedded = calloc(1, sizeof *embedded);
    if (embedded == NULL)
        return error_no_memory(error);
    embedded->source.settings = &embedded->settings;
    (void)pthread_mutex_init(&embedded->mutex, NULL);
    (void)pthread_cond_init(&embedded->answered, NULL);
    *ret_server = embedded;
    return CERTPOST_OK;
}

enum certpost_status certpost_server_set(struct certpost_server *server, const char *name,
                                         const char *value, struct certpost_error *error)
{
    if (server->runs)
        return error_set(error, CERTPOST_USAGE,
                         "options cannot be changed while the server runs; stop it first");
    return config_settings_set(&server->settings, name, value, error);
}

enum certpost_status certpost_server_start(struct certpost_server *server,
                                           certpost_message_handler handler, void *context,
                                           struct certpost_error *error)
{
    if (server->runs)
        return error_set(error, CERTPOST_USAGE, "the server runs already");
    server->judge = (struct writer_judge){.decide = handler, .context = context};
    enum certpost_status status = embedded_start_thread(server, error);
    if (status != CERTPOST_OK)
        return status;
    status = embedded_await(server, error);
    server->runs = status == CERTPOST_OK;
    if (status != CERTPOST_OK)
        (void)pthread_join(server->thread, NULL);
    return status;
}

const char *certpost_server_address(const struct certpost_server *server, size_t index)
{
    return server->runs ? server_address(server->server, index) : NULL;
}

bool certpost_server_is_ready(const struct certpost_server *server)
{
    return server->runs && server_unready_reason(server->server) == NULL;
}

enum certpost_status certpost_server_reload(struct certpost_server *server,
                                            struct certpost_error *error)
{
    if (!server->runs)
        return error_set(error, CERTPOST_USAGE, "the server does not run");
    embedded_ask(server, EMBEDDED_RELOAD);
    (void)uv_async_send(&server->wake);
    return embedded_await(server, error);
}

enum certpost_status certpost_server_stop(struct certpost_server *server,
                                          struct certpost_error *error)
{
    if (!server->runs)
        return CERTPOST_OK;
    embedded_ask(server, EMBEDDED_STOP);
    (void)uv_async_send(&server->wake);
    (void)pthread_join(server->thread, NULL);
    server->runs = false;
    if (server->cut_count == 0)
        return CERTPOST_OK;
    return error_set(error, CERTPOST_TIMEOUT,
                     "%llu connections were cut at the end of the drain timeout",
                     (unsigned long long)server->cut_count);
}

void certpost_server_free(struct certpost_server *server)
{
    if (server == NULL)
        return;
    (void)certpost_server_stop(server, NULL);
    config_settings_free(&server->settings);
    (void)pthread_cond_destroy(&server->answered);
    (void)pthread_mutex_destroy(&server->mutex);
    free(server);
}
