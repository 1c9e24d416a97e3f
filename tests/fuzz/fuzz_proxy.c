/*
 * fuzz_proxy.c — the header of a load balancer (net/proxy.h): what one read says holds for every
 * longer one, and a header is never longer than what came.
 *
 * Script: the bytes.
 */
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "net/proxy.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct proxy_result {
    enum certpost_status status;
    struct proxy_header header;
    size_t consumed;
};

static struct proxy_result proxy_parse(const uint8_t *data, size_t length)
{
    uint8_t *copy = fuzz_copy(data, length);
    struct proxy_result result = {.status = CERTPOST_OK};
    result.status = proxy_header_parse(copy, length, &result.header, &result.consumed);
    free(copy);
    return result;
}

static void proxy_check(const struct proxy_result *result, size_t length)
{
    FUZZ_CHECK(result->status == CERTPOST_OK || result->status == CERTPOST_WANT_READ ||
               result->status == CERTPOST_PROTOCOL);
    /* Nobody is waited for once the longest header has come. */
    FUZZ_CHECK(result->status != CERTPOST_WANT_READ || length < PROXY_HEADER_MAX_BYTES);
    if (result->status != CERTPOST_OK)
        return;
    FUZZ_CHECK(result->consumed > 0 && result->consumed <= length);
    FUZZ_CHECK(result->consumed <= PROXY_HEADER_MAX_BYTES);
    sa_family_t family = result->header.source.ss_family;
    FUZZ_CHECK(!result->header.has_source || family == AF_INET || family == AF_INET6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_result whole = proxy_parse(data, size);
    proxy_check(&whole, size);
    /* Byte by byte at first, then in leaps: the cost must not be the square of the input. */
    for (size_t length = 0; length < size; length += length < 128 ? 1 : 37) {
        struct proxy_result part = proxy_parse(data, length);
        proxy_check(&part, length);
        if (part.status == CERTPOST_WANT_READ)
            continue;
        FUZZ_CHECK(part.status == whole.status && part.consumed == whole.consumed);
        FUZZ_CHECK(part.header.has_source == whole.header.has_source);
        if (part.header.has_source)
            FUZZ_CHECK(
                memcmp(&part.header.source, &whole.header.source, sizeof part.header.source) == 0);
    }
    return 0;
}
