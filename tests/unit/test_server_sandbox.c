/*
 * test_server_sandbox.c — a process that has dropped its rights cannot have them back.
 *
 * Each case is a child process that drops its rights as the server does, and then tries what an
 * attacker would try, and what the server has to be able to do. It says in words what is not as it
 * should be.
 */
#include "base/log.h"
#include "server/process.h"
#include "server/rights.h"
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A folder with a certificate and a key, and one beside it that nobody has named. */
struct scene {
    char folder[64];
    char certificate[96];
    char key[96];
    char outside[64];
    char secret[96];
    struct server_config config;
};

static void write_file(const char *path, const char *text, mode_t mode)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(descriptor, mode), 0);
    assert_int_equal(close(descriptor), 0);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/certpost-sandbox-XXXXXX");
    snprintf(scene->outside, sizeof scene->outside, "/tmp/certpost-outside-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    assert_non_null(mkdtemp(scene->outside));
    assert_int_equal(chmod(scene->folder, 0755), 0);
    assert_int_equal(chmod(scene->outside, 0755), 0);
    snprintf(scene->certificate, sizeof scene->certificate, "%s/server.crt", scene->folder);
    snprintf(scene->key, sizeof scene->key, "%s/server.key", scene->folder);
    snprintf(scene->secret, sizeof scene->secret, "%s/secret", scene->outside);
    write_file(scene->certificate, "certificate", 0644);
    write_file(scene->key, "key", 0600);
    write_file(scene->secret, "secret", 0644);
    const struct options_spec spec = {.max = 4};
    assert_ok(options_take_list(&spec, &scene->config.tls.certificates, scene->certificate, NULL));
    assert_ok(options_take_list(&spec, &scene->config.tls.keys, scene->key, NULL));
    scene->config.sandbox = true;
    log_set_level(LOG_LEVEL_ERROR);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    (void)unlink(scene->certificate);
    (void)unlink(scene->key);
    (void)unlink(scene->secret);
    (void)rmdir(scene->folder);
    (void)rmdir(scene->outside);
    options_list_free(&scene->config.tls.certificates);
    options_list_free(&scene->config.tls.keys);
    free(scene);
    return 0;
}

/* What a child found wrong, or NULL. */
typedef const char *attempt(struct scene *scene);

/* Runs the attempt in a child and fails the case with its words. */
static void in_child(void **state, attempt *try_it)
{
    char words[256] = "";
    int ends[2] = {-1, -1};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const char *wrong = try_it(*state);
        size_t length = wrong == NULL ? 0 : strlen(wrong);
        _exit(write(ends[1], wrong, length) == (ssize_t)length ? 0 : 1);
    }
    close(ends[1]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(read(ends[0], words, sizeof words - 1) >= 0);
    close(ends[0]);
    assert_string_equal(words, "");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define TRY(condition, words)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return words;                                                                          \
    } while (0)

/* Refused by name, or unknown: both are a refusal. */
static bool is_refused(long result)
{
    return result == -1 && (errno == EPERM || errno == EACCES || errno == ENOSYS);
}

static const char *drop(struct scene *scene)
{
    static struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = rights_drop(&scene->config, &error);
    return status == CERTPOST_OK ? NULL : certpost_error_text(&error, status);
}

#define DROP(scene)                                                                                \
    do {                                                                                           \
        const char *failed = drop(scene);                                                          \
        if (failed != NULL)                                                                        \
            return failed;                                                                         \
    } while (0)

static void need_landlock(void)
{
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) <= 0) {
        print_message("SKIPPED: this kernel has no Landlock\n");
        skip();
    }
}

static bool can_read(const char *path)
{
    char byte = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bool can = descriptor >= 0 && read(descriptor, &byte, 1) == 1;
    if (descriptor >= 0)
        close(descriptor);
    return can;
}

/* ------------------------------------------------------------------------------ files */

