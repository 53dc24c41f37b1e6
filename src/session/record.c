/* SPDX-License-Identifier: BSD-2-Clause */
/* record: one session as it is written into a parcel, and read from it. */
#include "session/record.h"

#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "conf/conf.h"
#include "session/gate.h"
#include "session/move.h"
#include "session/parcel.h"
#include "session/server.h"
#include "session/session.h"
#include "upstream/token.h"
#include "upstream/upstream.h"

#define RECORD_NAME_MAX 256u

static uint32_t record_speaks(const struct server *);
static void record_write_state(const struct weir_session *, struct parcel *);
static bool record_read_state(struct weir_session *, struct parcel *);
static struct weir_session *record_restore(struct server *, int fd, const struct session_past *);
static void record_fill(struct weir_session *, struct parcel *, const struct session_past *);

static struct {
	const struct conf *conf;
	unsigned           seat;
	uint64_t           no_memory;	/* of loop_complain */
} records;

void
records_start(const struct conf *conf, unsigned seat)
{
	records.conf = conf;
	records.seat = seat;
}

/* Of two generations' servers of one name: whether the sessions of one mean something to
 * the other. */
static uint32_t
record_speaks(const struct server *s)
{
	const struct weir_protocol *p = s->protocol->protocol;
	uint32_t                    hash = hash_text(HASH_START, s->protocol_name);

	if (p != NULL)
		hash = hash * 16777619u + p->state_version;
	return hash * 16777619u + PARCEL_VERSION;
}

void
record_announce(const struct server *s, uint32_t generation)
{
	atomic_store(&board_shared(s->board)[SERVER_SPEAKS],
	    (uint64_t)generation << 32 | record_speaks(s));
}

enum record_state
record_check(struct weir_session *s, const struct move_heir *heir, const char **why)
{
	const struct server        *server = s->server;
	const struct session_mode  *mode = session_mode(s);
	const struct weir_protocol *p = server->protocol->protocol;
	uint64_t                    speaks;

	if (!board_is_used(server->board, heir->index)) {
		*why = "their server is gone";
		return RECORD_BOUND;
	}
	speaks = atomic_load(&board_shared(server->board)[SERVER_SPEAKS]);
	if ((int32_t)((uint32_t)(speaks >> 32) - heir->generation) < 0)
		return RECORD_EARLY;
	*why = NULL;
	if ((uint32_t)speaks != record_speaks(server))
		*why = "their server speaks another protocol now";
	else if (!conn_is_plain(&s->client))
		*why = "TLS with the client";
	else if (server->framing.exchange == NULL && server->protocol->state_size > 0 &&
	    p->state_version == 0)
		*why = "their protocol cannot suspend them";
	else if (mode != NULL && mode->bound != NULL)
		*why = mode->bound(s, heir);
	if (*why != NULL)
		return RECORD_BOUND;
	if (s->client.broken || s->client.write_shut ||
	    (mode != NULL && mode->rests != NULL && !mode->rests(s)))
		return RECORD_BUSY;
	return RECORD_READY;
}

bool
record_is_clean(struct weir_session *s)
{
	const struct session_mode *mode = session_mode(s);

	return s->client.in == NULL && conn_waiting(&s->client) == 0 &&
	    (mode == NULL || mode->rests == NULL || mode->rests(s)) &&
	    (mode == NULL || mode->unsent == NULL || mode->unsent(s) == 0);
}

/* Which tokens of a peer it holds. */
static enum token_holds
record_holds(const struct weir_session *s, int *peer)
{
	const struct session_mode *mode = session_mode(s);

	return mode != NULL && mode->holds != NULL ? mode->holds(s, peer) : TOKEN_NONE;
}

void
record_send_tokens(const struct weir_session *s, unsigned seat)
{
	int              peer = -1;
	enum token_holds holds = record_holds(s, &peer);

	token_send(s->server->board, SERVER_SESSIONS, records.seat, seat);
	tokens_send(peer, holds, records.seat, seat);
}

void
record_take_tokens(const struct weir_session *s, unsigned seat)
{
	int              peer = -1;
	enum token_holds holds = record_holds(s, &peer);

	token_unsend(s->server->board, SERVER_SESSIONS, records.seat, seat);
	tokens_unsend(peer, holds, records.seat, seat);
}

/* ----------------------------------------------------------------- writing */

