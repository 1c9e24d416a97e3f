/*
 * main.c — the program `certpost`: finds the subcommand and runs it.
 *
 * Uses: the subcommands.  Never: does work of its own.
 */
#include "base/text.h"
#include "client/check.h"
#include "client/exit_status.h"
#include "client/output.h"
#include "client/read.h"
#include "client/receipt_command.h"
#include "client/send.h"
#include "client/verify.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct subcommand subcommands[] = {
    {"send", send_command, "send messages and wait for their acknowledgements"},
    {"check", check_command, "tell what holds between here and a server, and what not"},
    {"read", read_command, "print the messages of a store"},
    {"verify", verify_command, "check a store against its digests"},
    {"receipt", receipt_command, "check or print a server's signed receipt"},
};

enum { SUBCOMMAND_COUNT = sizeof subcommands / sizeof subcommands[0] };

static void main_print_help(FILE *out)
{
    fprintf(out, "Usage: certpost COMMAND [options]\n"
                 "\n"
                 "Certified post for programs: messages over TLS, each with an acknowledgement.\n"
                 "\n"
                 "Commands:\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        fprintf(out, "  %-8s%s\n", subcommands[i].name, subcommands[i].help);
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
    const char *names[SUBCOMMAND_COUNT + 1] = {NULL};
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        names[i] = subcommands[i].name;
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
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1);
    }
    return main_unknown(argv[1]);
}
