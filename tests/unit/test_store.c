/* The rules that every store keeps, on both engines: order, once, fencing, states. */
#include "support/store_fixture.h"

enum { ENGINES = 2 };

/* Engine 0 is the memory store, engine 1 SQLite. */
static struct store *open_engine(int engine, struct fixture *fixture)
{
    struct store *store = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = CERTPOST_OK;
    fixture_make(fixture);
    if (engine == 0)
        status = store_open_memory(16, &store, &error);
    else
        status = store_open_sqlite(fixture->path, NULL, &store, &error);
    if (status != CERTPOST_OK)
        fail_msg("%s", certpost_error_text(&error, status));
    return store;
}

static void close_engine(struct store *store, const struct fixture *fixture)
{
    store_close(store);
    fixture_remove(fixture);
}

static void test_levels(void **state)
{
    (void)state;
    struct fixture fixture;
    struct store *store = open_engine(0, &fixture);
    assert_int_equal(store_level(store), STORE_LEVEL_ACCEPTED);
    close_engine(store, &fixture);
    store = open_engine(1, &fixture);
    assert_int_equal(store_level(store), STORE_LEVEL_STORED);
    close_engine(store, &fixture);
    store_close(NULL);
}

static void test_head_moves_only_at_commit(void **state)
{
    (void)state;
    for (int engine = 0; engine < ENGINES; engine++) {
        struct fixture fixture;
        struct store *store = open_engine(engine, &fixture);
        struct fixture_sender sender;
        assert_ok(fixture_sender_open(&sender, store, "log", NULL));
        assert_int_equal(sender.head.seq, 0);
        assert_ok(store_begin(store, NULL));
        assert_ok(fixture_append(&sender, store, NULL));
        assert_ok(fixture_append(&sender, store, NULL));
        assert_int_equal(store_committed(&sender.lease).seq, 0);
        assert_ok(store_commit(store, NULL));
        struct committed committed = store_committed(&sender.lease);
        assert_int_equal(committed.seq, 2);
        assert_memory_equal(committed.digest, sender.head.digest, CHAIN_DIGEST_BYTES);
        fixture_sender_release(&sender, store);
        close_engine(store, &fixture);
    }
}

static void test_only_the_next_number_is_taken(void **state)
{
    (void)state;
    for (int engine = 0; engine < ENGINES; engine++) {
        struct fixture fixture;
        struct store *store = open_engine(engine, &fixture);
        struct fixture_sender sender;
        assert_ok(fixture_sender_open(&sender, store, "log", NULL));
        assert_ok(fixture_commit(&sender, store, 3, NULL));
        const uint64_t wrong[] = {0, 1, 3, 5, UINT64_MAX};
        assert_ok(store_begin(store, NULL));
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            assert_status(
                store_append(store, &sender.lease, wrong[i], sender.head.digest, "x", 1, NULL),
                CERTPOST_INTERNAL);
        /* The transaction is unharmed. */
        assert_ok(fixture_append(&sender, store, NULL));
        assert_status(store_append(store, &sender.lease, 4, sender.head.digest, "x", 1, NULL),
                      CERTPOST_INTERNAL);
        assert_ok(store_commit(store, NULL));
        assert_int_equal(store_committed(&sender.lease).seq, 4);
        fixture_sender_release(&sender, store);
        close_engine(store, &fixture);
    }
}

