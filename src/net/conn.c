/* SPDX-License-Identifier: BSD-2-Clause */
/* conn: one connected socket: facts from events, bytes through a transport. */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "net/sock.h"

/* The budget of an idle session begins here. */
static_assert(sizeof(struct conn) - sizeof(struct loop_watch) <= 80,
	"a conn is 80 bytes and a watch");

/* Those that may have to be rechecked, joined at an event and looked at every
 * CONN_RECHECK: so nothing is armed, moved or asked for with a message. NULL: gone. */
static struct {
	struct conn     **list;
	uint32_t          count;
	uint32_t          size;
	struct loop_timer timer;	/* runs while there are some */
} rechecks;

static unsigned open_count;	/* conns that have an fd */

/* What is kept up to here is copied to where the next bytes are read. */
#define COPIED_MAX 4096u

static ssize_t conn_plain_recv(struct conn *, void *, size_t);
static ssize_t conn_plain_send(struct conn *, const void *, size_t);
static int     conn_plain_finish(struct conn *);
static void    conn_happened(int, short, void *);
static void    conn_turn(struct task *);
static void    conn_recheck_join(struct conn *);
static void    conn_recheck_leave(struct conn *);
static void    conn_recheck_all(void *);
static void    conn_recheck(struct conn *);
static bool    conn_look(struct conn *);
static size_t  conn_read_again(struct conn *, char *into, size_t size);
static bool    conn_fail(struct conn *, int error);
static void    conn_flush_held(struct conn *);
static size_t  conn_send_now(struct conn *, struct weir_span);
static bool    conn_keep_out(struct conn *, struct weir_span);
static void    conn_finish_when_sent(struct conn *);

static const struct transport_ops plain_ops = {
	.recv   = conn_plain_recv,
	.send   = conn_plain_send,
	.finish = conn_plain_finish,
};
static const struct transport plain = { &plain_ops };

void
conn_start(void)
{
	loop_on_task(conn_turn);
	loop_timer_init(&rechecks.timer, conn_recheck_all, NULL);
	rechecks.count = 0;
}

void
conn_fired(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);

	c->handler->expired(c);
}

int
conn_adopt(struct conn *c, int fd, const struct conn_handler *handler)
{
	assert(!c->open);
	c->transport = &plain;
	c->handler = handler;
	c->readable = c->writable = c->closed = c->eof = false;
	c->write_shut = c->broken = c->unsure = false;
	c->finish = c->finished = c->progress = false;
	c->pending = c->held = c->aborted = false;
	c->unread = false;
	c->error = 0;
	if (loop_watch_start(&c->watch, fd, LOOP_READ | LOOP_WRITE | LOOP_END | LOOP_EDGE,
		conn_happened, c) < 0)
		return -1;
	c->open = true;
	open_count++;
	return 0;
}

int
conn_detach(struct conn *c)
{
	if (!c->open)
		return -1;
	/* Before the fd can be closed: a reused number would otherwise get no
	 * events (libevent keeps its registration by number). */
	loop_watch_stop(&c->watch);
	conn_recheck_leave(c);
	conn_disarm(c);
	loop_unqueue(&c->task);
	c->open = false;
	open_count--;
	return conn_fd(c);
}

unsigned
conn_count(void)
{
	return open_count;
}

void
conn_hang_up(struct conn *c)
{
	/* One that has no fd yet may have them, too. */
	conn_disarm(c);
	loop_unqueue(&c->task);
	if (!c->open)
		return;
	if (c->transport->ops->destroy != NULL)
		c->transport->ops->destroy(c);
	c->transport = &plain;
	c->pending = c->held = false;
	close(conn_detach(c));
}

void
conn_abort(struct conn *c)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	if (!c->open)
		return;
	setsockopt(conn_fd(c), SOL_SOCKET, SO_LINGER, &none, sizeof none);
	c->aborted = true;
}

void
conn_close(struct conn *c)
{
	conn_hang_up(c);
	buf_return(&c->in);
	buf_return(&c->out);
}

