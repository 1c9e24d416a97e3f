/* test_exit_status.c — the table that scripts rely on. */
#include "client/exit_status.h"
#include "support/unit.h"

static void test_each_status_has_the_documented_exit_status(void **state)
{
    (void)state;
    static const struct {
        enum certpost_status status;
        int expected;
    } rows[] = {
        {CERTPOST_OK, 0},          {CERTPOST_USAGE, 2},
        {CERTPOST_RESOLVE, 6},     {CERTPOST_CONNECT, 7},
        {CERTPOST_TIMEOUT, 28},    {CERTPOST_HANDSHAKE, 35},
        {CERTPOST_REFUSED, 65},    {CERTPOST_OWN_CERTIFICATE, 58},
        {CERTPOST_LIMIT, 65},      {CERTPOST_PEER_CERTIFICATE, 60},
        {CERTPOST_LOCAL_IO, 74},   {CERTPOST_CLOSED, 75},
        {CERTPOST_TRUNCATED, 75},  {CERTPOST_RESET, 75},
        {CERTPOST_NETWORK_IO, 75}, {CERTPOST_PROTOCOL, 76},
        {CERTPOST_DIGEST, 76},     {CERTPOST_CA_FILE, 77},
        {CERTPOST_INTERNAL, 70},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(exit_status_of(rows[i].status), rows[i].expected);
}

static void test_only_ok_is_zero(void **state)
{
    (void)state;
    for (int status = CERTPOST_OK + 1; status <= CERTPOST_INTERNAL; status++)
        assert_int_not_equal(exit_status_of((enum certpost_status)status), 0);
}

UNIT_MAIN(cmocka_unit_test(test_each_status_has_the_documented_exit_status),
          cmocka_unit_test(test_only_ok_is_zero))
