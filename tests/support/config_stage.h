/*
 * support/config_stage.h — configuration files in a folder of the test's own, loaded as the server
 * loads them.
 */
#ifndef SUPPORT_CONFIG_STAGE_H
#define SUPPORT_CONFIG_STAGE_H

#include "server/config.h"

#include <stddef.h>

enum { STAGE_PATH_BYTES = 128, STAGE_ARGUMENTS_MAX = 24 };

struct config_stage {
    char folder[STAGE_PATH_BYTES];
    char path[STAGE_PATH_BYTES]; /* of the file that --config names: FOLDER/main.conf */
    char *arguments[STAGE_ARGUMENTS_MAX];
    struct server_config config;
    struct certpost_error error;
};

/* For cmocka: `*state` is the stage. The end removes the folder and all that is in it. */
int config_stage_set_up(void **state);
int config_stage_tear_down(void **state);

/* A file of the folder, NAME or conf.d/NAME; its folder is made. */
void config_stage_write(const struct config_stage *stage, const char *name, const void *bytes,
                        size_t length);
void config_stage_write_text(const struct config_stage *stage, const char *name, const char *text);

/* What config_load says to --config main.conf and the arguments (ended by NULL) behind it. */
enum certpost_status config_stage_load(struct config_stage *stage, const char *const *arguments);

/* Loads this text as main.conf, without further arguments. */
enum certpost_status config_stage_load_text(struct config_stage *stage, const char *text);

/* The words of the error, the folder left out: "main.conf:3: …". */
void config_stage_assert_words(const struct config_stage *stage, enum certpost_status status,
                               const char *expected);

/* The text is refused with USAGE and these words. */
void config_stage_assert_refused(struct config_stage *stage, const char *text,
                                 const char *expected);

/* What config_print prints, the folder left out; to be freed. */
char *config_stage_print(struct config_stage *stage);

#define STAGE_CASE(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, config_stage_set_up, config_stage_tear_down)

#endif
