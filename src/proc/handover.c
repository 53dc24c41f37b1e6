/* SPDX-License-Identifier: BSD-2-Clause */
/* handover: the channels on which a worker's sessions go and come. */
#include "proc/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/pipe.h"
#include "proc/fdtable.h"
#include "proc/message.h"
#include "proc/rebalance.h"
#include "proc/settings.h"
#include "proc/template.h"
#include "session/move.h"
#include "session/parcel.h"
#include "session/service.h"
#include "upstream/board.h"

#define HANDOVER_PAUSE 100u	/* ms until what was not possible is tried again */
#define HANDOVER_SPARE  32u	/* descriptors of the loop, logs, libraries */
#define HANDOVER_KEPT    8u	/* a part of all, as far as HANDOVER_KEEPS: for what several */
#define HANDOVER_KEEPS 500u	/* send at the same time, seeing the same room */
#define HANDOVER_BYTES  64u	/* of a channel: each descriptor in it takes more */

/* One channel that is read. */
struct arrivals {
	struct node       link;
	struct loop_watch watch;
	int               fd;
};

/* One worker that our sessions may go to. */
struct heir {
	int      fd;
	unsigned seat;
	unsigned given;		/* sessions, that its own word does not count yet … */
	uint64_t given_at;	/* … in ms */
};

static struct {
	struct template       *template;
	unsigned               slot;
	unsigned               seat;
	void                 (*over)(void);
	bool                   open;
	bool                   closed;		/* for good */
	bool                   retiring;
	struct node            arrivals;
	unsigned               arrival_count;
	bool                   paused;		/* they are not watched */
	uint64_t               crowded, garbled;	/* of loop_complain */
	struct heir            heirs[MESSAGE_FDS_MAX];
	unsigned               heir_count;
	unsigned               home;		/* the heir whose turn it is … */
	unsigned               next;		/* … and the one that is tried */
	uint32_t               generation;	/* of the heirs */
	unsigned               index;
	struct handover_report report;
	bool                   reported;	/* it has been sent */
	struct loop_timer      again;
} handover;

static void handover_advance(void);
static bool handover_find_heir(struct move_heir *);
static int  handover_send(struct weir_span, const int *fds, unsigned count);
static void handover_settled(const struct move_counts *);
static void handover_tell_master(void);
static void handover_try_again(void *);
static void handover_pass_on(void);
static bool handover_has_room(unsigned descriptors);
static uint64_t handover_used(void);
static uint64_t handover_limit(void);
static void handover_tell_room(unsigned less);
static bool handover_takes(struct move_heir *, unsigned at);
static void handover_pause(void);
static void handover_resume(void);
static bool arrivals_open(int fd);
static void arrivals_close(struct arrivals *);
static void arrivals_came(int, short, void *);
static bool arrivals_take(struct arrivals *, int fd);
static void heirs_forget(void);
static void heir_drop(unsigned at);

static const struct move_ops handover_move_ops = {
	.heir    = handover_find_heir,
	.send    = handover_send,
	.settled = handover_settled,
};

const struct move_ops *
handover_start(struct template *t, unsigned slot, unsigned seat, void (*over)(void))
{
	handover.template = t;
	handover.slot = slot;
	handover.seat = seat;
	handover.over = over;
	handover.reported = true;
	list_init(&handover.arrivals);
	loop_timer_init(&handover.again, handover_try_again, NULL);
	return &handover_move_ops;
}

void
handover_open(void)
{
	struct template *t = handover.template;
	int              fd;

	if (handover.open || handover.closed)
		return;
	handover.open = true;
	fd = fdtable_take(&t->fds, FD_ARRIVALS, t->name, handover.slot);
	if (fd >= 0)
		arrivals_open(fd);
}

void
handover_yield(void)
{
	struct node *n;

	handover.open = true;
	while ((n = list_first(&handover.arrivals)) != NULL)
		arrivals_close(container_of(n, struct arrivals, link));
}

void
handover_close(void)
{
	handover.closed = true;
	handover_yield();
}

