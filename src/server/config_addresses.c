/*
 * config_addresses.c — whether two places of one configuration meet (server/config_file.h).
 *
 * Uses: base/text, admin_address, inet_pton.  Used by: config.c.
 * Never: looks up a name or opens a socket: a server that runs may have these addresses.
 *
 * What is refused here could never start, since a port of an address is listened on once. What two
 * names come to, only a start finds out.
 */
#include "base/error.h"
#include "base/text.h"
#include "server/activation.h"
#include "server/admin_address.h"
#include "server/config_file.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The addresses to listen on, and the admin endpoint's. */
enum { CONFIG_SPOTS_MAX = CONFIG_LIST_MAX + 1, CONFIG_OWNER_BYTES = 128 };

/* An address that the configuration names. */
struct config_spot {
    const char *text; /* as it was written */
    bool is_admin;
    size_t listener;            /* as of config_entry */
    char host[TEXT_HOST_BYTES]; /* "": all addresses of the machine */
    uint16_t port;              /* 0: one that is free, or none, as systemd:NAME */
};

struct config_spots {
    const struct server_config *config;
    struct config_spot items[CONFIG_SPOTS_MAX];
    size_t count;
};

/* ------------------------------------------------------------------------------ meeting */

/* 0 for all addresses of its family; false for a name, and for an IPv6 address with a zone. */
static bool config_parse_host(const char *host, struct in6_addr *ret_address, int *ret_family)
{
    struct in_addr v4;
    *ret_family = AF_INET6;
    if (inet_pton(AF_INET6, host, ret_address) == 1)
        return true;
    if (inet_pton(AF_INET, host, &v4) != 1)
        return false;
    *ret_family = AF_INET;
    memset(ret_address, 0, sizeof *ret_address);
    memcpy(ret_address, &v4, sizeof v4);
    return true;
}

static bool config_hosts_meet(const char *one, const char *other)
{
    struct in6_addr left;
    struct in6_addr right;
    int left_family = 0;
    int right_family = 0;
    if (one[0] == '\0' || other[0] == '\0' || strcasecmp(one, other) == 0)
        return true;
    if (!config_parse_host(one, &left, &left_family) ||
        !config_parse_host(other, &right, &right_family) || left_family != right_family)
        return false;
    return IN6_IS_ADDR_UNSPECIFIED(&left) || IN6_IS_ADDR_UNSPECIFIED(&right) ||
           IN6_ARE_ADDR_EQUAL(&left, &right);
}

static bool config_spots_meet(const struct config_spot *one, const struct config_spot *other)
{
    if (one->port == 0 || other->port == 0)
        return activation_name(one->text) != NULL && strcmp(one->text, other->text) == 0;
    return one->port == other->port && config_hosts_meet(one->host, other->host);
}

/* ------------------------------------------------------------------------------ words */

static const struct config_place *config_place_of(const struct config_spots *spots,
                                                  const struct config_spot *spot)
{
    const struct config_entries *entries = &spots->config->entries;
    for (size_t i = 0; i < entries->count; i++) {
        if (entries->items[i].value == spot->text && entries->items[i].place.path != NULL)
            return &entries->items[i].place;
    }
    return NULL;
}

static void config_name_owner(const struct config_spots *spots, const struct config_spot *spot,
                              char text[CONFIG_OWNER_BYTES])
{
    if (spot->listener > 0)
        snprintf(text, CONFIG_OWNER_BYTES, "[listener %s]",
                 spots->config->listeners.items[spot->listener - 1].name);
    else
        snprintf(text, CONFIG_OWNER_BYTES, "--%s", spot->is_admin ? "admin" : "listen");
}

static enum certpost_status config_report_meeting(const struct config_spots *spots,
                                                  const struct config_spot *first,
                                                  const struct config_spot *second,
                                                  struct certpost_error *error)
{
    char first_owner[CONFIG_OWNER_BYTES];
    char second_owner[CONFIG_OWNER_BYTES];
    char first_place[CERTPOST_ERROR_TEXT_BYTES] = "";
    char second_place[CERTPOST_ERROR_TEXT_BYTES] = "";
    const struct config_place *place = config_place_of(spots, first);
    if (place != NULL)
        snprintf(first_place, sizeof first_place, " (%s:%u)", place->path, place->line);
    place = config_place_of(spots, second);
    if (place != NULL)
        snprintf(second_place, sizeof second_place, "%s:%u: ", place->path, place->line);
    config_name_owner(spots, first, first_owner);
    config_name_owner(spots, second, second_owner);
    return error_set(error, CERTPOST_USAGE, "%s%s cannot be at %s: %s is at %s%s", second_place,
                     second_owner, second->text, first_owner, first->text, first_place);
}

/* ------------------------------------------------------------------------------ all */

static void config_add_listener_spots(struct config_spots *spots, const struct options_list *list,
                                      size_t listener)
{
    for (size_t i = 0; i < list->count && spots->count < CONFIG_SPOTS_MAX; i++) {
        struct config_spot *spot = &spots->items[spots->count++];
        *spot = (struct config_spot){.text = list->items[i], .listener = listener};
        if (activation_name(spot->text) != NULL ||
            !text_parse_endpoint(spot->text, CONFIG_DEFAULT_PORT, spot->host, &spot->port))
            spot->port = 0;
    }
}

/* Its `localhost` is 127.0.0.1, and nobody is asked. A Unix socket meets no other address. */
static void config_add_admin_spot(struct config_spots *spots, const char *text)
{
    struct config_spot spot = {.text = text, .is_admin = true};
    if (text == NULL || spots->count >= CONFIG_SPOTS_MAX ||
        strncmp(text, ADMIN_UNIX_PREFIX, strlen(ADMIN_UNIX_PREFIX)) == 0 ||
        !text_parse_endpoint(text, 0, spot.host, &spot.port))
        return;
    if (strcasecmp(spot.host, "localhost") == 0)
        snprintf(spot.host, sizeof spot.host, "127.0.0.1");
    spots->items[spots->count++] = spot;
}

enum certpost_status config_check_addresses(const struct server_config *config,
                                            struct certpost_error *error)
{
    struct config_spots spots = {.config = config};
    config_add_listener_spots(&spots, &config->listen, 0);
    for (size_t i = 0; i < config->listeners.count; i++)
        config_add_listener_spots(&spots, &config->listeners.items[i].listen, i + 1);
    config_add_admin_spot(&spots, config->admin);
    for (size_t i = 1; i < spots.count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (config_spots_meet(&spots.items[j], &spots.items[i]))
                return config_report_meeting(&spots, &spots.items[j], &spots.items[i], error);
        }
    }
    return CERTPOST_OK;
}
