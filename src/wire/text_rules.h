/* wire/text_rules.h — what may stand in the text fields of certpost/1 (docs/protocol.md, 3). */
#ifndef WIRE_TEXT_RULES_H
#define WIRE_TEXT_RULES_H

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8. Empty text is. */
bool text_rules_utf8(const void *bytes, size_t length);

/* Valid UTF-8 without the control characters U+0000-1F and U+007F-9F. Empty text is. */
bool text_rules_plain(const void *bytes, size_t length);

#endif
