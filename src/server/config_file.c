/*
 * config_file.c — reading configuration files: the one that is named, and conf.d beside it
 * (server/config_file.h).
 *
 * Uses: base.  Used by: config.c, rights.c.
 * Never: looks at what is in a file, but for a NUL.
 */
#include "server/config_file.h"

#include "base/clock.h"
#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { CONFIG_READ_BYTES = 64 * 1024 };

/* So long may a pipe be silent: a reload waits on the thread that takes the signals. */
enum { CONFIG_PIPE_WAIT_MS = 30 * 1000 };

/* Of statfs(2): where pipes without a name are. */
#define CONFIG_PIPES_MAGIC 0x50495045

#define CONFIG_PARTS_FOLDER "conf.d"
#define CONFIG_PARTS_SUFFIX ".conf"

void config_files_free(struct config_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        buffer_free(&files->items[i].text);
    }
    free(files->items);
    *files = (struct config_files){0};
}

/* ------------------------------------------------------------------------------ one file */

/* `path` is taken over. */
static enum certpost_status config_files_add(struct config_files *files, char *path,
                                             struct certpost_error *error)
{
    size_t used = 0;
    for (size_t i = 0; i < files->count; i++)
        used += files->items[i].text.length;
    struct config_file *items =
        path == NULL ? NULL : reallocarray(files->items, files->count + 1, sizeof *items);
    if (items == NULL) {
        free(path);
        return error_no_memory(error);
    }
    files->items = items;
    items[files->count].path = path;
    size_t left = used < CONFIG_FILES_MAX_BYTES ? CONFIG_FILES_MAX_BYTES - used : 0;
    buffer_init(&items[files->count].text, left + CONFIG_READ_BYTES);
    files->count++;
    return CERTPOST_OK;
}

static enum certpost_status config_cannot_read(const char *path, int system_errno,
                                               struct certpost_error *error)
{
    return error_set_errno(error, CERTPOST_LOCAL_IO, system_errno, "cannot read configuration %s",
                           path);
}

/* Returns once there is something to read, or the end. */
static enum certpost_status config_wait_for_pipe(int descriptor, const char *path,
                                                 struct certpost_error *error)
{
    struct pollfd waited = {.fd = descriptor, .events = POLLIN};
    int64_t deadline_ms = clock_deadline_ms(CONFIG_PIPE_WAIT_MS);
    int ready = 0;
    do {
        ready = poll(&waited, 1, clock_poll_timeout_ms(deadline_ms));
    } while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return config_cannot_read(path, errno, error);
    if (ready == 0)
        return error_set(error, CERTPOST_LOCAL_IO,
                         "configuration %s: nothing has come out of the pipe for %d s", path,
                         CONFIG_PIPE_WAIT_MS / 1000);
    return CERTPOST_OK;
}

static enum certpost_status config_read_all(int descriptor, bool is_pipe, struct config_file *file,
                                            struct certpost_error *error)
{
    ssize_t got = 1;
    while (got > 0) {
        unsigned char *tail = NULL;
        enum certpost_status status = buffer_reserve(&file->text, CONFIG_READ_BYTES, &tail);
        if (status == CERTPOST_NO_MEMORY)
            return error_no_memory(error);
        if (status != CERTPOST_OK)
            return error_set(error, CERTPOST_LOCAL_IO,
                             "configuration %s is too large: at most %d MiB, all files together",
                             file->path, CONFIG_FILES_MAX_BYTES / 1024 / 1024);
        if (is_pipe)
            status = config_wait_for_pipe(descriptor, file->path, error);
        if (status != CERTPOST_OK)
            return status;
        got = read(descriptor, tail, CONFIG_READ_BYTES);
        if (got < 0)
            return config_cannot_read(file->path, errno, error);
        buffer_commit(&file->text, (size_t)got);
    }
    return CERTPOST_OK;
}

/* `<(command)` and standard input; not a FIFO, for which nobody may ever open the other end. */
static bool config_is_nameless_pipe(int descriptor, const struct stat *about)
{
    struct statfs system;
    return S_ISFIFO(about->st_mode) && fstatfs(descriptor, &system) == 0 &&
           system.f_type == CONFIG_PIPES_MAGIC;
}

/* A regular file, or a pipe that the command line names. */
static enum certpost_status config_check_kind(int descriptor, const char *path, bool is_part,
                                              bool *ret_is_pipe, struct certpost_error *error)
{
    struct stat about;
    if (fstat(descriptor, &about) != 0)
        return config_cannot_read(path, errno, error);
    *ret_is_pipe = !is_part && config_is_nameless_pipe(descriptor, &about);
    if (S_ISREG(about.st_mode) || *ret_is_pipe)
        return CERTPOST_OK;
    if (S_ISDIR(about.st_mode))
        return config_cannot_read(path, EISDIR, error);
    return error_set(error, CERTPOST_LOCAL_IO, "configuration %s is not a regular file", path);
}