static const char *open_outside(struct scene *scene)
{
    TRY(can_read(scene->secret) && can_read("/etc/passwd"), "cannot read before");
    DROP(scene);
    TRY(!can_read(scene->secret) && errno == EACCES, "reads a file outside");
    TRY(!can_read("/etc/passwd") && errno == EACCES, "reads /etc/passwd");
    TRY(open(scene->outside, O_RDONLY | O_DIRECTORY) == -1, "lists a folder outside");
    TRY(open("/", O_RDONLY | O_DIRECTORY) == -1, "lists the root folder");
    return NULL;
}

static void test_open_outside_is_refused(void **state)
{
    need_landlock();
    in_child(state, open_outside);
}

static const char *write_inside(struct scene *scene)
{
    char path[128];
    snprintf(path, sizeof path, "%s/new", scene->folder);
    DROP(scene);
    TRY(is_refused(open(path, O_WRONLY | O_CREAT, 0600)), "makes a file");
    TRY(is_refused(open(scene->certificate, O_WRONLY)), "writes to the certificate");
    TRY(is_refused(truncate(scene->certificate, 0)), "cuts the certificate");
    TRY(is_refused(unlink(scene->certificate)), "removes the certificate");
    TRY(is_refused(rename(scene->certificate, path)), "renames the certificate");
    TRY(is_refused(symlink("/etc/passwd", path)), "makes a link");
    return NULL;
}

static void test_writing_is_refused(void **state)
{
    need_landlock();
    in_child(state, write_inside);
}

/* What SQLite does with its files, in the folder of the store and nowhere else. */
static const char *store_inside(struct scene *scene)
{
    char path[96];
    char store[96];
    snprintf(store, sizeof store, "%s/store.db", scene->outside);
    snprintf(path, sizeof path, "%s/store.db-wal", scene->outside);
    scene->config.store = store;
    DROP(scene);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    TRY(file >= 0, "cannot make a file");
    TRY(pwrite(file, "page", 4, 0) == 4 && ftruncate(file, 4096) == 0, "cannot write");
    TRY(fsync(file) == 0 && fdatasync(file) == 0, "cannot force to the disk");
    TRY(flock(file, LOCK_EX) == 0 && fcntl(file, F_SETLK, &lock) == 0, "cannot lock");
    TRY(fchmod(file, 0600) == 0 && fchown(file, geteuid(), getegid()) == 0, "cannot own");
    TRY(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) != MAP_FAILED, "cannot map");
    TRY(unlink(path) == 0, "cannot remove");
    TRY(is_refused(mkdir(path, 0700)), "makes a folder");
    TRY(is_refused(symlink("/etc/passwd", path)), "makes a link");
    snprintf(path, sizeof path, "%s/new", scene->folder);
    TRY(is_refused(open(path, O_WRONLY | O_CREAT, 0600)), "makes a file in another folder");
    TRY(is_refused(open(scene->key, O_WRONLY)), "writes to the key");
    return NULL;
}

static void test_the_store_can_be_written_and_nothing_else(void **state)
{
    need_landlock();
    in_child(state, store_inside);
}

/* The way to a socket in the scene's other folder, where the case is about it. */
static const char *remove_inside(struct scene *scene, const char *beside)
{
    static char address[128];
    snprintf(address, sizeof address, "unix:%s/socket", scene->outside);
    const char *path = address + strlen("unix:");
    (void)unlink(scene->secret);
    write_file(path, "", 0600);
    if (beside != NULL)
        write_file(beside, "", 0600);
    scene->config.admin = address;
    DROP(scene);
    TRY(is_refused(open(path, O_WRONLY)), "writes");
    TRY(is_refused(open(path, O_RDONLY)), "reads");
    TRY(is_refused(unlink(scene->certificate)), "removes a file of another folder");
    if (beside != NULL)
        TRY(is_refused(unlink(path)), "removes a file that is not alone");
    else
        TRY(unlink(path) == 0, "cannot remove the socket that is alone");
    return NULL;
}

static const char *remove_alone(struct scene *scene)
{
    return remove_inside(scene, NULL);
}

static const char *remove_beside(struct scene *scene)
{
    return remove_inside(scene, scene->secret);
}

