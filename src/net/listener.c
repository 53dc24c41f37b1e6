/* SPDX-License-Identifier: BSD-2-Clause */
/* listener: accepting, in a worker, from a listening socket that the master owns. */
#include "net/listener.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum outcome { ACCEPTED, QUEUE_EMPTY, STARVED };

static void         listener_ready(int fd, short, void *);
static void         listener_pause_over(void *);
static enum outcome listener_accept_one(struct listener *);
static void         listener_update(struct listener *, bool watch);

void
listener_init(struct listener *l, int fd, bool shared, const struct listener_ops *ops)
{
	*l = (struct listener){
		.ops = ops,
		.fd = fd,
		.batch = shared ? LISTENER_BATCH_SHARED : LISTENER_BATCH,
	};
	loop_timer_init(&l->pause, listener_pause_over, l);
}

void
listener_start(struct listener *l)
{
	l->wanted = true;
	listener_update(l, true);
}

void
listener_stop(struct listener *l)
{
	l->wanted = false;
	listener_update(l, false);
	loop_timer_stop(&l->pause);
}

void
listener_resume(struct listener *l)
{
	if (l->wanted)
		listener_update(l, true);
}

void
listener_sweep(struct listener *l, unsigned most)
{
	while (most-- > 0 && l->ops->may_accept(l) && listener_accept_one(l) == ACCEPTED)
		;
}

static void
listener_ready(int fd, short what, void *argument)
{
	struct listener *l = argument;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < l->batch; i++) {
		if (!l->ops->may_accept(l)) {
			listener_update(l, false);
			return;
		}
		switch (listener_accept_one(l)) {
		case ACCEPTED:
			break;
		case QUEUE_EMPTY:
			return;
		case STARVED:
			/* Level-triggered, it would come back at once, for nothing. */
			listener_update(l, false);
			loop_timer_start(&l->pause, LISTENER_PAUSE);
			return;
		}
	}
}

static void
listener_pause_over(void *argument)
{
	listener_resume(argument);
}

static enum outcome
listener_accept_one(struct listener *l)
{
	struct addr from;
	int         fd;

	from.len = sizeof from.un;
	fd = accept4(l->fd, &from.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		if (!l->ops->accepted(l, fd, &from))
			close(fd);
		return ACCEPTED;
	}
	switch (errno) {
	case EAGAIN:
		return QUEUE_EMPTY;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		l->ops->starved(l, errno);
		return STARVED;
	/* accept(2): errors of the new socket's network are passed on by Linux;
	 * the connection is gone, the listener is well. */
	case ECONNABORTED:
	case EINTR:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case ETIMEDOUT:
	case EPERM:
		return ACCEPTED;
	default:
		log_alert("accept: %m");
		return STARVED;
	}
}

static void
listener_update(struct listener *l, bool watch)
{
	if (watch == l->watching)
		return;
	if (!watch)
		loop_watch_stop(&l->watch);
	else if (loop_watch_start(&l->watch, l->fd, LOOP_READ, listener_ready, l) < 0) {
		loop_timer_start(&l->pause, LISTENER_PAUSE);
		return;
	}
	l->watching = watch;
}
