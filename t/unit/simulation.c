/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simulation: requests, orders, links and pools without sockets: random events from a
 * seed, and after each of them everything that must always be so.
 *
 *	clients (requester, order) ──► pool ──► link ──► a socket that is two strings
 *
 * What the parts need of net/conn, net/dial, net/loop is written again here, with time
 * that stands still between events. SIMULATION_SEED and SIMULATION_EVENTS choose
 * another run; a failure names the seed and the event.
 */
#include <errno.h>
#include <stdarg.h>

#include "base/log.h"
#include "net/dial.h"
#include "session/order.h"
#include "unit/simulation.h"
#include "unit/tap.h"
#include "upstream/member.h"
#include "upstream/pool.h"

enum { CLIENTS = 12, PEERS = 3, SOCKETS = 64, ASKED_MAX = 24, REPLY_MOST = 400 };

/* What a client asks is "MODE CLIENT.LIFE.NUMBER\n", the answer is the same; of mode `s`
 * there is none, and the reply to `l` is a long one. */
struct client {
	struct requester requester;
	unsigned         number, life;
	unsigned         asked;		/* number of the next request */
	unsigned         expected;	/* number of the next reply */
	unsigned         wants;		/* requests not yet asked */
	bool             pinned;	/* what it asks next is behind a PIN */
	bool             over;		/* to leave in its turn */
	bool             impatient;
	char             modes[1 << 12];	/* of each number, in a ring */
	char             part[128];	/* of a reply */
};

struct socket {
	struct conn *conn;	/* NULL: free */
	bool         connected, refused, ended, finished;
	struct buf  *to_peer, *from_peer;
};

static struct client        clients[CLIENTS];
static struct weir_upstream upstream;
static struct weir_peer     peers[PEERS];
static struct socket        sockets[SOCKETS];
static struct node          turns;	/* conns that conn_again was called for */
static struct loop_timer   *tick;
static void               (*tick_function)(void *);
static bool                 tick_set;
static void               (*pass_end)(void);
static uint64_t             state, events, event, done_answered, done_failed;
static uint64_t             replies, failures, held_once, moved_once, doubted, looked_at;
static unsigned long        seed;
static char                 scratch[4096];

uint64_t loop_clock = 1000;

static _Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void
broken(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("Bail out! seed %lu, event %" PRIu64 ": ", seed, event);
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(1);
}

#define MUST(condition) ((condition) ? (void)0 : broken("line %d: %s", __LINE__, #condition))

static unsigned
below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 20) % n;
}

/* ------------------------------------------------ the loop, conns and dials */

uint64_t
loop_read_clock(void)
{
	return loop_clock;
}
uint64_t
loop_micros(void)
{
	return loop_clock * 1000;
}
bool
loop_complain(uint64_t *last)
{
	(void)last;
	return false;
}
char *
loop_scratch(void)
{
	return scratch;
}
size_t
loop_scratch_size(void)
{
	return sizeof scratch;
}
void
loop_on_pass_end(void (*work)(void))
{
	pass_end = work;
}

void
loop_timer_init(struct loop_timer *t, void (*function)(void *), void *argument)
{
	(void)argument;
	tick = t;
	tick_function = function;
}

void
loop_timer_start(struct loop_timer *t, uint64_t ms)
{
	(void)t, (void)ms;
	tick_set = true;
}
void
loop_timer_stop(struct loop_timer *t)
{
	(void)t;
	tick_set = false;
}

static struct socket *
socket_of(const struct conn *c)
{
	for (unsigned i = 0; i < SOCKETS; i++)
		if (sockets[i].conn == c)
			return &sockets[i];
	return NULL;
}

