/*
 * receipt_command.c — `certpost receipt verify` and `certpost receipt show`
 * (client/receipt_command.h).
 *
 * Uses: receipt_check, receipt_options, input, print.  Used by: main.c.
 * Never: prints what a receipt says before it knows that the text is what was signed.
 */
#include "client/receipt_command.h"

#include "base/chain.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "client/exit_status.h"
#include "client/input.h"
#include "client/output.h"
#include "client/print.h"
#include "client/receipt_options.h"
#include "receipt/signature.h"
#include "tls/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* What is known about the messages that were given. */
enum receipt_input_result {
    RECEIPT_INPUT_NONE,   /* none were given */
    RECEIPT_INPUT_AGREES, /* exactly those that the receipt is for */
    RECEIPT_INPUT_LONGER, /* these, and more after them */
};

/* ------------------------------------------------------------------------------ input */

/* With --lines, input_next reads standard input; a file takes its place. */
static enum certpost_status receipt_open_input(const char *path, struct certpost_error *error)
{
    if (path == NULL || strcmp(path, "-") == 0)
        return CERTPOST_OK;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    int failed = descriptor < 0 || dup2(descriptor, STDIN_FILENO) < 0 ? errno : 0;
    if (descriptor >= 0)
        close(descriptor);
    return failed == 0 ? CERTPOST_OK
                       : error_set_errno(error, CERTPOST_LOCAL_IO, failed,
                                         "cannot read the input %s", path);
}

/* D(n) of the first messages; as many as the statement says, or as there are. */
static enum certpost_status receipt_chain_input(struct input *input, struct chain *chain,
                                                const struct statement *statement,
                                                struct committed *ret_head,
                                                struct certpost_error *error)
{
    struct committed head = {0};
    enum certpost_status status =
        chain_first(chain, statement->identity, statement->identity_length, statement->stream,
                    statement->stream_length, head.digest);
    while (status == CERTPOST_OK && head.seq < statement->seq) {
        const unsigned char *bytes = NULL;
        size_t length = 0;
        status = input_next_wait(input, &bytes, &length, error);
        if (status != CERTPOST_OK || bytes == NULL)
            break;
        status = chain_next(chain, head.digest, bytes, length, head.digest);
        head.seq++;
    }
    if (status == CERTPOST_OK)
        *ret_head = head;
    return status;
}

static enum certpost_status receipt_judge_input(const struct statement *statement,
                                                const struct committed *head,
                                                struct certpost_error *error)
{
    if (head->seq < statement->seq)
        return error_set(error, CERTPOST_DIGEST,
                         "the input ends after message %" PRIu64 ", the receipt is for %" PRIu64
                         ": message %" PRIu64 " is the first that is missing",
                         head->seq, statement->seq, head->seq + 1);
    if (memcmp(head->digest, statement->digest, CHAIN_DIGEST_BYTES) != 0)
        return error_set(error, CERTPOST_DIGEST,
                         "the receipt is not for this input: at least one of messages 1 to %" PRIu64
                         " is another one, or the receipt is for another stream",
                         statement->seq);
    return CERTPOST_OK;
}

static enum certpost_status receipt_compare_input(const struct receipt_options *options,
                                                  const struct statement *statement,
                                                  enum receipt_input_result *ret_result,
                                                  struct certpost_error *error)
{
    struct chain *chain = NULL;
    struct input input;
    struct committed head;
    const unsigned char *more = NULL;
    size_t length = 0;
    input_init(&input, &options->messages);
    enum certpost_status status = receipt_open_input(options->input, error);
    if (status == CERTPOST_OK)
        status = chain_new(&chain, error);
    if (status == CERTPOST_OK)
        status = receipt_chain_input(&input, chain, statement, &head, error);
    if (status == CERTPOST_OK)
        status = receipt_judge_input(statement, &head, error);
    if (status == CERTPOST_OK)
        status = input_next_wait(&input, &more, &length, error);
    if (status == CERTPOST_OK)
        *ret_result = more == NULL ? RECEIPT_INPUT_AGREES : RECEIPT_INPUT_LONGER;
    chain_free(chain);
    input_free(&input);
    return status;
}

/* ------------------------------------------------------------------------------ output */

/* The lines of the signed text, without the header in front of them and without CR. */
static void receipt_print_statement(const struct receipt *receipt)
{
    const char *text = (const char *)buffer_bytes(&receipt->text);
    size_t length = receipt->text.length;
    const char *body = memmem(text, length, "\r\n\r\n", 4);
    if (body == NULL) /* a statement has it; the parser saw to that */
        return;
    for (const char *next = body + 4; next < text + length; next++) {
        if (*next != '\r')
            fputc(*next, stdout);
    }
}

