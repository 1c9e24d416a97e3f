/*
 * colour.c — whether output may be coloured (client/colour.h).
 *
 * Uses: libc.  Used by: check_report.c.  Never: writes.
 */
#include "client/colour.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool colour_is_set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0';
}

bool colour_is_wanted(int descriptor)
{
    const char *terminal = getenv("TERM");
    return isatty(descriptor) == 1 && !colour_is_set("NO_COLOR") && terminal != NULL &&
           *terminal != '\0' && strcmp(terminal, "dumb") != 0;
}
