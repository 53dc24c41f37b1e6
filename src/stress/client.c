/* SPDX-License-Identifier: BSD-2-Clause */
/* client: the connections of a worker: opening, sending, timing, verifying. */
#include "stress/client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/sock.h"
#include "stress/pace.h"

#define OUT_SIZE   65536u	/* requests are gathered up to this, or one of run.size */
#define READS_MAX  8u		/* in a turn of one client */
#define PAUSE_MS   100u		/* after a failure; doubled with each further one … */
#define PAUSES_MAX 5u		/* … so often */
#define USED_UP_MS 1000u	/* a source without ports is not asked again for so long */
#define TURNS_MAX  128u		/* clients that are given room in a pass */
#define LEAVING_MS 2000u	/* for all last words; the parent waits no longer than 5 s */

static void stress_client_ready(struct conn *);
static void stress_client_expired(struct conn *);
static int  stress_client_dial(struct dial *);
static void stress_client_connected(struct stress_client *);
static void stress_client_connect_failed(struct stress_client *);
static void stress_client_shake(struct stress_client *);
static void stress_client_usable(struct stress_client *);
static bool stress_client_read(struct stress_client *);
static bool stress_client_process(struct stress_client *, struct weir_span in, uint64_t now);
static void stress_client_reply_taken(struct stress_client *, uint64_t now);
static void stress_client_record(const struct flight *, uint64_t now);
static struct flight *stress_client_oldest(const struct stress_client *);
static void stress_client_count_served(struct stress_client *);
static void stress_client_find_least(void);
static void stress_client_ended(struct stress_client *);
static void stress_client_append(struct stress_client *, char *out, size_t *n, uint64_t now,
    uint64_t due);
static void stress_client_write(struct stress_client *, struct weir_span);
static void stress_client_arm(struct stress_client *);
static void stress_client_close(struct stress_client *, bool well);
static void stress_client_tried(struct stress_client *);

static const struct conn_handler handler = {
	.ready   = stress_client_ready,
	.expired = stress_client_expired,
};

static const struct dial_ops dial_ops = {
	.connect = stress_client_dial,
};

static char    *gather;		/* requests on their way to the socket */
static size_t   gather_size;
static size_t   request_max;
static const struct sock_options options = { .nodelay = true };
static uint64_t used_up[RUN_SOURCES_MAX];	/* ms: that source has no port until then */
static uint64_t read_at;	/* ns: the clock at the last read or event of this turn */

static inline struct stress_client *
stress_client_of(struct conn *conn)
{
	return container_of(conn, struct stress_client, conn);
}

static inline bool
stress_client_has_room(const struct stress_client *c)
{
	return c->state == CLIENT_OPEN && c->asked - c->answered < worker.run->depth &&
	    c->asked < worker.each && conn_waiting(&c->conn) == 0;
}

const struct run *
stress_client_run(void)
{
	return worker.run;
}

void
stress_client_setup(void)
{
	const struct run *run = worker.run;
	struct flight    *flights;

	request_max = run->size > 64 ? run->size : 64;
	gather_size = request_max > OUT_SIZE ? request_max : OUT_SIZE;
	for (worker.ring = 1; worker.ring < run->depth;)
		worker.ring *= 2;
	gather = malloc(gather_size);
	worker.clients = calloc(worker.count > 0 ? worker.count : 1, sizeof *worker.clients);
	flights = calloc(worker.count > 0 ? worker.count : 1, worker.ring * sizeof *flights);
	if (gather == NULL || worker.clients == NULL || flights == NULL) {
		stress_tally_add(&worker.tally->faults[FAULT_NO_MEMORY], 1);
		atomic_store(&worker.tally->state, TALLY_LOST);
		_exit(1);
	}
	for (unsigned i = 0; i < worker.count; i++) {
		worker.clients[i].flights = flights + (size_t)i * worker.ring;
		worker.clients[i].conn.handler = &handler;
	}
}

/* ---------------------------------------------------------------- opening */

