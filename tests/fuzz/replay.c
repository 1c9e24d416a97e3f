/*
 * fuzz/replay.c — runs a harness over files, without libFuzzer: for ctest, for other compilers than
 * clang, and under a debugger.
 *
 *     replay_NAME FILE-OR-FOLDER…
 *
 * The status is 1 when there was nothing to run: a corpus that is not found must not pass.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { REPLAY_MAX_BYTES = 1 << 24, REPLAY_PATH_BYTES = 4096 };

static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat about;
    bool done = file != NULL && fstat(fileno(file), &about) == 0 && about.st_size >= 0 &&
                about.st_size <= REPLAY_MAX_BYTES;
    size_t size = done ? (size_t)about.st_size : 0;
    /* Just as much as the file has: a read behind its end is seen by a sanitizer. */
    uint8_t *data = malloc(size);
    done = done && (size == 0 || (data != NULL && fread(data, 1, size, file) == size));
    if (done)
        (void)LLVMFuzzerTestOneInput(data, size);
    else
        fprintf(stderr, "%s: cannot be read\n", path);
    free(data);
    if (file != NULL)
        fclose(file);
    return done;
}

/* How many inputs were run; SIZE_MAX if one could not be. */
static size_t replay_folder(const char *path, DIR *folder)
{
    size_t count = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char inner[REPLAY_PATH_BYTES];
        if (entry->d_name[0] == '.')
            continue;
        int length = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (length < 0 || (size_t)length >= sizeof inner || !replay_file(inner))
            return SIZE_MAX;
        count++;
    }
    return count;
}

static size_t replay(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return replay_file(path) ? 1 : SIZE_MAX;
    size_t count = replay_folder(path, folder);
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    size_t total = 0;
    for (int i = 1; i < argc; i++) {
        size_t count = replay(argv[i]);
        if (count == SIZE_MAX)
            return 1;
        total += count;
    }
    printf("%zu inputs\n", total);
    return total > 0 ? 0 : 1;
}
