/*
 * send_blocking.c — each line of standard input is a message; libcertpost, blocking.
 *
 *     seq 1 1000 | send_blocking --host 127.0.0.1:8080 --cacert certs/ca.pem --stream numbers
 *
 * Every option is one of certpost_client_set; an option and its value are two words. Ends with 0
 * when, and only when, every line was acknowledged.
 */
#include <certpost/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static enum certpost_status set_options(struct certpost_client *client, int argc, char **argv,
                                        struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (int i = 1; i + 1 < argc && status == CERTPOST_OK; i += 2) {
        const char *name = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : argv[i];
        status = certpost_client_set(client, name, argv[i + 1], error);
    }
    return status;
}

static enum certpost_status send_lines(struct certpost_client *client, struct certpost_error *error)
{
    char *line = NULL;
    size_t capacity = 0;
    enum certpost_status status = CERTPOST_OK;
    ssize_t length = 0;
    while (status == CERTPOST_OK && (length = getline(&line, &capacity, stdin)) >= 0) {
        if (length > 0 && line[length - 1] == '\n')
            length--;
        status = certpost_client_send(client, line, (size_t)length, CERTPOST_CLIENT_NO_TIMEOUT,
                                      NULL, error);
    }
    free(line);
    return status;
}

int main(int argc, char **argv)
{
    struct certpost_error error;
    struct certpost_client *client = NULL;
    certpost_error_clear(&error);
    enum certpost_status status = certpost_client_new(&client, &error);
    if (status == CERTPOST_OK)
        status = set_options(client, argc, argv, &error);
    if (status == CERTPOST_OK)
        status = certpost_client_start(client, &error);
    if (status == CERTPOST_OK)
        status = send_lines(client, &error);
    /* Returns when everything is acknowledged, or when trying again makes no sense any more. */
    if (status == CERTPOST_OK)
        status = certpost_client_close(client, CERTPOST_CLIENT_NO_TIMEOUT, &error);
    if (status != CERTPOST_OK)
        fprintf(stderr, "%s (%s)\n", certpost_error_text(&error, status),
                certpost_status_name(status));
    if (client != NULL) {
        struct certpost_client_facts facts;
        certpost_client_facts(client, &facts);
        printf("%llu of %llu acknowledged, %llu skipped, the last is number %llu\n",
               (unsigned long long)facts.acknowledged,
               (unsigned long long)(facts.inherited + facts.offered),
               (unsigned long long)facts.skipped, (unsigned long long)facts.last_seq);
    }
    certpost_client_free(client);
    return status == CERTPOST_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
