/* server.c — the server of the simulation: receivers between links and the store. */
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

static const struct message_span sim_identity = {(const unsigned char *)"dns:sim", 7};

bool sim_server_init(struct sim *sim)
{
    struct receiver_config *config = &sim->server.config;
    uint32_t max_message_bytes = SIM_MESSAGE_MAX_BYTES;
    *config = (struct receiver_config){
        .level = MESSAGE_LEVEL_STORED,
        .max_message_bytes = max_message_bytes,
        .window_bytes = max_message_bytes + MESSAGE_OVERHEAD_BYTES + (uint32_t)sim_random(sim, 900),
        .hello_timeout_ms = 5000,
        .idle_timeout_ms = 6000,
        .drain_timeout_ms = 5000,
        .receipts = true,
    };
    sim->server.up = true;
    return true;
}

struct sim_peer *sim_server_peer(struct sim *sim, uint64_t serial)
{
    for (size_t i = 0; i < SIM_LINKS_MAX; i++) {
        if (serial != 0 && sim->server.peers[i].serial == serial)
            return &sim->server.peers[i];
    }
    return NULL;
}

static void sim_peer_free(struct sim *sim, struct sim_peer *peer)
{
    struct sim_link *link = &sim->links[peer->link];
    link->server_left = true;
    sim_link_free_if_left(link);
    receiver_free(peer->receiver);
    buffer_free(&peer->output);
    *peer = (struct sim_peer){0};
}

static void sim_server_accept(struct sim *sim, size_t index)
{
    struct sim_server *server = &sim->server;
    struct sim_peer *peer = NULL;
    for (size_t i = 0; i < SIM_LINKS_MAX && peer == NULL; i++) {
        if (server->peers[i].serial == 0)
            peer = &server->peers[i];
    }
    if (peer == NULL)
        return;
    *peer = (struct sim_peer){.serial = ++server->last_serial, .link = index};
    buffer_init(&peer->output, 4096);
    sim->links[index].accepted = true;
    if (receiver_new(&server->config, sim->chain, sim_identity, sim->now_ms, &peer->receiver,
                     NULL) != CERTPOST_OK)
        sim_fail(sim, "no receiver");
}

static void sim_peer_store(struct sim *sim, const struct sim_peer *peer,
                           const struct receiver_effect *effect)
{
    struct sim_job job = {.serial = peer->serial, .stream = peer->stream, .seq = effect->seq};
    memcpy(job.digest, effect->digest, CHAIN_DIGEST_BYTES);
    sim_check(sim, effect->message.length <= SIM_MESSAGE_MAX_BYTES, "max_message is kept");
    if (sim->failed)
        return;
    job.message.length = effect->message.length;
    if (job.message.length > 0)
        memcpy(job.message.bytes, effect->message.bytes, job.message.length);
    sim_store_put(sim, &job);
}

/* Streams are named "0" and "1". */
static void sim_peer_effect(struct sim *sim, struct sim_peer *peer,
                            const struct receiver_effect *effect)
{
    switch (effect->type) {
    case RECEIVER_OPEN_STREAM:
        peer->stream = (size_t)(effect->stream.bytes[0] - '0');
        sim_store_put(
            sim, &(struct sim_job){.serial = peer->serial, .stream = peer->stream, .open = true});
        break;
    case RECEIVER_STORE:
        sim_peer_store(sim, peer, effect);
        break;
    case RECEIVER_CLOSE:
        sim_check(sim, !peer->closing, "CLOSE comes once");
        peer->closing = true;
        break;
    case RECEIVER_SIGN_RECEIPT:
        sim_check(sim, !peer->signed_due, "one receipt at a time");
        sim_check(sim, effect->committed.seq <= sim->streams[peer->stream].durable,
                  "a receipt is for what is stored");
        peer->signed_due = true;
        peer->signed_head = effect->committed;
        break;
    case RECEIVER_NONE:
    default:
        sim_fail(sim, "an unexpected effect of the receiver");
    }
}

static void sim_peer_effects(struct sim *sim, struct sim_peer *peer)
{
    struct receiver_effect effect = {0};
    while (!sim->failed && receiver_next_effect(peer->receiver, &effect) != RECEIVER_NONE) {
        sim_check(sim, !peer->closing, "no effect after CLOSE");
        sim_peer_effect(sim, peer, &effect);
    }
    sim_check(sim, receiver_unacked_bytes(peer->receiver) <= sim->server.config.window_bytes,
              "the receiver keeps to its window");
}

static void sim_peer_input(struct sim *sim, struct sim_peer *peer)
{
    unsigned char bytes[SIM_PIPE_BYTES];
    struct sim_pipe *pipe = &sim->links[peer->link].up;
    struct cursor input = cursor_over(bytes, sim_pipe_read(sim, pipe, bytes));
    struct certpost_error error = {.status = CERTPOST_OK};
    while (!sim->failed && input.left_bytes > 0 && receiver_wants_input(peer->receiver)) {
        if (receiver_input(peer->receiver, &input, sim->now_ms, &error) != CERTPOST_OK)
            sim_fail(sim, "the receiver complains about a sender: %s", error.text);
        sim_peer_effects(sim, peer);
    }
    enum sim_end end = sim_pipe_end(pipe);
    if (end != SIM_OPEN && !peer->input_over) {
        peer->input_over = true;
        (void)receiver_input_ended(peer->receiver, end == SIM_END_CLEAN, sim->now_ms);
    }
}

