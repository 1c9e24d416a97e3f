/* support/states.h — a table of moves must be the one of docs/protocol.md, section 10. */
#ifndef SUPPORT_STATES_H
#define SUPPORT_STATES_H

#include "base/machine.h"
#include "support/protocol_doc.h"

static inline void assert_states_are_documented(const struct machine_state *states, size_t count,
                                                const char *section)
{
    for (size_t from = 0; from < count; from++) {
        char moves[256];
        doc_moves(section, states[from].name, moves, sizeof moves);
        for (size_t to = 0; to < count; to++) {
            bool allowed = (states[from].may_move_to & MACHINE_TO(to)) != 0;
            if (allowed != doc_has_word(moves, states[to].name))
                fail_msg("%s to %s: %s in the code", states[from].name, states[to].name,
                         allowed ? "allowed" : "not allowed");
        }
    }
}

#endif
