/* link.c — the network of the simulation: delay, fragments, cuts, half-closed and silent links. */
#include "sim/sim.h"

#include <string.h>

bool sim_link_open(struct sim *sim, size_t *ret_link)
{
    for (size_t i = 0; i < SIM_LINKS_MAX; i++) {
        if (sim->links[i].used)
            continue;
        sim->links[i] = (struct sim_link){.used = true};
        *ret_link = i;
        return true;
    }
    return false;
}

void sim_link_free_if_left(struct sim_link *link)
{
    if (link->client_left && (link->server_left || !link->accepted))
        link->used = false;
}

/* Takes as much of `from` as fits: a slow reader pushes back. */
void sim_pipe_write(struct sim *sim, struct sim_pipe *pipe, struct buffer *from)
{
    if (pipe->end != SIM_OPEN) {
        buffer_clear(from);
        return;
    }
    size_t room = sim->pipe_bytes - pipe->length;
    size_t length = from->length < room ? from->length : room;
    if (length == 0)
        return;
    memcpy(pipe->bytes + pipe->length, buffer_bytes(from), length);
    pipe->length += length;
    buffer_consume(from, length);
}

/* Takes some of what has arrived, in a piece of any size. */
size_t sim_pipe_read(struct sim *sim, struct sim_pipe *pipe, unsigned char *ret_bytes)
{
    if (pipe->visible == 0)
        return 0;
    size_t length = sim_chance(sim, 50) ? pipe->visible : 1 + sim_random(sim, pipe->visible);
    memcpy(ret_bytes, pipe->bytes, length);
    memmove(pipe->bytes, pipe->bytes + length, pipe->length - length);
    pipe->length -= length;
    pipe->visible -= length;
    return length;
}

enum sim_end sim_pipe_end(const struct sim_pipe *pipe)
{
    return pipe->length == 0 && !pipe->stalled ? pipe->end : SIM_OPEN;
}

void sim_pipe_close(struct sim_pipe *pipe, enum sim_end end)
{
    if (pipe->end == SIM_OPEN)
        pipe->end = end;
}

static void sim_pipe_deliver(struct sim *sim, struct sim_pipe *pipe)
{
    size_t waiting = pipe->length - pipe->visible;
    if (waiting > 0 && !pipe->stalled)
        pipe->visible += sim_chance(sim, 60) ? waiting : 1 + sim_random(sim, waiting);
}

void sim_links_deliver(struct sim *sim)
{
    for (size_t i = 0; i < SIM_LINKS_MAX; i++) {
        struct sim_link *link = &sim->links[i];
        if (link->used && sim_chance(sim, 70))
            sim_pipe_deliver(sim, &link->up);
        if (link->used && sim_chance(sim, 70))
            sim_pipe_deliver(sim, &link->down);
    }
}

/* What is on its way is lost from any byte on. */
static void sim_pipe_cut(struct sim *sim, struct sim_pipe *pipe)
{
    size_t waiting = pipe->length - pipe->visible;
    pipe->length = pipe->visible + (waiting == 0 ? 0 : sim_random(sim, waiting + 1));
    pipe->stalled = false;
    if (pipe->end != SIM_END_CUT)
        pipe->end = SIM_END_CUT;
}

void sim_links_misfortune(struct sim *sim)
{
    struct sim_link *link = &sim->links[sim_random(sim, SIM_LINKS_MAX)];
    if (!link->used)
        return;
    uint64_t kind = sim_random(sim, 5);
    sim_trace(sim, "link %zu: misfortune %u", (size_t)(link - sim->links), (unsigned)kind);
    if (kind <= 1) {
        sim_pipe_cut(sim, &link->up);
        sim_pipe_cut(sim, &link->down);
    } else if (kind == 2) {
        sim_pipe_cut(sim, &link->down); /* the client notices; what it sent still travels */
    } else if (kind == 3) {
        sim_pipe_cut(sim, &link->up);
    } else {
        struct sim_pipe *pipe = sim_chance(sim, 50) ? &link->up : &link->down;
        pipe->stalled = true;
    }
}
