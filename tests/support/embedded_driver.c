/*
 * support/embedded_driver.c — a program with servers in it, led by lines on its standard input.
 *
 *     new N | set N NAME [VALUE] | unset N NAME | start N | reload N | ready N | stop N | free N
 *     gate shut | gate open | signals | deafen
 *
 * N is 0 to 3. Each line is answered by one line: `ok …`, or `failed STATUS TEXT`. The handler
 * prints `saw N IDENTITY STREAM SEQ TEXT` for each message and does what the message says:
 *
 *     no CODE TEXT    reject it             reply TEXT    take it with this reply
 *     wait            take it, once the gate is open      anything else: take it
 *
 * `deafen` makes standard error a pipe that nobody reads: each log line is then a SIGPIPE.
 * SIGUSR2 opens the gate too, also while a line is still at work. SIGUSR1 is counted on the main
 * thread and on others, which `signals` tells.
 */
#include "base/text.h"

#include "certpost/server.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 4, LINE_BYTES = 1024 };

static struct certpost_server *servers[SLOTS];
static const char slot_names[SLOTS + 1] = "0123";
static atomic_bool gate_is_shut;
static sem_t gate_opened;
static volatile sig_atomic_t signals_on_main, signals_elsewhere;
static pthread_t main_thread;

static void on_signal(int number)
{
    (void)number;
    if (pthread_equal(pthread_self(), main_thread))
        signals_on_main++;
    else
        signals_elsewhere++;
}

static void pass_gate(void)
{
    while (atomic_load(&gate_is_shut))
        (void)sem_wait(&gate_opened);
}

static void set_gate(bool shut)
{
    atomic_store(&gate_is_shut, shut);
    for (int i = 0; i < SLOTS; i++)
        (void)sem_post(&gate_opened);
}

static void on_open_gate(int number)
{
    (void)number;
    set_gate(false);
}

static void show(char slot, const struct certpost_message *message)
{
    char identity[LINE_BYTES], stream[LINE_BYTES], text[LINE_BYTES];
    text_escape(message->identity, message->identity_length, identity, sizeof identity);
    text_escape(message->stream, message->stream_length, stream, sizeof stream);
    text_escape(message->bytes, message->length, text, sizeof text);
    printf("saw %c %s %s %llu %s\n", slot, identity[0] == '\0' ? "-" : identity, stream,
           (unsigned long long)message->seq, text);
    (void)fflush(stdout);
}

static bool begins(const struct certpost_message *message, const char *prefix)
{
    return message->length >= strlen(prefix) && memcmp(message->bytes, prefix, strlen(prefix)) == 0;
}

/* Everything behind `skip` bytes, as it is. */
static void copy_text(struct certpost_answer *answer, const struct certpost_message *message,
                      size_t skip)
{
    size_t length = message->length > skip ? message->length - skip : 0;
    if (length > CERTPOST_ANSWER_TEXT_BYTES)
        length = CERTPOST_ANSWER_TEXT_BYTES;
    if (length > 0)
        memcpy(answer->text, message->bytes + skip, length);
}

static enum certpost_decision decide(void *context, const struct certpost_message *message,
                                     struct certpost_answer *ret_answer)
{
    show(*(const char *)context, message);
    if (begins(message, "wait"))
        pass_gate();
    if (begins(message, "reply "))
        copy_text(ret_answer, message, strlen("reply "));
    if (!begins(message, "no "))
        return CERTPOST_TAKE;
    char digits[LINE_BYTES] = {0};
    memcpy(digits, message->bytes,
           message->length < sizeof digits ? message->length : sizeof digits - 1);
    char *end = digits;
    ret_answer->code = (uint16_t)strtoul(digits + strlen("no "), &end, 10);
    copy_text(ret_answer, message, (size_t)(end - digits) + 1);
    return CERTPOST_REJECT;
}

static void answer(enum certpost_status status, const struct certpost_error *error,
                   const char *detail)
{
    if (status == CERTPOST_OK)
        printf("ok %s\n", detail);
    else
        printf("failed %s %s\n", certpost_status_name(status), certpost_error_text(error, status));
    (void)fflush(stdout);
}

static void act(const char *verb, size_t slot, const char *name, const char *value)
{
    struct certpost_error error;
    const char *detail = "";
    enum certpost_status status = CERTPOST_OK;
    certpost_error_clear(&error);
    if (strcmp(verb, "new") == 0)
        status = certpost_server_new(&servers[slot], &error);
    else if (strcmp(verb, "set") == 0 || strcmp(verb, "unset") == 0)
        status = certpost_server_set(servers[slot], name, value, &error);
    else if (strcmp(verb, "start") == 0)
        status = certpost_server_start(servers[slot], decide, (void *)(uintptr_t)&slot_names[slot],
                                       &error);
    else if (strcmp(verb, "reload") == 0)
        status = certpost_server_reload(servers[slot], &error);
    else if (strcmp(verb, "ready") == 0)
        detail = certpost_server_is_ready(servers[slot]) ? "yes" : "no";
    else if (strcmp(verb, "stop") == 0)
        status = certpost_server_stop(servers[slot], &error);
    else
        certpost_server_free(servers[slot]);
    if (status == CERTPOST_OK && strcmp(verb, "start") == 0)
        detail = certpost_server_address(servers[slot], 0);
    answer(status, &error, detail);
}

static void deafen(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        return;
    (void)dup2(ends[1], STDERR_FILENO);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void obey(char *line)
{
    char *rest = line;
    const char *verb = strsep(&rest, " ");
    const char *slot = strsep(&rest, " ");
    const char *name = strsep(&rest, " ");
    if (strcmp(verb, "gate") == 0) {
        set_gate(slot != NULL && strcmp(slot, "shut") == 0);
        answer(CERTPOST_OK, NULL, "");
    } else if (strcmp(verb, "deafen") == 0) {
        deafen();
        answer(CERTPOST_OK, NULL, "");
    } else if (strcmp(verb, "signals") == 0) {
        printf("ok %d %d\n", (int)signals_on_main, (int)signals_elsewhere);
        (void)fflush(stdout);
    } else {
        act(verb, slot != NULL ? (size_t)(slot[0] - '0') % SLOTS : 0, name, rest);
    }
}

/* A signal that interrupts the reading is no end of the input. */
static bool read_line(char line[LINE_BYTES])
{
    do {
        errno = 0;
        clearerr(stdin);
        if (fgets(line, LINE_BYTES, stdin) != NULL)
            return true;
    } while (errno == EINTR);
    return false;
}

int main(void)
{
    char line[LINE_BYTES];
    main_thread = pthread_self();
    (void)sem_init(&gate_opened, 0, 0);
    (void)signal(SIGUSR1, on_signal);
    (void)signal(SIGUSR2, on_open_gate);
    while (read_line(line)) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
    }
    return EXIT_SUCCESS;
}
