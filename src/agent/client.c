/*
 * client.c — life, options and facts of a client (certpost/client.h).
 *
 * Uses: base, tls, store, session, the agent's other modules.  Used by: it is public.
 * Never: touches the network; prints; reads the environment.
 */
#include "agent/client_internal.h"
#include "agent/context.h"
#include "base/clock.h"
#include "base/error.h"
#include "receipt/save.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A frame of the longest message, and the few small ones that are due with it. */
enum { CLIENT_OUTPUT_MAX_BYTES = FRAME_HEADER_BYTES + FRAME_MESSAGE_MAX_BYTES + 4096 };

/* Shortened to a third of the server's idle timeout. */
enum { CLIENT_PING_INTERVAL_MS = 20 * 1000, CLIENT_PING_TIMEOUT_MS = 10 * 1000 };

#define CLIENT_DEFAULT_STREAM "default"

#define CLIENT_ANY_END                                                                             \
    (MACHINE_TO(CLIENT_WAITING) | MACHINE_TO(CLIENT_FINISHED) | MACHINE_TO(CLIENT_FAILED))

static const struct machine_state client_table[] = {
    [CLIENT_NEW] = {"NEW", MACHINE_TO(CLIENT_OPENING)},
    [CLIENT_OPENING] = {"OPENING", MACHINE_TO(CLIENT_TALKING) | CLIENT_ANY_END},
    [CLIENT_TALKING] = {"TALKING",
                        MACHINE_TO(CLIENT_CLOSING) | MACHINE_TO(CLIENT_OPENING) | CLIENT_ANY_END},
    [CLIENT_CLOSING] = {"CLOSING", MACHINE_TO(CLIENT_FINISHED) | MACHINE_TO(CLIENT_FAILED)},
    [CLIENT_WAITING] = {"WAITING", MACHINE_TO(CLIENT_OPENING) | MACHINE_TO(CLIENT_FINISHED) |
                                       MACHINE_TO(CLIENT_FAILED)},
    [CLIENT_FINISHED] = {"FINISHED", 0},
    [CLIENT_FAILED] = {"FAILED", 0},
};

const char *certpost_level_name(enum certpost_level level)
{
    switch (level) {
    case CERTPOST_LEVEL_ACCEPTED:
        return "accepted";
    case CERTPOST_LEVEL_STORED:
        return "stored";
    case CERTPOST_LEVEL_REPLICATED:
        return "replicated";
    default:
        return "unknown";
    }
}

/* ---- state ---- */

void client_move(struct certpost_client *client, enum client_state state)
{
    struct certpost_error defect;
    certpost_error_clear(&defect);
    if (machine_move(&client->machine, state, &defect) != CERTPOST_OK)
        client->failure = defect;
}

static bool client_is_started(const struct certpost_client *client)
{
    return client_state(client) != CLIENT_NEW;
}

enum certpost_status client_check(const struct certpost_client *client,
                                  struct certpost_error *error)
{
    if (client->failure.status != CERTPOST_OK)
        return error_adopt(error, client->failure.status, &client->failure);
    if (!client_is_started(client))
        return error_set(error, CERTPOST_USAGE, "the client was not started");
    return CERTPOST_OK;
}

enum certpost_status client_fail(struct certpost_client *client, enum certpost_status status,
                                 const struct certpost_error *error)
{
    if (client->failure.status != CERTPOST_OK)
        return client->failure.status;
    (void)error_adopt(&client->failure, status, error);
    client->failure.status = status;
    link_drop(&client->link);
    client_move(client, CLIENT_FAILED);
    struct certpost_event *event = events_add(&client->events, CERTPOST_EVENT_FAILED);
    event->error = client->failure;
    event->code = client->refusal_code;
    event->seq = client->refused_seq;
    return status;
}

/* ---- life ---- */

enum certpost_status certpost_client_new(struct certpost_client **ret_client,
                                         struct certpost_error *error)
{
    struct certpost_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return error_no_memory(error);
    agent_config_init(&client->config);
    client->machine = machine_start(client_table, CLIENT_NEW);
    client->trouble_since_ms = -1;
    *ret_client = client;
    return CERTPOST_OK;
}

