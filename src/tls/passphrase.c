/*
 * passphrase.c — the passphrase of encrypted keys (tls/passphrase.h).
 *
 * Uses: base, OpenSSL (wiping).  Used by: material.c, server_material.c.
 * Never: asks a terminal, or leaves a copy behind.
 */
#include "tls/passphrase.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

/* Reads until the first line is complete, the room is used up, or the file ends. */
static enum certpost_status passphrase_fill(int descriptor, struct tls_passphrase *passphrase,
                                            struct certpost_error *error)
{
    while (passphrase->length < sizeof passphrase->bytes &&
           memchr(passphrase->bytes, '\n', passphrase->length) == NULL) {
        ssize_t got = read(descriptor, passphrase->bytes + passphrase->length,
                           sizeof passphrase->bytes - passphrase->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, CERTPOST_OWN_CERTIFICATE, errno,
                                   "cannot read the passphrase file %s", passphrase->path);
        if (got == 0)
            break;
        passphrase->length += (size_t)got;
    }
    return CERTPOST_OK;
}

static enum certpost_status passphrase_cut_line(struct tls_passphrase *passphrase,
                                                struct certpost_error *error)
{
    const char *end = memchr(passphrase->bytes, '\n', passphrase->length);
    if (end == NULL && passphrase->length == sizeof passphrase->bytes)
        return error_set(error, CERTPOST_OWN_CERTIFICATE,
                         "the first line of the passphrase file %s is too long; a passphrase has "
                         "less than %d bytes",
                         passphrase->path, TLS_PASSPHRASE_MAX_BYTES);
    size_t length = end == NULL ? passphrase->length : (size_t)(end - passphrase->bytes);
    if (length > 0 && passphrase->bytes[length - 1] == '\r')
        length--;
    OPENSSL_cleanse(passphrase->bytes + length, sizeof passphrase->bytes - length);
    passphrase->length = length;
    if (length == 0)
        return error_set(error, CERTPOST_OWN_CERTIFICATE,
                         "the first line of the passphrase file %s is empty", passphrase->path);
    return CERTPOST_OK;
}

enum certpost_status tls_passphrase_load(const char *path, struct tls_passphrase *ret_passphrase,
                                         struct certpost_error *error)
{
    *ret_passphrase = (struct tls_passphrase){.path = path};
    /* O_NONBLOCK: a named pipe without a writer must not hang the start. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return error_set_errno(error, CERTPOST_OWN_CERTIFICATE, errno,
                               "cannot open the passphrase file %s", path);
    enum certpost_status status = passphrase_fill(descriptor, ret_passphrase, error);
    close(descriptor);
    if (status == CERTPOST_OK)
        status = passphrase_cut_line(ret_passphrase, error);
    return status;
}

void tls_passphrase_wipe(struct tls_passphrase *passphrase)
{
    if (passphrase != NULL)
        OPENSSL_cleanse(passphrase, sizeof *passphrase);
}

int tls_passphrase_answer(char *ret_bytes, int capacity, int writing, void *argument)
{
    struct tls_passphrase_request *request = argument;
    const struct tls_passphrase *passphrase = request->passphrase;
    (void)writing;
    request->asked = true;
    if (passphrase == NULL || passphrase->path == NULL || capacity < 0 ||
        passphrase->length > (size_t)capacity)
        return -1;
    memcpy(ret_bytes, passphrase->bytes, passphrase->length);
    return (int)passphrase->length;
}