/* The socket would be made before; what is there is a file here, which Landlock takes for one. */
static void test_an_admin_socket_can_be_removed_where_it_is_alone(void **state)
{
    const struct scene *scene = *state;
    char path[128];
    need_landlock();
    in_child(state, remove_alone);
    in_child(state, remove_beside);
    snprintf(path, sizeof path, "%s/socket", scene->outside);
    assert_int_equal(unlink(path), 0);
}

/* As a reload needs it: the files have new inodes, because they were replaced by renaming. */
static const char *read_replaced(struct scene *scene)
{
    int to_parent[2];
    int to_child[2];
    char byte = 0;
    char path[128];
    TRY(pipe(to_parent) == 0 && pipe(to_child) == 0, "no pipes");
    snprintf(path, sizeof path, "%s/next", scene->folder);
    pid_t other = fork();
    if (other == 0) {
        /* Keeps its rights, and replaces the certificate once the other has none. */
        bool told = read(to_child[0], &byte, 1) == 1;
        write_file(path, "replaced", 0644);
        _exit(told && rename(path, scene->certificate) == 0 && write(to_parent[1], "r", 1) == 1
                  ? 0
                  : 1);
    }
    TRY(other > 0, "no fork");
    DROP(scene);
    TRY(can_read(scene->certificate) && can_read(scene->key), "cannot read the files it has named");
    TRY(write(to_child[1], "d", 1) == 1 && read(to_parent[0], &byte, 1) == 1, "no answer");
    int descriptor = open(scene->certificate, O_RDONLY | O_CLOEXEC);
    TRY(descriptor >= 0 && read(descriptor, &byte, 1) == 1 && byte == 'r',
        "cannot read the replaced certificate");
    return NULL;
}

static void test_named_files_are_read_also_when_replaced(void **state)
{
    in_child(state, read_replaced);
}

/* A certificate that is a link, as ACME clients lay them out: the target's folder is named with it.
 */
static const char *read_link(struct scene *scene)
{
    TRY(unlink(scene->certificate) == 0 && symlink(scene->secret, scene->certificate) == 0,
        "no link");
    DROP(scene);
    return can_read(scene->certificate) ? NULL : "cannot read through the link";
}

static void test_named_link_is_followed(void **state)
{
    in_child(state, read_link);
}

/* ------------------------------------------------------------------------------ programs */

static const char *run_program(struct scene *scene)
{
    char *arguments[] = {(char[]){"true"}, NULL};
    char *environment[] = {NULL};
    int program = open("/bin/true", O_RDONLY | O_CLOEXEC);
    TRY(program >= 0, "there is no /bin/true");
    DROP(scene);
    TRY(is_refused(execve("/bin/true", arguments, environment)), "execve is not refused");
    TRY(is_refused(fexecve(program, arguments, environment)), "fexecve is not refused");
    return NULL;
}

static void test_exec_is_refused(void **state)
{
    in_child(state, run_program);
}

static const char *touch_other_process(struct scene *scene)
{
    long word = 0;
    struct iovec own = {&word, sizeof word};
    pid_t other = getppid();
    DROP(scene);
    TRY(is_refused(process_vm_readv(other, &own, 1, &own, 1, 0)), "reads another's memory");
    TRY(is_refused(ptrace(PTRACE_SEIZE, other, NULL, NULL)), "traces its parent");
    TRY(is_refused(kill(other, 0)), "can send its parent signals");
    TRY(is_refused(syscall(SYS_io_uring_setup, 1, NULL)), "io_uring goes around the filter");
    TRY(is_refused(syscall(SYS_bpf, 0, NULL, 0)), "bpf");
    TRY(is_refused(setuid(getuid())), "can set its user");
    return NULL;
}

static void test_other_processes_are_out_of_reach(void **state)
{
    in_child(state, touch_other_process);
}

#ifndef CERTPOST_SANITIZED
static const char *bring_code(struct scene *scene)
{
    DROP(scene);
    TRY(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED,
        "maps executable memory");
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY(memory != MAP_FAILED, "cannot map memory");
    TRY(is_refused(mprotect(memory, 4096, PROT_READ | PROT_EXEC)), "makes memory executable");
    TRY(is_refused(fork()), "starts a process");
    TRY(is_refused(syscall(SYS_memfd_create, "x", 0)), "makes a file in memory");
    return NULL;
}
#endif

