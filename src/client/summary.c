/*
 * summary.c — the last line, also when a signal ends the program (client/summary.h).
 *
 * The line is made with nothing but arithmetic and write(2), so that a signal handler can make it
 * wherever the program is: in a read of standard input, in a wait for the peer, in the resolver.
 *
 * Uses: libc.  Used by: send.c, send_certified.c.  Never: allocates or takes a lock.
 */
#include "client/summary.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static struct {
    atomic_ulong total;
    atomic_ulong acknowledged;
    atomic_ulong already_there;
    atomic_ulong not_compared;
    atomic_ulong spooled;
    _Atomic(const char *) level; /* NULL: nothing is said of those that were there already */
    atomic_bool shows_spool;
    atomic_int signal; /* the first that came; 0 for none */
    atomic_int wake_fd;
} summary = {.wake_fd = -1};

static const int summary_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SUMMARY_SIGNALS = sizeof summary_signals / sizeof summary_signals[0] };

/* 20 digits of a 64-bit number, six times, and the words. */
enum { SUMMARY_LINE_BYTES = 256, SUMMARY_DIGITS_MAX = 20 };

void summary_set_total(unsigned long total)
{
    atomic_store(&summary.total, total);
}

void summary_add_total(void)
{
    atomic_fetch_add(&summary.total, 1);
}

void summary_add_acknowledged(void)
{
    atomic_fetch_add(&summary.acknowledged, 1);
}

void summary_set_acknowledged(unsigned long acknowledged)
{
    atomic_store(&summary.acknowledged, acknowledged);
}

void summary_set_already_there(unsigned long already_there, unsigned long not_compared,
                               const char *level)
{
    atomic_store(&summary.not_compared, not_compared);
    atomic_store(&summary.already_there, already_there);
    atomic_store(&summary.level, level);
}

void summary_set_spooled(unsigned long spooled)
{
    atomic_store(&summary.spooled, spooled);
    atomic_store(&summary.shows_spool, true);
}

static size_t summary_put_text(char *line, size_t at, const char *text)
{
    size_t length = strlen(text);
    memcpy(line + at, text, length);
    return at + length;
}

static size_t summary_put_number(char *line, size_t at, unsigned long number)
{
    char digits[SUMMARY_DIGITS_MAX];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 && count < sizeof digits);
    while (count > 0)
        line[at++] = digits[--count];
    return at;
}

static size_t summary_put_already_there(char *line, size_t at, unsigned long acknowledged)
{
    const char *level = atomic_load(&summary.level);
    if (level == NULL)
        return at;
    unsigned long already_there = atomic_load(&summary.already_there);
    at = summary_put_text(line, at, ", ");
    /* A signal may come between two numbers that belong together. */
    at = summary_put_number(line, at,
                            acknowledged > already_there ? acknowledged - already_there : 0);
    at = summary_put_text(line, at, " ");
    at = summary_put_text(line, at, level);
    at = summary_put_text(line, at, ", ");
    at = summary_put_number(line, at, already_there);
    at = summary_put_text(line, at, " already there");
    unsigned long not_compared = atomic_load(&summary.not_compared);
    if (not_compared == 0)
        return at;
    at = summary_put_text(line, at, ", ");
    at = summary_put_number(line, at, not_compared);
    return summary_put_text(line, at, " not compared");
}

static size_t summary_put_spooled(char *line, size_t at)
{
    if (!atomic_load(&summary.shows_spool))
        return at;
    at = summary_put_text(line, at, ", ");
    at = summary_put_number(line, at, atomic_load(&summary.spooled));
    return summary_put_text(line, at, " left in the spool");
}

void summary_print(void)
{
    char line[SUMMARY_LINE_BYTES];
    unsigned long acknowledged = atomic_load(&summary.acknowledged);
    size_t length = summary_put_text(line, 0, "certpost: ");
    length = summary_put_number(line, length, acknowledged);
    length = summary_put_text(line, length, " of ");
    length = summary_put_number(line, length, atomic_load(&summary.total));
    length = summary_put_text(line, length, " messages acknowledged");
    length = summary_put_already_there(line, length, acknowledged);
    length = summary_put_spooled(line, length);
    length = summary_put_text(line, length, summary_is_interrupted() ? ", interrupted\n" : "\n");
    ssize_t written = 0;
    do {
        written = write(STDERR_FILENO, line, length);
    } while (written < 0 && errno == EINTR);
}

bool summary_is_interrupted(void)
{
    return atomic_load(&summary.signal) != 0;
}

void summary_end_interrupted(void)
{
    int number = atomic_load(&summary.signal);
    if (number == 0)
        return;
    sigset_t unblocked;
    sigemptyset(&unblocked);
    sigaddset(&unblocked, number);
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &unblocked, NULL);
    /* Process 1 of a container has no default actions. */
    _exit(128 + number);
}

static void summary_on_signal(int number)
{
    int saved_errno = errno;
    int none = 0;
    bool first = atomic_compare_exchange_strong(&summary.signal, &none, number);
    int wake_fd = atomic_load(&summary.wake_fd);
    uint64_t one = 1;
    if (!first || wake_fd < 0 || write(wake_fd, &one, sizeof one) != sizeof one) {
        summary_print();
        atomic_store(&summary.signal, number);
        summary_end_interrupted();
    }
    errno = saved_errno;
}

void summary_catch_signals(void)
{
    summary_catch_signals_for(-1);
}

void summary_catch_signals_for(int wake_fd)
{
    atomic_store(&summary.wake_fd, wake_fd);
    for (size_t i = 0; i < SUMMARY_SIGNALS; i++) {
        struct sigaction action;
        if (sigaction(summary_signals[i], NULL, &action) != 0 || action.sa_handler == SIG_IGN)
            continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = summary_on_signal;
        /* An event that is half written stays whole; poll(2) comes back all the same. */
        action.sa_flags = (int)SA_RESTART;
        /* The three exclude each other: one line, not two. */
        sigemptyset(&action.sa_mask);
        for (size_t other = 0; other < SUMMARY_SIGNALS; other++)
            sigaddset(&action.sa_mask, summary_signals[other]);
        sigaction(summary_signals[i], &action, NULL);
    }
}
