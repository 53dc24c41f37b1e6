/* SPDX-License-Identifier: BSD-2-Clause */
/* worker: a process of weir-stress: phases, the ramp, and what a pass ends with. */
#include "stress/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "stress/pace.h"

#define SCRATCH     65536u
#define TICK_MS     100u	/* what is told and judged now and then */
#define GRACE_MS    250u	/* beyond -t: what takes so long is to be counted first */
#define MUTE_TIMEOUTS 3u	/* of each connection */
#define OPENS_MAX   64u		/* connections that are begun in a pass */
#define OPENS_NS    1000000u	/* … unless they take longer than this */
#define OPENING_MAX 512u	/* without a ramp: connecting at the same time */

static void changed(evutil_socket_t, short, void *);
static void alarmed(evutil_socket_t, short, void *);
static void ticked(evutil_socket_t, short, void *);
static void pass_end(void);
static void follow(void);
static void begin_phase(uint32_t phase, uint64_t now);
static bool open_some(uint64_t now);
static void set_alarm(uint64_t now, bool at_once);
static void judge(void);
static void hope(void);
static void end_drain(void);
static void tell(void);

struct worker worker;

static struct event wake_event, alarm_event, tick;
static int          alarm_fd;
static uint64_t     alarm_at;	/* ns; 0: not set */
static bool         tell_pace;	/* at the end of this pass */
static uint64_t     hope_connected;	/* tally.connected when last looked */
static pid_t        parent;

static uint32_t
look32(const _Atomic uint32_t *w)
{
	return atomic_load_explicit(w, memory_order_acquire);
}

static unsigned
wanted_at(uint32_t step)
{
	const struct run *run = worker.run;
	unsigned          all = run->connections;

	if (step < run->step_count)
		all = run->steps[step].connections;
	return (unsigned)worker_share(all, run->workers, worker.number);
}

/* Whether the clients of this mode are opened once each (and again when lost), or a
 * connection is one of what run.requests counts. */
static bool
by_connection(void)
{
	return worker.mode->request == NULL && !worker.mode->paced;
}

static void
set_up(const struct run *run, struct shared *shared, unsigned number)
{
	worker.run = run;
	worker.mode = run->mode;
	worker.shared = shared;
	worker.tally = &shared->of[number];
	worker.number = number;
	worker.count = (unsigned)worker_share(run->connections, run->workers, number);
	worker.phase = UINT32_MAX;
	atomic_store(&worker.tally->pid, (uint64_t)getpid());
	worker.quota_whole = UINT64_MAX;
	worker.each = run->each > 0 ? run->each : UINT64_MAX;
	if (run->requests > 0)
		worker.quota_whole = worker_share(run->requests, run->workers, number);
	else if (run->each > 0)
		worker.quota_whole = run->each * worker.count;
	else if (run->mode->once && run->duration == 0)
		worker.quota_whole = worker.count;
	list_init(&worker.waiting);
	list_init(&worker.roomy);
}