/* Undoes the start, whole or half. */
static void client_stop(struct certpost_client *client)
{
    link_free(&client->link);
    client->link = (struct link){.socket_fd = -1};
    sender_free(client->sender);
    client->sender = NULL;
    chain_free(client->chain);
    client->chain = NULL;
    mailbox_free(&client->mailbox);
    buffer_free(&client->output);
    SSL_CTX_free(client->context);
    client->context = NULL;
    if (client->keylog != NULL)
        fclose(client->keylog);
    client->keylog = NULL;
}

void certpost_client_free(struct certpost_client *client)
{
    if (client == NULL)
        return;
    client_stop(client);
    agent_config_free(&client->config);
    free(client);
}

enum certpost_status certpost_client_set(struct certpost_client *client, const char *name,
                                         const char *value, struct certpost_error *error)
{
    if (client_is_started(client))
        return error_set(error, CERTPOST_USAGE, "options are set before the start");
    return agent_config_set(&client->config, name, value, error);
}

/* ---- start ---- */

static enum certpost_status client_make_context(struct certpost_client *client,
                                                struct certpost_error *error)
{
    const struct agent_config *config = &client->config;
    client->pins = (struct tls_pins){config->pin_list, config->pin_count};
    return agent_context_new(config, &client->pins, &client->context, &client->keylog, error);
}

/* This machine's name: a stream has one writer, and two machines are two. */
static void client_default_stream(char ret_name[CERTPOST_NAME_BYTES])
{
    char name[CERTPOST_NAME_BYTES] = {0};
    bool usable =
        gethostname(name, sizeof name - 1) == 0 && message_stream_name_is_valid(name, strlen(name));
    snprintf(ret_name, CERTPOST_NAME_BYTES, "%s", usable ? name : CLIENT_DEFAULT_STREAM);
}

static enum certpost_status client_open_spool(struct certpost_client *client,
                                              const char *default_stream,
                                              struct certpost_error *error)
{
    const struct agent_config *config = &client->config;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    struct spool *spool = NULL;
    enum certpost_status status =
        spool_open(config->spool_file, config->stream, NULL, &spool, &cause);
    /* Without a name only a spool that is new has to be told one. */
    if (status == CERTPOST_USAGE && config->stream == NULL) {
        certpost_error_clear(&cause);
        status = spool_open(config->spool_file, default_stream, NULL, &spool, &cause);
    }
    if (status != CERTPOST_OK)
        return error_adopt(error, status, &cause);
    mailbox_use_spool(&client->mailbox, spool);
    return CERTPOST_OK;
}

static enum certpost_status client_open_mailbox(struct certpost_client *client,
                                                struct certpost_error *error)
{
    char default_stream[CERTPOST_NAME_BYTES];
    client_default_stream(default_stream);
    const char *stream = client->config.stream != NULL ? client->config.stream : default_stream;
    mailbox_init(&client->mailbox, client->config.max_buffered_bytes);
    if (client->config.spool_file != NULL) {
        enum certpost_status status = client_open_spool(client, default_stream, error);
        if (status != CERTPOST_OK)
            return status;
        stream = spool_state(client->mailbox.spool)->stream;
    }
    snprintf(client->stream, sizeof client->stream, "%s", stream);
    return CERTPOST_OK;
}

static struct message_span client_span(const char *text)
{
    return (struct message_span){(const unsigned char *)text, strlen(text)};
}

static size_t client_max_unacked(const struct agent_config *config)
{
    size_t count = config->max_buffered_bytes / MESSAGE_OVERHEAD_BYTES;
    return count > 0 ? count : 1;
}

