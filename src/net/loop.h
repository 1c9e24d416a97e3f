/*
 * net/loop.h — an event loop that does not end the process when the machine runs short.
 *
 * libuv calls abort() where it cannot make the pipe for its signals, cannot grow its table of
 * descriptors, or the kernel does not take a descriptor into epoll. A server that serves must not
 * end for any of these, so each is done or tried here, before libuv does it.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "certpost/error.h"

#include <stddef.h>
#include <uv.h>

/*
 * uv_loop_init, after making sure that there are descriptors for it and that epoll takes one.
 * Errors: SYSTEM; the loop is then not initialised.
 */
CERTPOST_MUST_CHECK
enum certpost_status net_loop_init(uv_loop_t *loop, struct certpost_error *error);

/*
 * Makes room in the loop's table for descriptors up to number `count`, so that no connection later
 * makes it grow. `handle` must live as long as the loop, which closes it. For the thread that runs
 * the loop, or before there is one. Errors: SYSTEM; the loop can be used all the same.
 */
CERTPOST_MUST_CHECK
enum certpost_status net_loop_make_room(uv_loop_t *loop, size_t count, uv_poll_t *handle,
                                        struct certpost_error *error);

/*
 * Has the kernel take a socket into the loop's epoll, watching for nothing yet: libuv then finds it
 * there (EEXIST) and changes what it is watched for, which does not fail. Returns 0 or an errno.
 * Only for a descriptor that is in no loop.
 */
int net_loop_add_socket(uv_loop_t *loop, int descriptor);

#endif
