/*
 * activation.c — sockets that the service manager has opened (server/activation.h).
 *
 * Uses: net/listener, the environment.  Used by: server.c, config_options.c.
 * Never: takes a descriptor that was meant for another process.
 */
#include "server/activation.h"

#include "base/error.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACTIVATION_PREFIX "systemd:"

/* What sd_listen_fds_with_names(3) calls sockets of a manager that gives no names. */
#define ACTIVATION_NAMELESS "unknown"

enum {
    ACTIVATION_FIRST = 3, /* descriptor */
    ACTIVATION_MAX = 1024,
    ACTIVATION_NAME_MAX_BYTES = 255,
    ACTIVATION_WORDS_BYTES = 256,
};

struct activation_socket {
    const char *name; /* in `names`, or a literal */
    bool is_taken;
    bool is_good; /* a socket that listens, so it is what was passed and nobody else's */
};

struct activation {
    uint64_t other_pid; /* whom the sockets are for, if that is not this process */
    char *names;
    size_t count;
    struct activation_socket sockets[];
};

/* ------------------------------------------------------------------------------ names */

const char *activation_name(const char *address)
{
    size_t length = strlen(ACTIVATION_PREFIX);
    return strncmp(address, ACTIVATION_PREFIX, length) == 0 ? address + length : NULL;
}

bool activation_is_name(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
            return false;
    }
    return length >= 1 && length <= ACTIVATION_NAME_MAX_BYTES;
}

/* All that were passed, for a person. */
static void activation_list_names(const struct activation *activation,
                                  char ret_text[ACTIVATION_WORDS_BYTES])
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < activation->count && used < ACTIVATION_WORDS_BYTES - 1; i++) {
        const char *name = activation->sockets[i].name;
        if (i > 0)
            used += text_escape(", ", 2, ret_text + used, ACTIVATION_WORDS_BYTES - used);
        used += text_escape(name, strlen(name), ret_text + used, ACTIVATION_WORDS_BYTES - used);
    }
}

/* ------------------------------------------------------------------------------ finding */

static enum certpost_status activation_split_names(struct activation *activation, const char *names,
                                                   struct certpost_error *error)
{
    activation->names = strdup(names);
    if (activation->names == NULL)
        return error_no_memory(error);
    char *next = activation->names;
    for (size_t i = 0; i < activation->count; i++) {
        if (next == NULL)
            return error_set(error, CERTPOST_USAGE,
                             "LISTEN_FDNAMES has %zu names, and LISTEN_FDS says %zu sockets", i,
                             activation->count);
        activation->sockets[i].name = next;
        next = strchr(next, ':');
        if (next != NULL)
            *next++ = '\0';
    }
    if (next != NULL)
        return error_set(error, CERTPOST_USAGE,
                         "LISTEN_FDNAMES has more names than the %zu sockets of LISTEN_FDS",
                         activation->count);
    return CERTPOST_OK;
}

static enum certpost_status activation_read(struct activation *activation,
                                            struct certpost_error *error)
{
    const char *names = getenv("LISTEN_FDNAMES");
    for (size_t i = 0; i < activation->count; i++)
        activation->sockets[i].name = ACTIVATION_NAMELESS;
    if (names == NULL || activation->count == 0)
        return CERTPOST_OK;
    return activation_split_names(activation, names, error);
}

enum certpost_status activation_new(struct activation **ret_activation,
                                    struct certpost_error *error)
{
    const char *count_text = getenv("LISTEN_FDS");
    const char *pid_text = getenv("LISTEN_PID");
    uint64_t count = 0;
    uint64_t pid = 0;
    if (count_text != NULL && !text_parse_u64(count_text, ACTIVATION_MAX, &count))
        return error_set(error, CERTPOST_USAGE, "LISTEN_FDS is no number up to %d", ACTIVATION_MAX);
    if (count > 0 && (pid_text == NULL || !text_parse_u64(pid_text, INT32_MAX, &pid)))
        return error_set(error, CERTPOST_USAGE,
                         "LISTEN_FDS is set, and LISTEN_PID is no process number");
    bool is_ours = count > 0 && pid == (uint64_t)getpid();
    struct activation *activation =
        calloc(1, sizeof *activation + (size_t)count * sizeof activation->sockets[0]);
    if (activation == NULL)
        return error_no_memory(error);
    activation->other_pid = is_ours ? 0 : pid;
    activation->count = is_ours ? (size_t)count : 0;
    enum certpost_status status = activation_read(activation, error);
    if (status == CERTPOST_OK)
        *ret_activation = activation;
    else
        activation_free(activation);
    return status;
}