static void sim_peer_completions(struct sim *sim, struct sim_peer *peer)
{
    struct certpost_error error = {.status = CERTPOST_OK};
    enum certpost_status status = CERTPOST_OK;
    if (peer->opened_due)
        status = receiver_opened(peer->receiver, &peer->head, sim->now_ms, &error);
    if (status == CERTPOST_OK && peer->committed_due)
        status = receiver_committed(peer->receiver, &peer->committed, sim->now_ms, &error);
    if (peer->lost_due)
        receiver_lost(peer->receiver, peer->lost_code, "lost", sim->now_ms);
    peer->opened_due = peer->committed_due = peer->lost_due = false;
    if (status != CERTPOST_OK)
        sim_fail(sim, "the receiver complains about the store: %s", error.text);
}

/* The statement is number and digest; the signature may fail. */
static void sim_peer_signed(struct sim *sim, struct sim_peer *peer)
{
    unsigned char statement[sizeof(uint64_t) + CHAIN_DIGEST_BYTES];
    struct message_receipt receipt = {{statement, sizeof statement},
                                      {(const unsigned char *)"s", 1}};
    if (!peer->signed_due)
        return;
    if (!sim->calm && sim_chance(sim, 10)) {
        peer->signed_due = false;
        receiver_refuse_receipt(peer->receiver, MESSAGE_CODE_INTERNAL, "no", sim->now_ms);
        return;
    }
    memcpy(statement, &peer->signed_head.seq, sizeof(uint64_t));
    memcpy(statement + sizeof(uint64_t), peer->signed_head.digest, CHAIN_DIGEST_BYTES);
    peer->signed_due =
        receiver_append_receipt(peer->receiver, &peer->output, &receipt) != CERTPOST_OK;
}

static void sim_peer_output(struct sim *sim, struct sim_peer *peer)
{
    struct sim_pipe *pipe = &sim->links[peer->link].down;
    if (!peer->closing && receiver_output(peer->receiver, &peer->output) != CERTPOST_OK &&
        buffer_room(&peer->output) > 2048)
        sim_fail(sim, "the receiver's output is not bounded");
    sim_peer_effects(sim, peer);
    sim_pipe_write(sim, pipe, &peer->output);
    bool somebody_reads = !peer->input_over && !sim->links[peer->link].client_left;
    if (!peer->closing || (peer->output.length > 0 && somebody_reads))
        return;
    sim_pipe_close(pipe, peer->output.length == 0 ? SIM_END_CLEAN : SIM_END_CUT);
    sim_peer_free(sim, peer);
}

static void sim_peer_work(struct sim *sim, struct sim_peer *peer)
{
    if (sim_chance(sim, 80))
        sim_peer_input(sim, peer);
    if (sim_chance(sim, 60))
        sim_peer_completions(sim, peer);
    if (sim_chance(sim, 50))
        (void)receiver_tick(peer->receiver, sim->now_ms, NULL);
    if (!peer->closing && sim_chance(sim, 40))
        sim_peer_signed(sim, peer);
    if (!sim->failed && sim_chance(sim, 80))
        sim_peer_output(sim, peer);
}

void sim_server_work(struct sim *sim)
{
    if (!sim->server.up) {
        sim->server.up = sim->calm || sim_chance(sim, 20);
        return;
    }
    for (size_t i = 0; i < SIM_LINKS_MAX; i++) {
        if (sim->links[i].used && !sim->links[i].accepted && sim_chance(sim, 50))
            sim_server_accept(sim, i);
    }
    for (size_t i = 0; i < SIM_LINKS_MAX && !sim->failed; i++) {
        if (sim->server.peers[i].serial != 0 && sim_chance(sim, 70))
            sim_peer_work(sim, &sim->server.peers[i]);
    }
}

void sim_server_drain(struct sim *sim)
{
    sim_trace(sim, "server: drains");
    for (size_t i = 0; i < SIM_LINKS_MAX; i++) {
        if (sim->server.peers[i].serial != 0)
            receiver_go_away(sim->server.peers[i].receiver, MESSAGE_CODE_SHUTTING_DOWN, "drain",
                             sim->now_ms);
    }
}

void sim_server_crash(struct sim *sim)
{
    sim_trace(sim, "server: crashes");
    sim->crashes++;
    sim_store_crash(sim);
    for (size_t i = 0; i < SIM_LINKS_MAX; i++) {
        struct sim_peer *peer = &sim->server.peers[i];
        if (peer->serial == 0)
            continue;
        sim_pipe_close(&sim->links[peer->link].down, SIM_END_CUT);
        sim_peer_free(sim, peer);
    }
    sim->server.up = false;
}

void sim_server_free(struct sim *sim)
{
    for (size_t i = 0; i < SIM_LINKS_MAX; i++) {
        if (sim->server.peers[i].serial != 0)
            sim_peer_free(sim, &sim->server.peers[i]);
    }
}
