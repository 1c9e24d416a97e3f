/*
 * run_restricted.c — runs a program as systemd would with the seccomp half of a hardened unit:
 *
 *     run_restricted CALLS PROGRAM [ARGUMENT…] with the names of the calls that are allowed, one a
 *     line, in the file CALLS.
 *
 * What is not allowed is refused with EPERM (SystemCallErrorNumber=EPERM); memory cannot be made
 * executable (MemoryDenyWriteExecute=); sockets are of AF_UNIX, AF_INET and AF_INET6 only
 * (RestrictAddressFamilies=).
 *
 * Uses: libseccomp.  Used by: tests/integration/test_units.py.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALL_NAME_BYTES = 128 };

static void check(int failed, const char *what)
{
    if (failed == 0)
        return;
    fprintf(stderr, "run_restricted: %s: %s\n", what, strerror(failed < 0 ? -failed : failed));
    exit(EXIT_FAILURE);
}

static void forbid(scmp_filter_ctx filter, const char *call, unsigned argument, scmp_datum_t bits)
{
    struct scmp_arg_cmp comparison = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, bits, bits);
    check(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(call),
                                 1, &comparison),
          call);
}

static void forbid_family(scmp_filter_ctx filter, unsigned from, unsigned to)
{
    for (unsigned family = from; family <= to; family++) {
        struct scmp_arg_cmp comparison = SCMP_CMP(0, SCMP_CMP_EQ, family, 0);
        check(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT),
                                     seccomp_syscall_resolve_name("socket"), 1, &comparison),
              "socket");
    }
}

static void restrict_arguments(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    check(filter == NULL ? ENOMEM : 0, "seccomp_init");
    forbid(filter, "mmap", 2, PROT_EXEC | PROT_WRITE);
    forbid(filter, "mprotect", 2, PROT_EXEC);
    forbid(filter, "pkey_mprotect", 2, PROT_EXEC);
    forbid_family(filter, AF_UNIX + 1, AF_INET - 1);
    forbid_family(filter, AF_INET + 1, AF_INET6 - 1);
    forbid_family(filter, AF_INET6 + 1, AF_MAX);
    check(seccomp_load(filter), "seccomp_load");
    seccomp_release(filter);
}

static void restrict_calls(const char *path)
{
    char name[CALL_NAME_BYTES];
    FILE *names = fopen(path, "r");
    check(names == NULL ? errno : 0, path);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    check(filter == NULL ? ENOMEM : 0, "seccomp_init");
    while (fgets(name, sizeof name, names) != NULL) {
        name[strcspn(name, "\n")] = '\0';
        int number = seccomp_syscall_resolve_name(name);
        if (number != __NR_SCMP_ERROR) /* of another machine's */
            check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0), name);
    }
    check(fclose(names), path);
    check(seccomp_load(filter), "seccomp_load");
    seccomp_release(filter);
}

int main(int argc, char **argv)
{
    check(argc < 3 ? EINVAL : 0, "usage: run_restricted CALLS PROGRAM [ARGUMENT...]");
    restrict_arguments();
    restrict_calls(argv[1]);
    (void)execv(argv[2], argv + 2);
    check(errno, argv[2]);
    return EXIT_FAILURE;
}
