/* client/colour.h — whether output may be coloured. */
#ifndef CLIENT_COLOUR_H
#define CLIENT_COLOUR_H

#include <stdbool.h>

/*
 * True when `descriptor` is a terminal that takes escape sequences (TERM is set, and not dumb) and
 * NO_COLOR (https://no-color.org) is unset or empty.
 */
bool colour_is_wanted(int descriptor);

#endif
