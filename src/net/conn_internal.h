/*
 * net/conn_internal.h — what the files of the connection share: conn.c (life and state),
 * conn_io.c (bytes in and out), conn_time.c (deadlines). Included by nothing else.
 */
#ifndef NET_CONN_INTERNAL_H
#define NET_CONN_INTERNAL_H

#include "base/machine.h"
#include "net/conn.h"

struct net_conn {
    uv_tcp_t socket;
    uv_timer_t timer;
    uv_shutdown_t shutdown_request;
    struct machine machine;
    struct tls_stream *stream;
    struct buffer proxy_bytes; /* in PROXY: what has been received */
    struct net_scratch *scratch;
    const struct net_limits *limits;
    const struct net_conn_handler *handler;
    void *owner;
    struct certpost_error error;
    enum certpost_status status;              /* how it ends; CERTPOST_OK while it does not */
    uint64_t deadline_ms[NET_DEADLINE_COUNT]; /* of the loop's clock; 0: not running */
    const char *deadline_name;                /* the one that passed */
    uint64_t owner_due_ms;                    /* when the owner wants to be called; 0: never */
    uint64_t timer_due_ms;                    /* 0: the timer is not running */
    uint64_t output_bytes;                    /* given to the network, in all */
    uint64_t sent_at_last_look;               /* of these, gone when the write deadline was set */
    bool paused;
    bool output_full;
    bool draining;
    bool end_reported;
    bool handshake_done;
    bool is_probe; /* so far; see net_conn_result */
    bool reading;
    bool input_ended; /* the peer has shut its side of the socket */
    bool pumping;
    unsigned open_handles; /* libuv handles that are not closed yet */
    char peer[TEXT_ENDPOINT_BYTES];
};

/* conn.c */
enum net_conn_state net_conn_state(const struct net_conn *conn);
bool net_conn_is_active(const struct net_conn *conn); /* PROXY to ENDING */
void net_conn_move(struct net_conn *conn, enum net_conn_state state);
void net_conn_fail(struct net_conn *conn, enum certpost_status status);
void net_conn_dispose(struct net_conn *conn);
void net_conn_begin_closing(struct net_conn *conn);
void net_conn_take_scratch(struct net_conn *conn);

/* conn_io.c */
void net_conn_pump(struct net_conn *conn);
void net_conn_report_end(struct net_conn *conn, enum certpost_status status);
size_t net_conn_waiting_bytes(const struct net_conn *conn);
void net_conn_update_reading(struct net_conn *conn);
void net_conn_write_output(struct net_conn *conn);
void net_conn_shut_when_sent(struct net_conn *conn);
uint64_t net_conn_sent_bytes(const struct net_conn *conn);

/* conn_proxy.c */
void net_conn_receive_proxy(struct net_conn *conn, const unsigned char *bytes, size_t length);

/* conn_time.c */
void net_conn_set_deadline(struct net_conn *conn, enum net_deadline kind);
void net_conn_clear_deadline(struct net_conn *conn, enum net_deadline kind);
void net_conn_note_kernel_timeout(struct net_conn *conn);

#endif
