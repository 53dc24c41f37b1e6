/* SPDX-License-Identifier: BSD-2-Clause */
/* session: one client's stay, as a step table with one driver. */
#include "session/session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/slab.h"
#include "base/str.h"
#include "session/exchange.h"
#include "session/relay.h"
#include "session/server.h"
#include "session/service.h"
#include "session/talk.h"

static_assert(offsetof(struct weir_session, state) - sizeof(struct conn) <= 112,
	"a session is 112 bytes beside its conn and its protocol's state");
static_assert(offsetof(struct weir_session, client) == 0, "session_of takes them for the same");

#define SESSION_LINGER_LOOK 20u	/* ms */

static void client_ready(struct conn *);
static void client_expired(struct conn *);
static void step_open(struct weir_session *);
static void step_relay(struct weir_session *);
static void step_flush(struct weir_session *);
static void step_linger(struct weir_session *);
static void step_closed(struct weir_session *);
static size_t unsent(const struct weir_session *);
static void look_again(struct weir_session *);
static bool still_moves(struct weir_session *);
static bool moved(struct weir_session *, const struct conn *side, uint64_t *blocked);
static uint64_t linger_time(const struct weir_session *);
static uint64_t deadline(const struct weir_session *, enum session_reason *);
static void free_closed(void);
static void log_end(const struct weir_session *);

static const struct conn_handler client_handler = {
	.ready   = client_ready,
	.expired = client_expired,
};

static void (*const steps[STEP_COUNT])(struct weir_session *) = {
	[STEP_OPEN]     = step_open,
	[STEP_TALK]     = talk_run,
	[STEP_EXCHANGE] = exchange_run,
	[STEP_RELAY]    = step_relay,
	[STEP_FLUSH]    = step_flush,
	[STEP_LINGER]   = step_linger,
	[STEP_CLOSED]   = step_closed,
};

static const char *const reason_names[SESSION_REASON_COUNT] = {
#define X(name, counter) [SESSION_##name] = counter,
	SESSION_REASONS(X)
#undef X
};

static struct {
	struct node open;
	struct node closed;	/* to be freed after the pass */
	unsigned    count;
	uint32_t    generation;
	uint32_t    next_id;
	uint32_t    ids_left;
	uint32_t  (*more)(void);
	void      (*on_close)(void);
} all;

static struct weir_session *driven;	/* whose step is being run */

static struct weir_session *
session_of(struct conn *c)
{
	return container_of(c, struct weir_session, client);
}

void
sessions_start(uint32_t generation, uint32_t (*more)(void), void (*closed)(void))
{
	list_init(&all.open);
	list_init(&all.closed);
	all.count = 0;
	all.generation = generation;
	all.ids_left = 0;
	all.more = more;
	all.on_close = closed;
	loop_on_pass_end(free_closed);
}

void
sessions_stop(void)
{
	sessions_close(SESSION_SHUTDOWN, UINT32_MAX);
	free_closed();
}

unsigned
sessions_open(void)
{
	return all.count;
}

void
sessions_close(enum session_reason reason, unsigned most)
{
	struct node *n;

	while (most-- > 0 && (n = list_first(&all.open)) != NULL)
		session_close(container_of(n, struct weir_session, link), reason);
}

bool
session_open(struct server *server, int fd, const struct addr *from)
{
	struct weir_session *s = slab_take(server->slab);

	if (s == NULL)
		return false;
	if (conn_adopt(&s->client, fd, &client_handler) < 0) {
		slab_give(server->slab, s);
		return false;
	}
	if (all.ids_left == 0) {
		all.next_id = all.more();
		all.ids_left = SESSION_ID_BLOCK;
	}
	all.ids_left--;
	s->id = (uint64_t)all.generation << 32 | all.next_id++;
	s->server = server;
	s->start = s->active = loop_now();
	addr_pack(&s->from, from);
	s->client.writable = true;	/* a fresh socket is; the event only says so later */
	list_append(&all.open, &s->link);
	all.count++;
	session_watch(s);
	session_run(s);
	return true;
}

