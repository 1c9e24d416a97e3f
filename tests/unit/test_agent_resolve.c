/* The system's resolver is replaced by one that answers when the test says so. */
#include "agent/resolve.h"
#include "base/clock.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

static sem_t may_answer;
static sem_t has_answered;
static int answer_code;

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret_addresses);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret_addresses);

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret_addresses)
{
    if ((hints->ai_flags & AI_NUMERICHOST) != 0)
        return __real_getaddrinfo(host, service, hints, ret_addresses);
    sem_wait(&may_answer);
    int code = answer_code;
    if (code == 0)
        code = __real_getaddrinfo("127.0.0.9", service, hints, ret_addresses);
    sem_post(&has_answered);
    return code;
}

static int set_up(void **state)
{
    (void)state;
    sem_init(&may_answer, 0, 0);
    sem_init(&has_answered, 0, 0);
    answer_code = 0;
    return 0;
}

static void check_address(struct addrinfo *addresses, const char *wanted, uint16_t port)
{
    char host[INET_ADDRSTRLEN];
    const void *raw = addresses->ai_addr;
    struct sockaddr_in address;
    memcpy(&address, raw, sizeof address);
    assert_non_null(inet_ntop(AF_INET, &address.sin_addr, host, sizeof host));
    assert_string_equal(host, wanted);
    assert_int_equal(ntohs(address.sin_port), port);
    freeaddrinfo(addresses);
}

static bool is_ready(const struct resolve_job *job, int timeout_ms)
{
    struct pollfd waiting = {.fd = resolve_descriptor(job), .events = POLLIN};
    return poll(&waiting, 1, timeout_ms) == 1;
}

static void test_figures_need_no_thread(void **state)
{
    (void)state;
    struct addrinfo *addresses = NULL;
    assert_ok(resolve_figures("127.0.0.7", 99, &addresses));
    check_address(addresses, "127.0.0.7", 99);
    assert_status(resolve_figures("name.example", 99, &addresses), CERTPOST_RESOLVE);
}

static void test_a_name_is_polled_for(void **state)
{
    (void)state;
    struct resolve_job *job = NULL;
    struct addrinfo *addresses = NULL;
    assert_ok(resolve_begin("name.example", 80, &job, NULL));
    assert_status(resolve_finish(job, &addresses, NULL), CERTPOST_WANT_READ);
    assert_false(is_ready(job, 0));
    sem_post(&may_answer);
    assert_true(is_ready(job, 10000));
    assert_ok(resolve_finish(job, &addresses, NULL));
    check_address(addresses, "127.0.0.9", 80);
}

static void test_a_name_that_is_not_there(void **state)
{
    (void)state;
    struct resolve_job *job = NULL;
    struct addrinfo *addresses = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    answer_code = EAI_NONAME;
    sem_post(&may_answer);
    assert_ok(resolve_begin("na\x1bme.example", 80, &job, NULL));
    assert_true(is_ready(job, 10000));
    assert_status(resolve_finish(job, &addresses, &error), CERTPOST_RESOLVE);
    assert_non_null(strstr(error.text, "the name na\\x1bme.example cannot be resolved"));
    assert_null(addresses);
}

static void test_memory_is_told_apart(void **state)
{
    (void)state;
    struct resolve_job *job = NULL;
    struct addrinfo *addresses = NULL;
    answer_code = EAI_MEMORY;
    sem_post(&may_answer);
    assert_ok(resolve_begin("name.example", 80, &job, NULL));
    assert_true(is_ready(job, 10000));
    assert_status(resolve_finish(job, &addresses, NULL), CERTPOST_NO_MEMORY);
}

static void test_an_abandoned_lookup_cleans_up(void **state)
{
    (void)state;
    struct resolve_job *job = NULL;
    assert_ok(resolve_begin("name.example", 80, &job, NULL));
    resolve_abandon(job);
    resolve_abandon(NULL);
    sem_post(&may_answer);
    sem_wait(&has_answered);
}

static void test_waiting_ends_at_the_deadline(void **state)
{
    (void)state;
    struct addrinfo *addresses = NULL;
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(resolve_host("name.example", 80, clock_deadline_ms(50), &addresses, &error),
                  CERTPOST_TIMEOUT);
    assert_non_null(strstr(error.text, "name.example was not resolved in time"));
    sem_post(&may_answer);
    sem_wait(&has_answered);
    sem_post(&may_answer);
    assert_ok(resolve_host("name.example", 80, clock_deadline_ms(10000), &addresses, &error));
    check_address(addresses, "127.0.0.9", 80);
}

UNIT_MAIN(cmocka_unit_test_setup(test_figures_need_no_thread, set_up),
          cmocka_unit_test_setup(test_a_name_is_polled_for, set_up),
          cmocka_unit_test_setup(test_a_name_that_is_not_there, set_up),
          cmocka_unit_test_setup(test_memory_is_told_apart, set_up),
          cmocka_unit_test_setup(test_an_abandoned_lookup_cleans_up, set_up),
          cmocka_unit_test_setup(test_waiting_ends_at_the_deadline, set_up))
