/*
 * metrics_expiry.c — when certificates end, for /metrics (server/metrics_table.h).
 *
 * Uses: expiry.c, metrics_text.c.  Used by: metrics_table.c.
 * Never: has a certificate of a peer's; files and names are the operator's own.
 */
#include "base/text.h"
#include "server/expiry.h"
#include "server/metrics_table.h"

#include <inttypes.h>
#include <string.h>

void metrics_label(const char *text, char ret_label[METRICS_LABEL_BYTES])
{
    size_t length = 0;
    size_t left = strlen(text);
    while (left > 0) {
        size_t taken = text_utf8_length((const unsigned char *)text, left);
        size_t escape = *text == '\\' || *text == '"';
        /* One byte that is no UTF-8 would cost the scrape all of its metrics. */
        if (taken == 0 || length + escape + taken >= METRICS_LABEL_BYTES)
            break;
        if (escape != 0)
            ret_label[length++] = '\\';
        memcpy(ret_label + length, text, taken);
        length += taken;
        text += taken;
        left -= taken;
    }
    ret_label[length] = '\0';
}

static enum certpost_status metrics_write_end(const struct metrics_family *family,
                                              const struct tls_validity *item, struct buffer *body)
{
    char safe[METRICS_LABEL_BYTES];
    char file[METRICS_LABEL_BYTES];
    char name[METRICS_LABEL_BYTES];
    text_escape(item->file, strlen(item->file), safe, sizeof safe);
    metrics_label(safe, file);
    metrics_label(item->name, name);
    return metrics_print(body,
                         "%s{kind=\"%s\",file=\"%s\",position=\"%zu\",name=\"%s\"} %" PRId64 "\n",
                         family->name, tls_validity_kind_name(item->kind), file, item->position,
                         name, item->not_after_s);
}

enum certpost_status metrics_write_expiry(const struct metrics_family *family,
                                          const struct metrics_facts *facts, struct buffer *body)
{
    struct expiry_snapshot snapshot;
    enum certpost_status status = CERTPOST_OK;
    if (facts->expiry == NULL)
        return CERTPOST_OK;
    expiry_watch_snapshot(facts->expiry, &snapshot);
    for (size_t i = 0; i < snapshot.count && i < METRICS_EXPIRY_MAX && status == CERTPOST_OK; i++)
        status = metrics_write_end(family, &snapshot.items[i], body);
    expiry_snapshot_release(&snapshot);
    return status;
}
