/* test_base_options.c — command lines, right and wrong, and the help that is made from the table.
 */
#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "support/unit.h"

#include <stdlib.h>

struct settings {
    char calls[256]; /* "name=value;" for each call, in order */
};

static void note(struct settings *settings, const char *name, const char *value)
{
    size_t used = strlen(settings->calls);
    snprintf(settings->calls + used, sizeof settings->calls - used, "%s=%s;", name, value);
}

static enum certpost_status apply_cacert(void *config, const char *value,
                                         struct certpost_error *error)
{
    (void)error;
    note(config, "cacert", value);
    return CERTPOST_OK;
}

static enum certpost_status apply_port(void *config, const char *value,
                                       struct certpost_error *error)
{
    uint64_t port = 0;
    if (!text_parse_u64(value, 65535, &port))
        return error_set(error, CERTPOST_USAGE, "a number from 0 to 65535 is needed");
    note(config, "port", value);
    return CERTPOST_OK;
}

static enum certpost_status apply_quiet(void *config, const char *value,
                                        struct certpost_error *error)
{
    (void)error;
    note(config, "quiet", value);
    return CERTPOST_OK;
}

static enum certpost_status apply_verbose(void *config, const char *value,
                                          struct certpost_error *error)
{
    (void)error;
    note(config, "verbose", value);
    return CERTPOST_OK;
}

static enum certpost_status apply_from(void *config, const char *value,
                                       struct certpost_error *error)
{
    (void)error;
    note(config, "from", value);
    return CERTPOST_OK;
}

static enum certpost_status apply_broken(void *config, const char *value,
                                         struct certpost_error *error)
{
    (void)config;
    (void)value;
    (void)error;
    return CERTPOST_NO_MEMORY;
}

static const struct options_spec specs[] = {
    {.name = "", .help = "Connection"},
    {.name = "cacert",
     .argument = "FILE",
     .help = "CA certificates to trust",
     .apply = apply_cacert},
    {.name = "cafile", .argument = "FILE", .alias_of = "cacert"},
    {.name = "port",
     .short_name = 'p',
     .argument = "PORT",
     .default_text = "8080",
     .help = "the port to connect to, which is a number that has to be between 0 and 65535, or "
             "the name of a service that the machine knows",
     .apply = apply_port},
    {.name = "from",
     .argument = "N",
     .argument_is_optional = true,
     .help = "where to begin",
     .apply = apply_from},
    {.name = "", .help = "Output"},
    {.name = "quiet", .short_name = 'q', .help = "print nothing", .apply = apply_quiet},
    {.name = "verbose", .short_name = 'v', .help = "print more", .apply = apply_verbose},
    {.name = "an-option-with-quite-a-long-name",
     .argument = "VALUE",
     .help = "its help starts on a line of its own",
     .apply = apply_broken},
    {.name = NULL},
};

enum { ARGUMENTS_MAX = 12 };

struct outcome {
    enum certpost_status status;
    struct certpost_error error;
    struct settings settings;
    int first_operand;
    const char *operands[ARGUMENTS_MAX];
};

static struct outcome parse(const char *const *arguments)
{
    struct outcome outcome = {.first_operand = -1};
    static char copies[ARGUMENTS_MAX][128];
    char *argv[ARGUMENTS_MAX + 1] = {NULL};
    int argc = 0;
    for (; arguments[argc] != NULL; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", arguments[argc]);
        argv[argc] = copies[argc];
    }
    certpost_error_clear(&outcome.error);
    outcome.status =
        options_parse(specs, argc, argv, &outcome.settings, &outcome.first_operand, &outcome.error);
    for (int i = outcome.first_operand; i >= 0 && i < argc; i++)
        outcome.operands[i - outcome.first_operand] = argv[i];
    return outcome;
}

#define PARSE(...) parse((const char *const[]){"program", __VA_ARGS__, NULL})

static void assert_parsed(const struct outcome *outcome, const char *calls)
{
    assert_string_equal(certpost_error_text(&outcome->error, outcome->status), "success");
    assert_string_equal(outcome->settings.calls, calls);
}

static void assert_refused(const struct outcome *outcome, const char *text)
{
    assert_string_equal(outcome->error.text, text);
    assert_status(outcome->status, CERTPOST_USAGE);
    assert_int_equal(outcome->first_operand, -1);
}

