/* SPDX-License-Identifier: BSD-2-Clause */
/* handshake: TLS is agreed on with a client, before its protocol begins. */
#include "session/handshake.h"

#include "base/log.h"
#include "base/slab.h"
#include "net/tls.h"
#include "session/preread.h"
#include "session/server.h"
#include "session/session.h"

#define HANDSHAKE_LOOK 100u	/* ms between looks at those that are open, while others wait */

struct handshake {
	struct weir_session *session;
	struct node          link;	/* of those that are open, or of those that wait */
	uint64_t             since;	/* ms: it is open, or waits, since then */
	bool                 open;
	struct preread       preread;	/* of one that is not open */
};

static void        handshake_enter(struct weir_session *);
static void        handshake_run(struct weir_session *);
static void        handshake_deadline(const struct weir_session *, struct session_deadline *);
static void        handshake_leave(struct weir_session *);
static const char *handshake_explain(const struct weir_session *, enum session_reason);
static bool        handshake_may_compute(void);
static enum tls_state handshake_begin(struct handshake *);
static void        handshake_wait(struct handshake *);
static void        handshake_done(struct weir_session *);
static void        handshake_failed(struct weir_session *);
static void        handshakes_wake(void);
static void        handshakes_refuse_old(void *);

const struct session_mode handshake_mode = {
	.name     = "handshake",
	.enter    = handshake_enter,
	.run      = handshake_run,
	.deadline = handshake_deadline,
	.leave    = handshake_leave,
	.explain  = handshake_explain,
};

static struct {
	struct slab       slab;
	struct node       open;		/* the oldest first */
	struct node       waiting;	/* the same */
	uint64_t          count;	/* that are open */
	uint64_t          most;
	unsigned          seat;
	struct loop_timer look;		/* runs while some wait */
	bool              looking;
	uint64_t          pass;		/* of loop_micros … */
	unsigned          computed;	/* … and how many have in it */
	uint64_t          complained;	/* of loop_complain */
} all;

void
handshakes_start(uint64_t most, unsigned seat)
{
	slab_init(&all.slab, sizeof(struct handshake));
	list_init(&all.open);
	list_init(&all.waiting);
	all.count = 0;
	all.most = most;
	all.seat = seat;
	all.looking = false;
	loop_timer_init(&all.look, handshakes_refuse_old, NULL);
}

void
handshakes_stop(void)
{
	loop_timer_stop(&all.look);
	slab_finish(&all.slab);
}

/* ------------------------------------------------------------------- the mode */

static void
handshake_enter(struct weir_session *s)
{
	if (s->server->tls == NULL) {
		session_enter(s, STEP_OPEN);
		return;
	}
	s->handshake = slab_take(&all.slab);
	if (s->handshake != NULL) {
		s->handshake->session = s;
		board_add(&s->server->cell[SERVER_HANDSHAKES], 1);
	}
	if (s->handshake == NULL || tls_accept(&s->client, s->server->tls) < 0) {
		session_close(s, SESSION_NO_MEMORY);
		return;
	}
	session_watch(s);
}

static void
handshake_run(struct weir_session *s)
{
	struct handshake *h = s->handshake;
	struct conn      *c = &s->client;
	enum tls_state    state;

	if (c->broken || c->write_shut) {
		session_close(s, session_failure(c, SESSION_CLIENT_FAILED));
		return;
	}
	if (h->open && c->readable && !handshake_may_compute()) {
		conn_again(c);
		return;
	}
	state = tls_handshake(c, h->open);
	if (state == TLS_READY)
		state = handshake_begin(h);
	if (state == TLS_DONE)
		handshake_done(s);
	else if (state == TLS_FAILED)
		handshake_failed(s);
	else if (state == TLS_GONE)
		session_close(s, SESSION_CLIENT_CLOSED);
	else
		preread_note(&h->preread, s, h->open ? 0 : tls_kept(c));
}

static void
handshake_deadline(const struct weir_session *s, struct session_deadline *d)
{
	const struct handshake *h = s->handshake;

	if (h != NULL)
		session_deadline_add(d, s->start, s->server->handshake_timeout,
		    !h->open && node_linked(&h->link) ? SESSION_HANDSHAKE_OVERLOAD
						      : SESSION_HANDSHAKE_TIMEOUT);
}

