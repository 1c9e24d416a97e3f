/*
 * fuzz_text.c — what people type (base/text.h, net/network.h, tls/pin.h): numbers, sizes,
 * durations, addresses, networks, pins, the nearest word. What is taken lies within its bounds, and
 * what can be printed again reads as the same.
 *
 * Script: u8 kind, u64 bound; then the text.
 */
#include "base/clock.h"
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "net/network.h"
#include "tls/pin.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void text_check_numbers(const char *text, uint64_t bound)
{
    uint64_t value = 0, again = 0;
    char printed[32];
    if (text_parse_u64(text, bound, &value)) {
        snprintf(printed, sizeof printed, "%" PRIu64, value);
        FUZZ_CHECK(value <= bound && text_parse_u64(printed, bound, &again) && again == value);
        /* The same digits again, so nothing has overflowed. */
        FUZZ_CHECK(strcmp(value == 0 ? "" : printed, text + strspn(text, "0")) == 0);
    }
    if (text_parse_size(text, bound, &value)) {
        snprintf(printed, sizeof printed, "%" PRIu64 "B", value);
        FUZZ_CHECK(value <= bound && text_parse_size(printed, bound, &again) && again == value);
    }
    int64_t ms = 0, ms_again = 0;
    if (text_parse_duration(text, (int64_t)bound, &ms)) {
        snprintf(printed, sizeof printed, "%" PRId64 "ms", ms);
        FUZZ_CHECK(ms >= 0 && ms <= (int64_t)bound);
        FUZZ_CHECK(text_parse_duration(printed, (int64_t)bound, &ms_again) && ms_again == ms);
    }
}

static void text_check_endpoint(const char *text)
{
    char host[TEXT_HOST_BYTES], again[TEXT_HOST_BYTES], printed[TEXT_ENDPOINT_BYTES];
    uint16_t port = 0, port_again = 0;
    if (!text_parse_endpoint(text, 8080, host, &port))
        return;
    FUZZ_CHECK(strnlen(host, sizeof host) < sizeof host);
    text_format_endpoint(host, port, printed);
    FUZZ_CHECK(text_parse_endpoint(printed, 1, again, &port_again));
    FUZZ_CHECK(strcmp(host, again) == 0 && port == port_again);
}

static void text_check_network(const char *text, uint64_t address)
{
    struct net_network network;
    if (!net_network_parse(text, &network))
        return;
    FUZZ_CHECK(network.prefix_bits <= (network.family == AF_INET ? 32U : 128U));
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    memcpy(&v4.sin_addr, network.prefix, sizeof v4.sin_addr);
    memcpy(&v6.sin6_addr, network.prefix, sizeof v6.sin6_addr);
    /* A network has its own first address in it, and none of the other family. */
    FUZZ_CHECK(net_network_contains(&network, (struct sockaddr *)&v4) ==
               (network.family == AF_INET));
    FUZZ_CHECK(net_network_contains(&network, (struct sockaddr *)&v6) ==
               (network.family == AF_INET6));
    memcpy(&v6.sin6_addr, &address, sizeof address);
    memcpy(&v4.sin_addr, &address, sizeof v4.sin_addr);
    bool any = net_network_contains(&network, (struct sockaddr *)&v4) ||
               net_network_contains(&network, (struct sockaddr *)&v6);
    FUZZ_CHECK(any || network.prefix_bits > 0);
}

static void text_check_pin(const char *text)
{
    struct tls_pin pin;
    char printed[TLS_PIN_TEXT_BYTES];
    if (!tls_pin_parse(text, &pin))
        return;
    tls_pin_format(&pin, printed);
    FUZZ_CHECK(strcmp(text, printed) == 0);
}

static void text_check_words(const char *text)
{
    static const char *const names[] = {"cacert",
                                        "cert",
                                        "connect-timeout",
                                        "listen",
                                        "certificate-authority-of-the-other-side-of-it",
                                        NULL};
    const char *nearest = text_nearest(text, names);
    bool known = false;
    for (size_t i = 0; names[i] != NULL; i++) {
        known = known || nearest == names[i];
        if (strcmp(names[i], text) == 0 && strlen(text) <= 40)
            FUZZ_CHECK(nearest == names[i]);
    }
    FUZZ_CHECK(nearest == NULL || known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    uint64_t bound = fuzz_u64(&script);
    char *text = fuzz_text(script.next, script.left_bytes);
    text_check_numbers(text, bound);
    text_check_endpoint(text);
    text_check_network(text, bound);
    text_check_pin(text);
    text_check_words(text);
    free(text);
    return 0;
}