enum dial_state
dial_start(struct dial *d, struct conn *c, const struct conn_handler *handler,
    const struct dial_ops *ops, const struct addr *to, uint64_t timeout)
{
	struct socket *s = socket_of(NULL);

	(void)ops, (void)to;
	MUST(s != NULL);
	if (below(20) == 0) {
		d->error = below(2) == 0 ? ECONNREFUSED : EMFILE;
		return DIAL_FAILED;
	}
	s->conn = d->conn = c;
	c->handler = handler;
	c->open = true;
	d->give_up = loop_clock + timeout;
	return d->state = DIAL_GOING;
}

enum dial_state
dial_check(struct dial *d)
{
	struct socket *s = socket_of(d->conn);

	MUST(s != NULL);
	d->error = s->refused ? ECONNREFUSED : ETIMEDOUT;
	if (s->connected)
		return d->state = DIAL_DONE;
	return d->state = s->refused || loop_clock >= d->give_up ? DIAL_FAILED : DIAL_GOING;
}

void
dial_cancel(struct dial *d)
{
	(void)d;
}

/* No client comes from another worker. */
int
conn_adopt(struct conn *c, int fd, const struct conn_handler *handler)
{
	(void)c, (void)fd, (void)handler;
	return -1;
}

void
conn_again(struct conn *c)
{
	if (!node_linked(&c->task.link))
		list_append(&turns, &c->task.link);
}

void
conn_arm(struct conn *c, uint64_t at)
{
	c->timer.at = at;
	c->timer.link.next = &c->timer.link;
}

size_t
conn_read(struct conn *c, char *into, size_t size)
{
	struct socket *s = socket_of(c);
	size_t         n = buf_len(s->from_peer);

	n = n < size ? n : size;
	if (n > 1 && below(3) == 0)
		n = 1 + below((unsigned)n);
	if (n > 0) {
		memcpy(into, buf_span(s->from_peer).data, n);
		buf_consume(&s->from_peer, n);
		return n;
	}
	c->readable = false;
	c->eof = s->ended;
	return 0;
}

struct weir_span
conn_take(struct conn *c, size_t limit)
{
	size_t kept = buf_len(c->in), n;

	(void)limit;
	if (kept > 0)
		memcpy(scratch, buf_span(c->in).data, kept);
	n = conn_read(c, scratch + kept, sizeof scratch - kept);
	return (struct weir_span){ scratch, n > 0 ? kept + n : 0 };
}

bool
conn_keep(struct conn *c, struct weir_span taken, size_t used)
{
	buf_return(&c->in);
	taken.data += used;
	taken.len -= used;
	return taken.len == 0 || buf_append(&c->in, taken) == 0;
}

size_t
conn_push(struct conn *c, struct weir_span bytes)
{
	struct socket     *s = socket_of(c);
	const struct link *l = container_of(c, struct link, conn);

	MUST(s->connected && !s->finished);
	/* What has been idle for long is looked at before it is used. */
	if (l->state == LINK_OPEN && loop_clock >= l->idle.heard + IDLE_LEAST &&
	    container_of(l->requests.next, struct request, of_link)->end == l->sent + bytes.len) {
		MUST(!s->ended);
		looked_at++;
	}
	if (below(4) == 0)
		bytes.len = below((unsigned)bytes.len + 1);
	if (bytes.len > 0 && buf_append(&s->to_peer, bytes) < 0)
		broken("memory");
	return bytes.len;
}

void
conn_finish(struct conn *c)
{
	socket_of(c)->finished = true;
}
void
conn_abort(struct conn *c)
{
	MUST(socket_of(c) != NULL);
}

void
conn_close(struct conn *c)
{
	struct socket *s = socket_of(c);

	if (s == NULL)
		return;
	if (node_linked(&c->task.link))
		node_unlink(&c->task.link);
	buf_return(&s->to_peer);
	buf_return(&s->from_peer);
	buf_return(&c->in);
	buf_return(&c->out);
	memset(s, 0, sizeof *s);
	c->open = false;
}

/* ---------------------------------------------- the upstream and its protocol */

struct weir_upstream *
upstream_at(const struct conf *conf, unsigned index)
{
	(void)conf;
	return index == 0 ? &upstream : NULL;
}

