/*
 * admin.c — the admin endpoint's thread, and what it answers to a request (server/admin.h).
 *
 * Uses: libmicrohttpd, admin_socket, admin_address.  Used by: server.c.
 * Never: knows what a route shows; keeps a connection for a second request.
 *
 * libmicrohttpd does not get a thread of its own: its timeouts begin anew with each byte, so a
 * client that sends one now and then would keep its place for ever. Ours are absolute, and looked
 * at in the loop below. A connection that has to go is shut down under libmicrohttpd, which then
 * sees its end and closes it.
 */
#include "server/admin.h"

#include "base/clock.h"
#include "base/error.h"
#include "server/admin_address.h"
#include "server/admin_socket.h"
#include "server/process.h"

#include <errno.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* For each place there may be one more connection, which is on its way out. */
enum { ADMIN_CONNECTIONS_MAX = 2 * ADMIN_PLACES };

/* One that libmicrohttpd has accepted before it looks at its limit, and one to spare. */
enum { ADMIN_DESCRIPTORS_SPARE = 2 };

enum { ADMIN_DESCRIPTORS_PER_PLACE = 32 };

struct admin_place {
    bool is_taken;
    bool is_cut;
    int descriptor;
    int64_t deadline_ms;
    uint64_t number; /* in the order in which they came */
};

struct admin {
    const struct admin_route *routes;
    void *context;
    struct admin_socket socket;
    struct MHD_Daemon *daemon;
    int wake; /* an eventfd; -1: not made */
    int epoll;
    bool started;
    pthread_t thread;
    atomic_bool stopping;
    struct admin_place places[ADMIN_CONNECTIONS_MAX]; /* the first 2 * place_count are in use */
    size_t place_count;
    uint64_t came;
    size_t held;    /* places that are taken and not cut */
    bool has_ended; /* a connection, since the library was last run */
};

/* ------------------------------------------------------------------------------ answers */

static const char admin_default_policy[] = "default-src 'none'; frame-ancestors 'none'";
static const char admin_text_type[] = "text/plain; charset=utf-8";

static bool admin_add_headers(struct MHD_Response *response, const char *type, const char *policy)
{
    const char *const headers[][2] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, type},
        {MHD_HTTP_HEADER_CONNECTION, "close"},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"Content-Security-Policy", policy != NULL ? policy : admin_default_policy},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (MHD_add_response_header(response, headers[i][0], headers[i][1]) != MHD_YES)
            return false;
    }
    return true;
}

/* NO closes the connection without an answer, which is all that is left without memory. */
static enum MHD_Result admin_answer(struct MHD_Connection *connection, unsigned status,
                                    const struct admin_route *route, const struct buffer *body)
{
    /* The library copies it and does not write to it. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body->length, (void *)(uintptr_t)buffer_bytes(body), MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_NO;
    if (response == NULL)
        return MHD_NO;
    bool complete =
        admin_add_headers(response, route != NULL ? route->content_type : admin_text_type,
                          route != NULL ? route->content_policy : NULL);
    if (complete && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        complete = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES;
    if (complete)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result admin_answer_text(struct MHD_Connection *connection, unsigned status,
                                         const char *text)
{
    struct buffer body;
    buffer_init(&body, ADMIN_BODY_MAX_BYTES);
    enum MHD_Result result = MHD_NO;
    if (buffer_append(&body, text, strlen(text)) == CERTPOST_OK)
        result = admin_answer(connection, status, NULL, &body);
    buffer_free(&body);
    return result;
}

/* Whoever asked for the wrong path learns which there are. */
static enum MHD_Result admin_answer_unknown(const struct admin *admin,
                                            struct MHD_Connection *connection)
{
    static const char words[] = "There is nothing here. What there is:\n";
    struct buffer body;
    buffer_init(&body, ADMIN_BODY_MAX_BYTES);
    enum certpost_status status = buffer_append(&body, words, strlen(words));
    for (const struct admin_route *route = admin->routes; route->path != NULL; route++) {
        if (status == CERTPOST_OK)
            status = buffer_append(&body, route->path, strlen(route->path));
        if (status == CERTPOST_OK)
            status = buffer_append(&body, "\n", 1);
    }
    enum MHD_Result result = MHD_NO;
    if (status == CERTPOST_OK)
        result = admin_answer(connection, MHD_HTTP_NOT_FOUND, NULL, &body);
    buffer_free(&body);
    return result;
}

static enum MHD_Result admin_answer_route(const struct admin *admin,
                                          struct MHD_Connection *connection,
                                          const struct admin_route *route)
{
    struct buffer body;
    buffer_init(&body, ADMIN_BODY_MAX_BYTES);
    unsigned status = route->fill(admin->context, &body);
    enum MHD_Result result =
        status == MHD_HTTP_INTERNAL_SERVER_ERROR
            ? admin_answer_text(connection, status, "The server could not make this answer.\n")
            : admin_answer(connection, status, route, &body);
    buffer_free(&body);
    return result;
}

/* The answer goes out before a body is read, which then is not read at all. */
static enum MHD_Result admin_on_request(void *argument, struct MHD_Connection *connection,
                                        const char *path, const char *method, const char *version,
                                        const char *upload, size_t *upload_bytes, void **unused)
{
    const struct admin *admin = argument;
    (void)version;
    (void)upload;
    (void)upload_bytes;
    (void)unused;
    if (!admin->socket.is_unix && !admin_host_is_allowed(MHD_lookup_connection_value(
                                      connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)))
        return admin_answer_text(connection, MHD_HTTP_FORBIDDEN,
                                 "This endpoint is asked by the name localhost or a loopback "
                                 "address only.\n");
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return admin_answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                                 "Only GET and HEAD are answered here.\n");
    for (const struct admin_route *route = admin->routes; route->path != NULL; route++) {
        if (strcmp(path, route->path) == 0)
            return admin_answer_route(admin, connection, route);
    }
    return admin_answer_unknown(admin, connection);
}

