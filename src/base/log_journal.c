/*
 * log_journal.c — is the journal listening? (base/log.h)
 *
 * Uses: libc.  Used by: whoever chooses the form of the log.
 * Never: talks to the journal; it reads lines from the descriptor like everybody else.
 *
 * systemd sets JOURNAL_STREAM to "device:inode" of the socket that it has put on standard output
 * and error. The variable is inherited by processes whose output went elsewhere meanwhile, so only
 * a descriptor that still is this socket counts.
 */
#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool log_is_journal(int descriptor)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char device_text[24];
    uint64_t device = 0;
    uint64_t inode = 0;
    struct stat found;
    if (stream == NULL || fstat(descriptor, &found) != 0)
        return false;
    size_t device_length = strcspn(stream, ":");
    if (stream[device_length] != ':' || device_length >= sizeof device_text)
        return false;
    memcpy(device_text, stream, device_length);
    device_text[device_length] = '\0';
    return text_parse_u64(device_text, UINT64_MAX, &device) &&
           text_parse_u64(stream + device_length + 1, UINT64_MAX, &inode) &&
           device == (uint64_t)found.st_dev && inode == (uint64_t)found.st_ino;
}