void
member_follow(struct weir_upstream *u, uint64_t now)
{
	(void)u, (void)now;
}

void
member_vacate(struct weir_peer *peer)
{
	(void)peer;
}

const char *
upstream_failure_name(enum weir_failure why)
{
	(void)why;
	return "failure";
}

enum idle_answer
idle_look(struct idle *i, const struct conn *c, const struct sock_options *options, uint64_t now,
    uint64_t patience)
{
	(void)c, (void)options, (void)patience;
	i->asked = i->asked != 0 ? i->asked : now;
	i->look = now + 10;
	if (below(3) > 0)
		return IDLE_ASKED;
	doubted++;
	i->heard = now;
	i->asked = 0;
	return below(2) == 0 ? IDLE_THERE : IDLE_GONE;
}

static enum weir_parse
parse_line(const void *conf, void *memory, uint32_t kind, struct weir_span in,
    struct weir_message *m)
{
	const char *end = memchr(in.data, '\n', in.len);

	(void)conf, (void)memory, (void)kind;
	if (in.data[0] == '!')
		return WEIR_MALFORMED;
	/* Of a long one the length is known before it is here. */
	if (in.data[0] == 'l' && in.len >= 4) {
		m->length = 64;
		return WEIR_WHOLE;
	}
	if (in.data[0] == 'l' || end == NULL)
		return WEIR_MORE;
	m->length = (uint64_t)(end - in.data) + 1;
	return WEIR_WHOLE;
}

static struct weir_peer *
pick_peer(struct weir_upstream *u, const struct weir_attempt *a)
{
	unsigned begin = below(PEERS + 1);

	if (begin == PEERS)
		return weir_upstream_first(u, a);
	for (unsigned i = 0; i < PEERS; i++) {
		struct weir_peer *p = &u->peers[(begin + i) % PEERS];

		if (weir_peer_usable(p, a))
			return p;
	}
	return NULL;
}

static void
peer_is_done(struct weir_peer *peer, enum weir_outcome outcome, uint64_t micros)
{
	(void)peer, (void)micros;
	(*(outcome == WEIR_REQUEST_ANSWERED ? &done_answered : &done_failed))++;
}

static const struct weir_exchange lines = { .reply = parse_line };
static const struct framing       framing = { .exchange = &lines };
static const struct weir_balancer balancer = { .pick = pick_peer, .done = peer_is_done };
static const struct weir_module   module = { .name = "lines", .balancer = &balancer };

/* --------------------------------------------------------------- the clients */

static struct client *
client_of(const struct requester *q)
{
	return container_of(q, struct client, requester);
}

static size_t
message_of(char *out, const struct client *c, unsigned number)
{
	char mode = c->modes[number % sizeof c->modes];

	return (size_t)snprintf(out, 80, mode == 'l' ? "%c %-61s\n" : "%c %s\n", mode,
	    ({ static char name[48]; snprintf(name, sizeof name, "%u.%u.%u", c->number, c->life,
	    number); name; }));
}

static void
client_hears(struct requester *q, struct weir_span part, bool last)
{
	struct client *c = client_of(q);
	char           wanted[80];
	size_t         have = strlen(c->part);

	if (c->over)
		return;		/* what is held may have been cut short: it leaves */
	MUST(have + part.len < sizeof c->part);
	memcpy(c->part + have, part.data != NULL ? part.data : "", part.len);
	c->part[have + part.len] = '\0';
	if (!last)
		return;
	message_of(wanted, c, c->expected);
	if (c->modes[c->expected % sizeof c->modes] == 's')
		*wanted = '\0';
	if (strcmp(c->part, wanted) != 0)
		broken("client %u got '%s' for '%s'", c->number, c->part, wanted);
	*c->part = '\0';
	c->expected++;
	replies++;
}

