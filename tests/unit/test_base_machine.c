/* test_base_machine.c — only the moves of the table are made; an illegal one changes nothing. */
#include "base/error.h"
#include "base/machine.h"
#include "support/unit.h"

enum { DOOR_OPEN, DOOR_SHUT, DOOR_LOCKED, DOOR_BROKEN, DOOR_COUNT };

static const struct machine_state door[] = {
    [DOOR_OPEN] = {"open", MACHINE_TO(DOOR_SHUT) | MACHINE_TO(DOOR_BROKEN)},
    [DOOR_SHUT] = {"shut", MACHINE_TO(DOOR_OPEN) | MACHINE_TO(DOOR_LOCKED) | MACHINE_TO(DOOR_SHUT)},
    [DOOR_LOCKED] = {"locked", MACHINE_TO(DOOR_SHUT)},
    [DOOR_BROKEN] = {"broken", 0},
};

static void test_start(void **state)
{
    (void)state;
    struct machine machine = machine_start(door, DOOR_LOCKED);
    assert_int_equal(machine.state, DOOR_LOCKED);
    assert_string_equal(machine_state_name(&machine), "locked");
}

/* Every pair of states, against the table read in another way. */
static void test_every_pair_of_states(void **state)
{
    (void)state;
    static const char *const legal[DOOR_COUNT] = {"13", "012", "1", ""};
    for (unsigned from = 0; from < DOOR_COUNT; from++) {
        for (unsigned to = 0; to < DOOR_COUNT; to++) {
            struct machine machine = machine_start(door, from);
            enum certpost_status status = machine_move(&machine, to, NULL);
            if (strchr(legal[from], (int)('0' + to)) != NULL) {
                assert_ok(status);
                assert_int_equal(machine.state, to);
            } else {
                assert_status(status, CERTPOST_INTERNAL);
                assert_int_equal(machine.state, from);
            }
        }
    }
}

static void test_illegal_move_is_explained(void **state)
{
    (void)state;
    struct certpost_error error;
    certpost_error_clear(&error);
    struct machine machine = machine_start(door, DOOR_BROKEN);
    assert_status(machine_move(&machine, DOOR_OPEN, &error), CERTPOST_INTERNAL);
    assert_string_equal(error.text, "illegal move from state broken to state open");
}

static void test_last_bit_of_the_table(void **state)
{
    (void)state;
    static const struct machine_state wide[32] = {
        [0] = {"first", MACHINE_TO(31)}, [31] = {"last", MACHINE_TO(0)}};
    struct machine machine = machine_start(wide, 0);
    assert_ok(machine_move(&machine, 31, NULL));
    assert_string_equal(machine_state_name(&machine), "last");
    assert_ok(machine_move(&machine, 0, NULL));
}

UNIT_MAIN(cmocka_unit_test(test_start), cmocka_unit_test(test_every_pair_of_states),
          cmocka_unit_test(test_illegal_move_is_explained),
          cmocka_unit_test(test_last_bit_of_the_table))