size_t
conn_read(struct conn *c, char *into, size_t size)
{
	ssize_t n;

	if (c->unread && c->in != NULL)
		return conn_read_again(c, into, size);
	if (c->eof || c->broken) {
		c->readable = false;	/* an event of another kind tells of the end again */
		return 0;
	}
	do
		n = c->transport->ops->recv(c, into, size);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		/* A short read has drained the socket; but the FIN behind it, once
		 * announced, is not announced again. */
		if ((size_t)n < size && !c->closed && !c->pending)
			c->readable = false;
		return (size_t)n;
	}
	if (n == 0 || errno != EAGAIN || !c->pending)
		conn_read_ended(c, n < 0 ? errno : 0);
	return 0;
}

struct weir_span
conn_take(struct conn *c, size_t limit)
{
	struct weir_span kept = c->unread ? span_make(NULL, 0) : buf_span(c->in);
	char            *into;
	size_t           size = limit > kept.len ? limit - kept.len : 0, n;

	if (size == 0)
		return span_make(NULL, 0);	/* reading nothing would look like the end */
	if (kept.len < COPIED_MAX) {
		into = loop_scratch();
		if (size > loop_scratch_size() - kept.len)
			size = loop_scratch_size() - kept.len;
		if ((n = conn_read(c, into + kept.len, size)) == 0)
			return span_make(NULL, 0);
		if (kept.len > 0)
			memcpy(into, kept.data, kept.len);
		return span_make(into, kept.len + n);
	}
	size = size < kept.len ? size : kept.len;	/* it grows with what is there */
	if ((into = buf_reserve(&c->in, size)) == NULL) {
		conn_fail(c, errno);
		return span_make(NULL, 0);
	}
	if ((n = conn_read(c, into, size)) == 0)
		return span_make(NULL, 0);
	buf_commit(c->in, n);
	return buf_span(c->in);
}

bool
conn_keep(struct conn *c, struct weir_span taken, size_t used)
{
	struct weir_span rest = span_skip(taken, used);

	assert(!c->unread || c->in == NULL);
	c->unread = false;
	if (c->in != NULL && taken.data == buf_span(c->in).data) {
		if (used > 0)
			buf_consume(&c->in, used);
		return true;
	}
	buf_return(&c->in);
	return rest.len == 0 || buf_append(&c->in, rest) == 0;
}

bool
conn_put_back(struct conn *c, struct weir_span taken, size_t used)
{
	assert(!c->eof);
	if (!conn_keep(c, taken, used))
		return false;
	c->unread = c->in != NULL;
	return true;
}

void
conn_read_ended(struct conn *c, int error)
{
	c->readable = c->unsure = false;
	if (error == 0 && c->error == 0)
		c->eof = true;
	else if (error == 0)
		conn_fail(c, c->error);	/* told already, by conn_look or by sending */
	else if (error != EAGAIN)
		conn_fail(c, error);
}

bool
conn_send(struct conn *c, struct weir_span s)
{
	if ((c->out != NULL || c->held) && !conn_flush(c))
		return false;
	if (c->out == NULL)
		s = span_skip(s, conn_send_now(c, s));
	return conn_keep_out(c, s);
}

size_t
conn_push(struct conn *c, struct weir_span s)
{
	return conn_send_now(c, s);
}

bool
conn_gather(struct conn *c, struct weir_span s)
{
	return conn_keep_out(c, s);
}

bool
conn_flush(struct conn *c)
{
	size_t n;

	if (c->held)
		conn_flush_held(c);
	if (c->out != NULL) {
		n = conn_send_now(c, buf_span(c->out));
		if (n > 0) {
			c->progress = true;
			buf_consume(&c->out, n);
		}
	}
	if (c->finish)
		conn_finish_when_sent(c);
	return !c->write_shut && !c->broken;
}

void
conn_finish(struct conn *c)
{
	c->finish = true;
	conn_finish_when_sent(c);
}

void
conn_send_ended(struct conn *c, int error)
{
	c->writable = false;
	if (error == EAGAIN)
		return;
	c->write_shut = true;
	c->held = false;
	c->error = (uint16_t)error;
	buf_return(&c->out);
	/* Whatever came before is still there, and then the error. */
	c->readable = !c->eof && !c->broken;
}