static void
handshake_leave(struct weir_session *s)
{
	struct handshake *h = s->handshake;

	if (h == NULL)
		return;
	s->handshake = NULL;
	preread_leave(&h->preread);
	board_give(s->server->board, SERVER_HANDSHAKES, all.seat);
	if (node_linked(&h->link))
		node_unlink(&h->link);
	if (h->open)
		all.count--;
	/* Whoever it is: this one may have been woken, and passes it on. */
	handshakes_wake();
	slab_give(&all.slab, h);
}

static const char *
handshake_explain(const struct weir_session *s, enum session_reason reason)
{
	return reason == SESSION_HANDSHAKE_FAILED ? conn_explain(&s->client) : NULL;
}

/* -------------------------------------------------------------- its own affairs */

/* Established sessions have their turn in between. */
static bool
handshake_may_compute(void)
{
	if (loop_micros() != all.pass) {
		all.pass = loop_micros();
		all.computed = 0;
	}
	return all.computed++ < HANDSHAKE_BATCH;
}

/* The client's first record is there. */
static enum tls_state
handshake_begin(struct handshake *h)
{
	struct conn *c = &h->session->client;

	/* Those that wait already come first. */
	if (all.count >= all.most ||
	    (!list_empty(&all.waiting) && list_first(&all.waiting) != &h->link)) {
		handshake_wait(h);
		return TLS_READY;
	}
	if (!handshake_may_compute()) {
		conn_again(c);
		return TLS_READY;
	}
	if (node_linked(&h->link))
		node_unlink(&h->link);
	h->open = true;
	h->since = loop_now();
	list_append(&all.open, &h->link);
	all.count++;
	handshakes_wake();
	return tls_handshake(c, true);
}

/* The first that waits, if there is room for it. */
static void
handshakes_wake(void)
{
	struct node *first = list_first(&all.waiting);

	if (all.count < all.most && first != NULL)
		conn_again(&container_of(first, struct handshake, link)->session->client);
}

static void
handshake_wait(struct handshake *h)
{
	const struct server *server = h->session->server;

	if (node_linked(&h->link))
		return;
	board_add(&server->cell[SERVER_HANDSHAKES_WAITED], 1);
	h->since = loop_now();
	list_append(&all.waiting, &h->link);
	if (loop_complain(&all.complained))
		log_warn("worker_handshakes = %llu are open: clients wait, and the oldest "
			 "handshakes are given up; raise it, or workers",
		    (unsigned long long)all.most);
	if (!all.looking) {
		all.looking = true;
		loop_timer_start(&all.look, HANDSHAKE_LOOK);
	}
}

/* Until there is room for all that wait; but each has its time. */
static void
handshakes_refuse_old(void *argument)
{
	uint64_t          waiting = 0;
	struct handshake *h;
	struct node      *n, *next;

	(void)argument;
	list_each(n, next, &all.waiting)
		waiting++;
	while (all.most - all.count < waiting && (n = list_first(&all.open)) != NULL) {
		h = container_of(n, struct handshake, link);
		if (h->since + HANDSHAKE_AGE > loop_now())
			break;
		session_close(h->session, SESSION_HANDSHAKE_OVERLOAD);
	}
	all.looking = !list_empty(&all.waiting);
	if (all.looking)
		loop_timer_start(&all.look, HANDSHAKE_LOOK);
}

static void
handshake_done(struct weir_session *s)
{
	struct tls_info   info = tls_info(&s->client);
	enum server_field kind = info.resumed ? SERVER_HANDSHAKES_RESUMED : SERVER_HANDSHAKES_FULL;

	board_add(&s->server->cell[kind], 1);
	if (s->server->ktls)
		board_add(&s->server->cell[SERVER_KTLS_FALLBACKS], 1);
	s->active = loop_now();
	if (log_wanted(WEIR_DEBUG))
		log_debug("%s, %s%s%s%s%s%.*s", info.version, info.cipher,
		    info.resumed ? ", resumed" : "",
		    info.server_name != NULL ? ", for " : "",
		    info.server_name != NULL ? info.server_name : "",
		    info.alpn.len > 0 ? ", alpn " : "", (int)info.alpn.len, info.alpn.data);
	session_enter(s, STEP_OPEN);
}

/* Who fails is told with the session's end; what may be ours to mend is told, too. */
static void
handshake_failed(struct weir_session *s)
{
	struct server *server = (struct server *)(uintptr_t)s->server;

	if (tls_operator_may_help(&s->client) && loop_complain(&server->complained_tls))
		log_warn("handshakes fail: %s", conn_explain(&s->client));
	session_finish(s, SESSION_HANDSHAKE_FAILED);
}
