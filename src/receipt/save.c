/*
 * save.c — keeps the receipt that a server has sent (receipt/save.h).
 *
 * A receipt that is not for what was just sent must not be kept: years later it would look like
 * one that is. So it is checked first, against what this side knows.
 *
 * Uses: file.  Used by: the client's agent.
 * Never: leaves half a file, or a file whose name is not on the disk.
 */
#include "receipt/save.h"

#include "base/error.h"
#include "base/text.h"
#include "receipt/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for a path in a message; a longer one is cut. */
enum { SAVE_PATH_TEXT_BYTES = 400 };

static enum certpost_status save_failed(const char *path, int system_errno,
                                        struct certpost_error *error)
{
    char safe[SAVE_PATH_TEXT_BYTES];
    text_escape(path, strlen(path), safe, sizeof safe);
    return error_set_errno(error, CERTPOST_LOCAL_IO, system_errno, "cannot write the receipt %s",
                           safe);
}

/* 0, or the errno of the call that failed. */
static int save_write_all(int descriptor, const struct buffer *file)
{
    const unsigned char *next = buffer_bytes(file);
    size_t left = file->length;
    while (left > 0) {
        ssize_t written = write(descriptor, next, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        next += written;
        left -= (size_t)written;
    }
    return 0;
}

static int save_folder(const char *path, char ret_folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    if (length >= PATH_MAX)
        return ENAMETOOLONG;
    if (slash == path)
        length = 1;
    (void)snprintf(ret_folder, PATH_MAX, "%.*s", slash == NULL ? 1 : (int)length,
                   slash == NULL ? "." : path);
    return 0;
}

/* A name in a folder is on the disk when the folder is. */
static int save_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    int failed = save_folder(path, folder);
    int descriptor = failed == 0 ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return failed != 0 ? failed : errno;
    failed = fsync(descriptor) != 0 ? errno : 0;
    close(descriptor);
    return failed;
}

/* Not mkstemp: its mode is 0600, and a library must not ask for the umask, which is the process's.
 */
static int save_make_fresh(const char *path, char ret_fresh[PATH_MAX], int *ret_descriptor)
{
    unsigned char random[8];
    char suffix[2 * sizeof random + 1];
    if (RAND_bytes(random, sizeof random) != 1)
        return EIO;
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(suffix + 2 * i, 3, "%02x", (unsigned)random[i]);
    int length = snprintf(ret_fresh, PATH_MAX, "%s.%s", path, suffix);
    if (length < 0 || length >= PATH_MAX)
        return ENAMETOOLONG;
    int descriptor = open(ret_fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return errno;
    *ret_descriptor = descriptor;
    return 0;
}

/* A new file beside it takes its place. */
static int save_replace(const char *path, const struct buffer *file)
{
    char fresh[PATH_MAX];
    int descriptor = -1;
    int failed = save_make_fresh(path, fresh, &descriptor);
    if (failed != 0)
        return failed;
    failed = save_write_all(descriptor, file);
    if (failed == 0 && fsync(descriptor) != 0)
        failed = errno;
    if (close(descriptor) != 0 && failed == 0)
        failed = errno;
    if (failed == 0 && rename(fresh, path) != 0)
        failed = errno;
    if (failed != 0)
        (void)unlink(fresh);
    return failed == 0 ? save_sync_folder(path) : failed;
}

/* Something that is no file and that nobody would want replaced. */
static int save_write_to(const char *path, const struct buffer *file)
{
    int descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0)
        return errno;
    int failed = save_write_all(descriptor, file);
    if (close(descriptor) != 0 && failed == 0)
        failed = errno;
    return failed;
}

static enum certpost_status save_file(const char *path, const struct buffer *file,
                                      struct certpost_error *error)
{
    struct stat about;
    int failed = 0;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        failed = save_write_to(path, file);
    else
        failed = save_replace(path, file);
    return failed == 0 ? CERTPOST_OK : save_failed(path, failed, error);
}

enum certpost_status receipt_save_check(const char *path, struct certpost_error *error)
{
    struct stat about;
    char folder[PATH_MAX];
    bool exists = stat(path, &about) == 0;
    int failed = exists && S_ISDIR(about.st_mode) ? EISDIR : save_folder(path, folder);
    bool replaces = !exists || S_ISREG(about.st_mode);
    if (failed == 0 && access(replaces ? folder : path, replaces ? W_OK | X_OK : W_OK) != 0)
        failed = errno;
    return failed == 0 ? CERTPOST_OK : save_failed(path, failed, error);
}

enum certpost_status receipt_save(const char *path, const struct message_receipt *answer,
                                  const struct receipt_expectation *expected,
                                  struct certpost_error *error)
{
    struct receipt receipt = {0};
    struct buffer file;
    buffer_init(&file, RECEIPT_FILE_MAX_BYTES);
    enum certpost_status status =
        receipt_from_fields(answer->statement.bytes, answer->statement.length,
                            answer->signature.bytes, answer->signature.length, &receipt, error);
    if (status == CERTPOST_OK)
        status = receipt_check_expected(&receipt, expected, error);
    if (status == CERTPOST_OK) {
        status = receipt_file_append(&file, answer->statement.bytes, answer->statement.length,
                                     answer->signature.bytes, answer->signature.length,
                                     receipt_signature_micalg(receipt.signature));
        status = status == CERTPOST_OK ? save_file(path, &file, error) : error_no_memory(error);
    }
    buffer_free(&file);
    receipt_free(&receipt);
    return status;
}
