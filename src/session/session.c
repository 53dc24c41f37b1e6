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
#include "session/server.h"

static_assert(offsetof(struct weir_session, state) - sizeof(struct conn) <= 112,
	"a session is 112 bytes beside its conn and its protocol's state");
static_assert(offsetof(struct weir_session, client) == 0, "session_of takes them for the same");

#define SESSION_LINGER_LOOK 20u	/* ms */

static void session_ready(struct conn *);
static void session_expired(struct conn *);
static void session_pass(struct weir_session *);
static void session_begin(struct weir_session *);
static void session_flush(struct weir_session *);
static void session_linger(struct weir_session *);
static void session_rest(struct weir_session *);
static void session_drop(struct weir_session *);
static void session_leave_place(struct weir_session *);
static bool session_is_ending(const struct weir_session *);
static void session_count_ending(struct weir_session *, int n);
static size_t session_unsent(const struct weir_session *);
static bool session_is_cut(const struct weir_session *);
static uint64_t session_linger_time(const struct weir_session *);
static struct session_deadline session_deadline(const struct weir_session *);
static bool session_overdue(struct weir_session *, enum session_reason *);
static void session_free_closed(void);
static void session_log_end(const struct weir_session *);

static const struct conn_handler session_handler = {
	.ready   = session_ready,
	.expired = session_expired,
};

/* What is done in a step that no mode is for. */
static void (*const session_steps[STEP_COUNT])(struct weir_session *) = {
	[STEP_GATE]      = session_pass,
	[STEP_HANDSHAKE] = session_pass,
	[STEP_OPEN]      = session_begin,
	[STEP_TALK]      = session_rest,
	[STEP_EXCHANGE]  = session_rest,
	[STEP_RELAY]     = session_rest,
	[STEP_FLUSH]     = session_flush,
	[STEP_LINGER]    = session_linger,
	[STEP_CLOSED]    = session_rest,
};

static const char *const reason_names[SESSION_REASON_COUNT] = {
#define X(name, counter) [SESSION_##name] = counter,
	SESSION_REASONS(X)
#undef X
};

static struct {
	const struct session_mode *const *modes;	/* of each step; NULL: it has none */
	const struct session_ops         *ops;
	struct node                       open[SESSION_PLACES];
	struct node                       closed;	/* to be freed after the pass */
	struct node                       walks;
	unsigned                          count;
	unsigned                          counts[SESSION_PLACES];	/* of them */
	unsigned                          ending[SESSION_PLACES];	/* of these */
	uint32_t                          generation;
	uint32_t                          next_id;
	uint32_t                          ids_left;
	struct weir_session              *driven;	/* whose step is being run */
} all;

static struct weir_session *
session_of_conn(struct conn *c)
{
	return container_of(c, struct weir_session, client);
}

void
session_start(const struct session_mode *const modes[STEP_COUNT], const struct session_ops *ops,
    uint32_t generation)
{
	all.modes = modes;
	all.ops = ops;
	for (unsigned i = 0; i < SESSION_PLACES; i++)
		list_init(&all.open[i]);
	list_init(&all.closed);
	list_init(&all.walks);
	all.count = 0;
	memset(all.counts, 0, sizeof all.counts);
	memset(all.ending, 0, sizeof all.ending);
	all.generation = generation;
	all.ids_left = 0;
	loop_on_pass_end(session_free_closed);
}

void
session_stop(void)
{
	struct weir_session *s;

	for (unsigned i = 0; i < SESSION_PLACES; i++)
		while ((s = session_first((enum session_place)i)) != NULL)
			session_close(s, SESSION_SHUTDOWN);
	session_free_closed();
}

unsigned
session_count(void)
{
	return all.count;
}

unsigned
session_count_at(enum session_place place)
{
	return all.counts[place];
}

unsigned
session_ending_at(enum session_place place)
{
	return all.ending[place];
}

uint64_t
session_oldest(void)
{
	struct weir_session *s;
	uint64_t             oldest = UINT64_MAX;

	for (unsigned i = 0; i < SESSION_PLACES; i++) {
		s = session_first((enum session_place)i);
		for (unsigned n = 0; s != NULL && n < SESSION_OLDEST; n++, s = session_next(s))
			if (s->start < oldest)
				oldest = s->start;
	}
	return oldest == UINT64_MAX ? 0 : oldest;
}

void
session_cut_off_all(enum session_reason reason)
{
	struct weir_session *s, *following;

	for (unsigned i = 0; i < SESSION_PLACES; i++)
		for (s = session_first((enum session_place)i); s != NULL; s = following) {
			following = session_next(s);
			session_cut_off(s, reason);
		}
}

struct weir_session *
session_first(enum session_place place)
{
	struct node *n = list_first(&all.open[place]);

	return n != NULL ? container_of(n, struct weir_session, link) : NULL;
}