void
stress_client_open(struct stress_client *c, uint64_t due)
{
	assert(c->state == CLIENT_WAITING);
	c->id = worker.ids++ * worker.run->workers + worker.number;
	c->began = clock_ns();	/* the pass may be old by now */
	c->asked = c->answered = c->position = c->posted = c->tick = c->nap = 0;
	c->failing = c->finished = false;
	if (worker.mode->fresh)
		c->flights[0].due = due;
	c->state = CLIENT_CONNECTING;
	worker.active++;
	worker.opening++;
	if (dial_start(&c->dial, &c->conn, &handler, &dial_ops, &worker.run->target,
		worker.run->timeout) == DIAL_GOING)
		conn_arm(&c->conn, c->dial.give_up);
	else
		stress_client_connect_failed(c);
}

/* From the next source that has ports. One that had none is left alone for a while: to
 * find that out the kernel looks at all of them, which takes it many milliseconds. */
static int
stress_client_dial(struct dial *d)
{
	const struct stress_client      *c = container_of(d, struct stress_client, dial);
	const struct run                *run = worker.run;
	unsigned                         n = run->source_count > 0 ? run->source_count : 1, at;
	uint64_t                         now = loop_now();
	int                              fd;

	for (unsigned i = 0; i < n; i++) {
		at = (unsigned)((c->id + i) % n);
		if (used_up[at] > now)
			continue;
		fd = sock_connect(&run->target, run->source_count > 0 ? &run->sources[at] : NULL,
		    &options);
		if (fd >= 0 || errno != EADDRNOTAVAIL)
			return fd;
		used_up[at] = now + USED_UP_MS;
	}
	errno = EADDRNOTAVAIL;
	return -1;
}

static void
stress_client_connected(struct stress_client *c)
{
	enum dial_state state = dial_check(&c->dial);
	uint64_t        now;

	if (state == DIAL_FAILED)
		stress_client_connect_failed(c);
	if (state != DIAL_DONE)
		return;
	now = read_at = clock_ns();
	stress_hist_add(&worker.tally->connect, (now - c->began) / 1000);
	if (!worker.run->tls.on || worker.run->tls.stop == TLS_STOP_HELLO) {
		stress_client_usable(c);
		return;
	}
	c->state = CLIENT_SHAKING;
	c->began = now;
	conn_arm(&c->conn, loop_now() + worker.run->timeout);
	if (stress_tls_connect(&c->conn, &worker.run->tls) < 0)
		stress_client_fault(c, FAULT_NO_MEMORY, ENOMEM);
	else
		stress_client_shake(c);
}

static void
stress_client_shake(struct stress_client *c)
{
	switch (stress_tls_shake(&c->conn, &worker.run->tls, worker.tally)) {
	case TLS_DONE:
		read_at = clock_ns();
		if (worker.run->tls.stop == TLS_STOP_NONE)
			stress_hist_add(&worker.tally->handshake, (read_at - c->began) / 1000);
		stress_client_usable(c);
		break;
	case TLS_FAILED:
		stress_client_fault(c, FAULT_TLS_FAILED, 0);
		break;
	default:
		break;
	}
}

/* It is connected, and has TLS where it is to have it. */
static void
stress_client_usable(struct stress_client *c)
{
	uint64_t now = read_at;

	/* What sends once has nothing to wait for. */
	if (!worker.mode->fresh)
		(void)sock_settle(conn_fd(&c->conn), &worker.run->target, &options);
	c->state = CLIENT_OPEN;
	worker.opening--;
	worker.open++;
	if (worker.open > atomic_load_explicit(&worker.tally->peak, memory_order_relaxed))
		atomic_store_explicit(&worker.tally->peak, worker.open, memory_order_relaxed);
	stress_tally_add(&worker.tally->connected, 1);
	conn_disarm(&c->conn);
	stress_client_tried(c);
	if (worker.mode->fresh) {
		size_t n = 0;

		stress_client_append(c, gather, &n, now, c->flights[0].due);
		stress_client_write(c, span_make(gather, n));
	}
	if (worker.mode->opened != NULL)
		worker.mode->opened(c);
	if (worker.mode->paced && !worker.mode->fresh)
		stress_client_fill(c, now);
}