void activation_free(struct activation *activation)
{
    if (activation == NULL)
        return;
    for (size_t i = 0; i < activation->count; i++) {
        if (activation->sockets[i].is_good)
            close(ACTIVATION_FIRST + (int)i);
    }
    free(activation->names);
    free(activation);
}

/* ------------------------------------------------------------------------------ listening */

static enum certpost_status activation_refuse(const struct activation *activation, const char *name,
                                              struct certpost_error *error)
{
    char names[ACTIVATION_WORDS_BYTES];
    if (activation == NULL)
        return error_set(error, CERTPOST_USAGE,
                         "--listen systemd:%s: sockets are passed to a program, not to the server "
                         "inside it",
                         name);
    if (activation->other_pid != 0)
        return error_set(error, CERTPOST_USAGE,
                         "--listen systemd:%s: the sockets were passed to process %llu "
                         "(LISTEN_PID), and this is %d",
                         name, (unsigned long long)activation->other_pid, (int)getpid());
    if (activation->count == 0)
        return error_set(error, CERTPOST_USAGE,
                         "--listen systemd:%s: no socket was passed (LISTEN_FDS); a socket unit "
                         "does that, with FileDescriptorName=%s",
                         name, name);
    activation_list_names(activation, names);
    return error_set(error, CERTPOST_USAGE,
                     "--listen systemd:%s: no socket of that name was passed; there are: %s", name,
                     names);
}

static enum certpost_status activation_take(struct activation *activation, size_t index,
                                            size_t worker_count, struct net_listeners *listeners,
                                            struct certpost_error *error)
{
    struct activation_socket *found = &activation->sockets[index];
    struct certpost_error cause;
    certpost_error_clear(&cause);
    if (found->is_taken)
        return error_set(error, CERTPOST_USAGE, "--listen systemd:%s is given twice", found->name);
    found->is_taken = true;
    enum certpost_status status =
        net_listeners_add_passed(listeners, ACTIVATION_FIRST + (int)index, worker_count, &cause);
    found->is_good = status == CERTPOST_OK;
    if (status == CERTPOST_OK)
        return CERTPOST_OK;
    return error_set(error, status, "--listen systemd:%s: %s", found->name,
                     certpost_error_text(&cause, status));
}

enum certpost_status activation_listen(struct activation *activation, const char *name,
                                       size_t worker_count, struct net_listeners *listeners,
                                       struct certpost_error *error)
{
    bool is_found = false;
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; activation != NULL && i < activation->count && status == CERTPOST_OK; i++) {
        if (strcmp(activation->sockets[i].name, name) != 0)
            continue;
        is_found = true;
        status = activation_take(activation, i, worker_count, listeners, error);
    }
    return is_found ? status : activation_refuse(activation, name, error);
}

enum certpost_status activation_check_taken(const struct activation *activation,
                                            struct certpost_error *error)
{
    char safe[ACTIVATION_WORDS_BYTES];
    for (size_t i = 0; activation != NULL && i < activation->count; i++) {
        const char *name = activation->sockets[i].name;
        if (activation->sockets[i].is_taken)
            continue;
        text_escape(name, strlen(name), safe, sizeof safe);
        return error_set(error, CERTPOST_USAGE,
                         "a socket named %s was passed, and no --listen systemd:%s takes it; its "
                         "clients would wait for ever",
                         safe, safe);
    }
    return CERTPOST_OK;
}
