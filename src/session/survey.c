/* SPDX-License-Identifier: BSD-2-Clause */
/* survey: sessions are looked for, in one worker, to be listed or closed. */
#include "session/survey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"
#include "net/tls.h"
#include "session/closing.h"
#include "session/server.h"
#include "session/session.h"
#include "upstream/peer.h"
#include "upstream/upstream.h"

#define SURVEY_SCAN  256u	/* sessions in a pass … */
#define SURVEY_SHARE 1000000u	/* … and ns */
#define SURVEY_LINE  2048u	/* bytes that one may take */

enum survey_step { SURVEY_WALKS, SURVEY_COUNTS, SURVEY_WAITS, SURVEY_ENDS, SURVEY_OVER };

struct survey {
	struct node         link;
	struct survey_query query;
	struct session_walk walk;
	struct loop_timer   next;
	struct loop_watch   room;
	bool                watching;
	int                 channel;
	enum survey_step    step;
	uint64_t            count;	/* meant */
	bool                full;	/* `text` is to be sent before anything is added */
	size_t              used;
	char                text[SURVEY_TEXT];
};

static void survey_pass(void *);
static void survey_room_came(int fd, short what, void *);
static void survey_end(struct survey *);
static bool survey_send(struct survey *);
static bool survey_step(struct survey *);
static bool survey_walk(struct survey *);
static bool survey_means(const struct survey *, const struct weir_session *);
static bool survey_names(const struct survey_query *, uint64_t id);
static void survey_take(struct survey *, struct weir_session *);
static void survey_say(struct survey *, char kind);
static void survey_add(struct survey *, const struct weir_session *);
static const struct weir_peer *survey_peer(const struct weir_session *);

static struct {
	struct node all;
	unsigned    count;
	unsigned    slot;
	uint32_t    generation;
} surveys;

/* As session.h has them. */
static const char *const step_names[STEP_COUNT] = {
	[STEP_GATE] = "gate",
	[STEP_HANDSHAKE] = "handshake",
	[STEP_OPEN] = "open",
	[STEP_TALK] = "talk",
	[STEP_EXCHANGE] = "exchange",
	[STEP_RELAY] = "relay",
	[STEP_FLUSH] = "flush",
	[STEP_LINGER] = "linger",
	[STEP_CLOSED] = "closed",
};

void
surveys_start(unsigned slot, uint32_t generation)
{
	list_init(&surveys.all);
	surveys.count = 0;
	surveys.slot = slot;
	surveys.generation = generation;
}

void
surveys_stop(void)
{
	struct node *n;

	while ((n = list_first(&surveys.all)) != NULL) {
		struct survey *s = container_of(n, struct survey, link);

		/* The last of those that were to be closed may be why this worker ends. */
		if (s->step == SURVEY_WAITS && closing_count() == 0) {
			survey_pass(s);
			if (list_first(&surveys.all) != n)
				continue;
		}
		survey_end(s);
	}
}

void
survey_begin(const struct survey_query *query, int channel)
{
	struct survey *s = surveys.count < SURVEYS_MAX ? calloc(1, sizeof *s) : NULL;

	if (s == NULL) {
		log_error("too many look for sessions at once, or memory is short: not here");
		close(channel);
		return;
	}
	s->query = *query;
	s->channel = channel;
	list_append(&surveys.all, &s->link);
	surveys.count++;
	loop_timer_init(&s->next, survey_pass, s);
	if (query->closes)
		closing_set_pace(
		    &(struct closing_pace){ .rate = query->rate, .grace = query->grace });
	session_walk_begin(&s->walk);
	survey_pass(s);
}

void
surveys_go_on(void)
{
	struct node *n, *following;

	list_each(n, following, &surveys.all) {
		struct survey *s = container_of(n, struct survey, link);

		if (s->step == SURVEY_WAITS)
			loop_timer_start(&s->next, 0);
	}
}

static void
survey_end(struct survey *s)
{
	loop_timer_stop(&s->next);
	if (s->watching)
		loop_watch_stop(&s->room);
	session_walk_end(&s->walk);
	close(s->channel);
	node_unlink(&s->link);
	surveys.count--;
	free(s);
}

/* As far as it comes in this pass. */
static void
survey_pass(void *argument)
{
	struct survey *s = argument;

	do
		if (s->full && !survey_send(s))
			return;
	while (survey_step(s));
	if (s->step == SURVEY_OVER)
		survey_end(s);
}

/* False: the channel is full, or closed, and the survey with it. */
static bool
survey_send(struct survey *s)
{
	ssize_t n;

	do
		n = send(s->channel, s->text, s->used, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		s->full = false;
		s->used = 0;
		return true;
	}
	if (errno != EAGAIN ||
	    loop_watch_start(&s->room, s->channel, LOOP_WRITE, survey_room_came, s) < 0) {
		/* Whoever has asked has gone; what is to be closed will be. */
		if (s->query.closes && s->step == SURVEY_WALKS) {
			close(s->channel);
			s->channel = -1;
			s->full = false;
			s->used = 0;
			return true;
		}
		survey_end(s);
		return false;
	}
	s->watching = true;
	return false;
}