static enum fault
stress_client_connect_fault(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ENOENT:		/* a UNIX socket that is not there */
		return FAULT_CONNECT_REFUSED;
	case ETIMEDOUT:
		return FAULT_CONNECT_TIMEOUT;
	case EADDRNOTAVAIL:
		return FAULT_CONNECT_PORTS;
	case EMFILE:
	case ENFILE:
		return FAULT_NO_DESCRIPTORS;
	case ENOMEM:
	case ENOBUFS:
		return FAULT_NO_MEMORY;
	case ECONNRESET:	/* connected, and reset before anybody looked */
		return FAULT_RESET;
	case EPIPE:		/* … with a FIN before the reset */
		return FAULT_CLOSED;
	default:
		return FAULT_CONNECT_FAILED;
	}
}

static void
stress_client_connect_failed(struct stress_client *c)
{
	stress_client_fault(c, stress_client_connect_fault(c->dial.error), c->dial.error);
}

static void
stress_client_tried(struct stress_client *c)
{
	if (!c->tried) {
		c->tried = true;
		worker.tried++;
	}
}

/* ----------------------------------------------------------------- events */

static void
stress_client_ready(struct conn *conn)
{
	struct stress_client *c = stress_client_of(conn);

	read_at = 0;
	if (c->state == CLIENT_CONNECTING) {
		stress_client_connected(c);
	} else if (c->state == CLIENT_SHAKING) {
		stress_client_shake(c);
	}
	if (c->state != CLIENT_OPEN)
		return;
	if (conn->broken && !conn->readable) {
		stress_client_ended(c);
		return;
	}
	if (conn_waiting(conn) > 0 && conn->writable)
		(void)conn_flush(conn);
	if (worker.mode->room != NULL && conn_waiting(conn) == 0 && conn->writable)
		worker.mode->room(c);
	if (c->state != CLIENT_OPEN ||
	    (conn->readable && c->nap <= loop_now() && !stress_client_read(c)))
		return;
	if (worker.mode->paced && stress_client_has_room(c)) {
		if (worker.run->pacing != PACE_CLOSED && !node_linked(&c->link))
			list_append(&worker.roomy, &c->link);
		else if (worker.run->pacing == PACE_CLOSED)
			stress_client_fill(c, read_at != 0 ? read_at : clock_ns());
	}
}

/* Returns false when the client is not open any more. */
static bool
stress_client_read(struct stress_client *c)
{
	char  *scratch = loop_scratch();
	size_t size = loop_scratch_size(), n;

	for (unsigned i = 0; i < READS_MAX && c->conn.readable; i++) {
		n = conn_read(&c->conn, scratch, size);
		if (n == 0)
			break;
		read_at = clock_ns();
		c->failures = 0;
		stress_tally_add(&worker.tally->bytes_in, n);
		if (!stress_client_process(c, span_make(scratch, n), read_at))
			return false;
	}
	if (c->conn.eof || c->conn.broken) {
		stress_client_ended(c);
		return c->state == CLIENT_OPEN;
	}
	if (c->conn.readable)
		conn_again(&c->conn);
	return true;
}

static struct flight *
stress_client_oldest(const struct stress_client *c)
{
	return &c->flights[c->answered & (worker.ring - 1)];
}

/* How long they have waited is known of all requests on it, and counts. */
static void
stress_client_timed_out(struct stress_client *c)
{
	uint64_t now = clock_ns();

	for (uint64_t n = c->answered; n != c->asked; n++)
		stress_client_record(&c->flights[n & (worker.ring - 1)], now);
	stress_client_fault(c, FAULT_TIMEOUT, 0);
}

static void
stress_client_expired(struct conn *conn)
{
	struct stress_client *c = stress_client_of(conn);
	uint64_t              now = loop_now();

	switch (c->state) {
	case CLIENT_PAUSED:
		c->state = CLIENT_WAITING;
		worker.active--;
		list_append(&worker.waiting, &c->link);
		return;
	case CLIENT_CONNECTING:
		stress_client_ready(conn);
		return;
	case CLIENT_SHAKING:
		stress_client_fault(c, FAULT_TLS_TIMEOUT, 0);
		return;
	case CLIENT_OPEN:
		break;
	default:
		return;
	}
	if (c->asked != c->answered &&
	    now >= stress_client_oldest(c)->sent / 1000000 + worker.run->timeout) {
		stress_client_timed_out(c);
		return;
	}
	if (c->tick != 0 && now >= c->tick) {
		c->tick = 0;
		worker.mode->tick(c);
	}
	if (c->state == CLIENT_OPEN)
		stress_client_arm(c);
}

