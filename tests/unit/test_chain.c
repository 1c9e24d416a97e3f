/* The digest chain, against values computed by Python's hashlib from the definition. */
#include "base/chain.h"
#include "support/unit.h"

static void expect_hex(const unsigned char digest[CHAIN_DIGEST_BYTES], const char *hex)
{
    char text[2 * CHAIN_DIGEST_BYTES + 1];
    for (size_t i = 0; i < CHAIN_DIGEST_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void test_known_values(void **state)
{
    (void)state;
    struct chain *chain = NULL;
    assert_ok(chain_new(&chain, NULL));
    unsigned char digest[CHAIN_DIGEST_BYTES];
    assert_ok(chain_first(chain, "dns:a.example", 13, "log", 3, digest));
    expect_hex(digest, "c829b71624f2b540a0f0be272384c56eb6d7ca45865c458d5d373c6ba3dea103");
    assert_ok(chain_next(chain, digest, "Hello, server!", 14, digest));
    expect_hex(digest, "dbfcc1dd7ec5e9c8e0d86d87017e14a9e9319904cd47cb653397dd8460612082");
    assert_ok(chain_next(chain, digest, NULL, 0, digest));
    expect_hex(digest, "84b753e93b05618f668ced635ef79ee59b2bba96687cf98ceb9f3a154462ed52");
    chain_free(chain);
}

static void test_identity_and_name_do_not_run_together(void **state)
{
    (void)state;
    struct chain *chain = NULL;
    assert_ok(chain_new(&chain, NULL));
    unsigned char one[CHAIN_DIGEST_BYTES];
    unsigned char other[CHAIN_DIGEST_BYTES];
    assert_ok(chain_first(chain, "ab", 2, "c", 1, one));
    assert_ok(chain_first(chain, "a", 1, "bc", 2, other));
    assert_memory_not_equal(one, other, sizeof one);
    chain_free(chain);
}

static void test_message_over_32_bits_is_refused(void **state)
{
    (void)state;
    struct chain *chain = NULL;
    assert_ok(chain_new(&chain, NULL));
    unsigned char digest[CHAIN_DIGEST_BYTES] = {0};
    assert_status(chain_next(chain, digest, "", (size_t)UINT32_MAX + 1, digest), CERTPOST_LIMIT);
    chain_free(chain);
    chain_free(NULL);
}

UNIT_MAIN(cmocka_unit_test(test_known_values),
          cmocka_unit_test(test_identity_and_name_do_not_run_together),
          cmocka_unit_test(test_message_over_32_bits_is_refused))
