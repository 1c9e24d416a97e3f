/* tls/file.h — a whole file into memory, with words that fit the kind of file. */
#ifndef TLS_FILE_H
#define TLS_FILE_H

#include "base/buffer.h"

#include "certpost/error.h"

/*
 * Appends all of `path` to `buffer`, whose maximum bounds it. `kind` ("CRL file") names it in the
 * words; a failure, also an empty file, comes as `failure`, or as NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_file_load(const char *path, const char *kind, enum certpost_status failure,
                                   struct buffer *buffer, struct certpost_error *error);

#endif
