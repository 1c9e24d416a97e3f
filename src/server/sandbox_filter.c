/*
 * sandbox_filter.c — the seccomp half of the sandbox: which system calls there are
 * (server/sandbox.h).
 *
 * Uses: libseccomp.  Used by: sandbox.c.
 * Never: ends the process for a call.
 *
 * A list of what is allowed. The rest does not exist (ENOSYS): that is the answer for which libc,
 * libuv and OpenSSL have a second way, because old kernels give it, so a newer library than those
 * that this list was made with still works. What only an attacker would want is refused by name
 * (EPERM). Nothing is killed: a refused call gives an attacker as little as a dead process does,
 * and a forgotten call is then an error in one connection and not the end of all.
 */
#include "base/error.h"
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

/*
 * Sanitizers open, map, trace and start threads in ways of their own, and report by calls that a
 * server has no use for: a build with them is only refused what is refused by name.
 */
#ifdef CERTPOST_SANITIZED
enum { FILTER_IS_LIST_OF_ALLOWED = 0 };
#else
enum { FILTER_IS_LIST_OF_ALLOWED = 1 };
#endif

/* Calls that some machines or libraries do not know are left out there. */
static const char *const filter_allowed[] = {
    /* connections; they come from accept only */
    "accept",
    "accept4",
    "getpeername",
    "getsockname",
    "getsockopt",
    "recvfrom",
    "recvmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    /* the loop, and waking it */
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd2",
    "pipe2",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    /* files, as far as Landlock lets them be opened */
    "access",
    "close",
    "dup",
    "dup3",
    "faccessat",
    "faccessat2",
    "fcntl",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents64",
    "lseek",
    "lstat",
    "newfstatat",
    "open",
    "openat",
    "pread64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "stat",
    "statfs",
    "statx",
    "write",
    "writev",
    /* the store: writing, locking, forcing to the disk */
    "fchmod",
    "fchown",
    "fdatasync",
    "flock",
    "fsync",
    "ftruncate",
    "pwrite64",
    "unlink",
    "unlinkat",
    /* memory; never executable, see below */
    "brk",
    "madvise",
    "mremap",
    "munmap",
    /* threads and their signals; starting one, see below */
    "exit",
    "exit_group",
    "futex",
    "getcpu",
    "get_robust_list",
    "membarrier",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    /* time, randomness, and facts about the process and the machine */
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getrandom",
    "getrlimit",
    "getrusage",
    "gettid",
    "gettimeofday",
    "getuid",
    "nanosleep",
    "setrlimit",
    "sysinfo",
    "time",
    "uname",
};

static const char *const filter_refused[] = {
    /* another program, another process */
    "execve",
    "execveat",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    /* the network outwards, and new doors inwards */
    "bind",
    "connect",
    "listen",
    "socket",
    "socketpair",
    /* ways around a filter, and large attack surface in the kernel */
    "add_key",
    "bpf",
    "delete_module",
    "finit_module",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "mount",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "reboot",
    "request_key",
    "setns",
    "umount2",
    "unshare",
    "userfaultfd",
    /* other users */
    "capset",
    "setgid",
    "setgroups",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setuid",
};

/* A call that is allowed for some values of one argument only: (value & mask) == wanted. */
struct filter_condition {
    const char *call;
    unsigned argument;
    scmp_datum_t mask;
    scmp_datum_t wanted;
};

#define FILTER_EXACTLY UINT64_MAX

static const struct filter_condition filter_conditions[] = {
    {"clone", 0, CLONE_THREAD, CLONE_THREAD}, /* clone3, whose flags cannot be seen, is not there */
    {"mmap", 2, PROT_EXEC, 0},
    {"mmap2", 2, PROT_EXEC, 0},
    {"mprotect", 2, PROT_EXEC, 0},
    {"prctl", 0, FILTER_EXACTLY, PR_SET_NAME},
    {"prlimit64", 0, FILTER_EXACTLY, 0}, /* limits of our own */
    {"ioctl", 1, FILTER_EXACTLY, FIONBIO},
    {"ioctl", 1, FILTER_EXACTLY, FIOCLEX},
    {"ioctl", 1, FILTER_EXACTLY, FIONREAD},
    {"ioctl", 1, FILTER_EXACTLY, TCGETS},
};

static int filter_add(scmp_filter_ctx filter, uint32_t action, const char *call)
{
    int number = seccomp_syscall_resolve_name(call);
    return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, action, number, 0);
}

static int filter_add_condition(scmp_filter_ctx filter, const struct filter_condition *condition)
{
    int number = seccomp_syscall_resolve_name(condition->call);
    if (number == __NR_SCMP_ERROR)
        return 0;
    struct scmp_arg_cmp comparison =
        SCMP_CMP(condition->argument, SCMP_CMP_MASKED_EQ, condition->mask, condition->wanted);
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, 1, &comparison);
}

static int filter_add_allowed(scmp_filter_ctx filter)
{
    int failed = 0;
    for (size_t i = 0; failed == 0 && i < sizeof filter_allowed / sizeof filter_allowed[0]; i++)
        failed = filter_add(filter, SCMP_ACT_ALLOW, filter_allowed[i]);
    for (size_t i = 0; failed == 0 && i < sizeof filter_conditions / sizeof filter_conditions[0];
         i++)
        failed = filter_add_condition(filter, &filter_conditions[i]);
    /* For abort, and for nobody but ourselves. */
    const struct filter_condition raise = {"tgkill", 0, FILTER_EXACTLY, (scmp_datum_t)getpid()};
    return failed != 0 ? failed : filter_add_condition(filter, &raise);
}

static int filter_load(void)
{
    uint32_t rest = FILTER_IS_LIST_OF_ALLOWED ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_ALLOW;
    scmp_filter_ctx filter = seccomp_init(rest);
    if (filter == NULL)
        return -ENOMEM;
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* A tree instead of a chain of comparisons; an old libseccomp has no tree. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t i = 0; failed == 0 && i < sizeof filter_refused / sizeof filter_refused[0]; i++)
        failed = filter_add(filter, SCMP_ACT_ERRNO(EPERM), filter_refused[i]);
    if (failed == 0 && FILTER_IS_LIST_OF_ALLOWED)
        failed = filter_add_allowed(filter);
    if (failed == 0)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return failed;
}

/* Asks for what the filter needs, so that a kernel without it is told from a failure. */
static int filter_probe(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 ? 0 : errno;
}

enum certpost_status sandbox_filter_calls(char fact[SANDBOX_FACT_BYTES], bool *ret_in_force,
                                          struct certpost_error *error)
{
    int missing_errno = filter_probe();
    *ret_in_force = missing_errno == 0;
    if (missing_errno != 0) {
        snprintf(fact, SANDBOX_FACT_BYTES, "no: %s",
                 missing_errno == ENOSYS || missing_errno == EINVAL ? "the kernel does not have it"
                                                                    : strerror(missing_errno));
        return CERTPOST_OK;
    }
    int failed = filter_load();
    if (failed != 0)
        return error_set_errno(error, failed == -ENOMEM ? CERTPOST_NO_MEMORY : CERTPOST_SYSTEM,
                               -failed, "cannot filter system calls");
    snprintf(fact, SANDBOX_FACT_BYTES, "%s",
             FILTER_IS_LIST_OF_ALLOWED ? "yes" : "yes (sanitizer build: refusals only)");
    return CERTPOST_OK;
}