/* The terminal's Ctrl-C goes to all: the parent, which has blocked it, decides. */
static void
set_signals(void)
{
	sigset_t none;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn void
worker_run(const struct run *run, struct shared *shared, unsigned number, pid_t starter)
{
	parent = starter;
	set_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	set_up(run, shared, number);
	alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (alarm_fd < 0 || loop_open(SCRATCH, conn_fired) < 0)
		_exit(1);
	conn_start();
	client_setup();
	if (loop_watch(&wake_event, shared->wake, EV_READ | EV_ET, changed, NULL) < 0 ||
	    loop_watch(&alarm_event, alarm_fd, EV_READ | EV_ET, alarmed, NULL) < 0)
		_exit(1);
	loop_timer_init(&tick, ticked, NULL);
	loop_timer_start(&tick, TICK_MS);
	loop_on_pass_end(pass_end);
	follow();
	pass_end();
	_exit(loop_run() < 0 ? 1 : 0);
}

/* ------------------------------------------------------------ what wakes it */

static void
changed(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	follow();
}

/* What is due is done at the end of the pass. */
static void
alarmed(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	alarm_at = 0;
}

static void
ticked(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	tell_pace = true;
	tell();
	if (worker.phase >= PHASE_DRAIN)
		end_drain();
	else
		hope();
	loop_timer_start(&tick, TICK_MS);
}

/* The parent has said something else. */
static void
follow(void)
{
	struct shared *shared = worker.shared;
	uint64_t       now = clock_ns();
	uint64_t       epoch = atomic_load(&shared->epoch);
	uint32_t       phase = look32(&shared->phase), step = look32(&shared->step);

	if (worker.wanted == 0 || step != worker.step) {
		worker.step = step;
		worker.step_began = now;
		worker.step_from = worker.begun;
		worker.wanted = wanted_at(step);
	}
	/* The epoch is raised behind the phase: this is half of what is being said. */
	if (phase == PHASE_MEASURE && worker.phase != PHASE_MEASURE && epoch == worker.epoch)
		return;
	if (epoch != worker.epoch) {
		struct tally *t = worker.tally;

		worker.epoch = epoch;
		worker.since = now;
		tally_wipe(t);
		client_measure_all();
		atomic_store(&t->peak, worker.open);
		worker.phase = UINT32_MAX;
		atomic_store(&t->state, TALLY_RUNNING);
		atomic_store(&t->epoch, epoch);
		kill(parent, SIGUSR1);
	}
	if (phase != worker.phase)
		begin_phase(phase, now);
}

/* Requests may be sent: how many, and from when on. */
static void
begin_asking(uint32_t phase, uint64_t now)
{
	static bool warm;
	double      rate = atomic_load(&worker.shared->rate) / worker.run->workers;

	if (phase == PHASE_WARM)
		worker.quota = UINT64_MAX;
	else if (phase == PHASE_MEASURE)
		worker.quota = worker.quota_whole;
	worker.asking = worker.mode->paced && (phase == PHASE_WARM || phase == PHASE_MEASURE);
	if (worker.asking && worker.run->pacing != PACE_CLOSED) {
		/* A server that is behind already does not begin anew. */
		if (warm)
			worker.quota = pace_go_on(now, worker.quota);
		else
			pace_begin(now, rate, worker.quota);
	}
	warm = phase == PHASE_WARM;
	if (phase < PHASE_DRAIN)
		return;
	/* What was due before the end is sent behind it: users would have asked, too. */
	worker.draining = loop_now();
	pace_end(now);
	if (phase == PHASE_STOP || atomic_load(&worker.tally->state) >= TALLY_LOST)
		pace_abandon(now);
	worker.asking = pace_waiting() > 0;
}

static void
begin_phase(uint32_t phase, uint64_t now)
{
	worker.phase = phase;
	if (phase == PHASE_END)
		_exit(0);
	begin_asking(phase, now);
	/* What a connection does from its first moment on is to be measured. */
	worker.opens = phase >= PHASE_DRAIN ? worker.mode->fresh && worker.asking
					    : !by_connection() || phase == PHASE_MEASURE;
	if (worker.mode->fresh && worker.begun < worker.count) {
		for (unsigned i = 0; i < worker.count; i++)
			list_append(&worker.waiting, &worker.clients[i].link);
		worker.begun = worker.tried = worker.count;
	}
	if (worker.asking)
		client_restart_all();
	/* Even when there is no hope, what is in flight has to end. */
	if (phase >= PHASE_DRAIN || atomic_load(&worker.tally->state) < TALLY_LOST)
		atomic_store(&worker.tally->state,
		    phase == PHASE_RAMP ? TALLY_RAMPING : TALLY_RUNNING);
}

/* What the server owes has its -t; so has what is still to be sent, before that, and the
 * connect of a request with a connection of its own. */
static void
end_drain(void)
{
	uint64_t timeout = worker.run->timeout, past = loop_now() - worker.draining;

	if (worker.asking && past >= timeout) {
		worker.asking = worker.opens = false;
		pace_abandon(clock_ns());
	}
	if (past >= timeout * DRAIN_TIMEOUTS + GRACE_MS)
		client_settle_all();
}

/* ------------------------------------------------------- the end of a pass */

static void
tell_waiting(void)
{
	struct tally *t = worker.tally;
	uint64_t      n = pace_waiting();

	atomic_store_explicit(&t->unsent, n, memory_order_relaxed);
	if (n > atomic_load_explicit(&t->late, memory_order_relaxed))
		atomic_store_explicit(&t->late, n, memory_order_relaxed);
}

static void
pass_end(void)
{
	uint64_t now = 0;
	bool     more = false;

	if (worker.opens && (worker.begun < worker.wanted || !list_empty(&worker.waiting))) {
		now = clock_ns();
		more = open_some(now);
	}
	if (worker.asking && !list_empty(&worker.roomy)) {
		now = clock_ns();
		more |= client_take_turns(now);
	}
	if (tell_pace && worker.asking && worker.run->pacing != PACE_CLOSED) {
		/* Behind the turns: what they could have taken does not wait. */
		now = now != 0 ? now : clock_ns();
		pace_count(now);
		tell_waiting();
	}
	tell_pace = false;
	if (now != 0)
		set_alarm(now, more);
	judge();
}

/* ns: when the ramp opens the next one. */
static uint64_t
ramp_next(void)
{
	const struct run *run = worker.run;
	double            gap = 1e9 / run->ramp, place;

	place = (double)(worker.begun - worker.step_from) * run->workers + worker.number;
	return worker.step_began + (uint64_t)(gap * place);
}

/* Whether a connection that was lost may be opened again: with a ramp, at its rate. */
static bool
may_reopen(uint64_t now)
{
	const struct run *run = worker.run;

	if (run->ramp == 0)
		return true;
	if (now < worker.reopen_at)
		return false;
	worker.reopen_at = now + (uint64_t)(1e9 / run->ramp * run->workers);
	return true;
}

/* Whether a connection may be begun now; it then has to be. */
static bool
may_begin(uint64_t now, uint64_t *due)
{
	if (worker.mode->fresh)
		return pace_take(now, due);
	/* When all has been asked, nobody needs another. */
	if (!by_connection())
		return worker.quota > 0 || worker.phase < PHASE_MEASURE;
	if (worker.quota == 0)
		return false;
	worker.quota--;
	return true;
}

/* Returns whether there is more to open at once. */
static bool
open_some(uint64_t now)
{
	const struct run *run = worker.run;
	struct client    *c;
	struct node      *n;
	uint64_t          due = now;
	bool              fresh;

	for (unsigned i = 0; i < OPENS_MAX; i++) {
		/* Where few ports are left, finding one takes the kernel milliseconds. */
		if (i > 0 && clock_ns() - now > OPENS_NS)
			return true;
		if (run->ramp == 0 && worker.opening >= OPENING_MAX)
			return false;
		/* Those that have not been opened yet come first: the ramp is over when
		 * all have been tried. */
		fresh = worker.begun < worker.wanted && (run->ramp == 0 || ramp_next() <= now);
		n = list_first(&worker.waiting);
		if ((!fresh && (n == NULL || !may_reopen(now))) || !may_begin(now, &due))
			return false;
		c = fresh ? &worker.clients[worker.begun++]
			  : container_of(n, struct client, link);
		if (!fresh)
			node_unlink(n);
		client_open(c, due);
	}
	return true;
}

/* Open loop: whether there is a connection for the next request, or room for one. */
static bool
has_place(void)
{
	if (!worker.mode->fresh)
		return !list_empty(&worker.roomy);
	return !list_empty(&worker.waiting) && worker.opening < OPENING_MAX;
}

/* One alarm for the next connection of the ramp and the next request that is due. */
static void
set_alarm(uint64_t now, bool at_once)
{
	struct itimerspec when = { .it_value = { 0, 0 } };
	uint64_t          at = at_once ? now : UINT64_MAX, next;

	if (worker.opens && worker.run->ramp > 0 && worker.begun < worker.wanted) {
		next = ramp_next();
		at = next < at ? next : at;
	}
	if (worker.opens && worker.run->ramp > 0 && !list_empty(&worker.waiting) &&
	    worker.reopen_at < at)
		at = worker.reopen_at;
	if (worker.asking && worker.run->pacing != PACE_CLOSED && has_place()) {
		next = pace_next();
		at = next < at ? next : at;
	}
	if (at == UINT64_MAX || (alarm_at != 0 && alarm_at <= at))
		return;
	alarm_at = at;
	when.it_value.tv_sec = (time_t)(at / 1000000000);
	when.it_value.tv_nsec = (long)(at % 1000000000);
	timerfd_settime(alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ------------------------------------------------------------ what it tells */

static void
become(enum tally_state state)
{
	if (atomic_load_explicit(&worker.tally->state, memory_order_relaxed) == state)
		return;
	tell();
	atomic_store(&worker.tally->state, state);
	kill(parent, SIGUSR1);
}

/* What of its work is done. */
static void
judge(void)
{
	bool used_up = worker.quota == 0 && (worker.phase >= PHASE_MEASURE || by_connection());

	if (worker.tried >= worker.wanted &&
	    atomic_load_explicit(&worker.tally->reached, memory_order_relaxed) <= worker.step) {
		tell();
		atomic_store(&worker.tally->reached, worker.step + 1);
		kill(parent, SIGUSR1);
	}
	if (worker.phase >= PHASE_DRAIN)
		used_up = !worker.asking || pace_waiting() == 0;
	else if (by_connection() && worker.active > 0)
		used_up = false;
	/* On its way to a connection of its own, a request is not in flight yet. */
	if (used_up && worker.flying == 0 && (!worker.mode->fresh || worker.opening == 0))
		become(TALLY_DONE);
}

/* Where -n is the only end: requests have timed out on all connections again and again, and
 * not a byte has come back meanwhile. To wait for each of them is to wait for nothing. */
static bool
server_is_mute(void)
{
	static uint64_t     heard, timeouts;	/* bytes, and faults when they came */
	const struct run   *run = worker.run;
	const struct tally *t = worker.tally;
	uint64_t            bytes = atomic_load(&t->bytes_in);
	uint64_t            faults = atomic_load(&t->faults[FAULT_TIMEOUT]);

	if (bytes != heard) {
		heard = bytes;
		timeouts = faults;
	}
	return run->duration == 0 && run->step_count == 0 &&
	    faults - timeouts >= (uint64_t)MUTE_TIMEOUTS * worker.count;
}

/* Whether to go on trying: not when no connection could ever be opened, nor when none has
 * been for the time of -t, nor when the server never says anything. */
static void
hope(void)
{
	struct tally *t = worker.tally;
	uint64_t      connected = atomic_load(&t->connected);

	if (server_is_mute()) {
		become(TALLY_MUTE);
		return;
	}
	if (worker.open > 0 || connected != hope_connected) {
		hope_connected = connected;
		worker.failing = 0;
		if (atomic_load(&t->state) == TALLY_LOST)
			atomic_store(&t->state, TALLY_RUNNING);
	}
	if (worker.failing == 0)
		return;
	if ((connected == 0 && worker.tried >= worker.wanted && worker.opening == 0) ||
	    loop_now() - worker.failing > worker.run->timeout + GRACE_MS)
		become(TALLY_LOST);
}

static void
tell(void)
{
	struct tally *t = worker.tally;
	struct rusage used;

	atomic_store_explicit(&t->open, worker.open, memory_order_relaxed);
	atomic_store_explicit(&t->opening, worker.opening, memory_order_relaxed);
	if (getrusage(RUSAGE_SELF, &used) == 0)
		atomic_store_explicit(&t->cpu,
		    (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
			(uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec),
		    memory_order_relaxed);
}
