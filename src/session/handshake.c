/* SPDX-License-Identifier: BSD-2-Clause */
/* handshake: TLS is agreed on with a client, before its protocol begins. */
#include "session/handshake.h"

#include "base/log.h"
#include "base/slab.h"
#include "net/admission.h"
#include "net/tls.h"
#include "session/preread.h"
#include "session/server.h"
#include "session/session.h"

struct handshake {
	struct weir_session *session;
	struct admission_place place;
	struct preread       preread;	/* of one that is not open */
};

static void        handshake_enter(struct weir_session *);
static void        handshake_run(struct weir_session *);
static void        handshake_deadline(const struct weir_session *, struct session_deadline *);
static void        handshake_leave(struct weir_session *);
static const char *handshake_explain(const struct weir_session *, enum session_reason);
static enum tls_state handshake_begin(struct handshake *);
static void        handshake_told_to_wait(const struct handshake *);
static void        handshake_done(struct weir_session *);
static void        handshake_failed(struct weir_session *);

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
	struct admission  admission;
	uint64_t          most;
	unsigned          seat;
	uint64_t          complained;	/* of loop_complain */
} all;

void
handshakes_start(uint64_t most, unsigned seat)
{
	slab_init(&all.slab, sizeof(struct handshake));
	admission_start(&all.admission, most);
	all.most = most;
	all.seat = seat;
}

void
handshakes_stop(void)
{
	admission_stop(&all.admission);
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
		s->handshake->place.conn = &s->client;
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
	if (h->place.given_up) {
		session_close(s, SESSION_HANDSHAKE_OVERLOAD);
		return;
	}
	if (h->place.open && c->readable && !admission_may_compute(&all.admission, &h->place))
		return;
	state = tls_handshake(c, h->place.open);
	if (state == TLS_READY)
		state = handshake_begin(h);
	if (state == TLS_DONE)
		handshake_done(s);
	else if (state == TLS_FAILED)
		handshake_failed(s);
	else if (state == TLS_GONE)
		session_close(s, SESSION_CLIENT_CLOSED);
	else
		preread_note(&h->preread, s, h->place.open ? 0 : tls_kept(c));
}

static void
handshake_deadline(const struct weir_session *s, struct session_deadline *d)
{
	const struct handshake *h = s->handshake;

	if (h != NULL)
		session_deadline_add(d, s->start, s->server->handshake_timeout,
		    admission_waits(&h->place) ? SESSION_HANDSHAKE_OVERLOAD
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
	admission_leave(&all.admission, &h->place);
	slab_give(&all.slab, h);
}

static const char *
handshake_explain(const struct weir_session *s, enum session_reason reason)
{
	return reason == SESSION_HANDSHAKE_FAILED ? conn_explain(&s->client) : NULL;
}

/* -------------------------------------------------------------- its own affairs */

/* The client's first record is there. */
static enum tls_state
handshake_begin(struct handshake *h)
{
	bool                  waited = h->place.waited;
	enum admission_answer answer = admission_enter(&all.admission, &h->place);

	if (h->place.waited && !waited)
		handshake_told_to_wait(h);
	if (answer == ADMISSION_OPEN)
		return tls_handshake(&h->session->client, true);
	return answer == ADMISSION_GONE ? TLS_GONE : TLS_READY;
}

static void
handshake_told_to_wait(const struct handshake *h)
{
	board_add(&h->session->server->cell[SERVER_HANDSHAKES_WAITED], 1);
	if (loop_complain(&all.complained))
		log_warn("worker_handshakes = %llu are open: clients wait, and the oldest "
			 "handshakes are given up; raise it, or workers",
		    (unsigned long long)all.most);
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