static void test_values_in_every_form(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--port", "1", "--port=2", "-p", "3", "-p4", "--cacert=");
    assert_parsed(&outcome, "port=1;port=2;port=3;port=4;cacert=;");
    assert_null(outcome.operands[0]);
}

static void test_optional_value_is_joined_to_its_option(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--from", "7", "--from=8", "--from=");
    assert_parsed(&outcome, "from=;from=8;from=;");
    assert_string_equal(outcome.operands[0], "7");
}

static void test_flags_and_clusters(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--quiet", "-v", "-qv", "-qp5", "-vp", "6");
    assert_parsed(&outcome, "quiet=;verbose=;quiet=;verbose=;quiet=;port=5;verbose=;port=6;");
}

static void test_repeated_option_is_applied_each_time(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--cacert", "a", "--cacert", "b", "-q", "-q");
    assert_parsed(&outcome, "cacert=a;cacert=b;quiet=;quiet=;");
}

static void test_alias(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--cafile", "a.pem");
    assert_parsed(&outcome, "cacert=a.pem;");
}

static void test_abbreviations(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--po", "1", "--verb", "--cac=x");
    assert_parsed(&outcome, "port=1;verbose=;cacert=x;");
}

static void test_ambiguous_abbreviation_names_what_it_could_be(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--ca", "x");
    assert_refused(&outcome, "option --ca could be --cacert or --cafile; spell it out");
    outcome = PARSE("--ca=x");
    assert_refused(&outcome, "option --ca could be --cacert or --cafile; spell it out");
}

static void test_operands_move_to_the_end(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("one", "-q", "two", "--port", "1", "--", "-v", "--x");
    assert_parsed(&outcome, "quiet=;port=1;");
    assert_string_equal(outcome.operands[0], "one");
    assert_string_equal(outcome.operands[1], "two");
    assert_string_equal(outcome.operands[2], "-v");
    assert_string_equal(outcome.operands[3], "--x");
    outcome = PARSE("-");
    assert_parsed(&outcome, "");
    assert_string_equal(outcome.operands[0], "-");
}

static void test_no_arguments(void **state)
{
    (void)state;
    struct outcome outcome = parse((const char *const[]){"program", NULL});
    assert_parsed(&outcome, "");
    assert_int_equal(outcome.first_operand, 1);
}

static void test_unknown_option_suggests_the_nearest(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--cacrt", "x");
    assert_refused(&outcome, "unknown option --cacrt; did you mean --cacert?");
    outcome = PARSE("--quit=1");
    assert_refused(&outcome, "unknown option --quit; did you mean --quiet?");
    outcome = PARSE("--nothing-like-it");
    assert_refused(&outcome, "unknown option --nothing-like-it; see --help");
    /* A value may be a secret: it is not repeated. */
    outcome = PARSE("--passwort=geheim");
    assert_refused(&outcome, "unknown option --passwort; see --help");
}

static void test_unknown_short_option(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("-z");
    assert_refused(&outcome, "unknown option -z; see --help");
    outcome = PARSE("-?");
    assert_refused(&outcome, "unknown option -?; see --help");
    outcome = PARSE("-:");
    assert_refused(&outcome, "unknown option -:; see --help");
    outcome = PARSE("-\x1b");
    assert_refused(&outcome, "unknown option -\\x1b; see --help");
}

/* Inside a cluster getopt still points at the word before it. */
static void test_unknown_short_option_inside_a_cluster(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--quiet", "-zv");
    assert_refused(&outcome, "unknown option -z; see --help");
    outcome = PARSE("--port=1", "-qzv");
    assert_refused(&outcome, "unknown option -z; see --help");
}

static void test_missing_value(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--port");
    assert_refused(&outcome, "option --port needs a value; see --help");
    outcome = PARSE("-q", "--por");
    assert_refused(&outcome, "option --port needs a value; see --help");
    outcome = PARSE("-p");
    assert_refused(&outcome, "option -p needs a value; see --help");
    outcome = PARSE("-qp");
    assert_refused(&outcome, "option -p needs a value; see --help");
}

static void test_flag_with_value(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--quiet=yes");
    assert_refused(&outcome, "option --quiet takes no value");
    outcome = PARSE("--qui=yes");
    assert_refused(&outcome, "option --quiet takes no value");
}