void
session_close(struct weir_session *s, enum session_reason reason)
{
	bool exchanges;

	if (s->step == STEP_CLOSED)
		return;
	if (s->step != STEP_LINGER)
		s->reason = (uint8_t)reason;
	if (unsent(s) > 0)
		conn_spoil(&s->client);
	log_end(s);
	exchanges = s->step == STEP_EXCHANGE;
	session_enter(s, STEP_CLOSED);
	/* Before anybody can see that it has ended, so that the counters know it by then. */
	server_session_closed(s->server, s->reason);
	if (exchanges)
		exchange_end(s);
	if (s->told && s->server->protocol->protocol->close != NULL)
		s->server->protocol->protocol->close(s);
	if (s->relay != NULL)
		relay_close(s->relay);
	conn_close(&s->client);
	node_unlink(&s->link);
	list_append(&all.closed, &s->link);
	all.count--;
	all.on_close();
}

void
session_enter(struct weir_session *s, enum session_step step)
{
	assert(step > s->step);
	s->step = (uint8_t)step;
	s->begun = step == STEP_LINGER ? loop_now() : 0;
}

void
session_finish(struct weir_session *s, enum session_reason reason)
{
	bool exchanges;

	if (s->step >= STEP_FLUSH)
		return;
	s->reason = (uint8_t)reason;
	exchanges = s->step == STEP_EXCHANGE;
	session_enter(s, STEP_FLUSH);
	if (exchanges)
		exchange_end(s);
	if (s->relay != NULL) {
		/* What the peer sent before it went is the client's. */
		if (s->relay->down.pipe != NULL && !s->client.broken)
			(void)pipe_spill(s->relay->down.pipe, &s->client);
		relay_close(s->relay);
	}
	if (driven != s)
		conn_again(&s->client);
}

void
session_came(struct weir_session *s, size_t bytes)
{
	s->bytes_in += bytes;
	s->active = loop_now();
	board_add(&s->server->cell[SERVER_BYTES_IN], bytes);
}

void
session_went(struct weir_session *s, size_t bytes)
{
	s->bytes_out += bytes;
	s->active = loop_now();
	board_add(&s->server->cell[SERVER_BYTES_OUT], bytes);
}

void
session_watch(struct weir_session *s)
{
	enum session_reason reason;
	uint64_t            at;

	if (s->step == STEP_CLOSED)
		return;
	at = deadline(s, &reason);
	if (at != UINT64_MAX &&
	    (!timer_armed(&s->client.timer) || at < s->client.timer.at))
		conn_arm(&s->client, at);
}

void
session_note_blocked(struct weir_session *s, struct conn *side, size_t waiting, uint64_t *since)
{
	if (waiting == 0)
		*since = 0;
	else if (side->progress || *since == 0) {
		*since = loop_now();
		session_watch(s);
	}
	if (side->progress)
		s->active = loop_now();
	side->progress = false;
}

bool
session_begin_turn(struct weir_session *s)
{
	if (conn_flush(&s->client))
		return true;
	session_close(s, session_failure(&s->client, SESSION_CLIENT_FAILED));
	return false;
}

bool
session_end_turn(struct weir_session *s)
{
	struct conn *c = &s->client;

	if (c->unsure)
		session_look_later(s);
	session_note_blocked(s, c, conn_waiting(c), &s->blocked);
	if (!c->broken && !c->deaf)
		return true;
	session_close(s, session_failure(c, SESSION_CLIENT_FAILED));
	return false;
}

enum session_reason
session_failure(const struct conn *c, enum session_reason usual)
{
	return c->error == ENOMEM || c->error == EMSGSIZE ? SESSION_NO_MEMORY : usual;
}

const char *
session_reason_name(enum session_reason reason)
{
	return reason_names[reason];
}

void
session_describe(const void *session, char *out, size_t size)
{
	const struct weir_session *s = session;
	char                       from[ADDR_TEXT_MAX];
	int                        n;

	n = snprintf(out, size, ", session %u.%u, client %s, server %s", (unsigned)(s->id >> 32),
	    (unsigned)s->id, addr_print_packed(&s->from, from), s->server->name);
	if (n > 0 && (size_t)n < size && s->relay != NULL)
		snprintf(out + n, size - (size_t)n, ", upstream %s%s%s", s->relay->upstream->name,
		    s->relay->peer != NULL ? ", peer " : "",
		    s->relay->peer != NULL ? s->relay->peer->name : "");
}

