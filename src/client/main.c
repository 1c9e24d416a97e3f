/*
 * main.c — the program `certpost`: finds the subcommand and runs it.
 *
 * Uses: the subcommands.  Never: does work of its own.
 */
#include "base/text.h"
#include "client/commands.h"
#include "client/exit_status.h"
#include "client/output.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* More than there will be. */
enum { MAIN_COMMANDS_MAX = 32 };

static void main_print_help(FILE *out)
{
    fprintf(out, "Usage: certpost COMMAND [options]\n"
                 "\n"
                 "Certified post for programs: messages over TLS, each with an acknowledgement.\n"
                 "\n"
                 "Commands:\n");
    for (size_t i = 0; client_commands[i].name != NULL; i++)
        fprintf(out, "  %-8s%s\n", client_commands[i].name, client_commands[i].help);
    fprintf(out, "\n"
                 "Options:\n"
                 "  -V, --version  print the version and end\n"
                 "      --help     print this text and end\n"
                 "\n"
                 "Each command has its own --help.\n");
}

static int main_print(bool help)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = output_about(help, main_print_help, &error);
    if (status != CERTPOST_OK)
        output_note("%s", certpost_error_text(&error, status));
    return (int)exit_status_of(status);
}

static int main_unknown(const char *name)
{
    const char *names[MAIN_COMMANDS_MAX + 1] = {NULL};
    for (size_t i = 0; client_commands[i].name != NULL && i < MAIN_COMMANDS_MAX; i++)
        names[i] = client_commands[i].name;
    char safe[TEXT_ESCAPE_MAX * 32];
    text_escape(name, strlen(name), safe, sizeof safe);
    const char *kind = name[0] == '-' ? "option" : "command";
    const char *nearest = name[0] == '-' ? NULL : text_nearest(name, names);
    if (nearest != NULL)
        output_note("unknown command %s; did you mean %s?", safe, nearest);
    else
        output_note("unknown %s %s; see certpost --help", kind, safe);
    return EXIT_STATUS_USAGE;
}

int main(int argc, char **argv)
{
    output_claim_descriptors();
    /* A reader of our standard output that goes away is an error to report, not a death. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        output_note("which command? see certpost --help");
        return EXIT_STATUS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return main_print(true);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return main_print(false);
    for (size_t i = 0; client_commands[i].name != NULL; i++) {
        if (strcmp(argv[1], client_commands[i].name) == 0)
            return client_commands[i].run(argc - 1, argv + 1);
    }
    return main_unknown(argv[1]);
}