struct weir_session *
session_next(const struct weir_session *s)
{
	return s->link.next != &all.open[s->place]
	    ? container_of(s->link.next, struct weir_session, link)
	    : NULL;
}

void
session_put(struct weir_session *s, enum session_place place, bool first)
{
	session_leave_place(s);
	all.counts[s->place]--;
	all.counts[place]++;
	if (session_is_ending(s)) {
		all.ending[s->place]--;
		all.ending[place]++;
	}
	s->place = place & 7;
	if (first)
		list_prepend(&all.open[place], &s->link);
	else
		list_append(&all.open[place], &s->link);
}

/* Walks that were about to come to it go on behind it. */
static void
session_leave_place(struct weir_session *s)
{
	struct node *n, *following;

	list_each(n, following, &all.walks) {
		struct session_walk *w = container_of(n, struct session_walk, link);

		if (w->next == s)
			w->next = session_next(s);
	}
	node_unlink(&s->link);
}

void
session_walk_begin(struct session_walk *w)
{
	w->place = SESSION_HERE;
	w->next = session_first(SESSION_HERE);
	w->left = 2 * (uint64_t)all.count;	/* they may be put behind the others */
	list_append(&all.walks, &w->link);
}

struct weir_session *
session_walk_next(struct session_walk *w)
{
	struct weir_session *s;

	while (w->next == NULL && w->place + 1 < SESSION_PLACES)
		w->next = session_first(++w->place);
	s = w->next;
	if (s == NULL || w->left == 0) {
		session_walk_end(w);
		return NULL;
	}
	w->left--;
	w->next = session_next(s);
	return s;
}

void
session_walk_end(struct session_walk *w)
{
	if (node_linked(&w->link))
		node_unlink(&w->link);
}

bool
session_open(struct server *server, int fd, const struct addr *from)
{
	struct session_past  past = { .start = loop_now(), .active = loop_now() };
	struct weir_session *s;

	addr_pack(&past.from, from);
	if ((s = session_restore(server, fd, &past)) == NULL)
		return false;
	if (all.ids_left == 0) {
		all.next_id = all.ops->ids();
		all.ids_left = SESSION_ID_BLOCK;
	}
	all.ids_left--;
	s->id = (uint64_t)all.generation << 32 | all.next_id++;
	s->client.writable = true;	/* a fresh socket is; the event only says so later */
	session_watch(s);
	session_run(s);
	return true;
}

struct weir_session *
session_restore(struct server *server, int fd, const struct session_past *past)
{
	struct weir_session *s = slab_take(server->slab);

	if (s == NULL)
		return NULL;
	if (conn_adopt(&s->client, fd, &session_handler) < 0) {
		slab_give(server->slab, s);
		return NULL;
	}
	s->server = server;
	s->id = past->id;
	s->start = past->start;
	s->active = past->active;
	s->begun = past->begun;
	s->blocked = past->blocked;
	s->bytes_in = past->bytes_in;
	s->bytes_out = past->bytes_out;
	s->from = past->from;
	list_append(&all.open[SESSION_HERE], &s->link);
	all.count++;
	all.counts[SESSION_HERE]++;
	return s;
}

void
session_resume(struct weir_session *s, const struct session_past *past)
{
	s->step = past->step;
	s->reason = past->reason;
	s->told = past->told;
	s->cut = past->cut;
	if (session_is_ending(s))
		session_count_ending(s, 1);
	if (session_mode(s) != NULL)
		s->mode = s->step;
	session_watch(s);
	conn_again(&s->client);
}

void
session_close(struct weir_session *s, enum session_reason reason)
{
	if (s->step == STEP_CLOSED)
		return;
	if (s->step != STEP_LINGER)
		s->reason = (uint8_t)reason;
	if (session_unsent(s) > 0)
		conn_abort(&s->client);
	session_log_end(s);
	/* Before anybody can see that it has ended, so that the counters know it by then. */
	all.ops->ending(s);
	session_enter(s, STEP_CLOSED);
	if (s->told && s->server->protocol->protocol->close != NULL)
		s->server->protocol->protocol->close(s);
	session_drop(s);
}

void
session_depart(struct weir_session *s)
{
	const struct session_mode *mode = session_mode(s);

	if (mode != NULL && mode->depart != NULL)
		mode->depart(s);
	if (session_is_ending(s))
		session_count_ending(s, -1);
	s->step = STEP_CLOSED;
	session_drop(s);
}

static bool
session_is_ending(const struct weir_session *s)
{
	return s->step == STEP_FLUSH || s->step == STEP_LINGER;
}

static void
session_count_ending(struct weir_session *s, int n)
{
	all.ending[s->place] += (unsigned)n;
	board_add(&s->server->cell[SERVER_ENDING], (uint64_t)n);
}

