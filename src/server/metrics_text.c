/*
 * metrics_text.c — the table of metrics, in Prometheus' text format (server/metrics_table.h).
 *
 * Uses: metrics.c, metrics_table.c.  Used by: admin_routes.c.
 * Never: prints a floating-point number: a program's locale could give it a comma.
 */
#include "base/error.h"
#include "server/metrics_table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The longest that one call prints. */
enum { METRICS_PRINT_BYTES = 1024 };

/* Room for 20 digits, a point, and six more. */
enum { METRICS_NUMBER_BYTES = 32, METRICS_US_PER_S = 1000000 };

enum certpost_status metrics_print(struct buffer *body, const char *format, ...)
{
    char text[METRICS_PRINT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text)
        return CERTPOST_LIMIT;
    return buffer_append(body, text, (size_t)length);
}

/* `value` / `divisor`, which is a power of ten, without zeros at the end of its fraction. */
static const char *metrics_number(uint64_t value, uint64_t divisor,
                                  char ret_text[METRICS_NUMBER_BYTES])
{
    int length = snprintf(ret_text, METRICS_NUMBER_BYTES, "%" PRIu64, value / divisor);
    uint64_t rest = value % divisor;
    if (length < 0 || rest == 0)
        return ret_text;
    ret_text[length++] = '.';
    for (uint64_t place = divisor / 10; rest > 0 && length < METRICS_NUMBER_BYTES - 1;
         place /= 10) {
        ret_text[length++] = (char)('0' + rest / place);
        rest %= place;
    }
    ret_text[length] = '\0';
    return ret_text;
}

static const char *metrics_type_name(enum metrics_type type)
{
    return type == METRICS_COUNTER ? "counter" : type == METRICS_GAUGE ? "gauge" : "histogram";
}

static enum certpost_status metrics_write_fact(const struct metrics_family *family,
                                               const struct metrics_facts *facts,
                                               struct buffer *body)
{
    char number[METRICS_NUMBER_BYTES];
    return metrics_print(body, "%s %s\n", family->name,
                         metrics_number(facts->values[family->place], family->divisor, number));
}

static enum certpost_status metrics_write_counts(const struct metrics_family *family,
                                                 const struct metrics *metrics, struct buffer *body)
{
    char number[METRICS_NUMBER_BYTES];
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < family->count && status == CERTPOST_OK; i++) {
        const char *text =
            metrics_number(metrics_sum(metrics, family->place + i), family->divisor, number);
        status = family->labels == NULL
                     ? metrics_print(body, "%s %s\n", family->name, text)
                     : metrics_print(body, "%s{%s} %s\n", family->name, family->labels[i], text);
    }
    return status;
}

/* Its count is that of its last bucket, whatever is counted meanwhile. */
static enum certpost_status metrics_write_histogram(const struct metrics_family *family,
                                                    const struct metrics *metrics,
                                                    struct buffer *body)
{
    char number[METRICS_NUMBER_BYTES];
    bool is_time = family->type == METRICS_TIMES;
    const uint64_t *bounds = is_time ? metrics_time_bounds : metrics_size_bounds;
    size_t count = is_time ? METRICS_TIME_BOUNDS : METRICS_SIZE_BOUNDS;
    uint64_t divisor = is_time ? METRICS_US_PER_S : 1;
    uint64_t total = 0;
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i <= count && status == CERTPOST_OK; i++) {
        total += metrics_sum(metrics, family->place + i);
        status =
            metrics_print(body, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", family->name,
                          i < count ? metrics_number(bounds[i], divisor, number) : "+Inf", total);
    }
    uint64_t sum = metrics_sum(metrics, family->place + count + 1);
    if (status == CERTPOST_OK)
        status = metrics_print(body, "%s_sum %s\n%s_count %" PRIu64 "\n", family->name,
                               metrics_number(sum, divisor, number), family->name, total);
    return status;
}

static enum certpost_status metrics_write_family(const struct metrics_family *family,
                                                 const struct metrics *metrics,
                                                 const struct metrics_facts *facts,
                                                 struct buffer *body)
{
    bool is_histogram = family->type == METRICS_TIMES || family->type == METRICS_SIZES;
    bool is_fact = family->write == NULL && !is_histogram && family->count == 0;
    if (is_fact && !facts->known[family->place])
        return CERTPOST_OK;
    enum certpost_status status =
        metrics_print(body, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                      family->name, metrics_type_name(family->type));
    if (status != CERTPOST_OK)
        return status;
    if (family->write != NULL)
        return family->write(family, facts, body);
    if (is_histogram)
        return metrics_write_histogram(family, metrics, body);
    return is_fact ? metrics_write_fact(family, facts, body)
                   : metrics_write_counts(family, metrics, body);
}

enum certpost_status metrics_write(const struct metrics *metrics, const struct metrics_facts *facts,
                                   struct buffer *body)
{
    enum certpost_status status = CERTPOST_OK;
    for (const struct metrics_family *family = metrics_table;
         family->name != NULL && status == CERTPOST_OK; family++)
        status = metrics_write_family(family, metrics, facts, body);
    return status;
}
