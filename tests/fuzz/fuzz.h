/*
 * fuzz/fuzz.h — what every harness includes.
 *
 * A harness is one function, LLVMFuzzerTestOneInput: it reads its input as a script, drives one
 * part of certpost with it, and checks what must hold whatever the input is. The same object is
 * linked twice: with libFuzzer into fuzz_NAME, and with replay.c into replay_NAME, which runs the
 * files of corpus/NAME as an ordinary test.
 *
 * A script never runs out: at the end of the input every number is 0 and all bytes are none.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/cursor.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold, in every build: ends the program with the place and the words. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(__FILE__, __LINE__, #condition);                                             \
    } while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *condition);

uint8_t fuzz_u8(struct cursor *script);
uint16_t fuzz_u16(struct cursor *script);
uint64_t fuzz_u64(struct cursor *script);

/* The next bytes, at most `length` of them and at most what is left; how many is returned. */
size_t fuzz_take(struct cursor *script, size_t length, const uint8_t **ret_bytes);

/*
 * Memory of just this size, so that a sanitizer sees a read behind it. fuzz_text adds a NUL, and
 * ends the text at the first NUL that is in it. These never fail. Free with free.
 */
uint8_t *fuzz_copy(const void *bytes, size_t length);
char *fuzz_text(const void *bytes, size_t length);

/*
 * The next byte n of the script makes the n-th allocation of ours from now on fail, once; 0: none.
 * fuzz_heal_memory ends that, and returns whether an allocation did fail.
 */
void fuzz_arm_memory(struct cursor *script);
bool fuzz_heal_memory(void);

/*
 * A file with these bytes, as a path that can be opened until the next call. The bytes are in
 * memory, not on a disk.
 */
const char *fuzz_file(const void *bytes, size_t length);

/*
 * A failure has words that fit on a terminal: some, valid UTF-8, no control characters. A success
 * has none.
 */
void fuzz_check_error(enum certpost_status status, const struct certpost_error *error);

#endif