void
handover_take_arrivals(struct message *m)
{
	if (m->fd_count == 1 && !handover.closed && arrivals_open(m->fds[0]))
		return;
	message_discard(m);
}

void
handover_take_heirs(struct message *m)
{
	uint32_t seat;

	heirs_forget();
	handover.generation = m->a;
	handover.index = m->b;
	/* Those whose descriptor is lost are the last: the others take what there is. */
	if (m->c != PARCEL_VERSION || m->size < m->fd_count * sizeof seat || m->fd_count == 0) {
		if (m->fd_count > 0)
			log_notice("generation %u cannot read what this one would send it: "
				   "sessions stay",
			    m->a);
		message_discard(m);
		move_none();
		handover_settled(&(struct move_counts){ .stay = service_sessions() });
		return;
	}
	for (; handover.heir_count < m->fd_count; handover.heir_count++) {
		memcpy(&seat, (const char *)m->data + handover.heir_count * sizeof seat,
		    sizeof seat);
		handover.heirs[handover.heir_count] =
		    (struct heir){ .fd = m->fds[handover.heir_count], .seat = seat };
	}
	handover.home = handover.next =
	    handover.heir_count > 0 ? handover.slot % handover.heir_count : 0;
	handover_pass_on();
}

void
handover_retire(void)
{
	struct template *t = handover.template;

	handover.retiring = true;
	/* So that our siblings see that we send nothing more. */
	if (handover.generation == t->job->generation)
		heirs_forget();
	handover_open();
	handover_pass_on();
}

bool
handover_is_over(void)
{
	return (handover.open || handover.closed) && handover.arrival_count == 0;
}

void
handover_stop(void)
{
	handover.over = NULL;
	handover_close();
	heirs_forget();
	loop_timer_stop(&handover.again);
}

static void
handover_pass_on(void)
{
	if (handover.retiring && handover.heir_count > 0)
		move_all();
}

/* ---------------------------------------------------------------- arriving */

/* Takes the descriptor over when it returns true. */
static bool
arrivals_open(int fd)
{
	struct arrivals *a = calloc(1, sizeof *a);

	if (a == NULL ||
	    (!handover.paused &&
		loop_watch_start(&a->watch, fd, LOOP_READ, arrivals_came, a) < 0)) {
		log_error("a channel for sessions of others: %s", strerror(errno));
		free(a);
		return false;
	}
	a->fd = fd;
	list_append(&handover.arrivals, &a->link);
	handover.arrival_count++;
	return true;
}

static void
arrivals_close(struct arrivals *a)
{
	if (!handover.paused)
		loop_watch_stop(&a->watch);
	fd_close(&a->fd);
	node_unlink(&a->link);
	free(a);
	handover.arrival_count--;
}

/* Those who are served here wait no longer than MOVE_SHARE, or for one message. */
static void
arrivals_came(int fd, short what, void *argument)
{
	uint64_t began = clock_ns();

	(void)what;
	while (arrivals_take(argument, fd) && clock_ns() - began < MOVE_SHARE)
		;
}

/* One message. False: no more now, or none at all any more. */
static bool
arrivals_take(struct arrivals *a, int fd)
{
	struct message m;
	int            got;

	got = message_peek(fd, &m);
	if (got == 1 && !handover_has_room(m.a)) {
		handover_pause();
		return false;
	}
	/* Before it leaves the channel: who sends looks there first, and then at the room. */
	if (got == 1)
		handover_tell_room(m.a);
	got = message_receive(fd, &m);
	if (got == 0) {
		arrivals_close(a);
		if (handover.arrival_count == 0 && handover.over != NULL)
			handover.over();
		return false;
	}
	if (got == 1 && m.kind == MESSAGE_SESSIONS) {
		move_arrived(span_make(m.data, m.size), m.fds, m.fd_count, m.b);
		service_hold(false);
		handover_tell_room(0);
		return true;
	}
	if (got == 1) {
		message_discard(&m);
		errno = EPROTO;
	}
	if (errno != EAGAIN && loop_complain(&handover.garbled))
		log_alert("channel for sessions: %s: some may be lost", strerror(errno));
	return false;
}

