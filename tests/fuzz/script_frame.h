/*
 * fuzz/script_frame.h — a frame out of a script: the script says type and body, the length in the
 * header is right by itself, so that most of what is tried gets past the header.
 *
 * Script: u8 type; HELLO: u8 flags, u8 length of the name; MESSAGE: u16 length, u8 content; others:
 * u16 length and the body as it is.
 */
#ifndef FUZZ_SCRIPT_FRAME_H
#define FUZZ_SCRIPT_FRAME_H

#include "base/buffer.h"
#include "fuzz/fuzz.h"

/* Appends a frame; nothing when there is no room for it. */
void script_frame_append(struct cursor *script, struct buffer *output);

#endif
