/*
 * fuzz/mutate_frames.c — mutations that keep most frames whole: after libFuzzer's own mutation of
 * the input of fuzz_frames.c, the lengths in the headers are set right again, for a share of them.
 *
 * For fuzz_NAME only: replay_NAME does not mutate.
 */
#include <stddef.h>
#include <stdint.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* What stands before the frames, and before the body of each. */
enum { SCRIPT_BYTES = 6, HEADER_BYTES = 4 };

/* Body lengths that types 0 to 15 can have; 0: any. */
static const uint8_t usual_lengths[16] = {0, 20, 51, 0, 40, 11, 3, 0, 8, 8, 0, 4, 0, 0, 0, 0};

static void frame_set_length(uint8_t *header, size_t length)
{
    header[1] = (uint8_t)(length >> 16);
    header[2] = (uint8_t)(length >> 8);
    header[3] = (uint8_t)length;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 4 == 0)
        return size;
    for (size_t at = SCRIPT_BYTES; at + HEADER_BYTES <= size; seed = seed * 1103515245 + 12345) {
        size_t left = size - at - HEADER_BYTES;
        size_t usual = usual_lengths[data[at] % 16];
        size_t length = usual > 0 ? usual : (seed >> 16) % 24;
        if (seed >> 28 == 0)
            return size; /* from here on as they are */
        frame_set_length(data + at, length);
        if (length > left)
            return size; /* the last one is cut */
        at += HEADER_BYTES + length;
    }
    return size;
}
