/*
 * admin_socket.c — the socket at which the admin endpoint listens (server/admin_socket.h).
 *
 * Uses: admin_address, net/address, libc.  Used by: admin.c, main.c, rights.c.
 * Never: removes anything but a socket at which nobody answers, and its own.
 */
#include "server/admin_socket.h"

#include "base/error.h"
#include "net/address.h"
#include "server/admin_address.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Those who come in one moment; whoever serves them takes milliseconds. */
enum { ADMIN_SOCKET_BACKLOG = 64 };

/* Until it belongs to whom it shall, and then. */
enum { ADMIN_SOCKET_MODE_CLOSED = 0600, ADMIN_SOCKET_MODE = 0660 };

static const char *admin_socket_path(const struct admin_address *address)
{
    return ((const struct sockaddr_un *)&address->socket)->sun_path;
}

static enum certpost_status admin_socket_make(const struct admin_address *address, int *ret_made,
                                              struct certpost_error *error)
{
    int made = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot make the admin socket");
    *ret_made = made;
    return CERTPOST_OK;
}

/* What connecting says about who is there: 0 for somebody, else the reason why not. */
static enum certpost_status admin_socket_ask(const struct admin_address *address, int *ret_errno,
                                             struct certpost_error *error)
{
    int asking = -1;
    enum certpost_status status = admin_socket_make(address, &asking, error);
    if (status != CERTPOST_OK)
        return status;
    int failed = connect(asking, (const struct sockaddr *)&address->socket, address->length) == 0
                     ? 0
                     : errno;
    close(asking);
    /* Somebody is there, with many who wait. */
    *ret_errno = failed == EAGAIN ? 0 : failed;
    return CERTPOST_OK;
}

static enum certpost_status admin_socket_cannot_listen(const char *path, int system_errno,
                                                       struct certpost_error *error)
{
    return error_set_errno(error, CERTPOST_SYSTEM, system_errno,
                           "cannot listen at the admin socket %s", path);
}

static enum certpost_status admin_socket_is_taken(const char *path, struct certpost_error *error)
{
    return error_set(error, CERTPOST_SYSTEM,
                     "cannot listen at the admin socket %s: something else is there, which is no "
                     "socket",
                     path);
}

/* A server that was killed leaves its socket behind, and nothing can listen there any more. */
static enum certpost_status admin_socket_remove_stale(const struct admin_address *address,
                                                      struct certpost_error *error)
{
    const char *path = admin_socket_path(address);
    struct stat found;
    int failed = 0;
    if (lstat(path, &found) != 0)
        return CERTPOST_OK; /* what it is that is wrong, bind will say */
    if (!S_ISSOCK(found.st_mode))
        return admin_socket_is_taken(path, error);
    enum certpost_status status = admin_socket_ask(address, &failed, error);
    if (status != CERTPOST_OK)
        return status;
    if (failed == 0)
        return error_set(error, CERTPOST_SYSTEM,
                         "cannot listen at the admin socket %s: another program answers there",
                         path);
    if (failed != ECONNREFUSED || unlink(path) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, failed != ECONNREFUSED ? failed : errno,
                               "cannot replace the admin socket %s", path);
    return CERTPOST_OK;
}

/*
 * The mode of the descriptor is the mode that bind gives the file, less the umask: closed to all
 * others until it has its owner.
 */
static enum certpost_status admin_socket_bind_unix(int made, const struct admin_address *address,
                                                   const struct admin_socket_owner *owner,
                                                   struct certpost_error *error)
{
    const char *path = admin_socket_path(address);
    enum certpost_status status = admin_socket_remove_stale(address, error);
    if (status != CERTPOST_OK)
        return status;
    if (fchmod(made, ADMIN_SOCKET_MODE_CLOSED) != 0 ||
        bind(made, (const struct sockaddr *)&address->socket, address->length) != 0)
        return admin_socket_cannot_listen(path, errno, error);
    if ((owner != NULL && lchown(path, owner->uid, owner->gid) != 0) ||
        chmod(path, ADMIN_SOCKET_MODE) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno,
                               "cannot give the admin socket %s its owner and mode", path);
    return CERTPOST_OK;
}

static enum certpost_status admin_socket_bind_tcp(int made, const char *text,
                                                  const struct admin_address *address,
                                                  struct certpost_error *error)
{
    int on = 1;
    if (setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(made, (const struct sockaddr *)&address->socket, address->length) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno,
                               "cannot listen at the admin address %s", text);
    return CERTPOST_OK;
}

