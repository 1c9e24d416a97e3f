/*
 * client.c — the clients of the simulation: a sender between its messages and a link. Three kinds:
 * messages in memory (never restarted), a spool file that outlives the process (and may lag behind
 * the acknowledgements), and an input that can be read again from its start.
 */
#include "sim/sim.h"

#include <string.h>

static struct sim_stream *sim_client_stream(struct sim *sim, const struct sim_client *client)
{
    return &sim->streams[client->stream];
}

void sim_client_start(struct sim *sim, struct sim_client *client)
{
    unsigned char name = (unsigned char)('0' + client->stream);
    struct sender_config config = {
        .stream = {&name, 1},
        .required_level = MESSAGE_LEVEL_STORED,
        .start = client->mode,
        .start_level = MESSAGE_LEVEL_STORED,
        .max_unacked_messages = sim->max_unacked,
        .answer_timeout_ms = 2000,
        .ping_interval_ms = 1500,
        .ping_timeout_ms = 1500,
        .ack_timeout_ms = 9000,
        .wants_receipt = client->wants_receipt,
    };
    client->has_receipt = false;
    client->first = 0;
    if (client->mode == SENDER_CONTINUE) {
        client->first = config.start_seq = client->spool_head.seq;
        const struct committed *point =
            &sim_client_stream(sim, client)->points[client->spool_head.seq];
        memcpy(config.start_digest, point->digest, CHAIN_DIGEST_BYTES);
        config.earlier_messages = client->available - client->first;
    }
    client->finish_told = client->connected = client->half_closed = client->closing = false;
    client->retry_ms = sim->now_ms;
    buffer_init(&client->output, 2048);
    if (sender_new(&config, sim->chain, &client->sender, NULL) != CERTPOST_OK)
        sim_fail(sim, "no sender");
    sim_trace(sim, "client %zu: starts", (size_t)(client - sim->clients));
}

static bool sim_client_has_rival(const struct sim *sim, const struct sim_client *client,
                                 bool running)
{
    for (size_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *other = &sim->clients[i];
        if (other != client && other->stream == client->stream &&
            (!running || other->sender != NULL))
            return true;
    }
    return false;
}

void sim_client_free(struct sim_client *client)
{
    sender_free(client->sender);
    client->sender = NULL;
    buffer_free(&client->output);
}

/* Leaves the link; what was written before still travels. */
static void sim_client_leave(struct sim *sim, struct sim_client *client, enum sim_end end)
{
    struct sim_link *link = &sim->links[client->link];
    sim_pipe_close(&link->up, end);
    sim_pipe_close(&link->down, SIM_END_CUT);
    link->client_left = true;
    sim_link_free_if_left(link);
    client->connected = client->half_closed = client->closing = false;
    buffer_clear(&client->output);
}

/* The process ends, for a reason that must be a good one. */
static void sim_client_judge_end(struct sim *sim, struct sim_client *client)
{
    struct certpost_error error = {.status = CERTPOST_OK};
    enum certpost_status failure = sender_failure(client->sender, &error);
    if (sender_state(client->sender) == SENDER_FINISHED) {
        const struct sim_stream *stream = sim_client_stream(sim, client);
        sim_check(sim, stream->durable == stream->total, "FINISHED means that all is stored");
        sim_check(sim, client->has_receipt == client->wants_receipt,
                  "FINISHED means that the receipt is there");
        client->done = true;
    } else if (failure != CERTPOST_SUPERSEDED ||
               !(client->crashed || sim_client_has_rival(sim, client, false))) {
        sim_fail(sim, "a sender gave up: %s", error.text);
    }
    sim_trace(sim, "client %zu: ends (%s)", (size_t)(client - sim->clients), error.text);
    sim_client_free(client);
}

static void sim_client_disconnect(struct sim *sim, struct sim_client *client, enum sim_end end)
{
    sim_client_leave(sim, client, end);
    sender_disconnected(client->sender);
    sim_trace(sim, "client %zu: disconnected, %s", (size_t)(client - sim->clients),
              sender_state_name(client->sender));
    if (sender_state(client->sender) == SENDER_DISCONNECTED)
        client->retry_ms = sim->now_ms + (int64_t)sim_random(sim, 500);
    else
        sim_client_judge_end(sim, client);
}

