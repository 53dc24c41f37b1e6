/* SPDX-License-Identifier: BSD-2-Clause */
/* dial: the one way to connect to somebody. */
#include "net/dial.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/sock.h"
#include "net/tls.h"

/* Those whose peer is busy. */
static struct {
	struct node       list;
	unsigned          count;
	struct loop_timer timer;	/* runs while there are some */
} busy;

/* Handshakes. */
static struct {
	struct node waiting;	/* the oldest first */
	uint64_t    count;	/* that are open */
	uint64_t    most;
	uint64_t    pass;	/* of loop_micros … */
	unsigned    computed;	/* … and how many have in it */
} secure;

/* What the last one that has failed in its handshake had to say. */
static struct {
	const struct dial *dial;
	char               text[320];
} words;

static enum dial_state dial_check_connect(struct dial *);
static enum dial_state dial_secure(struct dial *);
static int             dial_send_preface(struct dial *);
static enum dial_state dial_check_handshake(struct dial *);
static bool            dial_may_begin(struct dial *);
static bool            dial_may_compute(void);
static enum dial_state dial_begin_handshake(struct dial *);
static void            dial_end_handshake(struct dial *);
static void            dial_wake_next(void);
static enum dial_state dial_fail_handshake(struct dial *, const char *why, const char *advice,
    int error);
static void            dial_attempt(struct dial *);
static void            dial_wait(struct dial *);
static void            dial_retry(void *);
static void            dial_stop_waiting(struct dial *);
static enum dial_state dial_fail(struct dial *, int error);
static bool            dial_reached_itself(const struct dial *);

void
dial_init(uint64_t handshakes)
{
	list_init(&secure.waiting);
	secure.count = 0;
	secure.most = handshakes;
	list_init(&busy.list);
	busy.count = 0;
	loop_timer_init(&busy.timer, dial_retry, NULL);
}

enum dial_state
dial_start(struct dial *d, struct conn *c, const struct conn_handler *handler,
    const struct dial_ops *ops, const struct addr *to, uint64_t timeout)
{
	assert(d->state != DIAL_GOING && !c->open);
	c->handler = handler;
	*d = (struct dial){
		.conn = c,
		.ops = ops,
		.give_up = loop_now() + timeout,
		.port = addr_port(to),
		.state = DIAL_GOING,
	};
	dial_attempt(d);
	return d->state;
}

enum dial_state
dial_check(struct dial *d)
{
	if (d->state != DIAL_GOING)
		return d->state;
	return d->secures ? dial_check_handshake(d) : dial_check_connect(d);
}

const char *
dial_explain(const struct dial *d)
{
	return d == words.dial && d->secures ? words.text : strerror(d->error);
}

void
dial_cancel(struct dial *d)
{
	if (d->state != DIAL_GOING)
		return;
	(void)dial_fail(d, ECANCELED);
	d->state = DIAL_NONE;
}

/* A connecting socket is silent until it is writable, or broken: then it is readable,
 * too, and only SO_ERROR tells that from a peer that spoke first. */
static enum dial_state
dial_check_connect(struct dial *d)
{
	struct conn *c = d->conn;
	int          error = 0;

	if (c->open && (c->writable || c->readable)) {
		if (c->readable)
			error = c->error != 0 ? c->error : sock_error(conn_fd(c));
		if (error == 0 && dial_reached_itself(d)) {
			conn_abort(c);	/* the port is free at once */
			error = ECONNREFUSED;
		}
		return error != 0 ? dial_fail(d, error) : dial_secure(d);
	}
	if (loop_now() >= d->give_up)
		return dial_fail(d, ETIMEDOUT);
	return DIAL_GOING;
}

static enum dial_state
dial_secure(struct dial *d)
{
	struct dial_tls *t = d->ops->tls != NULL ? d->ops->tls(d) : NULL;

	if (t == NULL)
		return d->state = DIAL_DONE;
	d->secures = true;
	d->give_up = loop_now() + t->timeout;
	return dial_check_handshake(d);
}