static void admin_socket_name(struct admin_socket *made, const struct admin_address *address)
{
    if (made->is_unix) {
        snprintf(made->text, sizeof made->text, "unix:%s", admin_socket_path(address));
        return;
    }
    struct sockaddr_storage bound = address->socket;
    socklen_t length = sizeof bound;
    char text[TEXT_ENDPOINT_BYTES];
    (void)getsockname(made->descriptor, (struct sockaddr *)&bound, &length);
    net_address_format((const struct sockaddr *)&bound, text);
    snprintf(made->text, sizeof made->text, "%s", text);
}

/* A file that cannot be looked at is not removed later. */
static void admin_socket_note_file(struct admin_socket *made, const struct admin_address *address)
{
    struct stat found;
    if (!made->is_unix || lstat(admin_socket_path(address), &found) != 0)
        return;
    made->device = found.st_dev;
    made->inode = found.st_ino;
}

void admin_socket_remove(const struct admin_socket *made)
{
    const char *path = made->text + strlen(ADMIN_UNIX_PREFIX);
    struct stat found;
    if (made->is_unix && made->inode != 0 && lstat(path, &found) == 0 && S_ISSOCK(found.st_mode) &&
        found.st_dev == made->device && found.st_ino == made->inode)
        (void)unlink(path);
}

enum certpost_status admin_socket_open(const char *text, const struct admin_socket_owner *owner,
                                       struct admin_socket *ret_socket,
                                       struct certpost_error *error)
{
    struct admin_address address;
    struct admin_socket made = {.descriptor = -1};
    enum certpost_status status = admin_address_parse(text, &address, error);
    if (status == CERTPOST_OK)
        status = admin_socket_make(&address, &made.descriptor, error);
    if (status != CERTPOST_OK)
        return status;
    made.is_unix = address.socket.ss_family == AF_UNIX;
    status = made.is_unix ? admin_socket_bind_unix(made.descriptor, &address, owner, error)
                          : admin_socket_bind_tcp(made.descriptor, text, &address, error);
    if (status == CERTPOST_OK && listen(made.descriptor, ADMIN_SOCKET_BACKLOG) != 0)
        status = error_set_errno(error, CERTPOST_SYSTEM, errno,
                                 "cannot listen at the admin address %s", text);
    if (status != CERTPOST_OK) {
        close(made.descriptor);
        return status;
    }
    admin_socket_name(&made, &address);
    admin_socket_note_file(&made, &address);
    *ret_socket = made;
    return CERTPOST_OK;
}

static void admin_socket_folder(const char *path, char ret_folder[sizeof(struct sockaddr_un)])
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        snprintf(ret_folder, sizeof(struct sockaddr_un), ".");
    else
        snprintf(ret_folder, sizeof(struct sockaddr_un), "%.*s",
                 slash == path ? 1 : (int)(slash - path), path);
}

/* What is there, and where it would be: one of the two is to be had. */
static enum certpost_status admin_socket_check_path(const char *path, struct certpost_error *error)
{
    struct stat found;
    char folder[sizeof(struct sockaddr_un)];
    if (lstat(path, &found) == 0)
        return S_ISSOCK(found.st_mode) ? CERTPOST_OK : admin_socket_is_taken(path, error);
    if (errno != ENOENT)
        return admin_socket_cannot_listen(path, errno, error);
    admin_socket_folder(path, folder);
    return stat(folder, &found) == 0 ? CERTPOST_OK : admin_socket_cannot_listen(path, errno, error);
}

enum certpost_status admin_socket_check(const char *text, struct certpost_error *error)
{
    struct admin_address address;
    enum certpost_status status = admin_address_parse(text, &address, error);
    if (status != CERTPOST_OK || address.socket.ss_family != AF_UNIX)
        return status;
    return admin_socket_check_path(admin_socket_path(&address), error);
}

bool admin_socket_own_folder(const char *text, char ret_folder[sizeof(struct sockaddr_un)])
{
    if (strncmp(text, ADMIN_UNIX_PREFIX, strlen(ADMIN_UNIX_PREFIX)) != 0)
        return false;
    admin_socket_folder(text + strlen(ADMIN_UNIX_PREFIX), ret_folder);
    DIR *folder = opendir(ret_folder);
    if (folder == NULL)
        return false;
    size_t count = 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count == 3; /* "." and "..", and the socket */
}
