/*
 * check_report.c — the lines of `certpost check` (client/check_report.h).
 *
 * Uses: colour.  Used by: check*.c.
 * Never: decides what a finding means for the exit status, but for the first one being it.
 */
#include "client/check_report.h"

#include "base/error.h"
#include "client/colour.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CHECK_US_PER_MS = 1000, CHECK_US_PER_S = 1000 * 1000 };

static const char *const check_layer_labels[] = {
    [CHECK_LOCAL] = "local",   [CHECK_NAME] = "resolve", [CHECK_TCP] = "tcp",
    [CHECK_TLS] = "tls",       [CHECK_CHAIN] = "chain",  [CHECK_HOST] = "name",
    [CHECK_EXPIRY] = "expiry", [CHECK_ALPN] = "alpn",    [CHECK_CLIENT] = "client",
    [CHECK_SERVER] = "server", [CHECK_TIME] = "time",
};

static const struct check_mark_style {
    const char *label;
    const char *colour; /* an SGR sequence */
} check_mark_styles[] = {
    [CHECK_OK] = {"ok", "\033[32m"},
    [CHECK_WARNING] = {"warning", "\033[33m"},
    [CHECK_FAIL] = {"FAIL", "\033[1;31m"},
    [CHECK_SKIPPED] = {"-", "\033[2m"},
};

const char *check_layer_name(enum check_layer layer)
{
    return check_layer_labels[layer];
}

enum certpost_status check_report_new(const struct check_options *options,
                                      struct check_report **ret_report,
                                      struct certpost_error *error)
{
    struct check_report *report = calloc(1, sizeof *report);
    if (report == NULL)
        return error_no_memory(error);
    report->options = options;
    report->colour = colour_is_wanted(STDOUT_FILENO);
    *ret_report = report;
    return CERTPOST_OK;
}

static void check_print(const struct check_report *report, const struct check_finding *finding)
{
    const struct check_mark_style *style = &check_mark_styles[finding->mark];
    bool is_news = finding->mark == CHECK_WARNING || finding->mark == CHECK_FAIL;
    if (report->options->json || (report->options->quiet && !is_news))
        return;
    printf("%s%-7s%s  %-7s  %s\n", report->colour ? style->colour : "", style->label,
           report->colour ? "\033[0m" : "", check_layer_labels[finding->layer], finding->text);
    /* At once: the next layer may take seconds. The stream remembers a failure. */
    (void)fflush(stdout);
}

void check_say(struct check_report *report, enum check_layer layer, enum check_mark mark,
               enum certpost_status status, const char *format, ...)
{
    struct check_finding finding = {.layer = layer, .mark = mark};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding.text, sizeof finding.text, format, arguments);
    va_end(arguments);
    if (mark == CHECK_FAIL && report->failed == CERTPOST_OK)
        report->failed = status;
    if (mark == CHECK_WARNING && report->warned == CERTPOST_OK)
        report->warned = status;
    check_print(report, &finding);
    if (report->count < CHECK_FINDINGS_MAX)
        report->findings[report->count++] = finding;
}

enum certpost_status check_verdict(const struct check_report *report)
{
    if (report->failed != CERTPOST_OK || !report->options->strict)
        return report->failed;
    return report->warned;
}

int64_t check_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * CHECK_US_PER_S + now.tv_nsec / 1000;
}

void check_duration(int64_t duration_us, char ret_text[CHECK_DURATION_BYTES])
{
    double ms = (double)duration_us / CHECK_US_PER_MS;
    if (duration_us < (int64_t)10 * CHECK_US_PER_MS)
        snprintf(ret_text, CHECK_DURATION_BYTES, "%.2f ms", ms);
    else if (duration_us < CHECK_US_PER_S)
        snprintf(ret_text, CHECK_DURATION_BYTES, "%.0f ms", ms);
    else
        snprintf(ret_text, CHECK_DURATION_BYTES, "%.1f s", ms / 1000);
}
