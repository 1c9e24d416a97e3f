/*
 * base/machine.h — state machines as tables that are checked on every move.
 *
 * A module lists its states in lifecycle order with the states that each may move to. Only
 * machine_move assigns a state. An illegal move is a defect of ours, not of the peer: it comes back
 * as CERTPOST_INTERNAL and the state stays, so that the caller can close the one connection that is
 * concerned and go on serving the others.
 */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include "certpost/error.h"

#include <stdint.h>

struct machine_state {
    const char *name;
    uint32_t may_move_to; /* bits: MACHINE_TO(state) | … */
};

#define MACHINE_TO(state) (UINT32_C(1) << (state))

struct machine {
    const struct machine_state *table;
    unsigned state;
};

static inline struct machine machine_start(const struct machine_state *table, unsigned state)
{
    return (struct machine){table, state};
}

static inline const char *machine_state_name(const struct machine *machine)
{
    return machine->table[machine->state].name;
}

/* Moves to `state`; a move to the state it is in is legal only if the table says so. */
CERTPOST_MUST_CHECK
enum certpost_status machine_move(struct machine *machine, unsigned state,
                                  struct certpost_error *error);

#endif
