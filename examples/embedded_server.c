/*
 * embedded_server.c — a program with a certpost server in it, which decides on each message.
 *
 * It takes messages that begin with a letter and answers each with how many it has taken; others it
 * rejects, and says why. It serves until its standard input ends:
 *
 *     embedded_server CERTIFICATE KEY [ADDRESS]
 *
 * Try it: openssl s_client -connect 127.0.0.1:8080 -CAfile certs/ca.crt
 */
#include <certpost/server.h>
#include <ctype.h>
#include <stdio.h>

/* The handler's own memory: one thread at a time calls it, so it needs no lock. */
struct counter {
    unsigned long taken;
};

static enum certpost_decision decide(void *context, const struct certpost_message *message,
                                     struct certpost_answer *ret_answer)
{
    struct counter *counter = context;
    if (message->length == 0 || !isalpha(message->bytes[0])) {
        ret_answer->code = 1000; /* of our own; certpost/1 tells it to the sender */
        snprintf(ret_answer->text, sizeof ret_answer->text, "a message begins with a letter");
        return CERTPOST_REJECT;
    }
    counter->taken++;
    snprintf(ret_answer->text, sizeof ret_answer->text, "message %lu taken", counter->taken);
    return CERTPOST_TAKE;
}

static enum certpost_status start(struct certpost_server *server, struct counter *counter,
                                  char **arguments, struct certpost_error *error)
{
    enum certpost_status status = certpost_server_set(server, "cert", arguments[1], error);
    if (status == CERTPOST_OK)
        status = certpost_server_set(server, "key", arguments[2], error);
    if (status == CERTPOST_OK && arguments[3] != NULL)
        status = certpost_server_set(server, "listen", arguments[3], error);
    return status == CERTPOST_OK ? certpost_server_start(server, decide, counter, error) : status;
}

int main(int argc, char **argv)
{
    struct certpost_server *server = NULL;
    struct counter counter = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    if (argc < 3) {
        fprintf(stderr, "Usage: embedded_server CERTIFICATE KEY [ADDRESS]\n");
        return 2;
    }
    enum certpost_status status = certpost_server_new(&server, &error);
    if (status == CERTPOST_OK)
        status = start(server, &counter, argv, &error);
    if (status == CERTPOST_OK) {
        printf("Serving on %s until the input ends\n", certpost_server_address(server, 0));
        (void)fflush(stdout);
        while (getchar() != EOF) {
        }
        status = certpost_server_stop(server, &error);
    }
    if (status != CERTPOST_OK)
        fprintf(stderr, "embedded_server: %s\n", certpost_error_text(&error, status));
    else
        printf("%lu messages taken\n", counter.taken);
    certpost_server_free(server);
    return status == CERTPOST_OK ? 0 : 1;
}