static void sim_client_connect(struct sim *sim, struct sim_client *client)
{
    if (sim->now_ms < client->retry_ms || !sim->server.up || !sim_link_open(sim, &client->link))
        return;
    client->connected = true;
    sim_trace(sim, "client %zu: connects, link %zu", (size_t)(client - sim->clients), client->link);
    if (sender_connected(client->sender, sim->now_ms, NULL) != CERTPOST_OK)
        sim_fail(sim, "the sender does not want to connect");
}

/* The promise itself: what the sender believes to be acknowledged is on the disk, and is the same.
 */
static void sim_client_acked(struct sim *sim, struct sim_client *client,
                             const struct sender_effect *effect)
{
    const struct sim_stream *stream = sim_client_stream(sim, client);
    sim_trace(sim, "client %zu: acked %u", (size_t)(client - sim->clients), (unsigned)effect->seq);
    sim->acks++;
    sim_check(sim, effect->seq <= stream->durable, "acknowledged means stored");
    if (sim->failed)
        return;
    sim_check(sim,
              memcmp(effect->digest, stream->points[effect->seq].digest, CHAIN_DIGEST_BYTES) == 0,
              "the acknowledged digest is that of what is stored");
    sim_check(sim, client->first + effect->released_position == effect->seq,
              "just the acknowledged messages are released");
    if (client->mode == SENDER_CONTINUE && sim_chance(sim, 70))
        client->spool_head = *effect;
}

static void sim_client_receipt(struct sim *sim, struct sim_client *client,
                               const struct sender_effect *effect)
{
    const struct sim_stream *stream = sim_client_stream(sim, client);
    const struct message_receipt *receipt = sender_receipt(client->sender);
    uint64_t seq = 0;
    sim->receipts++;
    client->has_receipt = true;
    sim_check(sim, effect->seq == stream->total, "a receipt is asked for when all is stored");
    sim_check(sim, receipt->statement.length == sizeof seq + CHAIN_DIGEST_BYTES, "it is whole");
    if (sim->failed)
        return;
    memcpy(&seq, receipt->statement.bytes, sizeof seq);
    sim_check(sim,
              seq == effect->seq && memcmp(receipt->statement.bytes + sizeof seq, effect->digest,
                                           CHAIN_DIGEST_BYTES) == 0,
              "a receipt is for what was acknowledged");
}

static void sim_client_effects(struct sim *sim, struct sim_client *client)
{
    struct sender_effect effect = {.type = SENDER_NONE};
    while (!sim->failed && sender_next_effect(client->sender, &effect) != SENDER_NONE) {
        sim_check(sim, !client->closing, "no effect after CLOSE");
        if (effect.type == SENDER_ACKED)
            sim_client_acked(sim, client, &effect);
        else if (effect.type == SENDER_RECEIPT)
            sim_client_receipt(sim, client, &effect);
        else if (effect.type == SENDER_CLOSE)
            client->closing = true;
        else if (sender_welcome(client->sender)->head.last_seq > 0)
            sim->resumes++;
    }
    if (sender_welcome(client->sender) != NULL)
        sim_check(sim, sender_unacked_bytes(client->sender) <= sim->server.config.window_bytes,
                  "the sender keeps to the window");
}

static void sim_client_input(struct sim *sim, struct sim_client *client)
{
    unsigned char bytes[SIM_PIPE_BYTES];
    struct sim_pipe *pipe = &sim->links[client->link].down;
    struct cursor input = cursor_over(bytes, sim_pipe_read(sim, pipe, bytes));
    struct certpost_error error = {.status = CERTPOST_OK};
    if (sender_input(client->sender, &input, sim->now_ms, &error) != CERTPOST_OK)
        sim_fail(sim, "the sender complains about the server: %s", error.text);
    sim_client_effects(sim, client);
}

