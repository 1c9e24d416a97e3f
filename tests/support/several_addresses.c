/*
 * several_addresses.c — a name with several addresses, where there is no name server.
 *
 * Preloaded into certpost (LD_PRELOAD). getaddrinfo answers for the name several.example with the
 * addresses of the environment variable SEVERAL_ADDRESSES, separated by spaces, in their order; for
 * all other names as always.
 *
 * Uses: libc.  Used by: tests/integration/test_check.py.  Never: part of a product.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*resolve_function)(const char *, const char *, const struct addrinfo *,
                                struct addrinfo **);

static int resolve_for_real(const char *name, const char *service, const struct addrinfo *hints,
                            struct addrinfo **ret_addresses)
{
    /* The one conversion that POSIX promises and ISO C does not. */
    union {
        void *object;
        resolve_function function;
    } found = {.object = dlsym(RTLD_NEXT, "getaddrinfo")};
    return found.object == NULL ? EAI_FAIL : found.function(name, service, hints, ret_addresses);
}

/* In a list of libc's, each entry is freed by itself: lists can be joined. */
static int resolve_several(const char *addresses, const char *service, const struct addrinfo *hints,
                           struct addrinfo **ret_addresses)
{
    struct addrinfo *first = NULL;
    struct addrinfo **end = &first;
    int code = 0;
    while (code == 0 && *addresses != '\0') {
        char one[64];
        size_t length = strcspn(addresses, " ");
        snprintf(one, sizeof one, "%.*s", (int)length, addresses);
        addresses += length + strspn(addresses + length, " ");
        code = resolve_for_real(one, service, hints, end);
        while (code == 0 && *end != NULL)
            end = &(*end)->ai_next;
    }
    if (code == 0)
        *ret_addresses = first;
    else if (first != NULL)
        freeaddrinfo(first);
    return code;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_addresses)
{
    const char *addresses = getenv("SEVERAL_ADDRESSES");
    bool is_ours = addresses != NULL && name != NULL && strcmp(name, "several.example") == 0;
    if (!is_ours || (hints->ai_flags & AI_NUMERICHOST) != 0)
        return resolve_for_real(name, service, hints, ret_addresses);
    return resolve_several(addresses, service, hints, ret_addresses);
}