static void
client_fails(struct requester *q, const struct framing *f, uint32_t kind, enum weir_failure why,
    bool cut)
{
	struct client *c = client_of(q);

	if (c->over)
		return;
	MUST(f == &framing && kind == c->expected && why < WEIR_FAILURES);
	MUST(cut == (*c->part != '\0'));
	*c->part = '\0';
	c->expected++;
	failures++;
	c->over |= cut;
}

static void
client_ends(struct requester *q)
{
	client_of(q)->over = true;
}

static void
requester_reply(struct request *r, struct weir_span part, bool last)
{
	struct client *c = client_of(r->requester);

	if (r->requester->last->next != r)
		held_once++;
	if (!order_reply(r, part, last, REPLY_MOST))
		c->over = true;
}

static void
client_asks(struct client *c, bool patient)
{
	struct requester *q = &c->requester;
	struct request   *r;
	enum pool_answer  answer;
	enum weir_failure why;
	char              text[80], *mode;
	size_t            n;

	while (c->wants > 0 && !c->over && q->count < ASKED_MAX && pool_may_ask(q, &upstream)) {
		if ((r = request_create(q, &upstream, &framing)) == NULL)
			broken("memory");
		r->kind = c->asked;
		mode = &c->modes[c->asked % sizeof c->modes];
		*mode = "kkksl"[below(5)];
		r->replies = *mode != 's';
		if (below(6) == 0 && !c->pinned)
			r->flags |= REQUEST_KEYED;
		if (below(8) == 0 && *mode != 's')
			r->flags |= REQUEST_SAFE;
		if (!c->pinned && below(40) == 0)
			r->flags |= REQUEST_PIN;
		else if (c->pinned && below(3) == 0)
			r->flags |= REQUEST_UNPIN;
		n = message_of(text, c, c->asked);
		answer = pool_ask(&upstream, r, (struct weir_span){ text, n }, patient, &why);
		if (answer == POOL_BUSY) {
			request_finish(r);
			return;
		}
		if (answer == POOL_PLACED && (r->flags & (REQUEST_PIN | REQUEST_UNPIN)) != 0)
			c->pinned = (r->flags & REQUEST_PIN) != 0;
		c->asked++;
		c->wants--;
		order_add(q, r);
		if (answer == POOL_FAILED && r->replies > 0)
			order_fail(r, why, false);
		else if (answer == POOL_FAILED)
			requester_reply(r, (struct weir_span){ NULL, 0 }, true);
	}
}

static void
client_leaves(struct client *c)
{
	order_leave(&c->requester);
	pool_leave(&c->requester, &upstream);
	MUST(c->requester.count == 0 && c->requester.link == NULL);
	c->life++;
	c->asked = c->expected = c->wants = 0;
	c->over = c->pinned = c->impatient = false;
	*c->part = '\0';
}

static void
requester_failed(struct request *r, enum weir_failure why, bool cut)
{
	order_fail(r, why, cut);
}

static void
requester_room(struct requester *q)
{
	client_asks(client_of(q), true);
}
static void
requester_waits(struct requester *q)
{
	MUST(q->waiter != NULL);
	moved_once++;
}

static void
requester_lost(struct requester *q, bool busy)
{
	(void)busy;
	client_of(q)->over = true;
}

static const struct addr_packed *
requester_from(const struct requester *q)
{
	static const struct addr_packed nobody;

	MUST(q != NULL);
	return &nobody;
}

static const struct requester_ops ops = { requester_reply, requester_failed, requester_room,
	requester_waits, requester_lost, requester_from, NULL };
static const struct order_sink    sink = { client_hears, client_fails, client_ends };

/* ------------------------------------------------------- what is always so */