static void test_new_code_is_refused(void **state)
{
#ifdef CERTPOST_SANITIZED
    (void)state;
    skip(); /* sanitizers need executable memory themselves */
#else
    in_child(state, bring_code);
#endif
}

/* ------------------------------------------------------------------------------ network */

static int listen_on_loopback(struct sockaddr_in *ret_address)
{
    socklen_t length = sizeof *ret_address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (listener < 0 || bind(listener, (struct sockaddr *)ret_address, length) != 0 ||
        listen(listener, 4) != 0 ||
        getsockname(listener, (struct sockaddr *)ret_address, &length) != 0)
        return -1;
    return listener;
}

static const char *connect_outwards(struct scene *scene)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    int prepared = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TRY(listener >= 0 && prepared >= 0, "no sockets");
    DROP(scene);
    TRY(is_refused(connect(prepared, (struct sockaddr *)&address, sizeof address)),
        "connects with a socket that it had");
    TRY(is_refused(socket(AF_INET, SOCK_STREAM, 0)), "makes a TCP socket");
    TRY(is_refused(socket(AF_INET, SOCK_DGRAM, 0)), "makes a UDP socket");
    TRY(is_refused(socket(AF_UNIX, SOCK_STREAM, 0)), "makes a Unix socket");
    TRY(is_refused(bind(prepared, (struct sockaddr *)&address, sizeof address)),
        "binds a socket that it had");
    return NULL;
}

static void test_connect_is_refused(void **state)
{
    in_child(state, connect_outwards);
}

static const char *exchange_with_client(int listener, int client)
{
    char bytes[8] = "";
    int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    TRY(accepted >= 0, "cannot accept");
    TRY(send(client, "ping", 4, MSG_NOSIGNAL) == 4, "cannot send");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    TRY(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &event) == 0, "cannot make a loop");
    TRY(epoll_wait(epoll, &event, 1, 10 * 1000) == 1, "cannot wait");
    TRY(read(accepted, bytes, sizeof bytes) == 4, "cannot read");
    TRY(write(accepted, bytes, 4) == 4, "cannot write");
    TRY(shutdown(accepted, SHUT_WR) == 0 && close(accepted) == 0, "cannot close");
    return NULL;
}

static void *count_in_thread(void *argument)
{
    (*(int *)argument)++;
    return NULL;
}

static const char *do_what_a_server_does(struct scene *scene)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TRY(listener >= 0 && client >= 0 &&
            connect(client, (struct sockaddr *)&address, sizeof address) == 0,
        "no sockets");
    DROP(scene);
    const char *wrong = exchange_with_client(listener, client);
    TRY(wrong == NULL, wrong);
    pthread_t thread;
    int count = 0;
    TRY(pthread_create(&thread, NULL, count_in_thread, &count) == 0, "cannot start a thread");
    TRY(pthread_join(thread, NULL) == 0 && count == 1, "cannot join a thread");
    unsigned char random[16];
    struct timespec now;
    TRY(getrandom(random, sizeof random, 0) == sizeof random, "no random numbers");
    TRY(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "no clock");
    TRY(eventfd(0, EFD_CLOEXEC) >= 0, "no eventfd");
    TRY(sysconf(_SC_NPROCESSORS_ONLN) > 0, "no count of processors");
    void *memory = calloc(8, (size_t)1024 * 1024);
    TRY(memory != NULL, "no memory");
    free(memory);
    return NULL;
}

static void test_server_still_works(void **state)
{
    in_child(state, do_what_a_server_does);
}

/* ------------------------------------------------------------------------------ threads */

static void *read_in_thread(void *argument)
{
    struct scene *scene = argument;
    return can_read(scene->secret) ? argument : NULL;
}

static const char *read_from_thread(struct scene *scene)
{
    pthread_t thread;
    void *could = scene;
    DROP(scene);
    TRY(pthread_create(&thread, NULL, read_in_thread, scene) == 0, "cannot start a thread");
    TRY(pthread_join(thread, &could) == 0, "cannot join a thread");
    return could == NULL ? NULL : "a thread reads a file outside";
}

