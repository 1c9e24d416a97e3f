/*
 * send_poll.c — each line of standard input is a message; libcertpost, in a poll(2) loop.
 *
 *     tail -F log | send_poll --host 127.0.0.1:8080 --cacert certs/ca.pem --stream log
 *
 * Nothing waits but poll(2), which looks at standard input and at the client together. While the
 * client takes no more, standard input is not read, so that memory is bounded. Each event is a line
 * on standard output. Ends with 0 when, and only when, every line was acknowledged.
 */
#include <certpost/client.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 * 1024 };

struct input {
    char *bytes; /* read and not offered yet */
    size_t length;
    bool ended;
    bool blocked; /* the client takes no more for now */
};

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

static void print_event(const struct certpost_event *event)
{
    switch (event->type) {
    case CERTPOST_EVENT_CONNECTING:
        printf("connecting to %s\n", event->endpoint);
        break;
    case CERTPOST_EVENT_ATTEMPT_FAILED:
        printf("failed %s: %s\n", event->endpoint, event->error.text);
        break;
    case CERTPOST_EVENT_CONNECTED:
        printf("connected to %s with %s, it has %" PRIu64 "\n", event->endpoint, event->tls_version,
               event->seq);
        break;
    case CERTPOST_EVENT_ACKED:
        printf("acknowledged %" PRIu64 " %s\n", event->seq, certpost_level_name(event->level));
        break;
    case CERTPOST_EVENT_DISCONNECTED:
        printf("disconnected (%s, code %u): %s\n", certpost_status_name(event->error.status),
               (unsigned)event->code, event->error.text);
        break;
    case CERTPOST_EVENT_RECEIPT:
        printf("receipt up to %" PRIu64 "\n", event->seq);
        break;
    case CERTPOST_EVENT_FINISHED:
        printf("finished\n");
        break;
    case CERTPOST_EVENT_FAILED:
        printf("failed (%s, code %u, message %" PRIu64 "): %s\n",
               certpost_status_name(event->error.status), (unsigned)event->code, event->seq,
               event->error.text);
        break;
    }
    fflush(stdout);
}

/* Offers the lines that are whole; at the end of the input the last one needs no newline. */
static enum certpost_status offer_lines(struct certpost_client *client, struct input *input,
                                        struct certpost_error *error)
{
    size_t used = 0;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && used < input->length) {
        const char *line = input->bytes + used;
        const char *newline = memchr(line, '\n', input->length - used);
        if (newline == NULL && !input->ended && input->length - used < LINE_MAX_BYTES)
            break;
        size_t length = newline == NULL ? input->length - used : (size_t)(newline - line);
        status = certpost_client_offer(client, line, length, NULL, error);
        if (status == CERTPOST_OK)
            used += length + (newline == NULL ? 0 : 1);
    }
    input->length -= used;
    memmove(input->bytes, input->bytes + used, input->length);
    input->blocked = status == CERTPOST_WANT_WRITE;
    return input->blocked ? CERTPOST_OK : status;
}

static enum certpost_status read_input(struct input *input, struct certpost_error *error)
{
    (void)error;
    ssize_t length =
        read(STDIN_FILENO, input->bytes + input->length, LINE_MAX_BYTES - input->length);
    if (length < 0)
        return CERTPOST_LOCAL_IO;
    input->ended = length == 0;
    input->length += (size_t)length;
    return CERTPOST_OK;
}

/* One turn of the loop; CERTPOST_CLOSED when the client has finished. */
static enum certpost_status turn(struct certpost_client *client, struct input *input,
                                 struct certpost_error *error)
{
    struct pollfd polled[1 + CERTPOST_CLIENT_DESCRIPTORS_MAX];
    bool reading = !input->ended && !input->blocked;
    polled[0] = (struct pollfd){.fd = reading ? STDIN_FILENO : -1, .events = POLLIN};
    size_t count = certpost_client_descriptors(client, polled + 1, CERTPOST_CLIENT_DESCRIPTORS_MAX);
    (void)poll(polled, (nfds_t)(1 + count), certpost_client_timeout_ms(client));
    enum certpost_status status = CERTPOST_OK;
    if (reading && polled[0].revents != 0)
        status = read_input(input, error);
    if (status == CERTPOST_OK)
        status = offer_lines(client, input, error);
    if (status == CERTPOST_OK && input->ended && input->length == 0)
        status = certpost_client_finish(client, error);
    if (status == CERTPOST_OK)
        status = certpost_client_process(client, error);
    struct certpost_event event;
    while (certpost_client_next_event(client, &event)) {
        print_event(&event);
        if (event.type == CERTPOST_EVENT_FINISHED)
            status = CERTPOST_CLOSED;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct certpost_error error;
    struct certpost_client *client = NULL;
    struct input input = {.bytes = malloc(LINE_MAX_BYTES)};
    certpost_error_clear(&error);
    enum certpost_status status = certpost_client_new(&client, &error);
    if (status == CERTPOST_OK && input.bytes == NULL)
        status = CERTPOST_NO_MEMORY;
    if (status == CERTPOST_OK)
        status = set_options(client, argc, argv, &error);
    if (status == CERTPOST_OK)
        status = certpost_client_start(client, &error);
    while (status == CERTPOST_OK)
        status = turn(client, &input, &error);
    if (status != CERTPOST_CLOSED)
        fprintf(stderr, "%s (%s)\n", certpost_error_text(&error, status),
                certpost_status_name(status));
    if (client != NULL) {
        struct certpost_client_facts facts;
        certpost_client_facts(client, &facts);
        printf("%" PRIu64 " of %" PRIu64 " acknowledged, %" PRIu64
               " skipped, the last is number %" PRIu64 "\n",
               facts.acknowledged, facts.inherited + facts.offered, facts.skipped, facts.last_seq);
    }
    certpost_client_free(client);
    free(input.bytes);
    return status == CERTPOST_CLOSED ? EXIT_SUCCESS : EXIT_FAILURE;
}
