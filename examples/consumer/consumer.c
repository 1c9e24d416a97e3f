/*
 * consumer.c — one message with libcertpost: the smallest program that waits until it is stored.
 *
 *     consumer HOST:PORT CA-FILE MESSAGE
 */
#include <certpost/client.h>
#include <stdio.h>
#include <string.h>

static enum certpost_status deliver(struct certpost_client *client, char **arguments,
                                    struct certpost_error *error)
{
    enum certpost_status status = certpost_client_set(client, "host", arguments[0], error);
    if (status == CERTPOST_OK)
        status = certpost_client_set(client, "cacert", arguments[1], error);
    if (status == CERTPOST_OK)
        status = certpost_client_set(client, "require", "stored", error);
    if (status == CERTPOST_OK)
        status = certpost_client_start(client, error);
    if (status == CERTPOST_OK)
        status = certpost_client_send(client, arguments[2], strlen(arguments[2]), -1, NULL, error);
    /* OK means that the server has it on stable storage. */
    if (status == CERTPOST_OK)
        status = certpost_client_close(client, -1, error);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "Usage: consumer HOST:PORT CA-FILE MESSAGE\n");
        return 2;
    }
    struct certpost_error error;
    struct certpost_client *client = NULL;
    certpost_error_clear(&error);
    enum certpost_status status = certpost_client_new(&client, &error);
    if (status == CERTPOST_OK)
        status = deliver(client, argv + 1, &error);
    if (status == CERTPOST_OK)
        puts("stored");
    else
        fprintf(stderr, "consumer: %s\n", certpost_error_text(&error, status));
    certpost_client_free(client);
    return status == CERTPOST_OK ? 0 : 1;
}