static void test_newest_lease_owns_the_stream(void **state)
{
    (void)state;
    for (int engine = 0; engine < ENGINES; engine++) {
        struct fixture fixture;
        struct store *store = open_engine(engine, &fixture);
        struct fixture_sender older;
        assert_ok(fixture_sender_open(&older, store, "log", NULL));
        assert_ok(fixture_commit(&older, store, 2, NULL));

        struct store_lease newer;
        struct committed head;
        void *superseded = NULL;
        int mark = 0;
        assert_ok(store_lease_open(store, "dns:sender.example", 18, "log", 3, &mark, &newer, &head,
                                   &superseded, NULL));
        assert_ptr_equal(superseded, &older);
        assert_int_equal(head.seq, 2);

        assert_ok(store_begin(store, NULL));
        assert_status(fixture_append(&older, store, NULL), CERTPOST_SUPERSEDED);
        assert_ok(store_append(store, &newer, 3, head.digest, "new", 3, NULL));
        assert_ok(store_commit(store, NULL));
        assert_int_equal(store_committed(&newer).seq, 3);

        /* A released owner is nobody to be told. */
        fixture_sender_release(&older, store);
        store_lease_release(store, &newer);
        store_lease_release(store, &newer);
        struct fixture_sender third;
        assert_ok(fixture_sender_open(&third, store, "log", NULL));
        assert_int_equal(third.head.seq, 3);
        fixture_sender_release(&third, store);
        close_engine(store, &fixture);
    }
}

static void test_identities_do_not_share_names(void **state)
{
    (void)state;
    for (int engine = 0; engine < ENGINES; engine++) {
        struct fixture fixture;
        struct store *store = open_engine(engine, &fixture);
        struct fixture_sender sender;
        assert_ok(fixture_sender_open(&sender, store, "log", NULL));
        assert_ok(fixture_commit(&sender, store, 2, NULL));
        static const struct {
            const char *identity;
            size_t identity_length;
            const char *name;
            size_t name_length;
        } others[] = {
            {"", 0, "log", 3},
            {"dns:sender.exampl", 17, "elog", 4},
            {"dns:sender.example", 18, "Log", 3},
            {"dns:sender.example", 18, "log\0", 4},
        };
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            struct store_lease lease;
            struct committed head;
            void *superseded = NULL;
            assert_ok(store_lease_open(store, others[i].identity, others[i].identity_length,
                                       others[i].name, others[i].name_length, &fixture, &lease,
                                       &head, &superseded, NULL));
            assert_int_equal(head.seq, 0);
            assert_null(superseded);
            assert_ok(store_begin(store, NULL));
            assert_ok(store_append(store, &lease, 1, head.digest, "x", 1, NULL));
            assert_ok(store_commit(store, NULL));
            store_lease_release(store, &lease);
        }
        fixture_sender_release(&sender, store);
        close_engine(store, &fixture);
    }
}

static void test_calls_out_of_order_are_refused(void **state)
{
    (void)state;
    for (int engine = 0; engine < ENGINES; engine++) {
        struct fixture fixture;
        struct store *store = open_engine(engine, &fixture);
        struct fixture_sender sender;
        assert_ok(fixture_sender_open(&sender, store, "log", NULL));
        assert_status(fixture_append(&sender, store, NULL), CERTPOST_INTERNAL);
        assert_status(store_commit(store, NULL), CERTPOST_INTERNAL);
        assert_ok(store_recover(store, NULL)); /* nothing to do */
        assert_ok(store_begin(store, NULL));
        assert_status(store_begin(store, NULL), CERTPOST_INTERNAL);
        assert_status(store_recover(store, NULL), CERTPOST_INTERNAL);
        struct fixture_sender other;
        assert_status(fixture_sender_open(&other, store, "other", NULL), CERTPOST_INTERNAL);
        assert_true(store_is_ready(store));
        assert_ok(store_commit(store, NULL)); /* empty */
        fixture_sender_release(&sender, store);
        close_engine(store, &fixture);
    }
}

static void test_key_limits(void **state)
{
    (void)state;
    static const char long_name[STORE_KEY_PART_MAX_BYTES + 1] = {'n'};
    struct fixture fixture;
    struct store *store = open_engine(1, &fixture);
    for (size_t excess = 0; excess <= 1; excess++) {
        struct store_lease lease;
        struct committed head;
        void *superseded = NULL;
        enum certpost_status status =
            store_lease_open(store, "", 0, long_name, STORE_KEY_PART_MAX_BYTES + excess, &fixture,
                             &lease, &head, &superseded, NULL);
        assert_status(status, excess == 0 ? CERTPOST_OK : CERTPOST_LIMIT);
        if (status == CERTPOST_OK)
            store_lease_release(store, &lease);
    }
    close_engine(store, &fixture);
}

