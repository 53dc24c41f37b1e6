/* SPDX-License-Identifier: BSD-2-Clause */
/* record: one session as it is written into a parcel, and read from it. */
#include "session/record.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "conf/conf.h"
#include "session/gate.h"
#include "session/move.h"
#include "session/parcel.h"
#include "session/server.h"
#include "session/session.h"
#include "upstream/member.h"
#include "upstream/token.h"
#include "upstream/upstream.h"

#define RECORD_NAME_MAX 256u

/* What has come of a record before its session is there. */
struct record_head {
	struct server      *server;	/* NULL: we have none of that name */
	uint32_t            speaks;
	struct session_past past;
	struct weir_peer   *peer;	/* NULL: none, or we have none of that name */
	enum token_holds    holds;
	int                 fd;		/* -1: the record makes no sense */
};

static uint32_t record_speaks(const struct server *);
static uint32_t record_links(const struct server *);
static bool record_suits(const struct server *, uint32_t speaks, unsigned step);
static enum token_holds record_holds(const struct weir_session *, struct weir_peer **);
static void record_write_state(const struct weir_session *, struct parcel *);
static void record_read_head(struct parcel *, struct record_head *, unsigned sent_to);
static void record_give_up(struct parcel *, const struct record_head *, enum session_reason);
static enum session_reason record_fill(struct weir_session *, struct parcel *,
    const struct record_head *);
static bool record_read_state(struct weir_session *, struct parcel *);

static struct {
	const struct conf *conf;
	unsigned           seat;
	uint64_t           complained, refused;	/* of loop_complain */
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

	hash = hash * 16777619u + (s->framing.exchange != NULL);
	if (p != NULL)
		hash = hash * 16777619u + p->state_version;
	return hash * 16777619u + PARCEL_VERSION;
}

/* … whether links that are a client's alone do. 0: it has none. */
static uint32_t
record_links(const struct server *s)
{
	if (s->framing.exchange == NULL || s->upstream == NULL || s->upstream->mode != POOL_SESSION)
		return 0;
	return hash_text(HASH_START, s->upstream->name);
}

void
record_announce(const struct server *s, uint32_t generation)
{
	board_word *words = board_shared(s->board);

	atomic_store(&words[SERVER_LINKS], (uint64_t)generation << 32 | record_links(s));
	atomic_store(&words[SERVER_SPEAKS], (uint64_t)generation << 32 | record_speaks(s));
}

/* What stands there is of a newer generation when this one's heirs have not come yet. */
bool
record_keeps_links(const struct server *s, const struct move_heir *heir)
{
	uint64_t links = atomic_load(&board_shared(s->board)[SERVER_LINKS]);

	return (uint32_t)(links >> 32) != heir->generation || (uint32_t)links == record_links(s);
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
	if ((uint32_t)(speaks >> 32) == heir->generation &&
	    (uint32_t)speaks != record_speaks(server))
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

	/* `rests` brings what flows to rest, for which it would be a pity here. */
	return s->client.in == NULL && conn_waiting(&s->client) == 0 &&
	    (mode == NULL || mode->flows == NULL || !mode->flows(s)) &&
	    (mode == NULL || mode->rests == NULL || mode->rests(s)) &&
	    (mode == NULL || mode->unsent == NULL || mode->unsent(s) == 0);
}

static enum token_holds
record_holds(const struct weir_session *s, struct weir_peer **peer)
{
	const struct session_mode *mode = session_mode(s);

	*peer = NULL;
	return mode != NULL && mode->holds != NULL ? mode->holds(s, peer) : TOKEN_NONE;
}

void
record_announce_tokens(const struct weir_session *s, unsigned seat)
{
	struct weir_peer *peer;
	enum token_holds  holds = record_holds(s, &peer);

	token_announce(s->server->board, SERVER_SESSIONS, records.seat, seat);
	if (peer != NULL)
		tokens_announce(peer->board, holds, records.seat, seat);
}

void
record_note_sent(const struct weir_session *s)
{
	struct weir_peer *peer;
	enum token_holds  holds = record_holds(s, &peer);

	token_sent(s->server->board, SERVER_SESSIONS, records.seat);
	if (peer != NULL)
		tokens_sent(peer->board, holds, records.seat);
}

void
record_withdraw_tokens(const struct weir_session *s, unsigned seat)
{
	struct weir_peer *peer;
	enum token_holds  holds = record_holds(s, &peer);

	token_withdraw(s->server->board, SERVER_SESSIONS, records.seat, seat);
	if (peer != NULL)
		tokens_withdraw(peer->board, holds, records.seat, seat);
}

/* ----------------------------------------------------------------- writing */

