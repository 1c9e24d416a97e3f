/* fuzz/fuzz.c — see the header. */
#include "fuzz/fuzz.h"

#include "base/text.h"
#include "support/fault_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The linker's name for what support/fault_memory.c replaces. */
void *__real_malloc(size_t size);

_Noreturn void fuzz_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

uint8_t fuzz_u8(struct cursor *script)
{
    uint8_t value = 0;
    return cursor_read_u8(script, &value) ? value : 0;
}

uint16_t fuzz_u16(struct cursor *script)
{
    uint16_t value = 0;
    if (cursor_read_u16(script, &value))
        return value;
    script->left_bytes =
        0; /* a rest that is too short is the end, and not for ever in front of it */
    return 0;
}

uint64_t fuzz_u64(struct cursor *script)
{
    uint64_t value = 0;
    if (cursor_read_u64(script, &value))
        return value;
    script->left_bytes =
        0; /* a rest that is too short is the end, and not for ever in front of it */
    return 0;
}

size_t fuzz_take(struct cursor *script, size_t length, const uint8_t **ret_bytes)
{
    size_t taken = length < script->left_bytes ? length : script->left_bytes;
    FUZZ_CHECK(cursor_take(script, taken, ret_bytes));
    return taken;
}

uint8_t *fuzz_copy(const void *bytes, size_t length)
{
    uint8_t *copy = __real_malloc(length);
    FUZZ_CHECK(copy != NULL || length == 0);
    if (length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

char *fuzz_text(const void *bytes, size_t length)
{
    const char *nul = length > 0 ? memchr(bytes, '\0', length) : NULL;
    size_t used = nul != NULL ? (size_t)(nul - (const char *)bytes) : length;
    char *text = __real_malloc(used + 1);
    FUZZ_CHECK(text != NULL);
    if (used > 0)
        memcpy(text, bytes, used);
    text[used] = '\0';
    return text;
}

void fuzz_arm_memory(struct cursor *script)
{
    uint8_t at = fuzz_u8(script);
    if (at > 0)
        fault_memory_arm(at);
}

bool fuzz_heal_memory(void)
{
    return fault_memory_heal();
}

const char *fuzz_file(const void *bytes, size_t length)
{
    static int descriptor = -1;
    static char path[64];
    if (descriptor < 0) {
        descriptor = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    }
    FUZZ_CHECK(descriptor >= 0 && ftruncate(descriptor, 0) == 0);
    FUZZ_CHECK(length == 0 || pwrite(descriptor, bytes, length, 0) == (ssize_t)length);
    return path;
}

void fuzz_check_error(enum certpost_status status, const struct certpost_error *error)
{
    if (status == CERTPOST_OK) {
        FUZZ_CHECK(error->status == CERTPOST_OK);
        return;
    }
    FUZZ_CHECK(error->status == status);
    const unsigned char *next = (const unsigned char *)error->text;
    size_t left = strnlen(error->text, sizeof error->text);
    FUZZ_CHECK(left > 0 && left < sizeof error->text);
    while (left > 0) {
        size_t taken = text_utf8_length(next, left);
        FUZZ_CHECK(taken > 0);
        FUZZ_CHECK(*next >= ' ' && *next != 0x7f);
        next += taken;
        left -= taken;
    }
}