static void sim_client_messages(struct sim *sim, struct sim_client *client)
{
    const struct sim_stream *stream = sim_client_stream(sim, client);
    struct sender_want want = {0};
    struct certpost_error error = {.status = CERTPOST_OK};
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && sender_wants_message(client->sender, &want) &&
           client->first + want.position < client->available && sim_chance(sim, 85)) {
        sim_check(sim, want.seq == client->first + want.position + 1, "the right message is asked");
        const struct sim_text *text = &stream->input[client->first + want.position];
        status = sender_message(client->sender, text->bytes, text->length, &client->output,
                                sim->now_ms, &error);
    }
    if (certpost_status_group(status) > CERTPOST_GROUP_WAIT)
        sim_fail(sim, "the sender does not take a message: %s", error.text);
}

static void sim_client_feed(struct sim *sim, struct sim_client *client)
{
    const struct sim_stream *stream = sim_client_stream(sim, client);
    if (client->available < stream->total && sim_chance(sim, 40))
        client->available += 1 + sim_random(sim, stream->total - client->available);
    if (client->available < stream->total || client->finish_told || !sim_chance(sim, 30))
        return;
    client->finish_told = true;
    if (sender_finish(client->sender, stream->total - client->first, NULL) != CERTPOST_OK)
        sim_fail(sim, "the sender does not want to finish");
    if (!client->connected && sender_state(client->sender) == SENDER_FINISHED)
        sim_client_judge_end(sim, client);
}

static void sim_client_output(struct sim *sim, struct sim_client *client)
{
    struct sim_pipe *pipe = &sim->links[client->link].up;
    if (sender_output(client->sender, &client->output, sim->now_ms) != CERTPOST_OK &&
        buffer_room(&client->output) > 1024)
        sim_fail(sim, "the sender's output is not bounded");
    sim_client_effects(sim, client);
    size_t before = client->output.length;
    sim_pipe_write(sim, pipe, &client->output);
    if (client->output.length < before)
        sender_wrote(client->sender, sim->now_ms);
}

static void sim_client_conversation(struct sim *sim, struct sim_client *client)
{
    if (sim_chance(sim, 80))
        sim_client_input(sim, client);
    if (!sim->failed)
        sim_client_messages(sim, client);
    if (!sim->failed)
        sim_client_output(sim, client);
    (void)!sender_tick(client->sender, sim->now_ms, NULL);
    sim_client_effects(sim, client);
    if (sim->failed)
        return;
    enum sim_end end = sim_pipe_end(&sim->links[client->link].down);
    bool flushed = client->output.length == 0 || sim_chance(sim, 5);
    if (end != SIM_OPEN || (client->closing && flushed))
        sim_client_disconnect(sim, client, client->closing ? SIM_END_CLEAN : SIM_END_CUT);
}

void sim_client_work(struct sim *sim, struct sim_client *client)
{
    if (client->done)
        return;
    if (client->sender == NULL) {
        bool alone = !sim_client_has_rival(sim, client, true);
        if (sim->calm ? alone : sim_chance(sim, 5))
            sim_client_start(sim, client);
        return;
    }
    sim_client_feed(sim, client);
    if (client->sender == NULL || sim->failed)
        return;
    if (client->connected)
        sim_client_conversation(sim, client);
    else
        sim_client_connect(sim, client);
}

/* kill -9: nothing is said any more, and memory is lost. */
void sim_client_crash(struct sim *sim, struct sim_client *client)
{
    if (client->sender == NULL || client->mode == SENDER_APPEND)
        return;
    sim_trace(sim, "client %zu: crashes", (size_t)(client - sim->clients));
    sim->crashes++;
    client->crashed = true;
    if (client->connected)
        sim_client_leave(sim, client, SIM_END_CUT);
    sim_client_free(client);
}

/* close_notify without BYE, while ACKs are still read. */
void sim_client_half_close(struct sim *sim, struct sim_client *client)
{
    if (client->sender == NULL || !client->connected || client->half_closed ||
        client->output.length > 0)
        return;
    sim_trace(sim, "client %zu: half-closes", (size_t)(client - sim->clients));
    client->half_closed = true;
    sim_pipe_close(&sim->links[client->link].up, SIM_END_CLEAN);
}