/* The kernel throws away what a process has no room for, so it must never be asked
 * for more: and the limit may be lowered while we run. */
static bool
handover_has_room(unsigned descriptors)
{
	uint64_t      wanted = handover_used() + descriptors;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || wanted <= limit.rlim_cur)
		return true;
	/* There may come more sessions than the configuration allows for clients of its own. */
	return wanted <= handover_limit() && settings_raise_nofile(wanted) >= wanted;
}

static uint64_t
handover_used(void)
{
	return handover.template->fds.count + handover.heir_count + handover.arrival_count +
	    2 * pipe_count() + conn_count() + HANDOVER_SPARE;
}

/* How many there may be. */
static uint64_t
handover_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return UINT32_MAX;
	return handover.template->settings->nofile == WEIR_AUTOMATIC ? limit.rlim_max
								     : limit.rlim_cur;
}

uint64_t
handover_room(void)
{
	uint64_t limit = handover_limit(), kept = limit / HANDOVER_KEPT;

	if (kept > HANDOVER_KEEPS)
		kept = HANDOVER_KEEPS;
	kept += handover_used();
	return !handover.paused && limit > kept ? limit - kept : 0;
}

static void
handover_tell_room(unsigned less)
{
	struct board_beat beat = board_beat_read(handover.seat);
	uint64_t          room = handover_room();

	beat.room = room > less ? room - less : 0;
	board_beat_write(handover.seat, beat);
}

static void
handover_pause(void)
{
	struct node *n, *following;

	if (loop_complain(&handover.crowded))
		log_warn("sessions of other workers wait until some of this one have ended: raise "
			 "worker_rlimit_nofile");
	list_each(n, following, &handover.arrivals)
		loop_watch_stop(&container_of(n, struct arrivals, link)->watch);
	handover.paused = true;
	handover_tell_room(0);
	/* What becomes free is for them, and not for new clients, whom others accept. */
	service_hold(true);
	loop_timer_start(&handover.again, HANDOVER_PAUSE);
}

static void
handover_resume(void)
{
	struct node *n, *following;

	handover.paused = false;
	list_each(n, following, &handover.arrivals) {
		struct arrivals *a = container_of(n, struct arrivals, link);

		if (loop_watch_start(&a->watch, a->fd, LOOP_READ, arrivals_came, a) < 0)
			log_alert("a channel for sessions of others: %s", strerror(errno));
	}
}

/* ----------------------------------------------------------------- leaving */

/* One that has no room is passed over. */
static bool
handover_find_heir(struct move_heir *h)
{
	for (unsigned i = 0; i < handover.heir_count; i++) {
		if (handover_takes(h, handover.next))
			return true;
		if (!handover.retiring)
			return false;
		handover.next = (handover.next + 1) % handover.heir_count;
	}
	return false;
}

/* What lies in its channel, and is not counted there yet, takes room, too. */
static bool
handover_takes(struct move_heir *h, unsigned at)
{
	uint64_t room, lies = 0;
	int      bytes;

	if (ioctl(handover.heirs[at].fd, SIOCOUTQ, &bytes) == 0 && bytes > 0)
		lies = (unsigned)bytes / HANDOVER_BYTES;
	room = board_beat_read(handover.heirs[at].seat).room;
	room = room > lies ? room - lies : 0;
	h->generation = handover.generation;
	h->index = handover.index;
	h->seat = handover.heirs[at].seat;
	h->room = room < UINT32_MAX ? (unsigned)room : UINT32_MAX;
	return room >= MOVE_ROOM;
}

/*
 * The heirs of a slot are those whose number is that of the slot modulo the number of
 * slots here, or there: so all get equally many, whether there are more of them or
 * fewer. One that takes no more for now is passed over.
 */