void
record_write(const struct weir_session *s, struct parcel *p)
{
	const struct session_mode *mode = session_mode(s);
	const struct conn         *c = &s->client;
	struct session_past        past;
	struct parcel_mark         begin = parcel_begin(p);

	memset(&past, 0, sizeof past);	/* the gaps, too */
	past.id = s->id;
	past.start = s->start;
	past.active = s->active;
	past.begun = s->begun;
	past.blocked = s->blocked;
	past.bytes_in = s->bytes_in;
	past.bytes_out = s->bytes_out;
	past.from = s->from;
	past.step = s->step;
	past.reason = s->reason;
	past.told = s->told;
	past.finish = c->finish;
	past.unread = c->unread;
	parcel_put_name(p, s->server->name);
	parcel_put(p, &past, sizeof past);
	parcel_put_fd(p, conn_fd(c));
	parcel_put_text(p, buf_span(c->in));
	parcel_put_text(p, buf_span(c->out));
	gate_write(s, p);
	if (mode != NULL && mode->pack != NULL)
		mode->pack(s, p);
	record_write_state(s, p);
	parcel_end(p, begin);
}

/* What lies in session.state: the protocol's, or, of requests and replies, the mode's. */
static void
record_write_state(const struct weir_session *s, struct parcel *p)
{
	const struct weir_module *m = s->server->protocol;
	struct weir_session      *own = (struct weir_session *)(uintptr_t)s;
	char                      text[WEIR_SUSPENDED_MAX];
	struct weir_span          state = { s->state, m->state_size };

	if (s->server->framing.exchange != NULL)
		return;
	if (m->protocol->suspend != NULL) {
		state.data = text;
		state.len = m->protocol->suspend(own, text);
	}
	parcel_put_text(p, state);
}

/* ----------------------------------------------------------------- reading */

bool
record_read(struct parcel *p)
{
	char                 name[RECORD_NAME_MAX];
	struct weir_session *s;
	struct weir_scope   *scope;
	struct session_past  past;
	struct log_subject   outer;
	int                  fd;

	parcel_get_name(p, name, sizeof name);
	parcel_get(p, &past, sizeof past);
	scope = p->bad ? NULL : conf_find(records.conf, SCOPE_SERVER, name);
	if (scope == NULL || past.step >= STEP_CLOSED || past.reason >= SESSION_REASON_COUNT)
		return false;
	fd = parcel_get_fd(p);
	if (fd < 0)
		return false;
	s = record_restore(weir_scope_conf(scope, &server_module), fd, &past);
	if (s == NULL) {
		parcel_unget_fd(p);
		return true;
	}
	outer = log_about((struct log_subject){ session_describe, s });
	record_fill(s, p, &past);
	log_about(outer);
	return !p->bad;
}

/* Its token has come with it. */
static struct weir_session *
record_restore(struct server *server, int fd, const struct session_past *past)
{
	struct weir_session *s;

	token_receive(server->board, SERVER_SESSIONS, records.seat);
	if ((s = session_restore(server, fd, past)) != NULL)
		return s;
	board_give(server->board, SERVER_SESSIONS, records.seat);
	board_add(&server->cell[SERVER_END + SESSION_NO_MEMORY], 1);
	if (loop_complain(&records.no_memory))
		log_error("server %s: no memory for sessions of older workers: they are closed; "
			  "lower worker_connections, or what other programs use here",
		    server->name);
	return NULL;
}

static void
record_fill(struct weir_session *s, struct parcel *p, const struct session_past *past)
{
	const struct session_mode *mode = session_mode_at(past->step);
	struct conn               *c = &s->client;
	bool                       fits, resumed;

	fits = buf_append(&c->in, parcel_get_text(p)) == 0;
	fits = buf_append(&c->out, parcel_get_text(p)) == 0 && fits;
	c->unread = past->unread && c->in != NULL;
	gate_read(s, p);
	if (mode != NULL && mode->unpack != NULL)
		fits = mode->unpack(s, p) && fits;
	if (p->bad || !fits) {
		session_close(s, SESSION_NO_MEMORY);
		return;
	}
	/* Last: what its module has made of it, `close` gives back. */
	resumed = record_read_state(s, p);
	if (past->finish)
		conn_finish(c);
	session_resume(s, past);
	if (!resumed)
		session_finish(s, SESSION_NOT_RESUMED);
}

static bool
record_read_state(struct weir_session *s, struct parcel *p)
{
	const struct weir_module *m = s->server->protocol;
	struct weir_span          state;

	if (s->server->framing.exchange != NULL)
		return true;
	state = parcel_get_text(p);
	if (p->bad)
		return false;
	if (m->protocol->resume != NULL)
		return m->protocol->resume(s, state);
	if (state.len != m->state_size)
		return false;
	if (state.len > 0)
		memcpy(s->state, state.data, state.len);
	return true;
}