/* The text of the last file, ended by a NUL. */
static enum certpost_status config_file_read(struct config_file *file, bool is_part,
                                             struct certpost_error *error)
{
    bool is_pipe = false;
    int descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return config_cannot_read(file->path, errno, error);
    enum certpost_status status =
        config_check_kind(descriptor, file->path, is_part, &is_pipe, error);
    if (status == CERTPOST_OK)
        status = config_read_all(descriptor, is_pipe, file, error);
    close(descriptor);
    if (status != CERTPOST_OK)
        return status;
    if (is_pipe && file->text.length == 0)
        return error_set(error, CERTPOST_LOCAL_IO,
                         "configuration %s is a pipe that nothing comes out of; what was read once "
                         "cannot be read again",
                         file->path);
    if (memchr(buffer_bytes(&file->text), '\0', file->text.length) != NULL)
        return error_set(error, CERTPOST_USAGE, "configuration %s is not a text file", file->path);
    return buffer_append(&file->text, "", 1) == CERTPOST_OK ? CERTPOST_OK : error_no_memory(error);
}

/* `path` is taken over. */
static enum certpost_status config_file_apply(struct server_config *config, char *path,
                                              bool is_part, struct certpost_error *error)
{
    enum certpost_status status = config_files_add(&config->files, path, error);
    if (status == CERTPOST_OK)
        status = config_file_read(&config->files.items[config->files.count - 1], is_part, error);
    return status == CERTPOST_OK ? config_text_apply(config, error) : status;
}

/* ------------------------------------------------------------------------------ conf.d */

/* FOLDER/NAME, to be freed. */
static char *config_join(const char *folder, size_t length, const char *name)
{
    size_t name_length = strlen(name);
    char *path = malloc(length + 1 + name_length + 1);
    if (path == NULL)
        return NULL;
    memcpy(path, folder, length);
    path[length] = '/';
    memcpy(path + length + 1, name, name_length + 1);
    return path;
}

char *config_parts_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? strdup(CONFIG_PARTS_FOLDER)
                         : config_join(path, (size_t)(slash - path), CONFIG_PARTS_FOLDER);
}

struct config_parts {
    char *names[CONFIG_PARTS_MAX];
    size_t count;
};

static bool config_is_part(const char *name)
{
    size_t length = strlen(name);
    size_t suffix = strlen(CONFIG_PARTS_SUFFIX);
    return name[0] != '.' && length > suffix &&
           strcmp(name + length - suffix, CONFIG_PARTS_SUFFIX) == 0;
}

static enum certpost_status config_parts_list(DIR *folder, const char *path,
                                              struct config_parts *parts,
                                              struct certpost_error *error)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL && errno != 0)
            return config_cannot_read(path, errno, error);
        if (entry == NULL)
            return CERTPOST_OK;
        if (!config_is_part(entry->d_name))
            continue;
        if (parts->count >= CONFIG_PARTS_MAX)
            return error_set(error, CERTPOST_LOCAL_IO,
                             "configuration %s has more than %d files *" CONFIG_PARTS_SUFFIX, path,
                             CONFIG_PARTS_MAX);
        parts->names[parts->count] = strdup(entry->d_name);
        if (parts->names[parts->count] == NULL)
            return error_no_memory(error);
        parts->count++;
    }
}

static int config_compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static enum certpost_status config_parts_apply(struct server_config *config, const char *path,
                                               struct certpost_error *error)
{
    struct config_parts parts = {.count = 0};
    DIR *folder = opendir(path);
    if (folder == NULL && errno == ENOENT)
        return CERTPOST_OK;
    if (folder == NULL)
        return config_cannot_read(path, errno, error);
    enum certpost_status status = config_parts_list(folder, path, &parts, error);
    closedir(folder);
    qsort(parts.names, parts.count, sizeof parts.names[0], config_compare_names);
    for (size_t i = 0; i < parts.count && status == CERTPOST_OK; i++)
        status =
            config_file_apply(config, config_join(path, strlen(path), parts.names[i]), true, error);
    for (size_t i = 0; i < parts.count; i++)
        free(parts.names[i]);
    return status;
}

enum certpost_status config_files_apply(struct server_config *config, const char *path,
                                        struct certpost_error *error)
{
    enum certpost_status status = config_file_apply(config, strdup(path), false, error);
    if (status != CERTPOST_OK)
        return status;
    char *folder = config_parts_folder(path);
    status = folder == NULL ? error_no_memory(error) : config_parts_apply(config, folder, error);
    free(folder);
    return status;
}