uint64_t
conn_untaken_for(const struct conn *c)
{
	struct tcp_info info;
	socklen_t       len = sizeof info;
	uint64_t        sent, rtt, rto, untaken;
	unsigned        tries;

	if (!c->open || getsockopt(conn_fd(c), IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return UINT64_MAX;
	untaken = info.tcpi_last_ack_recv;
	sent = info.tcpi_last_data_sent;
	rtt = info.tcpi_rtt / 1000;
	rto = info.tcpi_rto / 1000;
	tries = info.tcpi_retransmits < 31 ? info.tcpi_retransmits : 31;
	/* Nothing is in flight: what was sent last came a round trip later, and what has
	 * come since then is the answer to a probe, or a segment of the other end's own. */
	if (info.tcpi_unacked == 0)
		sent = sent > rtt ? sent - rtt : 0;
	/* All waits before the last retransmission were in vain, each twice the one before;
	 * the next would be rto. */
	else if (tries > 0)
		sent += rto - (rto >> tries);
	else
		return untaken;
	return sent > untaken ? sent : untaken;
}

uint64_t
conn_silent_for(const struct conn *c)
{
	struct tcp_info info;
	socklen_t       len = sizeof info;

	if (!c->open || getsockopt(conn_fd(c), IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return UINT64_MAX;
	return info.tcpi_last_ack_recv < info.tcpi_last_data_recv ? info.tcpi_last_ack_recv
								  : info.tcpi_last_data_recv;
}

size_t
conn_unacknowledged(const struct conn *c)
{
	int bytes = 0;

	if (ioctl(conn_fd(c), SIOCOUTQ, &bytes) < 0)
		return 0;
	return (size_t)bytes;
}

const char *
conn_explain(const struct conn *c)
{
	const char *words = NULL;

	if (c->transport != NULL && c->transport->ops->explain != NULL)
		words = c->transport->ops->explain(c);
	return words != NULL || c->error == 0 ? words : strerror(c->error);
}

bool
conn_is_plain(const struct conn *c)
{
	return c->transport == &plain;
}

void
conn_again(struct conn *c)
{
	loop_queue(&c->task);
}

void
conn_arm(struct conn *c, uint64_t at)
{
	loop_arm(&c->timer, at);
}

void
conn_disarm(struct conn *c)
{
	loop_disarm(&c->timer);
}

static ssize_t
conn_plain_recv(struct conn *c, void *into, size_t size)
{
	return recv(conn_fd(c), into, size, 0);
}

static ssize_t
conn_plain_send(struct conn *c, const void *from, size_t size)
{
	return send(conn_fd(c), from, size, MSG_NOSIGNAL);
}

static int
conn_plain_finish(struct conn *c)
{
	return shutdown(conn_fd(c), SHUT_WR);
}

static void
conn_happened(int fd, short what, void *argument)
{
	struct conn *c = argument;

	(void)fd;
	/* libevent shows EPOLLERR as both. While reading is paused nobody would find the
	 * error by reading; nor behind the end, of which all other events tell, too. */
	if ((what & LOOP_READ) && (what & LOOP_WRITE) &&
	    (c->readable || (c->eof && !(what & LOOP_END))))
		(void)conn_look(c);
	if (what & LOOP_READ) {
		c->readable = c->unsure = c->fresh = true;
		if (c->recheck == 0)
			conn_recheck_join(c);
	}
	if ((what & LOOP_WRITE) && !c->write_shut)
		c->writable = true;
	if (what & LOOP_END)
		c->closed = c->readable = true;
	c->handler->ready(c);
}

static void
conn_turn(struct task *t)
{
	struct conn *c = container_of(t, struct conn, task);

	c->handler->ready(c);
}

static void
conn_recheck_join(struct conn *c)
{
	uint32_t      size = rechecks.size > 0 ? rechecks.size * 2 : 64;
	struct conn **grown;

	if (rechecks.count == rechecks.size) {
		grown = realloc(rechecks.list, size * sizeof *grown);
		if (grown == NULL) {
			(void)conn_look(c);	/* at once, then */
			return;
		}
		rechecks.list = grown;
		rechecks.size = size;
	}
	if (rechecks.count == 0)
		loop_timer_start(&rechecks.timer, CONN_RECHECK);
	rechecks.list[rechecks.count++] = c;
	c->recheck = rechecks.count;
}

static void
conn_recheck_leave(struct conn *c)
{
	if (c->recheck != 0)
		rechecks.list[c->recheck - 1] = NULL;
	c->recheck = 0;
}

/* Whoever was silent all the time since the last rotation is rechecked; others join
 * and leave meanwhile. */
static void
conn_recheck_all(void *argument)
{
	uint32_t     count = rechecks.count, kept = 0;
	struct conn *c;

	(void)argument;
	for (uint32_t i = 0; i < rechecks.count; i++) {
		c = rechecks.list[i];
		if (c == NULL)
			continue;
		rechecks.list[i] = NULL;
		c->recheck = 0;
		if (c->unsure && (c->fresh || i >= count)) {
			c->fresh = i >= count;
			rechecks.list[kept++] = c;
			c->recheck = kept;
		} else if (c->unsure)
			conn_recheck(c);
	}
	rechecks.count = kept;
	if (kept > 0) {
		loop_timer_start(&rechecks.timer, CONN_RECHECK);
		return;
	}
	free(rechecks.list);
	rechecks.list = NULL;
	rechecks.size = 0;
}

/* Its owner may end it at any time, but frees it after the pass only. */
static void
conn_recheck(struct conn *c)
{
	c->unsure = false;
	if (!c->readable && !c->eof && !c->broken) {
		c->readable = true;
		c->handler->ready(c);
	}
	if (c->open && c->readable && !c->eof && !conn_look(c))
		c->handler->ready(c);
}

/* Asks the socket for an error that no event has told yet: write_shut is set then. False:
 * there is one. */
static bool
conn_look(struct conn *c)
{
	int error = c->open ? sock_error(conn_fd(c)) : 0;

	if (error != 0)
		conn_send_ended(c, error);
	return error == 0;
}

/* The socket's facts stay as they are. */
static size_t
conn_read_again(struct conn *c, char *into, size_t size)
{
	struct weir_span s = buf_span(c->in);
	size_t           n = s.len < size ? s.len : size;

	memcpy(into, s.data, n);
	buf_consume(&c->in, n);
	c->unread = c->in != NULL;
	return n;
}

static bool
conn_fail(struct conn *c, int error)
{
	c->broken = true;
	c->error = (uint16_t)error;
	c->readable = c->writable = false;
	return false;
}

/* What the transport holds. Until that has gone, it takes nothing more. */
static void
conn_flush_held(struct conn *c)
{
	size_t before;
	int    error;

	if (!c->writable)
		return;
	before = c->transport->ops->held(c);
	error = c->transport->ops->flush(c) < 0 ? errno : 0;
	if (!c->held || c->transport->ops->held(c) < before)
		c->progress = true;
	if (error != 0)
		conn_send_ended(c, error);
}

/* How much the socket took. */
static size_t
conn_send_now(struct conn *c, struct weir_span s)
{
	ssize_t n;

	if (!c->writable || s.len == 0)
		return 0;
	do
		n = c->transport->ops->send(c, s.data, s.len);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		c->unsure = false;	/* an error would have shown */
	if (n == (ssize_t)s.len)
		return s.len;
	conn_send_ended(c, n < 0 ? errno : EAGAIN);
	return n < 0 ? 0 : (size_t)n;
}

static bool
conn_keep_out(struct conn *c, struct weir_span s)
{
	if (c->broken || c->write_shut)
		return false;
	if (s.len == 0 || buf_append(&c->out, s) == 0)
		return true;
	return conn_fail(c, errno);
}

static void
conn_finish_when_sent(struct conn *c)
{
	if (!c->finish || c->finished || c->out != NULL || c->write_shut || c->broken || !c->open)
		return;
	/* ENOTCONN: the peer has gone already; reading will tell. */
	if (c->transport->ops->finish(c) < 0 && errno == EAGAIN)
		c->writable = false;
	else
		c->finished = true;
}