static enum certpost_status client_make_sender(struct certpost_client *client,
                                               struct certpost_error *error)
{
    const struct agent_config *config = &client->config;
    struct sender_config sender = {
        .stream = client_span(client->stream),
        .software = client_span(config->software),
        .required_level = config->required_level,
        .start = SENDER_APPEND,
        .start_level = config->required_level,
        .max_unacked_messages = client_max_unacked(config),
        .wants_receipt = config->receipt_file != NULL,
        .answer_timeout_ms = config->connect_timeout_ms,
        .ping_interval_ms = CLIENT_PING_INTERVAL_MS,
        .ping_timeout_ms = CLIENT_PING_TIMEOUT_MS,
        .ack_timeout_ms = config->ack_timeout_ms,
    };
    if (config->resume_from > 0) {
        sender.start = SENDER_RESUME;
        sender.start_seq = config->resume_from - 1;
    }
    const struct spool_state *spool =
        client->mailbox.spool == NULL ? NULL : spool_state(client->mailbox.spool);
    if (spool != NULL && spool->is_adopted) {
        sender.start = SENDER_CONTINUE;
        sender.start_seq = client->last_seq = spool->acked_seq;
        sender.earlier_messages = client->mailbox.inherited;
        memcpy(sender.start_digest, spool->digest, sizeof spool->digest);
        memcpy(client->digest, spool->digest, sizeof client->digest);
    }
    return sender_new(&sender, client->chain, &client->sender, error);
}

enum certpost_status certpost_client_start(struct certpost_client *client,
                                           struct certpost_error *error)
{
    if (client_is_started(client))
        return error_set(error, CERTPOST_USAGE, "the client was started before");
    enum certpost_status status = agent_config_settle(&client->config, error);
    if (status == CERTPOST_OK && client->config.receipt_file != NULL)
        status = receipt_save_check(client->config.receipt_file, error);
    if (status == CERTPOST_OK)
        status = client_make_context(client, error);
    if (status == CERTPOST_OK)
        status = client_open_mailbox(client, error);
    if (status == CERTPOST_OK)
        status = chain_new(&client->chain, error);
    if (status == CERTPOST_OK)
        status = client_make_sender(client, error);
    if (status != CERTPOST_OK) {
        client_stop(client);
        return status;
    }
    buffer_init(&client->output, CLIENT_OUTPUT_MAX_BYTES);
    link_init(&client->link, &client->config, client->context);
    client->unprocessed = true;
    client_move(client, CLIENT_OPENING);
    return CERTPOST_OK;
}

/* ---- facts ---- */

void client_copy_span(char ret_text[CERTPOST_NAME_BYTES], const struct message_span *span)
{
    size_t length = span->length < CERTPOST_NAME_BYTES ? span->length : CERTPOST_NAME_BYTES - 1;
    if (length > 0)
        memcpy(ret_text, span->bytes, length);
    ret_text[length] = '\0';
}

static void client_server_facts(const struct certpost_client *client,
                                struct certpost_client_facts *facts)
{
    const struct message_welcome *welcome =
        client->sender == NULL ? NULL : sender_welcome(client->sender);
    if (welcome == NULL)
        return;
    facts->level = (enum certpost_level)welcome->level;
    facts->max_message_bytes = welcome->max_message_bytes;
    client_copy_span(facts->server_name, &welcome->server_name);
    client_copy_span(facts->reply, &welcome->reply);
}

void certpost_client_facts(const struct certpost_client *client,
                           struct certpost_client_facts *ret_facts)
{
    const struct mailbox *mailbox = &client->mailbox;
    struct certpost_client_facts facts = {
        .inherited = mailbox->inherited,
        .offered = mailbox->put,
        .acknowledged = mailbox->released,
        .unacknowledged = mailbox_total(mailbox) - mailbox->released,
        .skipped = client->skipped,
        .sent = client->sent,
        .spooled = mailbox->committed,
        .spooled_seq = mailbox->spool == NULL ? 0 : spool_state(mailbox->spool)->last_seq,
        .buffered_bytes = mailbox->queue.cost_bytes,
        .connections = client->connections,
        .attempts = client->attempts,
        .last_seq = client->last_seq,
        .connected = client_state(client) == CLIENT_TALKING && client->welcomed,
        .finished = client_state(client) == CLIENT_FINISHED,
        .failed = client_state(client) == CLIENT_FAILED,
        .has_receipt = client->has_receipt,
    };
    memcpy(facts.digest, client->digest, sizeof facts.digest);
    snprintf(facts.stream, sizeof facts.stream, "%s", client->stream);
    snprintf(facts.endpoint, sizeof facts.endpoint, "%s", client->link.endpoint);
    client_server_facts(client, &facts);
    *ret_facts = facts;
}
