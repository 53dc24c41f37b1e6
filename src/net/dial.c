/* SPDX-License-Identifier: BSD-2-Clause */
/* dial: the one way to connect to somebody. */
#include "net/dial.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/sock.h"

/* Those whose peer is busy. */
static struct {
	struct node       list;
	unsigned          count;
	struct loop_timer timer;	/* runs while there are some */
} busy;

static void            dial_attempt(struct dial *);
static void            dial_wait(struct dial *);
static void            dial_retry(void *);
static void            dial_stop_waiting(struct dial *);
static enum dial_state dial_fail(struct dial *, int error);
static bool            dial_reached_itself(const struct dial *);

void
dial_init(void)
{
	list_init(&busy.list);
	busy.count = 0;
	loop_timer_init(&busy.timer, dial_retry, NULL);
}

enum dial_state
dial_start(struct dial *d, struct conn *c, const struct conn_handler *handler,
    int (*connect)(struct dial *), const struct addr *to, uint64_t timeout)
{
	assert(d->state != DIAL_GOING && !c->open);
	c->handler = handler;
	*d = (struct dial){
		.conn = c,
		.connect = connect,
		.give_up = loop_now() + timeout,
		.port = addr_port(to),
		.state = DIAL_GOING,
	};
	dial_attempt(d);
	return d->state;
}

/* A connecting socket is silent until it is writable, or broken: then it is readable,
 * too, and only SO_ERROR tells that from a peer that spoke first. */
enum dial_state
dial_check(struct dial *d)
{
	struct conn *c = d->conn;
	int          error = 0;

	if (d->state != DIAL_GOING)
		return d->state;
	if (c->open && (c->writable || c->readable)) {
		if (c->readable)
			error = c->error != 0 ? c->error : sock_error(conn_fd(c));
		if (error == 0 && dial_reached_itself(d)) {
			conn_abort(c);	/* the port is free at once */
			error = ECONNREFUSED;
		}
		if (error != 0)
			return dial_fail(d, error);
		return d->state = DIAL_DONE;
	}
	if (loop_now() >= d->give_up)
		return dial_fail(d, ETIMEDOUT);
	return DIAL_GOING;
}

void
dial_cancel(struct dial *d)
{
	if (d->state != DIAL_GOING)
		return;
	(void)dial_fail(d, ECANCELED);
	d->state = DIAL_NONE;
}

static void
dial_attempt(struct dial *d)
{
	int fd = d->connect(d);

	if (fd >= 0 && conn_adopt(d->conn, fd, d->conn->handler) < 0) {
		close(fd);
		fd = -1;
		errno = ENOMEM;
	}
	if (fd < 0 && errno == EAGAIN)
		dial_wait(d);
	else if (fd < 0)
		(void)dial_fail(d, errno);
}

static void
dial_wait(struct dial *d)
{
	if (busy.count++ == 0)
		loop_timer_start(&busy.timer, DIAL_RETRY);
	list_append(&busy.list, &d->link);
}

/* Whoever finds its peer busy still goes behind the others. */
static void
dial_retry(void *argument)
{
	unsigned     left = busy.count < DIAL_SHARE ? busy.count : DIAL_SHARE;
	struct node *n;
	struct dial *d;

	(void)argument;
	while (left-- > 0 && (n = list_first(&busy.list)) != NULL) {
		d = container_of(n, struct dial, link);
		dial_stop_waiting(d);
		dial_attempt(d);
		if (d->state == DIAL_FAILED)
			d->conn->handler->ready(d->conn);
	}
	if (busy.count > 0)
		loop_timer_start(&busy.timer, DIAL_RETRY);
}

static void
dial_stop_waiting(struct dial *d)
{
	if (!node_linked(&d->link))
		return;
	node_unlink(&d->link);
	busy.count--;
}

static enum dial_state
dial_fail(struct dial *d, int error)
{
	dial_stop_waiting(d);
	conn_hang_up(d->conn);
	d->error = (uint16_t)error;
	return d->state = DIAL_FAILED;
}

/* Both ends are one socket, which nobody listens at: the kernel chose the port that was
 * to be connected to, and the two first packets crossed. */
static bool
dial_reached_itself(const struct dial *d)
{
	struct addr ours = { .len = sizeof ours.un }, theirs = { .len = sizeof theirs.un };
	int         fd = conn_fd(d->conn);

	if (d->port == 0 || getsockname(fd, &ours.sa, &ours.len) < 0 || addr_port(&ours) != d->port)
		return false;
	return getpeername(fd, &theirs.sa, &theirs.len) == 0 && addr_equal(&ours, &theirs);
}