static void test_bad_value_names_the_option(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("-v", "-p", "x", "-q");
    assert_refused(&outcome, "--port: a number from 0 to 65535 is needed");
    assert_string_equal(outcome.settings.calls, "verbose=;");
    outcome = PARSE("--an-option-with-quite-a-long-name=1");
    assert_status(outcome.status, CERTPOST_NO_MEMORY);
    assert_string_equal(outcome.error.text, "--an-option-with-quite-a-long-name: out of memory");
}

static enum certpost_status apply_level(void *config, const char *value,
                                        struct certpost_error *error)
{
    (void)config;
    (void)value;
    return error_set(error, CERTPOST_USAGE, "no such level");
}

static void assert_suggested(const char *option, const char *words)
{
    static const struct options_spec levels[] = {
        {.name = "level", .argument = "LEVEL", .words = "accepted stored", .apply = apply_level},
        {.name = "tls-min", .argument = "VERSION", .words = "1.2 1.3", .apply = apply_level},
        {.name = NULL}};
    char copy[64];
    char program[] = "program";
    char *argv[] = {program, copy, NULL};
    int first = -1;
    struct certpost_error error;
    certpost_error_clear(&error);
    snprintf(copy, sizeof copy, "%s", option);
    assert_status(options_parse(levels, 2, argv, NULL, &first, &error), CERTPOST_USAGE);
    assert_string_equal(error.text, words);
}

static void test_bad_value_suggests_the_nearest_word(void **state)
{
    (void)state;
    assert_suggested("--level=stord", "--level: no such level; did you mean stored?");
    assert_suggested("--level=xyz", "--level: no such level");
    assert_suggested("--tls-min=1.4", "--tls-min: no such level");
}