/* Returns false when the client is not open any more. */
static bool
stress_client_process(struct stress_client *c, struct weir_span in, uint64_t now)
{
	size_t used;

	if (worker.mode->came != NULL) {
		worker.mode->came(c, in);
		return c->state == CLIENT_OPEN;
	}
	while (in.len > 0) {
		if (c->answered == c->asked) {
			stress_client_wrong(c, in, span_make(NULL, 0));
			stress_client_fault(c, FAULT_UNASKED, 0);
			return false;
		}
		used = in.len;
		switch (worker.mode->reply(c, in, &used)) {
		case TAKE_MORE:
			return true;
		case TAKE_REPLY:
			stress_client_reply_taken(c, now);
			break;
		case TAKE_FAILED:
			stress_client_failed(c);
			c->answered++;
			worker.flying--;
			break;
		case TAKE_WRONG:
			stress_client_fault(c, FAULT_WRONG, 0);
			return false;
		}
		in = span_skip(in, used);
		if (worker.mode->fresh) {
			if (in.len > 0)
				continue;	/* bytes behind the reply: unasked */
			stress_client_finish(c);
			return false;
		}
	}
	return true;
}

static void
stress_client_reply_taken(struct stress_client *c, uint64_t now)
{
	const struct flight *f = stress_client_oldest(c);

	c->answered++;
	worker.flying--;
	if (f->due >= worker.since)
		stress_tally_add(&worker.tally->answered, 1);
	stress_client_record(f, now);
	stress_client_count_served(c);
}

void
stress_client_failed(struct stress_client *c)
{
	stress_tally_add(&worker.tally->faults[FAULT_FAILED], 1);
	stress_client_count_served(c);
}

/* All clients are looked at only when the last of those that had the fewest has one more. */
static void
stress_client_count_served(struct stress_client *c)
{
	if (c->served++ == worker.least && --worker.behind == 0)
		stress_client_find_least();
}

static void
stress_client_find_least(void)
{
	const struct stress_client *c = worker.clients, *end = c + worker.count;

	worker.least = UINT32_MAX;
	for (; c < end; c++) {
		if (c->served < worker.least) {
			worker.least = c->served;
			worker.behind = 0;
		}
		worker.behind += c->served == worker.least;
	}
	atomic_store_explicit(&worker.tally->least, worker.least, memory_order_relaxed);
}

void
stress_client_measure_all(void)
{
	for (unsigned i = 0; i < worker.count; i++)
		worker.clients[i].served = 0;
	stress_client_find_least();
}

/* How long a request took. In a closed loop it is sent when it is due, but for the time of
 * a connect. */
static void
stress_client_record(const struct flight *f, uint64_t now)
{
	if (f->due < worker.since)
		return;
	stress_hist_add(&worker.tally->latency, (now - f->due) / 1000);
	if (worker.run->pacing != PACE_CLOSED || worker.mode->fresh)
		stress_hist_add(&worker.tally->raw, (now - f->sent) / 1000);
}

/* The server has ended it: a mode may have waited for that. */
static void
stress_client_ended(struct stress_client *c)
{
	int error = c->conn.broken ? c->conn.error : 0;

	/* A reset of what was sent behind the server's FIN: the FIN was the end. */
	if (error == EPIPE)
		error = 0;
	if (worker.mode->came != NULL)
		worker.mode->came(c, span_make(NULL, 0));
	if (c->state != CLIENT_OPEN)
		return;
	if (error != 0 && stress_tls_has_failed(&c->conn)) {
		stress_tally_reason(worker.tally, conn_explain(&c->conn));
		stress_client_fault(c, FAULT_TLS_FAILED, 0);
		return;
	}
	if (error == 0)
		stress_client_fault(c, c->asked != c->answered ? FAULT_CLOSED : FAULT_CLOSED_IDLE,
		    0);
	else if (error == ENOMEM || error == ENOBUFS || error == EMSGSIZE)
		stress_client_fault(c, FAULT_NO_MEMORY, error);
	else
		stress_client_fault(c, error == ETIMEDOUT ? FAULT_TIMEOUT : FAULT_RESET, error);
}

