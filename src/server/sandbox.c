/*
 * sandbox.c — the sandbox, and its Landlock half (server/sandbox.h).
 *
 * Uses: Linux (landlock(7)), sandbox_filter.c.  Used by: rights.c.
 * Never: opens a file for what is in it.
 *
 * The kernel's interface is spelled out here: it is three system calls, and the headers that
 * distributions ship lag years behind the kernels that they run.
 */
#include "server/sandbox.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LANDLOCK_VERSION_FLAG = 1, LANDLOCK_PATH_BENEATH = 1 };

#define LANDLOCK_WRITE_FILE  (UINT64_C(1) << 1)
#define LANDLOCK_READ_FILE   (UINT64_C(1) << 2)
#define LANDLOCK_READ_DIR    (UINT64_C(1) << 3)
#define LANDLOCK_REMOVE_FILE (UINT64_C(1) << 5)
#define LANDLOCK_MAKE_REG    (UINT64_C(1) << 8)
#define LANDLOCK_TRUNCATE    (UINT64_C(1) << 14) /* since version 3 */

/* What a file can be given, and what only a folder can. */
#define SANDBOX_READ_FILE   LANDLOCK_READ_FILE
#define SANDBOX_READ_FOLDER (LANDLOCK_READ_FILE | LANDLOCK_READ_DIR)
#define SANDBOX_STORE_FILE  (LANDLOCK_READ_FILE | LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE)
#define SANDBOX_STORE_FOLDER                                                                       \
    (SANDBOX_STORE_FILE | LANDLOCK_READ_DIR | LANDLOCK_REMOVE_FILE | LANDLOCK_MAKE_REG)

struct landlock_ruleset {
    uint64_t files;    /* since version 1; rights that need a rule from now on */
    uint64_t networks; /* since version 4: bind and connect of TCP */
    uint64_t scopes;   /* since version 6: abstract Unix sockets and signals of other processes */
};

struct landlock_rule {
    uint64_t allowed;
    int32_t descriptor;
} __attribute__((packed));

struct sandbox {
    int version; /* of Landlock; 0: there is none */
    int missing_errno;
    int ruleset;
};

/* Every right that the version knows is taken away: what has no rule is refused. */
static struct landlock_ruleset sandbox_ruleset(int version)
{
    static const int file_rights[] = {0, 13, 14, 15, 15, 16};
    enum { KNOWN = sizeof file_rights / sizeof file_rights[0] };
    int rights = file_rights[version < KNOWN ? version : KNOWN - 1];
    struct landlock_ruleset ruleset = {
        .files = (UINT64_C(1) << rights) - 1,
        .networks = version >= 4 ? 3 : 0,
        .scopes = version >= 6 ? 3 : 0,
    };
    return ruleset;
}

enum certpost_status sandbox_new(struct sandbox **ret_sandbox, struct certpost_error *error)
{
    struct sandbox *sandbox = calloc(1, sizeof *sandbox);
    if (sandbox == NULL)
        return error_no_memory(error);
    sandbox->ruleset = -1;
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (version <= 0) {
        sandbox->missing_errno = errno;
        *ret_sandbox = sandbox;
        return CERTPOST_OK;
    }
    struct landlock_ruleset ruleset = sandbox_ruleset((int)version);
    long descriptor = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    if (descriptor < 0) {
        int saved_errno = errno;
        sandbox_free(sandbox);
        return error_set_errno(error, CERTPOST_SYSTEM, saved_errno, "cannot make a sandbox");
    }
    sandbox->version = (int)version;
    sandbox->ruleset = (int)descriptor;
    *ret_sandbox = sandbox;
    return CERTPOST_OK;
}

void sandbox_free(struct sandbox *sandbox)
{
    if (sandbox == NULL)
        return;
    if (sandbox->ruleset >= 0)
        close(sandbox->ruleset);
    free(sandbox);
}

/* Rights on files and folders; those that the version does not know need no rule. */
struct sandbox_rights {
    uint64_t file;
    uint64_t folder;
};

static const struct sandbox_rights sandbox_reading = {SANDBOX_READ_FILE, SANDBOX_READ_FOLDER};
static const struct sandbox_rights sandbox_storing = {SANDBOX_STORE_FILE, SANDBOX_STORE_FOLDER};

