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

/* The row of `state` in the table of moves after the heading that starts with `section`. */
static inline void doc_moves(const char *section, const char *state, char *ret_moves, size_t size)
{
    char row[80], line[512];
    snprintf(row, sizeof row, "| %s | ", state);
    FILE *file = fopen(CERTPOST_PROTOCOL_DOC, "r");
    assert_non_null(file);
    bool inside = false, found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        inside = inside || strncmp(line, section, strlen(section)) == 0;
        found = inside && strncmp(line, row, strlen(row)) == 0;
    }
    fclose(file);
    assert_true(found);
    char *end = strrchr(line, '|');
    assert_non_null(end);
    *end = '\0';
    snprintf(ret_moves, size, "%s", strrchr(line, '|') + 1);
}

/* Whether `name` is one of the comma-separated words of `moves`. */
static inline bool doc_has_word(const char *moves, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = strstr(moves, name); at != NULL; at = strstr(at + 1, name)) {
        if (at[-1] == ' ' && strchr(", ", at[length]) != NULL)
            return true;
    }
    return false;
}

#endif