static void
check_request(const struct link *l, const struct request *r, bool first, uint64_t *end)
{
	const struct requester *q = r->requester;

	MUST(r->state == REQUEST_SENT || r->state == REQUEST_ANSWERING ||
	    r->state == REQUEST_ORPHANED);
	MUST((q == NULL) == (r->state == REQUEST_ORPHANED));
	MUST(first || r->state != REQUEST_ANSWERING);
	MUST(r->end > *end && r->end <= l->sent + buf_len(l->out));
	MUST(r->end - *end == r->length || *end == 0);
	*end = r->end;
	if (q == NULL)
		return;
	MUST((r->flags & REQUEST_KEYED) != 0 || q->link == l);
	MUST(l->borrower == NULL || l->borrower == q);
}

static void
check_link(const struct link *l)
{
	const struct node *n;
	uint64_t           end = 0;
	unsigned           depth = 0;

	for (n = l->requests.next; n != &l->requests; n = n->next)
		check_request(l, container_of(n, struct request, of_link), depth++ == 0, &end);
	MUST(depth == l->depth && depth <= upstream.pipeline_depth);
	MUST(l->state != LINK_CLOSED && l->fault == 0);
	MUST(l->idle.asked == 0 || depth == 0);
	MUST(l->state != LINK_PARTING || (depth == 0 && l->borrower == NULL));
	MUST(l->borrower == NULL || l->borrower->link == l);
	MUST(upstream.mode != POOL_SESSION || depth == 0 || l->borrower != NULL);
	MUST(upstream.mode != POOL_REQUEST || depth <= 1);
	MUST(timer_armed(&l->conn.timer) || l->borrower != NULL);
	MUST(socket_of(&l->conn) != NULL);
}

static void
check_pools(void)
{
	for (unsigned i = 0; i < PEERS; i++) {
		const struct pool *p = peers[i].pool;
		unsigned           count = 0, connecting = 0, leaving = 0, depth = 0;
		struct node       *n, *following;
		struct link       *l;

		list_each(n, following, &p->links) {
			l = container_of(n, struct link, node);
			check_link(l);
			count++;
			connecting += l->state == LINK_CONNECTING;
			leaving += l->state >= LINK_DRAINING;
			depth += l->depth;
		}
		MUST(count == p->count && connecting == p->connecting && leaving == p->leaving);
		MUST(count <= upstream.pool_size);
		MUST(board_sum(peers[i].board, PEER_LINKS) == count);
		MUST(board_sum(peers[i].board, PEER_CONNS) == count);
		MUST(board_sum(peers[i].board, PEER_IN_FLIGHT) == depth);
	}
}

static void
check_client(const struct client *c)
{
	const struct requester *q = &c->requester;
	const struct request   *r = q->last;
	unsigned                count = 0, flight = 0, queued = 0;
	size_t                  held = 0;

	MUST((r == NULL) == (q->count == 0));
	for (bool first = true; r != NULL; first = false) {
		r = r->next;
		MUST(r->requester == q && r->kind == c->expected + count);
		MUST(r->state != REQUEST_NEW && r->state != REQUEST_ORPHANED &&
		    r->state != REQUEST_DONE);
		MUST(!first || r->state != REQUEST_HELD);
		MUST(!first || r->state != REQUEST_ANSWERING || r->bytes == NULL);
		if (r->state == REQUEST_HELD || r->state == REQUEST_ANSWERING)
			held += buf_len(r->bytes);
		queued += r->state == REQUEST_QUEUED;
		flight += (r->state == REQUEST_SENT || r->state == REQUEST_ANSWERING) &&
		    (r->flags & REQUEST_KEYED) == 0;
		count++;
		if (r == q->last)
			break;
	}
	MUST(count == q->count && count == c->asked - c->expected && held == q->held);
	MUST(flight == q->flight && (flight == 0 || q->link != NULL));
	MUST(q->link == NULL || flight > 0 || q->link->borrower == q);
	MUST(queued == 0 || q->waiter != NULL);
}