/* ------------------------------------------------------------------------------ places */

static void admin_cut(struct admin *admin, struct admin_place *place)
{
    (void)shutdown(place->descriptor, SHUT_RDWR);
    place->is_cut = true;
    admin->held--;
}

/* An honest client needs milliseconds, so a flood of idle ones pushes out its own. */
static void admin_make_room(struct admin *admin)
{
    struct admin_place *oldest = NULL;
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        struct admin_place *place = &admin->places[i];
        if (place->is_taken && !place->is_cut && (oldest == NULL || place->number < oldest->number))
            oldest = place;
    }
    if (oldest != NULL && admin->held >= admin->place_count)
        admin_cut(admin, oldest);
}

/* The place of a connection, or a free one; NULL where there is none. */
static struct admin_place *admin_find_place(struct admin *admin, bool is_taken, int descriptor)
{
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        struct admin_place *place = &admin->places[i];
        if (place->is_taken == is_taken && (!is_taken || place->descriptor == descriptor))
            return place;
    }
    return NULL;
}

static void admin_on_connection(void *argument, struct MHD_Connection *connection,
                                void **connection_context, enum MHD_ConnectionNotificationCode what)
{
    struct admin *admin = argument;
    (void)connection_context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int descriptor = info->connect_fd;
    bool begins = what == MHD_CONNECTION_NOTIFY_STARTED;
    if (begins)
        admin_make_room(admin);
    else
        admin->has_ended = true;
    struct admin_place *place = admin_find_place(admin, !begins, descriptor);
    if (place == NULL)
        return;
    if (!begins && !place->is_cut)
        admin->held--;
    *place = (struct admin_place){0};
    if (!begins)
        return;
    *place = (struct admin_place){
        .is_taken = true,
        .descriptor = descriptor,
        .deadline_ms = clock_deadline_ms(ADMIN_DEADLINE_MS),
        .number = admin->came++,
    };
    admin->held++;
}

/* Ends those whose time is up; the moment at which the next one's is. */
static int64_t admin_cut_overdue(struct admin *admin)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t next_ms = CLOCK_NEVER_MS;
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        struct admin_place *place = &admin->places[i];
        if (!place->is_taken || place->is_cut)
            continue;
        if (place->deadline_ms <= now_ms)
            admin_cut(admin, place);
        else if (place->deadline_ms < next_ms)
            next_ms = place->deadline_ms;
    }
    return next_ms;
}

/* ------------------------------------------------------------------------------ thread */

static int admin_wait_ms(struct admin *admin)
{
    unsigned MHD_LONG_LONG library_ms = 0;
    int own_ms = clock_poll_timeout_ms(admin_cut_overdue(admin));
    if (MHD_get_timeout(admin->daemon, &library_ms) != MHD_YES)
        return own_ms;
    return own_ms >= 0 && (unsigned MHD_LONG_LONG)own_ms < library_ms ? own_ms : (int)library_ms;
}

