/*
 * fuzz_send_options.c — the command line of `certpost send` (client/send_options.h,
 * base/options.h).
 *
 * Script: u8 allocation that fails; then words, each a u8 length and the bytes.
 */
#include "client/send_options.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64 };

static void send_options_check(const struct send_options *options)
{
    if (options->help || options->version)
        return;
    FUZZ_CHECK(options->lines || options->source_count > 0 || options->has_spool);
    FUZZ_CHECK(!options->framing_given || options->plain);
    FUZZ_CHECK(!options->plain || (!options->has_spool && !options->resumes && !options->json));
    FUZZ_CHECK(!options->has_spool || !options->resumes);
    FUZZ_CHECK(strnlen(options->default_stream, sizeof options->default_stream) <
               sizeof options->default_stream);
    for (size_t i = 0; i < options->setting_count; i++)
        FUZZ_CHECK(options->settings[i].name != NULL);
    for (size_t i = 0; i < options->source_count; i++)
        FUZZ_CHECK(options->sources[i].value != NULL);
}

static void send_options_show_help(void)
{
    static FILE *nowhere;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    FUZZ_CHECK(nowhere != NULL);
    send_options_print_help(nowhere);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    struct cursor fault = script;
    (void)fuzz_u8(&script);
    char *words[WORDS_MAX + 2] = {fuzz_text("send", 4)};
    int count = 1;
    while (count <= WORDS_MAX && script.left_bytes > 0) {
        const uint8_t *bytes = NULL;
        size_t length = fuzz_take(&script, fuzz_u8(&script), &bytes);
        words[count++] = fuzz_text(bytes, length);
    }
    char *given[WORDS_MAX + 2];
    memcpy(given, words, sizeof given); /* the parser changes the order */
    struct send_options options;
    struct certpost_error error;
    certpost_error_clear(&error);
    fuzz_arm_memory(&fault);
    enum certpost_status status = send_options_parse(count, given, &options, &error);
    bool struck = fuzz_heal_memory();
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_USAGE ||
               (status == CERTPOST_NO_MEMORY && struck) ||
               (status == CERTPOST_LOCAL_IO && options.config.spool_file != NULL));
    if (status == CERTPOST_OK)
        send_options_check(&options);
    if (status == CERTPOST_OK && options.help)
        send_options_show_help();
    send_options_free(&options);
    send_options_free(NULL);
    for (int i = 0; i < count; i++)
        free(words[i]);
    return 0;
}
