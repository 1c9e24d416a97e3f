/*
 * open_store.c — the store that the configuration names (server/open_store.h).
 *
 * Uses: store.  Used by: server.c, main.c.
 * Never: decides what the store may do; the sandbox has been told before (rights.c).
 */
#include "server/open_store.h"

#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without a store on disk: of so many streams is remembered how far they came. */
enum { OPEN_STORE_REMEMBERED_STREAMS = 100 * 1000 };

enum store_level open_store_level(const struct server_config *config)
{
    return config->store != NULL ? STORE_LEVEL_STORED : STORE_LEVEL_ACCEPTED;
}

enum certpost_status open_store(const struct server_config *config, struct store **ret_store,
                                struct certpost_error *error)
{
    if (config->store == NULL)
        return store_open_memory(OPEN_STORE_REMEMBERED_STREAMS, ret_store, error);
    return store_open_sqlite(config->store, NULL, ret_store, error);
}

static enum certpost_status open_store_check_folder(const char *path, struct certpost_error *error)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    struct stat found;
    if (length >= sizeof folder)
        return error_set(error, CERTPOST_STORE, "store %s: the path is too long", path);
    if (slash != NULL)
        memcpy(folder, path, length);
    folder[length] = '\0';
    if (stat(folder, &found) != 0)
        return error_set_errno(error, CERTPOST_STORE, errno, "store %s: its folder %s", path,
                               folder);
    if (!S_ISDIR(found.st_mode))
        return error_set(error, CERTPOST_STORE, "store %s: %s is not a folder", path, folder);
    return CERTPOST_OK;
}

enum certpost_status open_store_check(const struct server_config *config,
                                      struct certpost_error *error)
{
    struct stat found;
    if (config->store == NULL)
        return CERTPOST_OK;
    enum certpost_status status = open_store_check_folder(config->store, error);
    if (status == CERTPOST_OK && stat(config->store, &found) == 0 && !S_ISREG(found.st_mode))
        status = error_set(error, CERTPOST_STORE, "store %s: it is not a file", config->store);
    return status;
}