/*
 * Without room or a descriptor for a new connection, the library stops listening. It begins again
 * when it is run after one has ended: whoever waits before that waits for ever.
 */
static void admin_work(struct admin *admin)
{
    do {
        admin->has_ended = false;
        (void)MHD_run(admin->daemon);
    } while (admin->has_ended);
}

static void *admin_run(void *argument)
{
    struct admin *admin = argument;
    while (!atomic_load(&admin->stopping)) {
        struct pollfd waited[] = {{.fd = admin->epoll, .events = POLLIN},
                                  {.fd = admin->wake, .events = POLLIN}};
        (void)poll(waited, sizeof waited / sizeof waited[0], admin_wait_ms(admin));
        admin_work(admin);
    }
    OPENSSL_thread_stop();
    return NULL;
}

/* ------------------------------------------------------------------------------ life */

static enum certpost_status admin_start_daemon(struct admin *admin, struct certpost_error *error)
{
    admin->daemon =
        MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, admin_on_request, admin, /* */
                         MHD_OPTION_LISTEN_SOCKET, admin->socket.descriptor,    /* */
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)(2 * admin->place_count),
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)ADMIN_REQUEST_BYTES,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(ADMIN_DEADLINE_MS / 1000),
                         MHD_OPTION_NOTIFY_CONNECTION, admin_on_connection, admin, MHD_OPTION_END);
    if (admin->daemon == NULL)
        return error_set(error, CERTPOST_SYSTEM, "cannot start the admin endpoint at %s",
                         admin->socket.text);
    admin->socket.descriptor = -1; /* the library's now */
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    admin->epoll = info->epoll_fd;
    admin->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (admin->wake < 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot start the admin endpoint");
    return CERTPOST_OK;
}

static enum certpost_status admin_open_socket(const struct admin_setup *setup, struct admin *admin,
                                              struct certpost_error *error)
{
    struct process_user user;
    if (setup->user == NULL)
        return admin_socket_open(setup->address, NULL, &admin->socket, error);
    enum certpost_status status = process_find_user(setup->user, &user, error);
    if (status != CERTPOST_OK)
        return status;
    const struct admin_socket_owner owner = {.uid = user.uid, .gid = user.gid};
    return admin_socket_open(setup->address, &owner, &admin->socket, error);
}

size_t admin_places(size_t descriptors)
{
    size_t places = descriptors / ADMIN_DESCRIPTORS_PER_PLACE;
    if (places < ADMIN_PLACES_MIN)
        return ADMIN_PLACES_MIN;
    return places < ADMIN_PLACES ? places : ADMIN_PLACES;
}

size_t admin_descriptors_to_come(const struct admin *admin)
{
    return admin == NULL ? 0 : 2 * admin->place_count + ADMIN_DESCRIPTORS_SPARE;
}

enum certpost_status admin_open(const struct admin_setup *setup, struct admin **ret_admin,
                                struct certpost_error *error)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return error_no_memory(error);
    admin->routes = setup->routes;
    admin->context = setup->context;
    admin->place_count = setup->places;
    admin->wake = -1;
    admin->socket.descriptor = -1;
    atomic_init(&admin->stopping, false);
    enum certpost_status status = admin_open_socket(setup, admin, error);
    if (status == CERTPOST_OK)
        status = admin_start_daemon(admin, error);
    if (status == CERTPOST_OK)
        *ret_admin = admin;
    else
        admin_stop(admin);
    return status;
}

enum certpost_status admin_start(struct admin *admin, struct certpost_error *error)
{
    int failed = pthread_create(&admin->thread, NULL, admin_run, admin);
    if (failed != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, failed, "cannot start a thread");
    admin->started = true;
    return CERTPOST_OK;
}

void admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    atomic_store(&admin->stopping, true);
    if (admin->wake >= 0)
        (void)eventfd_write(admin->wake, 1);
    if (admin->started)
        (void)pthread_join(admin->thread, NULL);
    admin_socket_remove(&admin->socket);
    if (admin->daemon != NULL)
        MHD_stop_daemon(admin->daemon);
    if (admin->socket.descriptor >= 0)
        close(admin->socket.descriptor);
    if (admin->wake >= 0)
        close(admin->wake);
    free(admin);
}

const char *admin_address(const struct admin *admin)
{
    return admin->socket.text;
}
