/*
 * receipt_save.c — keeps the receipt that a server has sent (client/receipt_save.h).
 *
 * A receipt that is not for what was just sent must not be kept: years later it would look like
 * one that is. So it is checked first, against what this side knows.
 *
 * Uses: receipt.  Used by: the sending agent.
 * Never: leaves half a file, or a file whose name is not on the disk.
 */
#include "client/receipt_save.h"

#include "base/error.h"
#include "base/text.h"
#include "receipt/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* A name in a folder is on the disk when the folder is. */
static int save_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    snprintf(folder, sizeof folder, "%.*s", (int)length, path);
    const char *name = slash == NULL ? "." : length == 0 ? "/" : folder;
    int descriptor = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return errno;
    int failed = fsync(descriptor) != 0 ? errno : 0;
    close(descriptor);
    return failed;
}

/* What a file that is made without ado may be read by. */
static mode_t save_mode(void)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    return 0666 & ~mask;
}

/* A new file beside it takes its place. */
static int save_replace(const char *path, const struct buffer *file)
{
    char fresh[PATH_MAX];
    int length = snprintf(fresh, sizeof fresh, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof fresh)
        return ENAMETOOLONG;
    int descriptor = mkostemp(fresh, O_CLOEXEC);
    if (descriptor < 0)
        return errno;
    int failed = save_write_all(descriptor, file);
    if (failed == 0 && (fchmod(descriptor, save_mode()) != 0 || fsync(descriptor) != 0))
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
    if (strcmp(path, "-") == 0)
        failed = save_write_all(STDOUT_FILENO, file);
    else if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        failed = save_write_to(path, file);
    else
        failed = save_replace(path, file);
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