/* Its end, as others see it, has been said. */
static void
session_drop(struct weir_session *s)
{
	conn_close(&s->client);
	session_leave_place(s);
	list_append(&all.closed, &s->link);
	all.count--;
	all.counts[s->place]--;
	all.ops->ended();
}

void
session_enter(struct weir_session *s, enum session_step step)
{
	const struct session_mode *before = session_mode(s), *mode = all.modes[step];

	assert(step > s->step);
	if (session_is_ending(s) && step == STEP_CLOSED)
		session_count_ending(s, -1);
	s->step = (uint8_t)step;
	if (step == STEP_FLUSH)
		session_count_ending(s, 1);
	s->begun = step == STEP_LINGER ? loop_now() : 0;
	if (mode != NULL)
		s->mode = (uint8_t)step;
	if (before != NULL && before->leave != NULL)
		before->leave(s);
	if (mode != NULL && mode->enter != NULL)
		mode->enter(s);
}

void
session_finish(struct weir_session *s, enum session_reason reason)
{
	if (s->step >= STEP_FLUSH)
		return;
	s->reason = (uint8_t)reason;
	session_enter(s, STEP_FLUSH);
	if (all.driven != s)
		conn_again(&s->client);
}

void
session_cut_off(struct weir_session *s, enum session_reason reason)
{
	struct log_subject         outer = log_about((struct log_subject){ session_describe, s });
	const struct session_mode *mode = session_mode(s);
	bool                       under_way = mode != NULL && mode->cut != NULL && mode->cut(s);

	if (under_way || session_unsent(s) > 0)
		session_finish(s, reason);
	else if (s->step < STEP_FLUSH)
		session_close(s, reason);
	log_about(outer);
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
	uint64_t at;

	if (s->step == STEP_CLOSED)
		return;
	at = session_deadline(s).at;
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

void
session_note_moved(struct weir_session *s, const struct conn *side, uint64_t *since)
{
	uint64_t ago = conn_untaken_for(side), at = loop_now() - ago;

	if (ago >= loop_now())
		return;
	if (at > s->active)
		s->active = at;
	if (*since != 0 && at > *since)
		*since = at;
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

	session_note_blocked(s, c, conn_waiting(c), &s->blocked);
	if (!c->broken && !c->write_shut)
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
	const struct session_mode *mode = all.modes[s->mode];
	char                       from[ADDR_TEXT_MAX];
	int                        n;

	n = snprintf(out, size, ", session %u.%u, client %s, server %s", (unsigned)(s->id >> 32),
	    (unsigned)s->id, addr_print_packed(&s->from, from), s->server->name);
	if (n > 0 && (size_t)n < size && mode != NULL && mode->describe != NULL)
		mode->describe(s, out + n, size - (size_t)n);
}

/* The server's choice, when all that comes before has been passed. */
static void
session_begin(struct weir_session *s)
{
	session_enter(s, s->server->mode);
}

/* --------------------------------------------------------------- the driver */

static void
session_ready(struct conn *c)
{
	session_run(session_of_conn(c));
}

/* Runs the step; when that has changed it, the next one at once. */
void
session_run(struct weir_session *s)
{
	struct log_subject         outer = log_about((struct log_subject){ session_describe, s });
	struct weir_session       *before = all.driven;
	const struct session_mode *mode;
	uint8_t                    step;

	all.driven = s;
	do {
		step = s->step;
		mode = session_mode(s);
		(mode != NULL ? mode->run : session_steps[step])(s);
	} while (s->step != step);
	all.driven = before;
	if (s->pauses && s->step != STEP_CLOSED)
		all.ops->paused(s);
	log_about(outer);
}

static void
session_expired(struct conn *c)
{
	struct weir_session       *s = session_of_conn(c);
	struct log_subject         outer = log_about((struct log_subject){ session_describe, s });
	const struct session_mode *mode;
	enum session_reason        reason;

	if (s->step == STEP_LINGER)
		session_run(s);
	else if (session_overdue(s, &reason)) {
		session_note_moved(s, &s->client, &s->blocked);
		mode = session_mode(s);
		if (mode != NULL && mode->expired != NULL)
			mode->expired(s, reason);
		if (session_overdue(s, &reason))
			session_close(s, reason);
	}
	session_watch(s);
	log_about(outer);
}

const struct session_mode *
session_mode_at(unsigned step)
{
	return all.modes[step];
}

const struct session_mode *
session_mode(const struct weir_session *s)
{
	return all.modes[s->step];
}

/* It must not look whole. */
static bool
session_is_cut(const struct weir_session *s)
{
	return s->cut || s->reason == SESSION_PEER_FAILED;
}

/* What the client should have, and has not been sent. */
static size_t
session_unsent(const struct weir_session *s)
{
	const struct session_mode *mode = session_mode(s);

	return conn_waiting(&s->client) +
	    (mode != NULL && mode->unsent != NULL ? mode->unsent(s) : 0);
}

/* ---------------------------------------------------------------- the steps */

/* Nobody has anything to do before the next one. */
static void
session_pass(struct weir_session *s)
{
	session_enter(s, (enum session_step)(s->step + 1));
}

static void
session_flush(struct weir_session *s)
{
	struct conn *c = &s->client;

	if (!session_begin_turn(s))
		return;
	session_note_blocked(s, c, conn_waiting(c), &s->blocked);
	if (conn_waiting(c) > 0)
		return;
	if (c->eof && !session_is_cut(s)) {
		session_close(s, s->reason);
		return;
	}
	if (!session_is_cut(s))
		conn_finish(c);
	buf_return(&c->in);
	session_enter(s, STEP_LINGER);
	session_watch(s);
}

static void
session_linger(struct weir_session *s)
{
	struct conn *c = &s->client;
	bool         over = loop_now() >= s->begun + session_linger_time(s);

	if (c->finish && !c->finished)
		(void)conn_flush(c);	/* there was no room for the transport's last words */
	for (unsigned share = SESSION_SHARE; share > 0 && c->readable; share--)
		(void)conn_read(c, loop_scratch(), loop_scratch_size());
	if (session_is_cut(s) && (over || conn_unacknowledged(c) == 0)) {
		conn_abort(c);
		over = true;
	}
	if (over || c->broken || (c->eof && !session_is_cut(s)))
		session_close(s, s->reason);
	else if (c->readable && !c->eof)
		conn_again(c);
}

static uint64_t
session_linger_time(const struct weir_session *s)
{
	uint64_t half = s->server->half_close_timeout;

	return half > 0 && half < SESSION_LINGER ? half : SESSION_LINGER;
}

static void
session_rest(struct weir_session *s)
{
	(void)s;
}

/* ---------------------------------------------------------------- deadlines */

/* Whether one has passed, and which. */
static bool
session_overdue(struct weir_session *s, enum session_reason *reason)
{
	struct session_deadline d;

	if (s->step == STEP_CLOSED)
		return false;
	d = session_deadline(s);
	*reason = d.reason;
	return d.at <= loop_now();
}

/* The nearest one. */
static struct session_deadline
session_deadline(const struct weir_session *s)
{
	const struct server       *server = s->server;
	const struct session_mode *mode = session_mode(s);
	struct session_deadline    d = { UINT64_MAX, SESSION_SHUTDOWN };

	if (s->step == STEP_LINGER) {
		session_deadline_add(&d, s->begun, session_linger_time(s), s->reason);
		/* Nothing tells that all has arrived: it is looked for. */
		if (session_is_cut(s))
			session_deadline_add(&d, loop_now(), SESSION_LINGER_LOOK, s->reason);
		return d;
	}
	session_deadline_add(&d, s->active, server->idle_timeout, SESSION_IDLE_TIMEOUT);
	session_deadline_add(&d, s->start, server->max_lifetime, SESSION_MAX_LIFETIME);
	if (s->begun != 0)
		session_deadline_add(&d, s->begun, server->read_timeout, SESSION_READ_TIMEOUT);
	if (s->blocked != 0)
		session_deadline_add(&d, s->blocked, server->write_timeout, SESSION_WRITE_TIMEOUT);
	if (mode != NULL && mode->deadline != NULL)
		mode->deadline(s, &d);
	return d;
}

static void
session_free_closed(void)
{
	const struct session_mode *mode;
	struct weir_session       *s;
	struct node               *n;

	while ((n = list_first(&all.closed)) != NULL) {
		s = container_of(n, struct weir_session, link);
		mode = all.modes[s->mode];
		node_unlink(n);
		if (mode != NULL && mode->release != NULL)
			mode->release(s);
		slab_give(s->server->slab, s);
	}
}

static void
session_log_end(const struct weir_session *s)
{
	const struct session_mode *mode = all.modes[s->mode];
	enum session_reason        reason = s->reason;
	struct log_subject         outer;
	const char                *more = NULL;

	if (!log_wanted(WEIR_INFO))
		return;
	if (reason == SESSION_CLIENT_FAILED)
		more = conn_explain(&s->client);
	else if (mode != NULL && mode->explain != NULL)
		more = mode->explain(s, reason);
	outer = log_about((struct log_subject){ session_describe, s });
	log_info("closed: %s%s%s, %llu bytes in, %llu out, %llu ms", reason_names[reason],
	    more != NULL ? ": " : "", more != NULL ? more : "",
	    (unsigned long long)s->bytes_in, (unsigned long long)s->bytes_out,
	    (unsigned long long)(loop_now() - s->start));
	log_about(outer);
}
