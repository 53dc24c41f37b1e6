/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_session: a connection of a backend: reading, waiting, ending. */
#include "stress/serve_session.h"

#include <stdio.h>

#include "base/slab.h"
#include "base/str.h"
#include "stress/serve_again.h"
#include "stress/serve_door.h"
#include "stress/serve_kind.h"
#include "stress/serve_reply.h"
#include "stress/tally.h"

enum {
	READS  = 4,		/* a turn */
	HOLD   = 60000000,	/* µs: of what has stalled, after the client's FIN */
};

static struct {
	struct slab slab;
	struct node closed;
} sessions;

static void serve_session_ready(struct conn *);
static void serve_session_fired(struct alarm *);
static void serve_session_step(struct stress_session *);
static bool serve_session_shake(struct stress_session *);
static void serve_session_note_tls_failed(struct stress_session *);
static void serve_session_talk(struct stress_session *);
static void serve_session_read(struct stress_session *);
static bool serve_session_may_read(const struct stress_session *);
static void serve_session_settle(struct stress_session *);
static void serve_session_wait(struct stress_session *);
static void serve_session_close(struct stress_session *);

static const struct conn_handler handler = { .ready = serve_session_ready };

void
stress_sessions_start(void)
{
	slab_init(&sessions.slab, sizeof(struct stress_session));
	list_init(&sessions.closed);
}

bool
stress_session_open(struct door *d, int fd, uint64_t number)
{
	struct stress_session *s = slab_take(&sessions.slab);

	if (s == NULL || stress_alarm_init(&s->alarm, serve_session_fired) < 0) {
		slab_give(&sessions.slab, s);
		return false;
	}
	if (conn_adopt(&s->conn, fd, &handler) < 0) {
		stress_alarm_finish(&s->alarm);
		slab_give(&sessions.slab, s);
		return false;
	}
	if (stress_served->tls.on && tls_accept(&s->conn, stress_served->tls.context) < 0) {
		conn_detach(&s->conn);
		stress_alarm_finish(&s->alarm);
		slab_give(&sessions.slab, s);
		return false;
	}
	s->shakes = stress_served->tls.on;
	s->door = d;
	s->rng = stress_rng_make(stress_served->seed, number);
	s->end = HARM_NONE;
	list_init(&s->replies);
	list_append(&d->sessions, &s->link);
	stress_tally_add(&stress_counts->open, 1);
	if (stress_reply_harm_happens(s, HARM_DOOR)) {
		stress_reply_harm_end(s, HARM_DOOR);
	} else if (stress_reply_harm_happens(s, HARM_REFUSE)) {
		stress_reply_harm_end(s, HARM_REFUSE);
		d->shuts = true;
	}
	if (s->over)
		serve_session_close(s);
	return true;
}

void
stress_sessions_end(struct door *d, bool reset)
{
	struct stress_session *s;
	struct node           *n, *following;

	list_each(n, following, &d->sessions) {
		s = container_of(n, struct stress_session, link);
		if (reset)
			conn_abort(&s->conn);
		serve_session_close(s);
	}
}

void
stress_sessions_sweep(void)
{
	struct node *n;

	while ((n = list_first(&sessions.closed)) != NULL) {
		node_unlink(n);
		slab_give(&sessions.slab, container_of(n, struct stress_session, link));
	}
}

void
stress_sessions_finish(void)
{
	stress_sessions_sweep();
	stress_again_finish();
	slab_finish(&sessions.slab);
	buf_trim();
}

/* --------------------------------------------------------------- what happens */

static void
serve_session_ready(struct conn *c)
{
	serve_session_step(container_of(c, struct stress_session, conn));
}

static void
serve_session_fired(struct alarm *a)
{
	struct stress_session *s = container_of(a, struct stress_session, alarm);

	serve_session_step(s);
}

static void
serve_session_step(struct stress_session *s)
{
	if (s->over || (s->shakes && !s->silent && !serve_session_shake(s)))
		return;
	if (s->close_at == 0 || s->close_at > stress_alarm_clock() || serve_session_may_read(s)) {
		serve_session_talk(s);
	} else if (s->stalled) {
		s->over = true;
	} else {
		stress_tally_add(&stress_counts->harms[HARM_IDLE], 1);
		stress_reply_harm_end(s, HARM_IDLE);
	}
	if (s->over)
		serve_session_close(s);
}