static void
survey_room_came(int fd, short what, void *argument)
{
	struct survey *s = argument;

	(void)fd;
	(void)what;
	loop_watch_stop(&s->room);
	s->watching = false;
	survey_pass(s);
}

/* False: no more in this pass. */
static bool
survey_step(struct survey *s)
{
	switch (s->step) {
	case SURVEY_WALKS:
		if (survey_walk(s))
			return true;
		loop_timer_start(&s->next, 0);
		return false;
	case SURVEY_COUNTS:
		survey_say(s, 'M');
		s->step = s->query.waits ? SURVEY_WAITS : SURVEY_ENDS;
		return true;
	case SURVEY_WAITS:
		if (closing_count() > 0)
			return false;
		s->step = SURVEY_ENDS;
		return true;
	case SURVEY_ENDS:
		survey_say(s, 'E');
		s->step = SURVEY_OVER;
		return true;
	default:
		return false;
	}
}

/* False: its share of the pass is over. */
static bool
survey_walk(struct survey *s)
{
	uint64_t             began = clock_ns();
	struct weir_session *session;

	for (unsigned scan = 0; s->used + SURVEY_LINE < SURVEY_TEXT; scan++) {
		if (scan == SURVEY_SCAN || (scan % 16 == 15 && clock_ns() - began > SURVEY_SHARE))
			return false;
		if ((session = session_walk_next(&s->walk)) == NULL) {
			s->step = SURVEY_COUNTS;
			break;
		}
		if (survey_means(s, session))
			survey_take(s, session);
	}
	s->full = s->used > 0;
	return true;
}

static bool
survey_means(const struct survey *s, const struct weir_session *session)
{
	const struct survey_query *q = &s->query;
	const struct weir_peer    *peer;

	if (session->start > q->before ||
	    (q->server[0] != '\0' && strcmp(session->server->name, q->server) != 0) ||
	    (q->by_range && !cidr_has(&q->range, &session->from)) ||
	    (q->id_count > 0 && !survey_names(q, session->id)))
		return false;
	if (q->peer[0] == '\0')
		return true;
	peer = survey_peer(session);
	return peer != NULL && strcmp(peer->name, q->peer) == 0;
}

static bool
survey_names(const struct survey_query *q, uint64_t id)
{
	unsigned low = 0, high = q->id_count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (q->ids[middle] == id)
			return true;
		if (q->ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static void
survey_take(struct survey *s, struct weir_session *session)
{
	if (s->used == 0)
		s->text[s->used++] = s->query.closes ? 'F' : 'L';
	if (!s->query.closes) {
		s->count++;
		survey_add(s, session);
		return;
	}
	s->count += closing_add(session);
	if (s->query.id_count > 0)
		s->used += (size_t)snprintf(s->text + s->used, SURVEY_LINE, "%u.%u\n",
		    (unsigned)(session->id >> 32), (unsigned)session->id);
	else
		s->used = 0;
}

static void
survey_say(struct survey *s, char kind)
{
	int n = snprintf(s->text, sizeof s->text, "%c%u %u", kind, surveys.slot,
	    (unsigned)surveys.generation);

	if (kind == 'M')
		n += snprintf(s->text + n, sizeof s->text - (size_t)n, " %" PRIu64, s->count);
	s->used = (size_t)n;
	s->full = true;
}

/* id, server, client, who has connected for it (PROXY) or -, ms since its begin and since
 * its last byte, bytes from it and to it, step, TLS or -, UPSTREAM/ADDRESS of its peer or - */
static void
survey_add(struct survey *s, const struct weir_session *session)
{
	const struct weir_peer *peer = survey_peer(session);
	uint64_t                now = loop_now();
	struct addr             sender = { .len = sizeof sender.un };
	char                    from[ADDR_TEXT_MAX], proxy[ADDR_TEXT_MAX] = "-";
	const char             *tls = "-";
	int                     n;

	if (session->server->proxy_protocol &&
	    getpeername(conn_fd(&session->client), &sender.sa, &sender.len) == 0)
		addr_print(&sender, proxy);
	if (session->step > STEP_HANDSHAKE && !conn_is_plain(&session->client))
		tls = tls_info(&session->client).version;
	n = snprintf(s->text + s->used, SURVEY_LINE,
	    "%u.%u\t%s\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
	    "\t%s\t%s\t%s%s%s\n",
	    (unsigned)(session->id >> 32), (unsigned)session->id, session->server->name,
	    addr_print_packed(&session->from, from), proxy,
	    now > session->start ? now - session->start : 0,
	    now > session->active ? now - session->active : 0, session->bytes_in,
	    session->bytes_out, step_names[session->step], tls != NULL ? tls : "-",
	    peer != NULL ? peer->upstream->name : "-", peer != NULL ? "/" : "",
	    peer != NULL ? peer->name : "");
	if (n > 0 && (size_t)n < SURVEY_LINE)
		s->used += (size_t)n;
}

/* The one that it is connected to, or whose link is its alone; NULL: none. */
static const struct weir_peer *
survey_peer(const struct weir_session *session)
{
	const struct session_mode *mode = session_mode(session);
	struct weir_peer          *peer = NULL;

	if (mode != NULL && mode->holds != NULL && mode->holds(session, &peer) == TOKEN_NONE)
		peer = NULL;
	return peer;
}