/* ---------------------------------------------------------------- sending */

void
stress_client_fill(struct stress_client *c, uint64_t now)
{
	size_t   n = 0;
	uint64_t due;

	while (stress_client_has_room(c) && stress_pace_take(now, &due)) {
		stress_client_append(c, gather, &n, now, due);
		if (n + request_max > gather_size) {
			stress_client_write(c, span_make(gather, n));
			n = 0;
		}
	}
	if (n > 0)
		stress_client_write(c, span_make(gather, n));
}

static void
stress_client_append(struct stress_client *c, char *out, size_t *n, uint64_t now, uint64_t due)
{
	c->flights[c->asked & (worker.ring - 1)] = (struct flight){ .due = due, .sent = now };
	*n += worker.mode->request(c, out + *n);
	c->asked++;
	worker.flying++;
	if (due >= worker.since)
		stress_tally_add(&worker.tally->sent, 1);
}

static void
stress_client_write(struct stress_client *c, struct weir_span s)
{
	stress_tally_add(&worker.tally->bytes_out, s.len);
	if (!timer_armed(&c->conn.timer))
		stress_client_arm(c);
	/* What came before may still be there: reading finds the end. */
	if (!conn_send(&c->conn, s))
		conn_again(&c->conn);
}

bool
stress_client_ask(struct stress_client *c)
{
	uint64_t now;
	size_t   n = 0;

	if (!stress_client_has_room(c) || worker.phase >= PHASE_DRAIN)
		return false;
	now = clock_ns();
	stress_client_append(c, gather, &n, now, now);
	stress_client_write(c, span_make(gather, n));
	return true;
}

void
stress_client_send(struct stress_client *c, struct weir_span s)
{
	stress_client_write(c, s);
}

void
stress_client_tick(struct stress_client *c, uint64_t ms)
{
	c->tick = loop_now() + ms;
	stress_client_arm(c);
}

void
stress_client_nap(struct stress_client *c, uint64_t ms)
{
	c->nap = loop_now() + ms;
	stress_client_tick(c, ms);
}

void
stress_client_answered(struct stress_client *c, uint64_t since_ns)
{
	uint64_t now = clock_ns();

	stress_client_count_served(c);
	if (since_ns < worker.since)
		return;
	stress_tally_add(&worker.tally->answered, 1);
	stress_hist_add(&worker.tally->latency, (now - since_ns) / 1000);
}

void
stress_client_count(unsigned counter, uint64_t n)
{
	assert(counter < MODE_COUNTERS_MAX);
	stress_tally_add(&worker.tally->own[counter], n);
}

/* The timer fires when the first of what may be due is. An earlier one is left: it
 * looks, and arms again. */
static void
stress_client_arm(struct stress_client *c)
{
	uint64_t at = c->tick != 0 ? c->tick : UINT64_MAX, limit;

	if (c->asked != c->answered) {
		limit = stress_client_oldest(c)->sent / 1000000 + worker.run->timeout;
		at = limit < at ? limit : at;
	}
	if (at != UINT64_MAX && (!timer_armed(&c->conn.timer) || c->conn.timer.at > at))
		conn_arm(&c->conn, at);
}

/* ----------------------------------------------------------------- ending */

void
stress_client_fault(struct stress_client *c, enum fault fault, int error)
{
	struct tally *t = worker.tally;

	if (c->state < CLIENT_CONNECTING)
		return;
	stress_tally_add(&t->faults[fault], 1);
	if (error > 0 && error < (int)TALLY_ERRNOS)
		stress_tally_add(&t->errnos[error], 1);
	stress_client_close(c, false);
}

void
stress_client_finish(struct stress_client *c)
{
	if (c->state == CLIENT_OPEN)
		stress_client_close(c, true);
}

