/*
 * server/print_sink.h — where messages go when there is no store: lines on standard output.
 */
#ifndef SERVER_PRINT_SINK_H
#define SERVER_PRINT_SINK_H

#include "base/buffer.h"

#include "certpost/error.h"

#include <stddef.h>

struct print_sink {
    int descriptor;
    struct buffer lines; /* gathered until print_sink_commit */
};

void print_sink_init(struct print_sink *sink, int descriptor);
void print_sink_free(struct print_sink *sink);

/* "PREFIX: TEXT", with everything in TEXT escaped. Errors: LOCAL_IO, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status print_sink_add(struct print_sink *sink, const char *prefix, const void *text,
                                    size_t length, struct certpost_error *error);

/* Drops what was gathered: it belongs to messages that are not acknowledged. */
void print_sink_discard(struct print_sink *sink);

/* Writes what was gathered, waiting for a slow reader. Errors: LOCAL_IO. */
CERTPOST_MUST_CHECK
enum certpost_status print_sink_commit(struct print_sink *sink, struct certpost_error *error);

#endif
