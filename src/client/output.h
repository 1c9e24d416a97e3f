/*
 * client/output.h — what `certpost` shows: results on standard output, the rest on standard error.
 *
 * Peer text is escaped here or was escaped before; each line leaves in one write.
 */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Makes sure that descriptors 0, 1 and 2 are taken, so that a socket never becomes somebody's
 * standard output; where one was closed, using it still fails. Call first in main.
 */
void output_claim_descriptors(void);

/* Prints `prefix`, the bytes escaped, and a newline on standard output. LOCAL_IO if it fails. */
CERTPOST_MUST_CHECK
enum certpost_status output_bytes(const char *prefix, const void *bytes, size_t length,
                                  struct certpost_error *error);

/* Flushes standard output after a help text or the like. LOCAL_IO if anything was not written. */
CERTPOST_MUST_CHECK
enum certpost_status output_finish(struct certpost_error *error);

/* Prints `print_help`'s text, or with `help` false the version. LOCAL_IO as output_finish. */
CERTPOST_MUST_CHECK
enum certpost_status output_about(bool help, void (*print_help)(FILE *out),
                                  struct certpost_error *error);

/* "certpost: …" and a newline on standard error; failures there have nowhere to go. */
void output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * A note about a failed call. `endpoint` (may be "") is put in front where the network or the peer
 * is at fault.
 */
void output_failure(const char *endpoint, enum certpost_status status,
                    const struct certpost_error *error);

/* Room for output_duration. */
#define OUTPUT_DURATION_BYTES 32

/* "500 ms", "10 s", "2 min": the largest unit that divides it. */
void output_duration(int64_t duration_ms, char ret_text[OUTPUT_DURATION_BYTES]);

#endif
