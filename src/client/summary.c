/*
 * summary.c — the last line, also when a signal ends the program (client/summary.h).
 *
 * The line is made with nothing but arithmetic and write(2), so that a signal handler can make it
 * wherever the program is: in a read of standard input, in a wait for the peer, in the resolver.
 *
 * Uses: libc.  Used by: send_plain.c.  Never: allocates or takes a lock.
 */
#include "client/summary.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static atomic_ulong summary_total;
static atomic_ulong summary_acknowledged;

/* 20 digits of a 64-bit number, twice, and the words. */
enum { SUMMARY_LINE_BYTES = 128, SUMMARY_DIGITS_MAX = 20 };

void summary_set_total(unsigned long total)
{
    atomic_store(&summary_total, total);
}

void summary_add_total(void)
{
    atomic_fetch_add(&summary_total, 1);
}

void summary_add_acknowledged(void)
{
    atomic_fetch_add(&summary_acknowledged, 1);
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

static void summary_write(bool interrupted)
{
    char line[SUMMARY_LINE_BYTES];
    size_t length = summary_put_text(line, 0, "certpost: ");
    length = summary_put_number(line, length, atomic_load(&summary_acknowledged));
    length = summary_put_text(line, length, " of ");
    length = summary_put_number(line, length, atomic_load(&summary_total));
    length = summary_put_text(line, length, " messages acknowledged");
    length = summary_put_text(line, length, interrupted ? ", interrupted\n" : "\n");
    ssize_t written = 0;
    do {
        written = write(STDERR_FILENO, line, length);
    } while (written < 0 && errno == EINTR);
}

void summary_print(void)
{
    summary_write(false);
}

static void summary_on_signal(int number)
{
    summary_write(true);
    /* SA_RESETHAND has put the default action back: let the signal end the process itself. */
    sigset_t unblocked;
    sigemptyset(&unblocked);
    sigaddset(&unblocked, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &unblocked, NULL);
    /* Process 1 of a container has no default actions. */
    _exit(128 + number);
}

void summary_catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) != 0 || action.sa_handler == SIG_IGN)
            continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = summary_on_signal;
        action.sa_flags = (int)SA_RESETHAND;
        /* The three exclude each other: one line, not two. */
        sigemptyset(&action.sa_mask);
        for (size_t other = 0; other < sizeof numbers / sizeof numbers[0]; other++)
            sigaddset(&action.sa_mask, numbers[other]);
        sigaction(numbers[i], &action, NULL);
    }
}