static void
check_all(void)
{
	struct node   *n, *following;
	struct waiter *w;
	unsigned       queued = 0;

	check_pools();
	for (unsigned i = 0; i < CLIENTS; i++)
		check_client(&clients[i]);
	list_each(n, following, &upstream.queue) {
		w = container_of(n, struct waiter, node);
		MUST(w->requester->waiter == w);
		queued++;
	}
	MUST(queued == upstream.queued && board_sum(upstream.board, UPSTREAM_WAITING) == queued);
	MUST(upstream.served == NULL);
}

/* ------------------------------------------------------------------ events */

/* The peer of a socket does something. */
static void
peer_acts(struct socket *s)
{
	struct conn     *c = s->conn;
	struct weir_span in;
	const char      *end;
	unsigned         what = below(100);

	if (!s->connected) {
		s->refused = what < 10;
		s->connected = !s->refused;
	} else if (what < 2)
		s->ended = true;
	else if (what < 4) {
		s->ended = true;	/* which no event has told yet */
		return;
	} else if (what < 5 && buf_append(&s->from_peer, (struct weir_span){ "!what\n", 6 }) < 0)
		broken("memory");
	for (unsigned n = 1 + below(8); n > 0; n--) {
		in = buf_span(s->to_peer);
		if (in.len == 0 || s->ended || (end = memchr(in.data, '\n', in.len)) == NULL)
			break;
		in.len = (size_t)(end - in.data) + 1;
		if (in.data[0] != 's' && buf_append(&s->from_peer, in) < 0)
			broken("memory");
		buf_consume(&s->to_peer, in.len);
	}
	s->ended |= s->finished && buf_len(s->to_peer) == 0;
	c->writable = s->connected;
	c->readable = true;
	c->handler->ready(c);
}

static void
run_turns(void)
{
	struct node  due, *n;

	list_init(&due);
	while ((n = list_first(&turns)) != NULL) {
		node_unlink(n);
		list_append(&due, n);
	}
	while ((n = list_first(&due)) != NULL) {
		struct conn *c = container_of(n, struct conn, task.link);

		node_unlink(n);
		c->handler->ready(c);
	}
}

/* What has come due by the clock. */
static void
time_passes(unsigned ms)
{
	loop_clock += ms;
	for (unsigned i = 0; i < SOCKETS; i++) {
		struct conn *c = sockets[i].conn;

		if (c == NULL || !timer_armed(&c->timer) || c->timer.at > loop_clock)
			continue;
		c->timer.link.next = NULL;
		c->handler->expired(c);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];
		uint64_t       since = queue_waits_since(&c->requester);

		if (since == 0 || since + upstream.pool_wait > loop_clock)
			continue;
		pool_give_up(&c->requester, &upstream);
		client_asks(c, false);
	}
	if (tick_set) {
		tick_set = false;
		tick_function(NULL);
	}
}

static void
one_event(void)
{
	struct client *c = &clients[below(CLIENTS)];
	struct socket *s = &sockets[below(SOCKETS / 4)];
	unsigned       what = below(100);

	if (what < 40) {
		c->wants += below(2) == 0 ? 1 : below(12);
		if (c->wants > 40)
			c->wants = 40;
		client_asks(c, true);
	} else if (what < 80) {
		if (s->conn != NULL)
			peer_acts(s);
	} else if (what < 92)
		run_turns();
	else if (what < 99)
		time_passes(below(10) > 0 ? below(20) : below(5) > 0 ? 300 : 1200);
	else if (below(4) == 0)
		c->over = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients[i].over)
			client_leaves(&clients[i]);
	pass_end();
}

/* ------------------------------------------------------------------- frame */