static void test_hostile_option_is_escaped(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--x\n\x1b[2J");
    assert_refused(&outcome, "unknown option --x\\n\\x1b[2J; see --help");
    char longest[120];
    memset(longest, '-', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    outcome = PARSE(longest);
    assert_status(outcome.status, CERTPOST_USAGE);
    assert_null(strchr(outcome.error.text, '\n'));
}

static void test_second_parse_starts_afresh(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("-qz", "one");
    assert_refused(&outcome, "unknown option -z; see --help");
    outcome = PARSE("-q", "one");
    assert_parsed(&outcome, "quiet=;");
    assert_string_equal(outcome.operands[0], "one");
}

static void print_help_to(char *text, size_t capacity)
{
    FILE *out = tmpfile();
    assert_non_null(out);
    options_print_help(specs, out);
    rewind(out);
    size_t length = fread(text, 1, capacity - 1, out);
    text[length] = '\0';
    fclose(out);
}

static void test_help_text(void **state)
{
    (void)state;
    char text[4096];
    print_help_to(text, sizeof text);
    assert_non_null(strstr(text, "\nConnection:\n"));
    assert_non_null(strstr(text, "\n      --cacert FILE           CA certificates to trust\n"));
    assert_non_null(strstr(text, "\n      --cafile FILE           the same as --cacert\n"));
    assert_non_null(strstr(text, "\n  -p, --port PORT             the port to connect to"));
    assert_non_null(strstr(text, "(default: 8080)\n"));
    assert_non_null(strstr(text, "\n      --from[=N]              where to begin\n"));
    assert_non_null(strstr(text, "      --an-option-with-quite-a-long-name VALUE\n"
                                 "                              its help starts on"));
}

static void test_help_lines_fit_in_80_columns(void **state)
{
    (void)state;
    /* Helps of each length, so that some word ends exactly in column 80. */
    for (size_t length = 1; length < 130; length++) {
        char help[160];
        for (size_t i = 0; i < length; i++)
            help[i] = i % 6 == 5 && i + 1 < length ? ' ' : 'h';
        help[length] = '\0';
        const struct options_spec one[] = {
            {.name = "flag", .help = help, .apply = apply_quiet},
            {.name = NULL},
        };
        FILE *out = tmpfile();
        assert_non_null(out);
        options_print_help(one, out);
        rewind(out);
        char line[512];
        while (fgets(line, sizeof line, out) != NULL) {
            size_t columns = strcspn(line, "\n");
            assert_true(columns <= 80);
            assert_true(columns == 0 || line[columns - 1] != ' ');
        }
        fclose(out);
    }
}

/* What a configuration file does with a name. */
static void test_looking_up_a_name(void **state)
{
    (void)state;
    const struct options_spec *spec = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_ok(options_look_up(specs, "cafile", &spec, &error));
    assert_string_equal(spec->name, "cacert");
    static const char *const unknown[] = {"", "--port", "p", "Output"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        certpost_error_clear(&error);
        assert_status(options_look_up(specs, unknown[i], &spec, &error), CERTPOST_USAGE);
    }
    assert_string_equal(spec->name, "cacert");
}

struct walk {
    char names[64];
    const char *stop; /* the option at which the walk fails */
};

static enum certpost_status visit(void *context, const struct options_spec *spec, const char *value,
                                  struct certpost_error *error)
{
    struct walk *walk = context;
    size_t used = strlen(walk->names);
    snprintf(walk->names + used, sizeof walk->names - used, "%s=%s;", spec->name, value);
    return strcmp(spec->name, walk->stop) == 0 ? error_set(error, CERTPOST_LIMIT, "enough")
                                               : CERTPOST_OK;
}

static void test_walking_stops_where_it_is_told_to(void **state)
{
    (void)state;
    struct walk walk = {.stop = "verbose"};
    struct certpost_error error;
    char words[][12] = {"program", "--cafile=x", "-q", "-v", "-q"};
    char *argv[] = {words[0], words[1], words[2], words[3], words[4], NULL};
    int first_operand = -1;
    certpost_error_clear(&error);
    assert_status(options_walk(specs, 5, argv, visit, &walk, &first_operand, &error),
                  CERTPOST_LIMIT);
    assert_string_equal(walk.names, "cacert=x;quiet=;verbose=;");
    assert_int_equal(first_operand, -1);
}

/* Each default once, as if it had been given; a wrong one is told with its name. */
static void test_defaults_are_taken_from_the_table(void **state)
{
    (void)state;
    static const struct options_spec good[] = {
        {.name = "", .help = "Group"},
        {.name = "port", .argument = "PORT", .default_text = "8080", .apply = apply_port},
        {.name = "from", .argument = "N", .default_words = "the first", .apply = apply_from},
        {.name = "cacert", .default_text = "x", .apply = apply_cacert, .repeatable = true},
        {.name = "quiet", .apply = apply_quiet},
        {.name = NULL},
    };
    static const struct options_spec bad[] = {
        {.name = "port", .argument = "PORT", .default_text = "the usual", .apply = apply_port},
        {.name = NULL},
    };
    struct settings settings = {.calls = ""};
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_ok(options_set_defaults(good, &settings, &error));
    assert_string_equal(settings.calls, "port=8080;");
    assert_status(options_set_defaults(bad, &settings, &error), CERTPOST_USAGE);
    assert_string_equal(error.text, "--port: a number from 0 to 65535 is needed");
}

UNIT_MAIN(cmocka_unit_test(test_values_in_every_form),
          cmocka_unit_test(test_optional_value_is_joined_to_its_option),
          cmocka_unit_test(test_flags_and_clusters),
          cmocka_unit_test(test_repeated_option_is_applied_each_time), cmocka_unit_test(test_alias),
          cmocka_unit_test(test_abbreviations),
          cmocka_unit_test(test_ambiguous_abbreviation_names_what_it_could_be),
          cmocka_unit_test(test_operands_move_to_the_end), cmocka_unit_test(test_no_arguments),
          cmocka_unit_test(test_unknown_option_suggests_the_nearest),
          cmocka_unit_test(test_unknown_short_option),
          cmocka_unit_test(test_unknown_short_option_inside_a_cluster),
          cmocka_unit_test(test_missing_value), cmocka_unit_test(test_flag_with_value),
          cmocka_unit_test(test_bad_value_names_the_option),
          cmocka_unit_test(test_bad_value_suggests_the_nearest_word),
          cmocka_unit_test(test_hostile_option_is_escaped),
          cmocka_unit_test(test_second_parse_starts_afresh), cmocka_unit_test(test_help_text),
          cmocka_unit_test(test_help_lines_fit_in_80_columns),
          cmocka_unit_test(test_looking_up_a_name),
          cmocka_unit_test(test_walking_stops_where_it_is_told_to),
          cmocka_unit_test(test_defaults_are_taken_from_the_table))
