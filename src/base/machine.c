/*
 * machine.c — the one place that assigns a state (base/machine.h).
 *
 * Uses: error.  Used by: session, net, server, client.
 * Never: aborts; an illegal move is reported and not made.
 */
#include "base/machine.h"

#include "base/error.h"

enum certpost_status machine_move(struct machine *machine, unsigned state,
                                  struct certpost_error *error)
{
    const struct machine_state *from = &machine->table[machine->state];
    if ((from->may_move_to & MACHINE_TO(state)) == 0)
        return error_set(error, CERTPOST_INTERNAL, "illegal move from state %s to state %s",
                         from->name, machine->table[state].name);
    machine->state = state;
    return CERTPOST_OK;
}
