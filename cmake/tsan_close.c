/*
 * tsan_close.c — lets the thread sanitizer see which descriptors libuv closes. Part of every
 * program built with it, and of no other.
 *
 * libuv closes by syscall(SYS_close), which the sanitizer does not follow: to it, the next file of
 * the same number is still the old one, and whoever opens it races with those who used the old one.
 * The symbol of an executable comes before the C library's, so libuv calls this.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef long system_call(long number, ...);

static system_call *find_system_call(void)
{
    static system_call *_Atomic known;
    system_call *found = atomic_load(&known);
    if (found != NULL)
        return found;
    void *next = dlsym(RTLD_NEXT, "syscall");
    if (next == NULL)
        abort();
    memcpy(&found, &next, sizeof found);
    atomic_store(&known, found);
    return found;
}

__attribute__((visibility("default"))) long syscall(long number, ...)
{
    enum { ARGUMENTS = 6 };
    long arguments[ARGUMENTS];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < ARGUMENTS; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_close)
        return close((int)arguments[0]);
    return find_system_call()(number, arguments[0], arguments[1], arguments[2], arguments[3],
                              arguments[4], arguments[5]);
}
