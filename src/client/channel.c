/*
 * channel.c — from options to a verified TLS connection (client/channel.h).
 *
 * Uses: tls, resolve, connect.  Used by: send_plain.c.
 * Never: sends a byte of a message; never goes on when a check failed.
 */
#include "client/channel.h"

#include "agent/context.h"
#include "agent/resolve.h"
#include "base/clock.h"
#include "base/error.h"
#include "client/connect.h"
#include "client/describe.h"
#include "client/output.h"
#include "tls/context.h"

#include "certpost/tls_io.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long the peer may take for its close_notify once everything is acknowledged. */
enum { CHANNEL_CLOSE_TIMEOUT_MS = 1000 };

static enum certpost_status channel_set_up_tls(struct channel *channel,
                                               const struct send_options *options, const char *alpn,
                                               struct certpost_error *error)
{
    const struct agent_config *settings = &options->config;
    const char *name = settings->server_name;
    enum certpost_status status =
        agent_context_new(settings, &options->pins, &channel->context, &channel->keylog, error);
    if (status == CERTPOST_OK)
        status =
            tls_client_session(channel->context, name != NULL ? name : settings->servers[0].host,
                               alpn, &channel->ssl, error);
    return status;
}

static enum certpost_status channel_connect(struct channel *channel,
                                            const struct send_options *options, int64_t deadline_ms,
                                            struct certpost_error *error)
{
    const struct agent_server *server = &options->config.servers[0];
    struct addrinfo *addresses = NULL;
    enum certpost_status status =
        resolve_host(server->host, server->port, deadline_ms, &addresses, error);
    if (status != CERTPOST_OK)
        return status;
    status = connect_any(addresses, deadline_ms, options->verbose, &channel->socket_fd, error);
    freeaddrinfo(addresses);
    return status;
}

enum certpost_status channel_shake_hands(SSL *ssl, int64_t deadline_ms,
                                         struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status =
        certpost_tls_handshake(ssl, clock_poll_timeout_ms(deadline_ms), &cause);
    const char *text = certpost_error_text(&cause, status);
    if (status == CERTPOST_OK)
        return status;
    if (status == CERTPOST_TIMEOUT)
        return error_set(error, status,
                         "the TLS handshake did not complete in time; check that the server speaks "
                         "TLS on this port, and is not overloaded");
    /* No message has been sent, so "the connection ended" is not the news: no TLS came about. */
    if (certpost_status_group(status) == CERTPOST_GROUP_ENDED || status == CERTPOST_NETWORK_IO ||
        status == CERTPOST_PROTOCOL)
        status = CERTPOST_HANDSHAKE;
    return error_set(error, status, "%s", text);
}

static enum certpost_status channel_handshake(struct channel *channel, int64_t deadline_ms,
                                              struct certpost_error *error)
{
    if (certpost_tls_set_socket(channel->ssl, channel->socket_fd) != CERTPOST_OK)
        return error_no_memory(error);
    return channel_shake_hands(channel->ssl, deadline_ms, error);
}

static void channel_describe(const struct channel *channel, const char *endpoint)
{
    const SSL *ssl = channel->ssl;
    const char *group =
        SSL_group_to_name(channel->ssl, (int)SSL_get_negotiated_group(channel->ssl));
    output_note("connected to %s with %s, %s, group %s", endpoint, SSL_get_version(ssl),
                SSL_get_cipher_name(ssl), group == NULL ? "unknown" : group);
    describe_certificate(ssl);
}

enum certpost_status channel_open(const struct send_options *options, const char *alpn,
                                  struct channel *ret_channel, struct certpost_error *error)
{
    struct channel channel = {.socket_fd = -1};
    int64_t deadline_ms = clock_deadline_ms(options->config.connect_timeout_ms);
    enum certpost_status status = channel_set_up_tls(&channel, options, alpn, error);
    if (status == CERTPOST_OK)
        status = channel_connect(&channel, options, deadline_ms, error);
    if (status == CERTPOST_OK)
        status = channel_handshake(&channel, deadline_ms, error);
    if (status != CERTPOST_OK) {
        channel_free(&channel);
        return status;
    }
    if (options->verbose) {
        char endpoint[TEXT_ENDPOINT_BYTES];
        text_format_endpoint(options->config.servers[0].host, options->config.servers[0].port,
                             endpoint);
        channel_describe(&channel, endpoint);
    }
    *ret_channel = channel;
    return CERTPOST_OK;
}

void channel_finish(struct channel *channel)
{
    /* Everything is acknowledged: how the peer says goodbye changes nothing any more. */
    enum certpost_status status = certpost_tls_close(channel->ssl, CHANNEL_CLOSE_TIMEOUT_MS, NULL);
    (void)status;
}

void channel_free(struct channel *channel)
{
    SSL_free(channel->ssl);
    SSL_CTX_free(channel->context);
    if (channel->socket_fd >= 0)
        close(channel->socket_fd);
    if (channel->keylog != NULL)
        fclose(channel->keylog);
    *channel = (struct channel){.socket_fd = -1};
}