/* Returns whether there is something to talk about. */
static bool
serve_session_shake(struct stress_session *s)
{
	switch (tls_handshake(&s->conn, true)) {
	case TLS_DONE:
		s->shakes = false;
		stress_tally_add(&stress_counts->handshakes, 1);
		if (tls_info(&s->conn).resumed)
			stress_tally_add(&stress_counts->resumed, 1);
		return true;
	case TLS_FAILED:
		/* The client is to have the alert, so nothing is left unread. */
		serve_session_note_tls_failed(s);
		s->shakes = false;
		s->silent = true;
		conn_finish(&s->conn);
		return true;
	case TLS_GONE:
		serve_session_close(s);
		return false;
	default:
		return false;
	}
}

static void
serve_session_note_tls_failed(struct stress_session *s)
{
	const char *why = conn_explain(&s->conn);

	if (stress_counts->tls_failed == 0)
		snprintf(stress_counts->tls_reason, sizeof stress_counts->tls_reason, "%s",
		    why != NULL ? why : "it is not known why");
	stress_tally_add(&stress_counts->tls_failed, 1);
}

static void
serve_session_talk(struct stress_session *s)
{
	stress_replies_release(s);
	if (!s->over)
		serve_session_read(s);
	if (!s->over)
		stress_kind_produce(s);
	if (!s->over)
		stress_replies_release(s);
	if (!s->over)
		serve_session_settle(s);
}

static void
serve_session_read(struct stress_session *s)
{
	size_t n;

	for (int i = 0; i < READS && serve_session_may_read(s); i++) {
		n = conn_read(&s->conn, loop_scratch(), stress_kind_chunk());
		if (n == 0)
			break;
		stress_tally_add(&stress_counts->bytes_in, n);
		s->close_at = 0;
		if (!s->silent || stress_served->again)
			stress_kind_take(s, span_make(loop_scratch(), n));
		if (s->over)
			return;
	}
	if (s->conn.eof && !s->said) {
		s->said = true;
		if (!s->silent)
			stress_kind_ended(s);
	}
}

static bool
serve_session_may_read(const struct stress_session *s)
{
	if (!s->conn.readable)
		return false;
	if (s->read_at != 0 && s->read_at > stress_alarm_clock())
		return false;
	return s->silent || s->queued + conn_waiting(&s->conn) < SESSION_WAITING;
}

/* Nothing more can be done now: is that the end, or until when? */
static void
serve_session_settle(struct stress_session *s)
{
	bool quiet = list_empty(&s->replies) && conn_waiting(&s->conn) == 0;

	if (s->conn.broken && !s->silent && stress_tls_has_failed(&s->conn))
		serve_session_note_tls_failed(s);
	if (s->conn.broken || (s->conn.eof && s->silent && !s->stalled)) {
		s->over = true;
		return;
	}
	if (quiet && stress_kind_is_over(s) && !s->silent && !s->conn.finish)
		conn_finish(&s->conn);
	if (s->conn.finished && s->conn.eof) {
		s->over = true;
		return;
	}
	if (serve_session_may_read(s) || stress_kind_may_produce(s))
		conn_again(&s->conn);
	if (quiet && s->busy && !s->silent) {
		s->busy = false;
		/* It happens when the client asks nothing more until then. */
		if (stress_rng_chance(&s->rng, stress_served->rates[HARM_IDLE]))
			s->close_at = stress_alarm_clock() + stress_reply_harm_wait(s);
	}
	/* Whether the client has only ended its side, nobody can tell. */
	if (s->stalled && s->conn.eof && s->close_at == 0)
		s->close_at = stress_alarm_clock() + HOLD;
	serve_session_wait(s);
}

static void
serve_session_wait(struct stress_session *s)
{
	uint64_t due = stress_replies_due(s), at = s->close_at, now;

	if (due != UINT64_MAX)
		at = due;
	if (at == 0 && s->read_at == 0)
		return;
	now = stress_alarm_clock();
	if (s->read_at <= now)
		s->read_at = 0;
	else if (s->conn.readable && (at == 0 || s->read_at < at))
		at = s->read_at;
	/* What is due and not sent waits for room, and an event tells of that. */
	if (at != 0 && (at > now || s->conn.writable))
		stress_alarm_set(&s->alarm, at);
}

/* Its memory stays until stress_sessions_sweep. */
static void
serve_session_close(struct stress_session *s)
{
	s->over = true;
	stress_replies_drop(s);
	conn_close(&s->conn);
	stress_alarm_finish(&s->alarm);
	node_unlink(&s->link);
	list_append(&sessions.closed, &s->link);
	stress_tally_add(&stress_counts->open, (uint64_t)-1);
}