static void test_threads_are_inside_too(void **state)
{
    need_landlock();
    in_child(state, read_from_thread);
}

/* ------------------------------------------------------------------------------ user */

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("SKIPPED: only root can become somebody else\n");
        skip();
    }
}

static const char *become_nobody(struct scene *scene)
{
    scene->config.user = "nobody";
    DROP(scene);
    TRY(getuid() != 0 && geteuid() == getuid() && getgid() != 0, "still root");
    TRY(can_read(scene->certificate), "cannot read a file that everybody may read");
    TRY(!can_read(scene->key) && errno == EACCES, "reads a file of root");
    TRY(is_refused(setuid(0)), "becomes root again");
    return NULL;
}

static void test_user_is_left_for_good(void **state)
{
    need_root();
    in_child(state, become_nobody);
}

/* Without the sandbox as well: the user is an order of its own. */
static const char *become_nobody_without_sandbox(struct scene *scene)
{
    scene->config.sandbox = false;
    scene->config.user = "nobody";
    DROP(scene);
    TRY(can_read(scene->secret), "is in a sandbox");
    TRY(!can_read(scene->key), "reads a file of root");
    TRY(setuid(0) == -1 && seteuid(0) == -1 && setgid(0) == -1, "becomes root again");
    gid_t groups[8];
    int count = getgroups(8, groups);
    for (int i = 0; i < count; i++)
        TRY(groups[i] != 0, "still in the group root");
    return NULL;
}

static void test_user_without_sandbox(void **state)
{
    need_root();
    in_child(state, become_nobody_without_sandbox);
}

static const char *find_users(struct scene *scene)
{
    (void)scene;
    struct process_user user = {0};
    static struct certpost_error error;
    certpost_error_clear(&error);
    TRY(process_find_user("no-such-user", &user, &error) == CERTPOST_USAGE, "unknown user");
    TRY(strcmp(error.text, "--user: there is no user no-such-user") == 0, error.text);
    certpost_error_clear(&error);
    TRY(process_find_user("root", &user, &error) == CERTPOST_USAGE, "root");
    TRY(strstr(error.text, "root is root") != NULL, error.text);
    certpost_error_clear(&error);
    TRY(process_find_user("nobody", &user, &error) == CERTPOST_OK && user.uid != 0, "nobody");
    TRY(setresuid(1, 1, 1) == 0, "setresuid");
    TRY(process_find_user("nobody", &user, &error) == CERTPOST_USAGE, "not root");
    TRY(strstr(error.text, "started as root") != NULL, error.text);
    return NULL;
}

static void test_user_errors(void **state)
{
    need_root();
    in_child(state, find_users);
}

/* ------------------------------------------------------------------------------ secrets */

static const char *look_at_secrets(struct scene *scene)
{
    struct rlimit core = {9, 9};
    scene->config.sandbox = false;
    DROP(scene);
    TRY(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur <= 1 && core.rlim_max <= 1,
        "core dumps are allowed");
    TRY(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "programs could get rights");
    TRY(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1, "a debugger is kept out without the sandbox");
    static struct certpost_error error;
    certpost_error_clear(&error);
    TRY(process_keep_secrets(true, &error) == CERTPOST_OK, error.text);
    TRY(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0, "a debugger is let in");
    return NULL;
}

static void test_core_dumps_and_new_privileges_are_off(void **state)
{
    in_child(state, look_at_secrets);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

UNIT_MAIN(CASE(test_open_outside_is_refused), CASE(test_writing_is_refused),
          CASE(test_the_store_can_be_written_and_nothing_else),
          CASE(test_an_admin_socket_can_be_removed_where_it_is_alone),
          CASE(test_named_files_are_read_also_when_replaced), CASE(test_named_link_is_followed),
          CASE(test_exec_is_refused), CASE(test_other_processes_are_out_of_reach),
          CASE(test_new_code_is_refused), CASE(test_connect_is_refused),
          CASE(test_server_still_works), CASE(test_threads_are_inside_too),
          CASE(test_user_is_left_for_good), CASE(test_user_without_sandbox), CASE(test_user_errors),
          CASE(test_core_dumps_and_new_privileges_are_off))
