/* support/config_stage.c — see the header. */
#include "support/config_stage.h"

#include "base/error.h"
#include "support/unit.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int config_stage_set_up(void **state)
{
    struct config_stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL)
        return -1;
    snprintf(stage->folder, sizeof stage->folder, "/tmp/certpost-config-XXXXXX");
    if (mkdtemp(stage->folder) == NULL)
        return -1;
    snprintf(stage->path, sizeof stage->path, "%.64s/main.conf", stage->folder);
    *state = stage;
    return 0;
}

static int stage_remove(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

int config_stage_tear_down(void **state)
{
    struct config_stage *stage = *state;
    enum { OPEN_FOLDERS = 8 };
    (void)nftw(stage->folder, stage_remove, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    config_free(&stage->config);
    free(stage);
    return 0;
}

void config_stage_write(const struct config_stage *stage, const char *name, const void *bytes,
                        size_t length)
{
    char path[3 * STAGE_PATH_BYTES];
    if (strncmp(name, "conf.d/", strlen("conf.d/")) == 0) {
        snprintf(path, sizeof path, "%s/conf.d", stage->folder);
        (void)mkdir(path, 0700);
    }
    snprintf(path, sizeof path, "%s/%s", stage->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

void config_stage_write_text(const struct config_stage *stage, const char *name, const char *text)
{
    config_stage_write(stage, name, text, strlen(text));
}

enum certpost_status config_stage_load(struct config_stage *stage, const char *const *arguments)
{
    static char program[] = "certpostd";
    static char option[] = "--config";
    int count = 0;
    config_free(&stage->config);
    certpost_error_clear(&stage->error);
    stage->arguments[count++] = program;
    stage->arguments[count++] = option;
    stage->arguments[count++] = stage->path;
    while (*arguments != NULL) {
        assert_true(count < STAGE_ARGUMENTS_MAX - 1);
        stage->arguments[count++] = (char *)(uintptr_t)*arguments++;
    }
    stage->arguments[count] = NULL;
    return config_load(count, stage->arguments, &stage->config, &stage->error);
}

enum certpost_status config_stage_load_text(struct config_stage *stage, const char *text)
{
    static const char *const none[] = {NULL};
    config_stage_write_text(stage, "main.conf", text);
    return config_stage_load(stage, none);
}

/* Cuts "FOLDER/" out of a text, in place. */
static void stage_cut_folder(const struct config_stage *stage, char *text)
{
    size_t length = strlen(stage->folder) + 1;
    for (char *at = strstr(text, stage->folder); at != NULL; at = strstr(at, stage->folder))
        memmove(at, at + length, strlen(at + length) + 1);
}

void config_stage_assert_words(const struct config_stage *stage, enum certpost_status status,
                               const char *expected)
{
    char words[CERTPOST_ERROR_TEXT_BYTES];
    snprintf(words, sizeof words, "%s", certpost_error_text(&stage->error, status));
    stage_cut_folder(stage, words);
    assert_string_equal(words, expected);
}

void config_stage_assert_refused(struct config_stage *stage, const char *text, const char *expected)
{
    enum certpost_status status = config_stage_load_text(stage, text);
    assert_status(status, CERTPOST_USAGE);
    config_stage_assert_words(stage, status, expected);
}

char *config_stage_print(struct config_stage *stage)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_ok(config_print(&stage->config, out, &stage->error));
    assert_int_equal(fclose(out), 0);
    stage_cut_folder(stage, text);
    return text;
}
