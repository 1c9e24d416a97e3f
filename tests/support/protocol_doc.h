/*
 * support/protocol_doc.h — the named hex blocks of docs/protocol.md, so that the C code is checked
 * against the very text that others implement from.
 */
#ifndef SUPPORT_PROTOCOL_DOC_H
#define SUPPORT_PROTOCOL_DOC_H

#include "support/unit.h"

#include <stdbool.h>
#include <stdlib.h>

struct doc_block {
    unsigned char bytes[1024];
    size_t length;
};

static inline void doc_read_hex_line(const char *line, struct doc_block *block)
{
    char *end = NULL;
    for (const char *next = line; *next != '\n' && *next != '\0'; next = end) {
        unsigned long value = strtoul(next, &end, 16);
        assert_true(end > next && value <= 0xff && block->length < sizeof block->bytes);
        block->bytes[block->length++] = (unsigned char)value;
    }
}

/* The block that opens with "```hex NAME"; the test fails when there is none. */
static inline struct doc_block doc_block(const char *name)
{
    struct doc_block block = {{0}, 0};
    char opening[80], line[256];
    snprintf(opening, sizeof opening, "```hex %s\n", name);
    FILE *file = fopen(CERTPOST_PROTOCOL_DOC, "r");
    assert_non_null(file);
    bool inside = false, found = false;
    while (!(found && !inside) && fgets(line, sizeof line, file) != NULL) {
        if (!inside && strcmp(line, opening) == 0)
            inside = found = true;
        else if (inside && strcmp(line, "```\n") == 0)
            inside = false;
        else if (inside)
            doc_read_hex_line(line, &block);
    }
    fclose(file);
    assert_true(found);
    return block;
}

#endif