static void
stress_client_close(struct stress_client *c, bool well)
{
	unsigned shift;

	if (c->state == CLIENT_OPEN) {
		worker.open--;
	} else {
		worker.opening--;
		stress_client_tried(c);
	}
	worker.flying -= c->asked - c->answered;
	stress_tally_add(&worker.tally->lost, c->asked - c->answered);
	if (node_linked(&c->link))
		node_unlink(&c->link);
	dial_cancel(&c->dial);
	if (c->state == CLIENT_OPEN)
		stress_tls_keep(&c->conn, &worker.run->tls);
	conn_close(&c->conn);
	c->state = CLIENT_WAITING;
	c->tick = 0;
	if (well) {
		worker.active--;
		list_append(&worker.waiting, &c->link);
		return;
	}
	if (worker.open == 0 && worker.failing == 0)
		worker.failing = loop_now();
	c->state = CLIENT_PAUSED;
	shift = c->failures < PAUSES_MAX ? c->failures++ : PAUSES_MAX;
	conn_arm(&c->conn, loop_now() + (PAUSE_MS << shift));
}

void
stress_client_wrong(struct stress_client *c, struct weir_span came, struct weir_span due)
{
	struct tally *t = worker.tally;
	char          got[100], wanted[100];
	size_t        at = 0;

	if (t->wrong[0] != '\0')
		return;
	while (at < came.len && at < due.len && came.data[at] == due.data[at])
		at++;
	str_printable(span_make(came.data + at, came.len - at < 24 ? came.len - at : 24), got,
	    sizeof got);
	if (due.data == NULL) {
		snprintf(t->wrong, sizeof t->wrong,
		    "connection %ju, behind reply %ju: came \"%s\", and nothing was due",
		    (uintmax_t)c->id, (uintmax_t)c->answered, got);
		return;
	}
	str_printable(span_make(due.data + at, due.len - at < 24 ? due.len - at : 24), wanted,
	    sizeof wanted);
	snprintf(t->wrong, sizeof t->wrong,
	    "connection %ju, reply %ju, byte %ju: came \"%s\" where \"%s\" was due",
	    (uintmax_t)c->id, (uintmax_t)c->answered + 1, (uintmax_t)c->position + at + 1, got,
	    wanted);
}

/* ------------------------------------------------------------------ turns */

/* In an open loop a client gets one request, and goes to the end of the line. */
bool
stress_client_take_turns(uint64_t now)
{
	bool                  open_loop = worker.run->pacing != PACE_CLOSED;
	struct stress_client *c;
	struct node          *n;
	size_t                len;
	uint64_t              due;

	for (unsigned i = 0; i < TURNS_MAX; i++) {
		n = list_first(&worker.roomy);
		if (n == NULL)
			return false;
		c = container_of(n, struct stress_client, link);
		if (open_loop && stress_client_has_room(c)) {
			if (!stress_pace_take(now, &due))
				return false;
			node_unlink(n);
			len = 0;
			stress_client_append(c, gather, &len, now, due);
			stress_client_write(c, span_make(gather, len));
			if (stress_client_has_room(c))
				list_append(&worker.roomy, n);
		} else {
			node_unlink(n);
			stress_client_fill(c, now);
		}
	}
	return true;
}

/* All that are open: the phase has changed. */
void
stress_client_restart_all(void)
{
	for (unsigned i = 0; i < worker.begun; i++) {
		struct stress_client *c = &worker.clients[i];

		if (stress_client_has_room(c) && !node_linked(&c->link))
			list_append(&worker.roomy, &c->link);
	}
}

void
stress_client_settle_all(void)
{
	for (unsigned i = 0; i < worker.begun; i++) {
		struct stress_client *c = &worker.clients[i];

		if (c->state == CLIENT_OPEN && c->asked != c->answered)
			stress_client_timed_out(c);
		else if (c->state == CLIENT_CONNECTING && worker.mode->fresh)
			stress_client_fault(c, FAULT_CONNECT_TIMEOUT, ETIMEDOUT);
		else if (c->state == CLIENT_SHAKING && worker.mode->fresh)
			stress_client_fault(c, FAULT_TLS_TIMEOUT, 0);
	}
}

/* A FIN alone, which the kernel sends by itself, is a truncation to TLS. */
void
stress_client_leave_all(void)
{
	uint64_t until = clock_ns() + (uint64_t)LEAVING_MS * 1000000;

	for (unsigned i = 0; i < worker.begun; i++) {
		struct stress_client *c = &worker.clients[i];

		if (c->state == CLIENT_OPEN && !conn_is_plain(&c->conn))
			conn_finish(&c->conn);
		if (clock_ns() >= until)
			break;
	}
}