/* What fails before the first record speaks of the connection. */
static enum dial_state
dial_begin_handshake(struct dial *d)
{
	struct dial_tls *t = d->ops->tls(d);

	if (node_linked(&d->link))
		node_unlink(&d->link);
	d->open = true;
	secure.count++;
	dial_wake_next();
	if ((d->ops->preface != NULL && dial_send_preface(d) < 0) ||
	    tls_connect(d->conn, t->context, t->name, t->session) < 0) {
		d->secures = false;
		return dial_fail(d, errno);
	}
	tls_session_keep(d->conn, &t->session);
	d->give_up = loop_now() + t->timeout;
	return DIAL_GOING;
}

/* It is over, or is given up while it waits: another one may have its turn. */
static void
dial_end_handshake(struct dial *d)
{
	if (d->open)
		secure.count--;
	else if (node_linked(&d->link))
		node_unlink(&d->link);
	d->open = false;
	dial_wake_next();
}

/* When it begins it wakes the one behind it: several may have ended in one pass. */
static void
dial_wake_next(void)
{
	struct node *first;

	if (secure.count < secure.most && (first = list_first(&secure.waiting)) != NULL)
		conn_again(container_of(first, struct dial, link)->conn);
}

static bool
dial_may_begin(struct dial *d)
{
	const struct node *first = list_first(&secure.waiting);

	if (secure.count >= secure.most || (first != NULL && first != &d->link)) {
		d->waited = true;
		if (!node_linked(&d->link))
			list_append(&secure.waiting, &d->link);
		return false;
	}
	if (dial_may_compute())
		return true;
	conn_again(d->conn);
	return false;
}

/* Established sessions have their turn in between. */
static bool
dial_may_compute(void)
{
	if (loop_micros() != secure.pass) {
		secure.pass = loop_micros();
		secure.computed = 0;
	}
	return secure.computed++ < DIAL_BATCH;
}

/* It leaves with the first record: a socket that has just been connected has room for it. */
static int
dial_send_preface(struct dial *d)
{
	char    header[PROXY_HEADER_OUT_MAX];
	ssize_t length = d->ops->preface(d, header), n;

	if (length <= 0)
		return (int)length;
	do
		n = send(conn_fd(d->conn), header, (size_t)length, MSG_NOSIGNAL | MSG_MORE);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && n < length)
		errno = ENOBUFS;
	return n == length ? 0 : -1;
}

static enum dial_state
dial_check_handshake(struct dial *d)
{
	struct conn   *c = d->conn;
	enum tls_state state;

	if (!d->open && !dial_may_begin(d))
		return loop_now() < d->give_up ? DIAL_GOING
					       : dial_fail_handshake(d,
						     "it had no turn within its time", NULL, EBUSY);
	if (!d->open) {
		if (dial_begin_handshake(d) == DIAL_FAILED)
			return DIAL_FAILED;
	} else if (c->readable && !dial_may_compute()) {
		conn_again(c);
		return DIAL_GOING;
	}
	state = tls_handshake(c, true);
	if (state == TLS_DONE) {
		dial_end_handshake(d);
		return d->state = DIAL_DONE;
	}
	if (state == TLS_GONE)
		return dial_fail_handshake(d, "it has gone without a word",
		    "is TLS what it speaks on this port?", ECONNRESET);
	if (state == TLS_FAILED) {
		/* What it still sends is read, so that no reset overtakes the alert. */
		(void)conn_read(c, loop_scratch(), 1);
		return dial_fail_handshake(d, conn_explain(c), tls_advice(c), tls_error(c));
	}
	if (loop_now() >= d->give_up)
		return dial_fail_handshake(d, "the handshake is not over within its time", NULL,
		    ETIMEDOUT);
	return DIAL_GOING;
}

static enum dial_state
dial_fail_handshake(struct dial *d, const char *why, const char *advice, int error)
{
	struct dial_tls *t = d->ops->tls(d);

	words.dial = d;
	snprintf(words.text, sizeof words.text, "%s%s%s", why, advice != NULL ? ": " : "",
	    advice != NULL ? advice : "");
	/* It may have been what was resumed. */
	if (d->open) {
		tls_session_free(t->session);
		t->session = NULL;
	}
	return dial_fail(d, error);
}

static void
dial_attempt(struct dial *d)
{
	int fd = d->ops->connect(d);

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
	if (d->secures || d->open)
		dial_end_handshake(d);
	else
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
