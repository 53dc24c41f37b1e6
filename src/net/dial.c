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

static struct admission handshakes;

/* What the last one that has failed in its handshake had to say. */
static struct {
	const struct dial *dial;
	char               text[320];
} words;

static enum dial_state dial_check_connect(struct dial *);
static enum dial_state dial_secure(struct dial *);
static int             dial_send_preface(struct dial *);
static enum dial_state dial_check_handshake(struct dial *);
static enum dial_state dial_await_turn(struct dial *, enum admission_answer);
static enum dial_state dial_begin_handshake(struct dial *);
static enum dial_state dial_fail_handshake(struct dial *, const char *why, const char *advice,
    int error);
static void            dial_attempt(struct dial *);
static void            dial_wait(struct dial *);
static void            dial_retry(void *);
static void            dial_stop_waiting(struct dial *);
static enum dial_state dial_fail(struct dial *, int error);
static bool            dial_reached_itself(const struct dial *);

void
dial_init(uint64_t most)
{
	admission_start(&handshakes, most);
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

bool
dial_awaits_turn(const struct dial *d)
{
	return d->state == DIAL_GOING && d->secures && (!d->place.open || d->conn->readable);
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
	d->place.conn = d->conn;
	d->place.with = t;
	d->give_up = loop_now() + t->timeout;
	return dial_check_handshake(d);
}

/* What fails before the first record speaks of the connection. */
static enum dial_state
dial_begin_handshake(struct dial *d)
{
	struct dial_tls *t = d->ops->tls(d);

	if ((d->ops->preface != NULL && dial_send_preface(d) < 0) ||
	    tls_connect(d->conn, t->context, t->name, t->session) < 0) {
		d->secures = false;
		return dial_fail(d, errno);
	}
	tls_session_keep(d->conn, &t->session);
	d->give_up = loop_now() + t->timeout;
	return DIAL_GOING;
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

	if (d->place.given_up)
		return dial_fail_handshake(d, "it was given up, because others wait", NULL, EBUSY);
	if (!d->place.open) {
		enum admission_answer answer = admission_enter(&handshakes, &d->place);

		if (answer != ADMISSION_OPEN)
			return dial_await_turn(d, answer);
		if (dial_begin_handshake(d) == DIAL_FAILED)
			return DIAL_FAILED;
	} else if (c->readable && !admission_may_compute(&handshakes, &d->place))
		return DIAL_GOING;
	state = tls_handshake(c, true);
	if (state == TLS_DONE) {
		admission_leave(&handshakes, &d->place);
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
dial_await_turn(struct dial *d, enum admission_answer answer)
{
	if (answer == ADMISSION_GONE)
		return dial_fail_handshake(d, "it has gone while it waited for its turn", NULL,
		    EBUSY);
	if (loop_now() >= d->give_up)
		return dial_fail_handshake(d, "it had no turn within its time", NULL, EBUSY);
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
	if (d->place.open && error != EBUSY) {
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
	admission_leave(&handshakes, &d->place);
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
