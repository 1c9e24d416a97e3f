/*
 * test_server_handshakes.c — the queue of handshakes under way: oldest first, whoever leaves.
 */
#include "server/handshakes.h"
#include "support/unit.h"

enum { NODES = 5 };

static void assert_order(const struct handshakes *queue, const char *owners)
{
    size_t count = strlen(owners);
    assert_int_equal(queue->count, count);
    const struct handshake_node *node = queue->oldest;
    for (size_t i = 0; i < count; i++, node = node->newer) {
        assert_non_null(node);
        assert_int_equal(*(const char *)node->owner, owners[i]);
    }
    assert_null(node);
    node = queue->newest;
    for (size_t i = count; i > 0; i--, node = node->older)
        assert_int_equal(*(const char *)node->owner, owners[i - 1]);
    assert_null(node);
}

static void fill(struct handshakes *queue, struct handshake_node *nodes)
{
    static char names[NODES + 1] = "abcde";
    for (size_t i = 0; i < NODES; i++)
        handshakes_join(queue, &nodes[i], &names[i]);
}

static void test_oldest_first(void **state)
{
    (void)state;
    struct handshakes queue = {0};
    struct handshake_node nodes[NODES] = {0};
    assert_order(&queue, "");
    fill(&queue, nodes);
    assert_order(&queue, "abcde");
}

static void test_leaving_from_anywhere(void **state)
{
    (void)state;
    struct handshakes queue = {0};
    struct handshake_node nodes[NODES] = {0};
    fill(&queue, nodes);
    handshakes_leave(&queue, &nodes[2]);
    assert_order(&queue, "abde");
    handshakes_leave(&queue, &nodes[0]);
    assert_order(&queue, "bde");
    handshakes_leave(&queue, &nodes[4]);
    assert_order(&queue, "bd");
    handshakes_leave(&queue, &nodes[1]);
    handshakes_leave(&queue, &nodes[3]);
    assert_order(&queue, "");
}

static void test_leaving_twice_does_nothing(void **state)
{
    (void)state;
    struct handshakes queue = {0};
    struct handshake_node nodes[NODES] = {0};
    fill(&queue, nodes);
    handshakes_leave(&queue, &nodes[1]);
    handshakes_leave(&queue, &nodes[1]);
    assert_order(&queue, "acde");
    struct handshake_node never_in = {0};
    handshakes_leave(&queue, &never_in);
    assert_order(&queue, "acde");
}

static void test_joining_again(void **state)
{
    (void)state;
    struct handshakes queue = {0};
    struct handshake_node nodes[NODES] = {0};
    fill(&queue, nodes);
    void *owner = nodes[0].owner;
    handshakes_leave(&queue, &nodes[0]);
    handshakes_join(&queue, &nodes[0], owner);
    assert_order(&queue, "bcdea");
}

UNIT_MAIN(cmocka_unit_test(test_oldest_first), cmocka_unit_test(test_leaving_from_anywhere),
          cmocka_unit_test(test_leaving_twice_does_nothing), cmocka_unit_test(test_joining_again))