void
record_write(const struct weir_session *s, struct parcel *p)
{
	const struct session_mode *mode = session_mode(s);
	const struct conn         *c = &s->client;
	struct session_past        past;
	struct weir_peer          *peer;
	uint32_t                   holds = record_holds(s, &peer);
	uint32_t                   speaks = record_speaks(s->server);
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
	past.cut = s->cut;
	past.finish = c->finish;
	past.unread = c->unread;
	parcel_put_name(p, s->server->name);
	parcel_put(p, &speaks, sizeof speaks);
	parcel_put(p, &past, sizeof past);
	parcel_put_name(p, peer != NULL ? peer->upstream->name : NULL);
	parcel_put_name(p, peer != NULL ? peer->name : NULL);
	parcel_put(p, &holds, sizeof holds);
	parcel_put_fd(p, conn_fd(c));
	record_write_options(p, &s->server->options);
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

void
record_write_options(struct parcel *p, const struct sock_options *options)
{
	uint32_t hash = sock_options_hash(options);

	parcel_put(p, &hash, sizeof hash);
}

/* ----------------------------------------------------------------- reading */

void
record_renew_options(struct parcel *p, int fd, const struct sock_options *options)
{
	uint32_t hash;

	parcel_get(p, &hash, sizeof hash);
	if (!p->bad && hash != sock_options_hash(options) && sock_renew(fd, options) < 0 &&
	    loop_complain(&records.refused))
		log_warn("socket options of sessions that have come: %s", strerror(errno));
}

bool
record_read(struct parcel *p, unsigned sent_to)
{
	struct record_head   h;
	struct weir_session *s;
	struct log_subject   outer;
	enum session_reason  reason;

	record_read_head(p, &h, sent_to);
	if (h.fd < 0)
		return false;
	if (h.server == NULL || !record_suits(h.server, h.speaks, h.past.step)) {
		record_give_up(p, &h, SESSION_NOT_RESUMED);
		return true;
	}
	if ((s = session_restore(h.server, h.fd, &h.past)) == NULL) {
		record_give_up(p, &h, SESSION_NO_MEMORY);
		return true;
	}
	outer = log_about((struct log_subject){ session_describe, s });
	reason = record_fill(s, p, &h);
	if (reason != SESSION_REASON_COUNT) {
		if (h.peer != NULL)
			tokens_give(h.peer->board, h.holds, records.seat);
		session_close(s, reason);
	}
	log_about(outer);
	return !p->bad;
}

/* What it holds of limits is here from now on. */
static void
record_read_head(struct parcel *p, struct record_head *h, unsigned sent_to)
{
	char                  name[RECORD_NAME_MAX], upstream[RECORD_NAME_MAX];
	char                  peer[RECORD_NAME_MAX];
	uint32_t              holds;
	struct weir_scope    *scope;
	struct weir_upstream *u;

	*h = (struct record_head){ .fd = -1 };
	parcel_get_name(p, name, sizeof name);
	parcel_get(p, &h->speaks, sizeof h->speaks);
	parcel_get(p, &h->past, sizeof h->past);
	parcel_get_name(p, upstream, sizeof upstream);
	parcel_get_name(p, peer, sizeof peer);
	parcel_get(p, &holds, sizeof holds);
	if (p->bad || h->past.step >= STEP_CLOSED || h->past.reason >= SESSION_REASON_COUNT ||
	    holds > TOKEN_LINK)
		return;
	h->fd = parcel_get_fd(p);
	h->holds = (enum token_holds)holds;
	if ((scope = conf_find(records.conf, SCOPE_SERVER, name)) != NULL) {
		h->server = weir_scope_conf(scope, &server_module);
		token_receive(h->server->board, SERVER_SESSIONS, records.seat, sent_to);
	}
	if (upstream[0] != '\0' && (u = upstream_find(records.conf, upstream)) != NULL) {
		member_follow(u, loop_now());
		h->peer = upstream_peer(u, peer);
	}
	if (h->peer != NULL)
		tokens_receive(h->peer->board, h->holds, records.seat, sent_to);
}

/* Whether the server can go on with a session in this step. */
static bool
record_suits(const struct server *s, uint32_t speaks, unsigned step)
{
	if (speaks != record_speaks(s) || step == STEP_HANDSHAKE || step == STEP_OPEN)
		return false;
	return step == s->mode || step == STEP_GATE || step >= STEP_FLUSH ||
	    (step == STEP_RELAY && s->mode == STEP_TALK);
}

/* Its server is gone, or is another one, since it was sent; or there is no memory. */
static void
record_give_up(struct parcel *p, const struct record_head *h, enum session_reason reason)
{
	parcel_unget_fd(p);
	if (h->peer != NULL)
		tokens_give(h->peer->board, h->holds, records.seat);
	if (h->server != NULL) {
		board_give(h->server->board, SERVER_SESSIONS, records.seat);
		board_add(&h->server->cell[SERVER_END + reason], 1);
	}
	if (!loop_complain(&records.complained))
		return;
	if (reason == SESSION_NO_MEMORY)
		log_error("server %s: no memory for sessions of other workers: they are closed; "
			  "lower worker_connections, or what other programs use here",
		    h->server->name);
	else
		log_warn("sessions that a worker which died was sent are closed: their server is "
			 "gone, or speaks another protocol now");
}

/* Why it cannot go on; SESSION_REASON_COUNT: it can. Until then it holds nothing but its
 * conn, and its step is one that may be closed. */
static enum session_reason
record_fill(struct weir_session *s, struct parcel *p, const struct record_head *h)
{
	const struct session_mode *mode = session_mode_at(h->past.step);
	struct conn               *c = &s->client;
	struct session_past        past = h->past;
	bool                       resumed;

	/* What it holds was the link to a peer that nobody here knows. */
	if (h->peer == NULL && h->holds != TOKEN_NONE)
		return SESSION_NOT_RESUMED;
	record_renew_options(p, conn_fd(c), &s->server->options);
	if (buf_append(&c->in, parcel_get_text(p)) < 0 ||
	    buf_append(&c->out, parcel_get_text(p)) < 0)
		return SESSION_NO_MEMORY;
	c->unread = past.unread && c->in != NULL;
	gate_read(s, p);
	if (p->bad || (mode != NULL && mode->unpack != NULL && !mode->unpack(s, p, h->peer)))
		return SESSION_NOT_RESUMED;
	/* Last: what its module has made of it, `close` gives back. */
	resumed = record_read_state(s, p);
	past.told = past.told && resumed;
	if (past.finish)
		conn_finish(c);
	session_resume(s, &past);
	if (!resumed)
		session_finish(s, SESSION_NOT_RESUMED);
	return SESSION_REASON_COUNT;
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