static int
handover_send(struct weir_span data, const int *fds, unsigned count)
{
	const struct message m = { .kind = MESSAGE_SESSIONS,
		.a = count,
		.b = handover.heir_count > 0 ? handover.heirs[handover.next].seat : 0,
		.data = data.data,
		.size = data.len,
		.fds = fds,
		.fd_count = count };

	if (handover.heir_count == 0) {
		errno = EPIPE;
		return -1;
	}
	if (message_send(handover.heirs[handover.next].fd, &m) == 0) {
		if (handover.retiring)
			handover_advance();
		return 0;
	}
	switch (errno) {
	case EAGAIN:
		if (handover.retiring)
			handover.next = (handover.next + 1) % handover.heir_count;
		break;
	case ENOBUFS:
	case ENOMEM:
	case ETOOMANYREFS:	/* what others have not received yet counts against our limit */
		errno = EAGAIN;
		break;
	case EPIPE:
	case ECONNRESET:
	case ECONNREFUSED:
		heir_drop(handover.next);
		errno = handover.heir_count > 0 ? EAGAIN : EPIPE;
		break;
	default:
		log_alert("sessions cannot be sent to another worker: %s", strerror(errno));
		break;
	}
	return -1;
}

static void
handover_advance(void)
{
	handover.home += (unsigned)handover.template->settings->workers;
	if (handover.home >= handover.heir_count)
		handover.home = handover.slot % handover.heir_count;
	handover.next = handover.home;
}

void
handover_rebalance(uint64_t now, uint64_t sessions)
{
	static struct rebalance_load loads[MESSAGE_FDS_MAX];
	struct board_beat            beat;
	uint32_t                     generation;
	unsigned                     count;
	int                          heir;

	if (handover.retiring || handover.heir_count < 2 || handover.slot >= handover.heir_count)
		return;
	for (unsigned i = 0; i < handover.heir_count; i++) {
		beat = board_beat_read(handover.heirs[i].seat);
		loads[i].sessions = beat.sessions;
		if (beat.at <= handover.heirs[i].given_at)
			loads[i].sessions += handover.heirs[i].given;
		loads[i].present = beat.at + 3 * REBALANCE_TICK >= now &&
		    board_slot_get(i, &generation) == BOARD_SLOT_ACCEPTING &&
		    generation == handover.generation;
	}
	loads[handover.slot] = (struct rebalance_load){ sessions, true };
	heir = rebalance_choose(loads, handover.heir_count, handover.slot, &count);
	if (heir < 0) {
		move_some(0);	/* what has not gone stays */
		return;
	}
	handover.next = (unsigned)heir;
	handover.heirs[heir].given = count;
	handover.heirs[heir].given_at = now;
	move_some(count);
}

/* Its generation has ended before us. */
static void
heir_drop(unsigned at)
{
	fd_close(&handover.heirs[at].fd);
	handover.heirs[at] = handover.heirs[--handover.heir_count];
	handover.home = handover.next =
	    handover.heir_count > 0 ? handover.slot % handover.heir_count : 0;
}

static void
heirs_forget(void)
{
	while (handover.heir_count > 0)
		fd_close(&handover.heirs[--handover.heir_count].fd);
}

/* ---------------------------------------------------------------- reporting */

static void
handover_settled(const struct move_counts *c)
{
	handover.report = (struct handover_report){ handover.generation, c->moved, c->busy,
		c->stay, c->wait };
	handover.reported = false;
	handover_tell_master();
}

static void
handover_tell_master(void)
{
	const struct template *t = handover.template;
	const struct message   m = { .kind = MESSAGE_MOVED,
		.a = t->job->generation,
		.b = handover.slot,
		.data = &handover.report,
		.size = sizeof handover.report };

	if (handover.reported)
		return;
	handover.reported = true;
	if (message_send(fdtable_find(&t->fds, FD_MASTER, "", 0), &m) == 0)
		return;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
		handover.reported = false;
		loop_timer_start(&handover.again, HANDOVER_PAUSE);
	} else {
		log_alert("the master cannot be told: %s", strerror(errno));
	}
}

static void
handover_try_again(void *argument)
{
	(void)argument;
	if (handover.paused)
		handover_resume();
	handover_tell_master();
}