static void receipt_print_text(const struct receipt *receipt, bool verified,
                               enum receipt_input_result result)
{
    X509 *signer = receipt_signature_signer(receipt->signature);
    char names[TLS_NAMES_TEXT_BYTES];
    char begins[TLS_TIME_TEXT_BYTES];
    char ends[TLS_TIME_TEXT_BYTES];
    tls_certificate_names(signer, names);
    tls_time_text(X509_get0_notBefore(signer), begins);
    tls_time_text(X509_get0_notAfter(signer), ends);
    receipt_print_statement(receipt);
    printf("signed by: %s\n", names);
    printf("certificate: valid from %s to %s\n", begins, ends);
    printf("signer: %s\n", verified ? "good" : "not checked; see certpost receipt verify");
    if (result == RECEIPT_INPUT_AGREES)
        printf("input: agrees\n");
    else if (result == RECEIPT_INPUT_LONGER)
        printf("input: agrees, and goes on after what the receipt is for\n");
}

static void receipt_print_json(const struct receipt *receipt, bool verified,
                               enum receipt_input_result result)
{
    static const char *const results[] = {
        [RECEIPT_INPUT_NONE] = NULL,
        [RECEIPT_INPUT_AGREES] = "agrees",
        [RECEIPT_INPUT_LONGER] = "longer",
    };
    const struct statement *statement = &receipt->statement;
    struct json_writer json;
    char names[TLS_NAMES_TEXT_BYTES];
    char time[CLOCK_UTC_TEXT_BYTES];
    tls_certificate_names(receipt_signature_signer(receipt->signature), names);
    clock_format_utc(statement->time_ms, time);
    json_start_line(&json, stdout);
    json_exact(&json, "server", statement->server, statement->server_length);
    json_exact(&json, "identity", statement->identity, statement->identity_length);
    json_exact(&json, "stream", statement->stream, statement->stream_length);
    json_u64(&json, "seq", statement->seq);
    json_hex(&json, "digest", statement->digest, sizeof statement->digest);
    json_text(&json, "time", time);
    json_exact_text(&json, "signed_by", names);
    json_text(&json, "signer", verified ? "good" : NULL);
    json_text(&json, "input", results[result]);
    json_end_line(&json);
}

static enum certpost_status receipt_print(const struct receipt_options *options,
                                          const struct receipt *receipt,
                                          enum receipt_input_result result,
                                          struct certpost_error *error)
{
    if (options->json)
        receipt_print_json(receipt, options->verify, result);
    else if (!options->quiet)
        receipt_print_text(receipt, options->verify, result);
    return output_finish(error);
}

/* ------------------------------------------------------------------------------ verify, show */

static enum certpost_status receipt_check_about(const char *what, const char *expected,
                                                const unsigned char *value, size_t length,
                                                struct certpost_error *error)
{
    char safe[TEXT_ESCAPE_MAX * 64];
    if (expected == NULL || (strlen(expected) == length && memcmp(expected, value, length) == 0))
        return CERTPOST_OK;
    text_escape(value, length, safe, sizeof safe);
    return error_set(error, CERTPOST_DIGEST, "the receipt is for another %s: \"%s\"", what, safe);
}

static enum certpost_status receipt_verify(const struct receipt_options *options,
                                           const struct receipt *receipt,
                                           enum receipt_input_result *ret_result,
                                           struct certpost_error *error)
{
    const struct statement *statement = &receipt->statement;
    enum certpost_status status = receipt_believe(receipt, &options->choice, error);
    if (status == CERTPOST_OK)
        status = receipt_check_about("identity", options->identity, statement->identity,
                                     statement->identity_length, error);
    if (status == CERTPOST_OK)
        status = receipt_check_about("stream", options->stream, statement->stream,
                                     statement->stream_length, error);
    if (status == CERTPOST_OK && receipt_options_have_input(options))
        status = receipt_compare_input(options, statement, ret_result, error);
    return status;
}

static enum certpost_status receipt_run(const struct receipt_options *options,
                                        struct certpost_error *error)
{
    struct receipt receipt = {0};
    enum receipt_input_result result = RECEIPT_INPUT_NONE;
    enum certpost_status status = receipt_load(options->file, &receipt, error);
    if (status == CERTPOST_OK && options->verify)
        status = receipt_verify(options, &receipt, &result, error);
    if (status == CERTPOST_OK)
        status = receipt_print(options, &receipt, result, error);
    receipt_free(&receipt);
    return status;
}

int receipt_command(int argc, char **argv)
{
    struct receipt_options options;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = receipt_options_parse(argc, argv, &options, &error);
    if (status == CERTPOST_OK && (options.help || options.version))
        status = output_about(options.help, receipt_options_print_help, &error);
    else if (status == CERTPOST_OK)
        status = receipt_run(&options, &error);
    if (status != CERTPOST_OK)
        output_note("%s", certpost_error_text(&error, status));
    receipt_options_free(&options);
    return (int)exit_status_of(status);
}