/* --------------------------------------------------------------- the driver */

static void
client_ready(struct conn *c)
{
	session_run(session_of(c));
}

/* Runs the step; when that has changed it, the next one at once. */
void
session_run(struct weir_session *s)
{
	struct log_subject   outer = log_about((struct log_subject){ session_describe, s });
	struct weir_session *before = driven;
	uint8_t              step;

	driven = s;
	do {
		step = s->step;
		steps[step](s);
	} while (s->step != step);
	driven = before;
	log_about(outer);
}

static void
client_expired(struct conn *c)
{
	struct weir_session *s = session_of(c);
	struct log_subject   outer = log_about((struct log_subject){ session_describe, s });
	enum session_reason  reason = SESSION_SHUTDOWN;
	uint64_t             at;

	if (s->looking && loop_now() >= s->active + SESSION_LOOK)
		look_again(s);
	at = deadline(s, &reason);
	if (at <= loop_now() && s->step != STEP_LINGER && still_moves(s))
		at = deadline(s, &reason);
	if (s->step == STEP_CLOSED || at > loop_now())
		session_watch(s);
	else if (s->step == STEP_LINGER)
		session_run(s);
	else if (s->step == STEP_EXCHANGE && reason == SESSION_REQUEST_FAILED)
		exchange_expired(s);
	else if (s->step == STEP_RELAY && reason == SESSION_CONNECT_FAILED)
		relay_connect_expired(s->relay);
	else
		session_close(s, reason);
	log_about(outer);
}

/* What the client should have, and has not been sent. */
static size_t
unsent(const struct weir_session *s)
{
	return conn_waiting(&s->client) + (s->relay != NULL ? relay_waiting(s->relay) : 0);
}

/* A reset may have hidden behind the last bytes (see `unsure` of net/conn). */
void
session_look_later(struct weir_session *s)
{
	if (s->looking)
		return;
	s->looking = true;
	session_watch(s);
}

/* Bytes may have left the kernel without there being room for more: whether
 * some did since we last knew. */
static bool
still_moves(struct weir_session *s)
{
	bool moves = moved(s, &s->client, &s->blocked);

	if (s->relay != NULL && s->relay->connect_by == 0)
		moves |= moved(s, &s->relay->peer_conn, &s->relay->blocked);
	return moves;
}

static bool
moved(struct weir_session *s, const struct conn *side, uint64_t *blocked)
{
	uint64_t ago = conn_sent_ago(side), at = loop_now() - ago;
	bool     later = ago < loop_now() && at > s->active;

	if (later)
		s->active = at;
	if (ago >= loop_now() || *blocked == 0 || *blocked >= at)
		return later;
	*blocked = at;
	return true;
}

static void
look_again(struct weir_session *s)
{
	struct conn *peer = s->relay != NULL ? &s->relay->peer_conn : NULL;

	s->looking = false;
	if (s->client.unsure)
		s->client.readable = true;
	if (peer != NULL && peer->unsure)
		peer->readable = true;
	s->client.unsure = false;
	if (peer != NULL)
		peer->unsure = false;
	session_run(s);
}

static void
step_open(struct weir_session *s)
{
	if (s->server->framing.exchange != NULL)
		exchange_open(s);
	else
		talk_open(s);
}

static void
step_relay(struct weir_session *s)
{
	relay_run(s->relay);
	if (s->step != STEP_RELAY)
		return;
	session_note_blocked(s, &s->client, unsent(s), &s->blocked);
	if (s->client.unsure || s->relay->peer_conn.unsure)
		session_look_later(s);
}

static void
step_flush(struct weir_session *s)
{
	struct conn *c = &s->client;

	if (!session_begin_turn(s))
		return;
	session_note_blocked(s, c, conn_waiting(c), &s->blocked);
	if (conn_waiting(c) > 0)
		return;
	if (c->eof && s->reason != SESSION_PEER_FAILED) {
		session_close(s, s->reason);
		return;
	}
	if (s->reason != SESSION_PEER_FAILED)
		conn_finish(c);
	buf_return(&c->in);
	session_enter(s, STEP_LINGER);
	session_watch(s);
}

