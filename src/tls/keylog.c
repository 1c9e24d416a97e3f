/*
 * keylog.c — OpenSSL's key log into a file (tls/keylog.h).
 *
 * Uses: base, OpenSSL.  Used by: agent, client.
 * Never: reads the environment; whether secrets may be logged is the caller's to decide.
 */
#include "tls/keylog.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void keylog_write(const SSL *ssl, const char *line)
{
    FILE *file = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (file != NULL) {
        fprintf(file, "%s\n", line);
        fflush(file);
    }
}

enum certpost_status tls_keylog_open(SSL_CTX *context, const char *path, FILE **ret_file,
                                     struct certpost_error *error)
{
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "a");
    if (file == NULL) {
        int open_errno = errno;
        if (descriptor >= 0)
            close(descriptor);
        return error_set_errno(error, CERTPOST_LOCAL_IO, open_errno, "cannot open the key log %s",
                               path);
    }
    SSL_CTX_set_app_data(context, file);
    SSL_CTX_set_keylog_callback(context, keylog_write);
    *ret_file = file;
    return CERTPOST_OK;
}