static enum certpost_status sandbox_allow(struct sandbox *sandbox, const char *path,
                                          const struct sandbox_rights *rights,
                                          struct certpost_error *error)
{
    struct stat found;
    struct landlock_rule rule = {.descriptor = open(path, O_PATH | O_CLOEXEC)};
    if (rule.descriptor < 0)
        return CERTPOST_OK;
    bool is_folder = fstat(rule.descriptor, &found) == 0 && S_ISDIR(found.st_mode);
    rule.allowed = is_folder ? rights->folder : rights->file;
    rule.allowed &= sandbox_ruleset(sandbox->version).files;
    long failed = syscall(SYS_landlock_add_rule, sandbox->ruleset, LANDLOCK_PATH_BENEATH, &rule, 0);
    int saved_errno = errno;
    close(rule.descriptor);
    if (failed != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, saved_errno,
                               "cannot let the sandbox reach %s", path);
    return CERTPOST_OK;
}

enum certpost_status sandbox_allow_folder(struct sandbox *sandbox, const char *path,
                                          struct certpost_error *error)
{
    return sandbox->version == 0 ? CERTPOST_OK
                                 : sandbox_allow(sandbox, path, &sandbox_reading, error);
}

/* The folder of a file; the file itself where that would be the whole machine. */
static enum certpost_status sandbox_allow_around(struct sandbox *sandbox, const char *path,
                                                 const struct sandbox_rights *rights,
                                                 struct certpost_error *error)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == path)
        return sandbox_allow(sandbox, path, rights, error);
    if (slash == NULL)
        return sandbox_allow(sandbox, ".", rights, error);
    if ((size_t)(slash - path) >= sizeof folder)
        return CERTPOST_OK;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    return sandbox_allow(sandbox, folder, rights, error);
}

static enum certpost_status sandbox_allow_path(struct sandbox *sandbox, const char *path,
                                               const struct sandbox_rights *rights,
                                               struct certpost_error *error)
{
    if (sandbox->version == 0)
        return CERTPOST_OK;
    enum certpost_status status = sandbox_allow_around(sandbox, path, rights, error);
    char *target = realpath(path, NULL);
    if (status == CERTPOST_OK && target != NULL)
        status = sandbox_allow_around(sandbox, target, rights, error);
    free(target);
    return status;
}

enum certpost_status sandbox_allow_file(struct sandbox *sandbox, const char *path,
                                        struct certpost_error *error)
{
    return sandbox_allow_path(sandbox, path, &sandbox_reading, error);
}

enum certpost_status sandbox_allow_store(struct sandbox *sandbox, const char *path,
                                         struct certpost_error *error)
{
    return sandbox_allow_path(sandbox, path, &sandbox_storing, error);
}

enum certpost_status sandbox_allow_removing(struct sandbox *sandbox, const char *folder,
                                            struct certpost_error *error)
{
    static const struct sandbox_rights removing = {.folder = LANDLOCK_REMOVE_FILE};
    return sandbox->version == 0 ? CERTPOST_OK : sandbox_allow(sandbox, folder, &removing, error);
}

static const char *sandbox_missing_reason(int missing_errno)
{
    return missing_errno == EOPNOTSUPP ? "switched off when the kernel started"
           : missing_errno == ENOSYS   ? "the kernel does not have it"
                                       : strerror(missing_errno);
}

enum certpost_status sandbox_enter(struct sandbox *sandbox, struct sandbox_facts *ret_facts,
                                   struct certpost_error *error)
{
    struct sandbox_facts facts = {0};
    bool filtered = false;
    if (sandbox->version == 0)
        snprintf(facts.landlock, sizeof facts.landlock, "no: %s",
                 sandbox_missing_reason(sandbox->missing_errno));
    else if (syscall(SYS_landlock_restrict_self, sandbox->ruleset, 0) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot enter the sandbox");
    else
        snprintf(facts.landlock, sizeof facts.landlock, "abi%d", sandbox->version);
    enum certpost_status status = sandbox_filter_calls(facts.seccomp, &filtered, error);
    if (status != CERTPOST_OK)
        return status;
    facts.complete = sandbox->version > 0 && filtered;
    *ret_facts = facts;
    return CERTPOST_OK;
}