static void
step_linger(struct weir_session *s)
{
	struct conn *c = &s->client;
	bool         over = loop_now() >= s->begun + linger_time(s);

	for (unsigned share = SESSION_SHARE; share > 0 && c->readable; share--)
		(void)conn_read(c, loop_scratch(), loop_scratch_size());
	if (s->reason == SESSION_PEER_FAILED && (over || conn_unacknowledged(c) == 0)) {
		conn_spoil(c);
		over = true;
	}
	if (over || c->broken || (c->eof && s->reason != SESSION_PEER_FAILED))
		session_close(s, s->reason);
	else if (c->readable && !c->eof)
		conn_again(c);
}

static uint64_t
linger_time(const struct weir_session *s)
{
	uint64_t half = s->server->half_close_timeout;

	return half > 0 && half < SESSION_LINGER ? half : SESSION_LINGER;
}

static void
step_closed(struct weir_session *s)
{
	(void)s;
}

static void
nearer(uint64_t *at, enum session_reason *why, uint64_t since, uint64_t timeout,
    enum session_reason reason)
{
	if (timeout > 0 && since + timeout < *at) {
		*at = since + timeout;
		*why = reason;
	}
}

/* The nearest deadline; UINT64_MAX: none. */
static uint64_t
deadline(const struct weir_session *s, enum session_reason *why)
{
	const struct server *server = s->server;
	uint64_t             at = UINT64_MAX;

	if (s->step == STEP_LINGER) {
		nearer(&at, why, s->begun, linger_time(s), s->reason);
		/* Nothing tells that all has arrived: it is looked for. */
		if (s->reason == SESSION_PEER_FAILED)
			nearer(&at, why, loop_now(), SESSION_LINGER_LOOK, s->reason);
		return at;
	}
	if (s->looking)
		nearer(&at, why, s->active, SESSION_LOOK, SESSION_IDLE_TIMEOUT);
	nearer(&at, why, s->active, server->idle_timeout, SESSION_IDLE_TIMEOUT);
	nearer(&at, why, s->start, server->max_lifetime, SESSION_MAX_LIFETIME);
	if (s->begun != 0)
		nearer(&at, why, s->begun, server->read_timeout, SESSION_READ_TIMEOUT);
	if (s->blocked != 0)
		nearer(&at, why, s->blocked, server->write_timeout, SESSION_WRITE_TIMEOUT);
	if (s->step == STEP_EXCHANGE) {
		uint64_t waits = exchange_deadline(s);

		if (waits < at) {
			at = waits;
			*why = SESSION_REQUEST_FAILED;
		}
	}
	if (s->step == STEP_RELAY) {
		enum session_reason relay_why = SESSION_SHUTDOWN;
		uint64_t            relay_at = relay_deadline(s->relay, &relay_why);

		if (relay_at < at) {
			at = relay_at;
			*why = relay_why;
		}
	}
	return at;
}

static void
free_closed(void)
{
	struct node *n;

	while ((n = list_first(&all.closed)) != NULL) {
		struct weir_session *s = container_of(n, struct weir_session, link);

		node_unlink(n);
		if (s->relay != NULL)
			relay_free(s->relay);
		slab_give(s->server->slab, s);
	}
}

static void
log_end(const struct weir_session *s)
{
	struct log_subject outer;
	const char        *more = "";

	if (!log_wanted(WEIR_INFO))
		return;
	if (s->reason == SESSION_CLIENT_FAILED && s->client.error != 0)
		more = strerror(s->client.error);
	else if (s->reason == SESSION_PEER_FAILED && s->relay != NULL &&
	    s->relay->peer_conn.error != 0)
		more = strerror(s->relay->peer_conn.error);
	else if (s->reason == SESSION_REQUEST_FAILED)
		more = exchange_failure(s);
	outer = log_about((struct log_subject){ session_describe, s });
	log_info("closed: %s%s%s, %llu bytes in, %llu out, %llu ms", reason_names[s->reason],
	    *more != '\0' ? ": " : "", more,
	    (unsigned long long)s->bytes_in, (unsigned long long)s->bytes_out,
	    (unsigned long long)(loop_now() - s->start));
	log_about(outer);
}
