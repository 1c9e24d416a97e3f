/*
 * process.c — user, capabilities and secrets of the process (server/process.h).
 *
 * Uses: libc, Linux.  Used by: rights.c, main.c.
 * Never: gives a right back that was dropped.
 */
#include "server/process.h"

#include "base/error.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A user's entry, home folder and full name included. */
enum { PROCESS_USER_BYTES = 16 * 1024 };

/* More than the kernel has; it says where they end. */
enum { PROCESS_CAPABILITIES_MAX = 64 };

enum certpost_status process_find_user(const char *name, struct process_user *ret_user,
                                       struct certpost_error *error)
{
    char text[PROCESS_USER_BYTES];
    struct passwd entry;
    struct passwd *found = NULL;
    int failed = getpwnam_r(name, &entry, text, sizeof text, &found);
    if (failed != 0 && failed != ENOENT && failed != ESRCH)
        return error_set_errno(error, CERTPOST_SYSTEM, failed, "cannot look up user %s", name);
    if (found == NULL)
        return error_set(error, CERTPOST_USAGE, "--user: there is no user %s", name);
    if (entry.pw_uid == 0)
        return error_set(error, CERTPOST_USAGE, "--user: %s is root; name a user with fewer rights",
                         name);
    if (geteuid() != 0 && (geteuid() != entry.pw_uid || getuid() != entry.pw_uid))
        return error_set(error, CERTPOST_USAGE,
                         "--user: only a server that is started as root can become %s", name);
    *ret_user = (struct process_user){.name = name, .uid = entry.pw_uid, .gid = entry.pw_gid};
    return CERTPOST_OK;
}

/* All three ids of each kind: a saved one would be a way back. */
static bool process_is(const struct process_user *user)
{
    uid_t uid[3] = {0};
    gid_t gid[3] = {0};
    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (uid[i] != user->uid || gid[i] != user->gid)
            return false;
    }
    return true;
}

/* What programs run from here could get; nothing is run, so a refusal to drop them matters little.
 */
static void process_drop_inheritable(void)
{
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned long i = 0; i < PROCESS_CAPABILITIES_MAX; i++) {
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
            (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    }
}

enum certpost_status process_become(const struct process_user *user, struct certpost_error *error)
{
    if (geteuid() != 0)
        return CERTPOST_OK;     /* it is that user already: process_find_user has looked */
    process_drop_inheritable(); /* while it still may */
    if (initgroups(user->name, user->gid) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot become user %s", user->name);
    if (!process_is(user) || setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
        return error_set(error, CERTPOST_SYSTEM, "became user %s, but root can be had back",
                         user->name);
    return CERTPOST_OK;
}

/* Where a service manager has taken them, it may have taken the call that gives them up, too. */
static bool process_has_capability(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3];
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    memset(none, 0, sizeof none);
    return syscall(SYS_capget, &header, held) != 0 || memcmp(held, none, sizeof none) != 0;
}

enum certpost_status process_drop_capabilities(struct certpost_error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    memset(none, 0, sizeof none);
    process_drop_inheritable();
    if (!process_has_capability())
        return CERTPOST_OK;
    if (syscall(SYS_capset, &header, none) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot give up capabilities");
    return CERTPOST_OK;
}

/*
 * A limit of one byte: too small for any core file, and the one value at which the kernel does not
 * start a handler that takes core dumps through a pipe either (core(5)); 0 does not stop those.
 */
static bool process_forbid_core(void)
{
    return setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 1, .rlim_max = 1}) == 0 ||
           setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 0, .rlim_max = 0}) == 0;
}

enum certpost_status process_keep_secrets(bool closed, struct certpost_error *error)
{
    if (!process_forbid_core())
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot forbid core dumps");
    if (closed && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot close the process's memory");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot renounce new privileges");
    return CERTPOST_OK;
}