static void
begin(enum pool_mode mode, unsigned size, unsigned depth)
{
	static struct board_field
	    fields[PEER_FIELDS > (int)UPSTREAM_FIELDS ? (int)PEER_FIELDS : (int)UPSTREAM_FIELDS];
	static const struct board_schema schemas[] = {
		{ "upstream", fields, UPSTREAM_FIELDS }, { "peer", fields, PEER_FIELDS },
	};
	const struct pools_worker worker = { .queue = CLIENTS - 2, .ops = &ops,
		.share = { .slot = 0, .slots = 1 } };
	int seat;

	for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++)
		fields[i] = (struct board_field){ "field", BOARD_GAUGE };
	if (board_create() < 0 || (seat = board_seat_take()) < 0)
		bail_out("there is no board");
	upstream = (struct weir_upstream){ .name = "main", .balancer = &module, .peers = peers,
		.peer_count = PEERS, .fixed = PEERS, .connect_timeout = 100, .retries = 1,
		.framed_by = &module, .mode = mode,
		.pool_size = size, .pool_min_idle = mode == POOL_PIPELINE,
		.pool_idle_timeout = 200, .pool_idle_check = 100, .pool_lifetime = 2000,
		.pool_queue = WEIR_AUTOMATIC,
		.pool_wait = 60, .pipeline_spread = 4, .pipeline_depth = depth,
		.reply_max = REPLY_MOST, .reply_timeout = 150 };
	upstream.board = board_enter(&schemas[0], "main", 1);
	for (unsigned i = 0; i < PEERS; i++) {
		peers[i] = (struct weir_peer){ .upstream = &upstream, .index = i, .weight = 1,
			.max_fails = 2, .fail_timeout = 50, .backup = i == PEERS - 1 };
		snprintf(peers[i].name, sizeof peers[i].name, "%u", i);
		peers[i].board = board_enter(&schemas[1], peers[i].name, 1);
	}
	memset(clients, 0, sizeof clients);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i].number = i;
	list_init(&turns);
	orders_start(&sink);
	if (upstreams_start(NULL, (unsigned)seat, 7, 0) < 0 || pools_start(&worker) < 0)
		bail_out("the pools do not start");
}

static void
end(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		client_leaves(&clients[i]);
	check_all();
	pools_hold();
	pools_stop();
	for (unsigned i = 0; i < PEERS; i++)
		MUST(board_sum(peers[i].board, PEER_LINKS) + board_sum(peers[i].board, PEER_CONNS) +
			board_sum(peers[i].board, PEER_IN_FLIGHT) ==
		    0);
	upstreams_stop(NULL);
	for (unsigned i = 0; i < SOCKETS; i++)
		MUST(sockets[i].conn == NULL);
}

static void
simulate(const char *what, enum pool_mode mode, unsigned size, unsigned depth)
{
	replies = failures = held_once = moved_once = doubted = looked_at = done_answered =
	    done_failed = 0;
	begin(mode, size, depth);
	for (event = 0; event < events; event++) {
		one_event();
		check_all();
	}
	end();
	ok(replies > events / 20, "%s: replies came, each to its client and in its turn", what);
	ok(mode == POOL_SESSION ? looked_at > 0 : doubted > 0, "%s: links were in question",
	    what);
	ok(failures > 0 && done_answered > 0 && done_failed > 0,
	    "%s: some requests failed, and balancers heard of all", what);
	diag("%s: %" PRIu64 " replies, %" PRIu64 " failures, %" PRIu64 " held, %" PRIu64
	     " queued again",
	    what, replies, failures, held_once, moved_once);
}

int
main(void)
{
	const char *more = getenv("SIMULATION_EVENTS"), *other = getenv("SIMULATION_SEED");

	seed = other != NULL ? strtoul(other, NULL, 10) : 1;
	events = more != NULL ? strtoul(more, NULL, 10) : 1000000;
	if (more == NULL && getenv("WEIR_VALGRIND") != NULL)
		events = 40000;		/* the same events, fifty times as slow */
	state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	events /= 4;
	simulate("pipeline", POOL_PIPELINE, 3, 16);
	simulate("pipeline, one link, one request", POOL_PIPELINE, 1, 1);
	simulate("request", POOL_REQUEST, 2, 16);
	simulate("session", POOL_SESSION, 2, 16);
	return done_testing();
}