/* Many streams in one transaction, and more of them than the table starts with. */
static void test_many_streams(void **state)
{
    (void)state;
    enum { STREAMS = 300 };
    static struct fixture_sender senders[STREAMS];
    for (int engine = 0; engine < ENGINES; engine++) {
        struct fixture fixture;
        struct store *store = open_engine(engine, &fixture);
        char name[32];
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < STREAMS; i++) {
                snprintf(name, sizeof name, "stream-%d", i);
                assert_ok(fixture_sender_open(&senders[i], store, name, NULL));
            }
            assert_ok(store_begin(store, NULL));
            for (int i = 0; i < 2 * STREAMS; i++)
                assert_ok(fixture_append(&senders[i % STREAMS], store, NULL));
            assert_ok(store_commit(store, NULL));
            /* The memory store remembers 16 without a lease, so only SQLite is asked for more. */
            for (int i = 0; i < STREAMS; i++) {
                uint64_t expected = engine == 1 ? 2 * (uint64_t)(round + 1) : senders[i].head.seq;
                assert_int_equal(store_committed(&senders[i].lease).seq, expected);
                fixture_sender_release(&senders[i], store);
            }
        }
        store_close(store);
        if (engine == 1)
            assert_int_equal(fixture_read_back(fixture.path, "stream-299"), 4);
        fixture_remove(&fixture);
    }
}

static void test_memory_store_remembers_the_last_used(void **state)
{
    (void)state;
    struct store *store = NULL;
    assert_ok(store_open_memory(2, &store, NULL));
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        struct fixture_sender sender;
        assert_ok(fixture_sender_open(&sender, store, names[i], NULL));
        assert_ok(fixture_commit(&sender, store, 1, NULL));
        fixture_sender_release(&sender, store);
    }
    static const uint64_t expected[] = {0, 1, 1};
    for (size_t i = 3; i-- > 0;) {
        struct fixture_sender sender;
        assert_ok(fixture_sender_open(&sender, store, names[i], NULL));
        assert_int_equal(sender.head.seq, expected[i]);
        fixture_sender_release(&sender, store);
    }
    store_close(store);
}

/* The connection may vanish while its messages are in a transaction. */
static void test_release_within_a_transaction(void **state)
{
    (void)state;
    for (int engine = 0; engine < ENGINES; engine++) {
        struct fixture fixture;
        struct store *store = open_engine(engine, &fixture);
        struct fixture_sender sender;
        assert_ok(fixture_sender_open(&sender, store, "log", NULL));
        assert_ok(store_begin(store, NULL));
        assert_ok(fixture_append(&sender, store, NULL));
        fixture_sender_release(&sender, store);
        assert_ok(store_commit(store, NULL));
        assert_ok(fixture_sender_open(&sender, store, "log", NULL));
        assert_int_equal(sender.head.seq, 1);
        fixture_sender_release(&sender, store);
        close_engine(store, &fixture);
    }
}

UNIT_MAIN(cmocka_unit_test(test_levels), cmocka_unit_test(test_head_moves_only_at_commit),
          cmocka_unit_test(test_only_the_next_number_is_taken),
          cmocka_unit_test(test_newest_lease_owns_the_stream),
          cmocka_unit_test(test_identities_do_not_share_names),
          cmocka_unit_test(test_calls_out_of_order_are_refused), cmocka_unit_test(test_key_limits),
          cmocka_unit_test(test_many_streams),
          cmocka_unit_test(test_memory_store_remembers_the_last_used),
          cmocka_unit_test(test_release_within_a_transaction))
