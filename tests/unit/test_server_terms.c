/*
 * test_server_terms.c — what certpost/1 announces, from a configuration: always what a receiver
 * takes, and never more than the server keeps.
 */
#include "server/certpost_peer.h"
#include "support/unit.h"

static struct server_config config_with(size_t max_message_bytes, size_t max_pending_bytes)
{
    return (struct server_config){
        .reply = "Message received!",
        .limits = {.max_message_bytes = max_message_bytes, .max_pending_bytes = max_pending_bytes},
    };
}

static void expect_usable(const struct receiver_config *terms)
{
    struct chain *chain = NULL;
    struct receiver *receiver = NULL;
    struct message_span nobody = {NULL, 0};
    assert_ok(chain_new(&chain, NULL));
    assert_ok(receiver_new(terms, chain, nobody, 0, &receiver, NULL));
    receiver_free(receiver);
    chain_free(chain);
}

static void test_the_window_is_what_may_be_pending(void **state)
{
    (void)state;
    static const struct {
        size_t max_message_bytes, max_pending_bytes;
        uint32_t window_bytes;
    } rows[] = {
        {1000, 5000, 5000},
        {1000, 1064, 1064},
        {1000, 1063, 1064}, /* one message always fits */
        {CONFIG_MAX_MESSAGE_BYTES, 1, CONFIG_MAX_MESSAGE_BYTES + 64},
        {1000, (size_t)1 << 40, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server_config config =
            config_with(rows[i].max_message_bytes, rows[i].max_pending_bytes);
        struct receiver_config terms =
            certpost_peer_terms(&config, "post.example", STORE_LEVEL_STORED);
        assert_int_equal(terms.window_bytes, rows[i].window_bytes);
        assert_int_equal(terms.max_message_bytes, rows[i].max_message_bytes);
        assert_int_equal(terms.level, MESSAGE_LEVEL_STORED);
        assert_false(terms.receipts);
        assert_int_equal(terms.server_name.length, 12);
        expect_usable(&terms);
    }
}

/* The reply of the plain exchange may be longer than WELCOME has room for, and any bytes. */
static void test_the_reply_is_cut_to_what_can_be_said(void **state)
{
    (void)state;
    char longest[300];
    memset(longest, 'r', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    char umlaut[300];
    memset(umlaut, 'r', sizeof umlaut);
    memcpy(umlaut + 254, "\xc3\xa4", 3); /* its second byte would be the 256th */
    const struct {
        const char *reply;
        size_t length;
    } rows[] = {
        {"ok", 2},   {"caf\xc3\xa9", 5}, {"bad \xff byte", 4},
        {"\xff", 0}, {longest, 255},     {umlaut, 254},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server_config config = config_with(1000, 5000);
        config.reply = rows[i].reply;
        struct receiver_config terms =
            certpost_peer_terms(&config, "post.example", STORE_LEVEL_ACCEPTED);
        assert_int_equal(terms.reply.length, rows[i].length);
        assert_memory_equal(terms.reply.bytes, rows[i].reply, rows[i].length);
        expect_usable(&terms);
    }
}

UNIT_MAIN(cmocka_unit_test(test_the_window_is_what_may_be_pending),
          cmocka_unit_test(test_the_reply_is_cut_to_what_can_be_said))
