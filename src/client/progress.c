/*
 * progress.c — the line on the terminal (client/progress.h).
 *
 * Uses: base/clock.  Used by: send_certified.c.
 * Never: writes to anything but a terminal, or wraps into a second row, which could not be redrawn.
 */
#include "client/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    PROGRESS_FIRST_MS = 500, /* what is over sooner needs no line */
    PROGRESS_INTERVAL_MS = 250,
    PROGRESS_SAMPLE_MS = 1000, /* the rate is that of the last one to two of these */
    PROGRESS_WIDTH = 80,
};

static const char progress_erase[] = "\r\033[K";

void progress_init(struct progress *progress, bool wanted, int64_t now_ms)
{
    *progress = (struct progress){
        .wanted = wanted && isatty(STDERR_FILENO) == 1,
        .next_ms = now_ms + PROGRESS_FIRST_MS,
    };
    progress->samples[0].at_ms = now_ms;
    progress->samples[1].at_ms = now_ms;
}

static size_t progress_width(void)
{
    struct winsize size;
    memset(&size, 0, sizeof size);
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return PROGRESS_WIDTH;
    return size.ws_col;
}

static void progress_write(const char *text)
{
    /* A terminal that does not take the line is not worth waiting for. */
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static uint64_t progress_rate(struct progress *progress, uint64_t acknowledged, int64_t now_ms)
{
    if (now_ms - progress->samples[1].at_ms >= PROGRESS_SAMPLE_MS) {
        progress->samples[0] = progress->samples[1];
        progress->samples[1].at_ms = now_ms;
        progress->samples[1].acknowledged = acknowledged;
    }
    int64_t elapsed_ms = now_ms - progress->samples[0].at_ms;
    uint64_t done = acknowledged - progress->samples[0].acknowledged;
    return elapsed_ms <= 0 ? 0 : done * 1000 / (uint64_t)elapsed_ms;
}

static void progress_format_bytes(uint64_t bytes, char *ret_text, size_t capacity)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    uint64_t tenths = bytes <= UINT64_MAX / 10 ? bytes * 10 : UINT64_MAX;
    while (tenths >= 10240 && unit + 1 < sizeof units / sizeof units[0]) {
        tenths /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(ret_text, capacity, "%" PRIu64 " B", bytes);
    else
        snprintf(ret_text, capacity, "%" PRIu64 ".%u %s", tenths / 10, (unsigned)(tenths % 10),
                 units[unit]);
}

void progress_update(struct progress *progress, const struct progress_counts *counts,
                     int64_t now_ms)
{
    if (!progress->wanted || (progress->next_ms != CLOCK_NEVER_MS && now_ms < progress->next_ms))
        return;
    char bytes[32];
    char line[PROGRESS_LINE_BYTES];
    progress_format_bytes(counts->bytes, bytes, sizeof bytes);
    snprintf(line, sizeof line,
             "certpost: %" PRIu64 " acknowledged, %" PRIu64 "/s, %s, %" PRIu64 " unacknowledged",
             counts->acknowledged, progress_rate(progress, counts->acknowledged, now_ms), bytes,
             counts->unacknowledged);
    size_t width = progress_width();
    if (width <= strlen(line))
        line[width - 1] = '\0';
    if (strcmp(line, progress->line) == 0 && progress->shown) {
        progress->next_ms = CLOCK_NEVER_MS;
        return;
    }
    progress_write(progress_erase);
    progress_write(line);
    memcpy(progress->line, line, sizeof line);
    progress->shown = true;
    progress->next_ms = now_ms + PROGRESS_INTERVAL_MS;
}

int64_t progress_deadline_ms(const struct progress *progress)
{
    return progress->wanted ? progress->next_ms : CLOCK_NEVER_MS;
}

void progress_clear(struct progress *progress)
{
    if (!progress->shown)
        return;
    progress_write(progress_erase);
    progress->shown = false;
}
