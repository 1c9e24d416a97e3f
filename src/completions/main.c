/*
 * main.c — write_completions SHELL PROGRAM FILE: a program of the build, not for people.
 *
 * Uses: the tables of certpost and certpostd.  Never: is installed.
 */
#include "completions/completions.h"
#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct client_command completions_server[] = {
    {"", NULL, NULL, config_options, ""},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct completions_program programs[] = {
    {"certpost", client_commands, true},
    {"certpostd", completions_server, false},
};

static const struct shell {
    const char *name;
    void (*write)(const struct completions_program *program, FILE *out);
} shells[] = {
    {"bash", completions_write_bash},
    {"zsh", completions_write_zsh},
    {"fish", completions_write_fish},
};

static const struct shell *find_shell(const char *name)
{
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].name, name) == 0)
            return &shells[i];
    }
    return NULL;
}

static const struct completions_program *find_program(const char *name)
{
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        if (strcmp(programs[i].name, name) == 0)
            return &programs[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct shell *shell = argc == 4 ? find_shell(argv[1]) : NULL;
    const struct completions_program *program = argc == 4 ? find_program(argv[2]) : NULL;
    if (shell == NULL || program == NULL) {
        fputs("usage: write_completions bash|zsh|fish certpost|certpostd FILE\n", stderr);
        return EXIT_FAILURE;
    }
    FILE *out = fopen(argv[3], "we");
    if (out == NULL) {
        perror(argv[3]);
        return EXIT_FAILURE;
    }
    shell->write(program, out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        fprintf(stderr, "%s: cannot be written\n", argv[3]);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
