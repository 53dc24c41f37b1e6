/* SPDX-License-Identifier: BSD-2-Clause */
/* worker: a process of weir-stress: phases, the ramp, and what a pass ends with. */
#include "stress/worker.h"

#include <errno.h>
#include <math.h>
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

static void stress_worker_woken(int, short, void *);
static void stress_worker_alarmed(int, short, void *);
static void stress_worker_ticked(void *);
static void stress_worker_pass_end(void);
static void stress_worker_follow(void);
static void stress_worker_begin_phase(uint32_t phase, uint64_t now);
static bool stress_worker_open(uint64_t now);
static void stress_worker_set_alarm(uint64_t now, bool at_once);
static void stress_worker_update_state(void);
static void stress_worker_check_hope(void);
static void stress_worker_end_drain(void);
static void stress_worker_tell(void);

struct stress_worker worker;

static struct loop_watch wake_watch, alarm_watch;
static struct loop_timer tick;
static int               alarm_fd;
static uint64_t          alarm_at;	/* ns; 0: not set */
static bool              tell_pace;	/* at the end of this pass */
static uint64_t          hope_connected;	/* tally.connected when last looked */
static pid_t             parent;

static uint32_t
stress_worker_load(const _Atomic uint32_t *w)
{
	return atomic_load_explicit(w, memory_order_acquire);
}

static unsigned
stress_worker_wanted(uint32_t step)
{
	const struct run *run = worker.run;
	unsigned          all = run->connections;

	if (step < run->step_count)
		all = run->steps[step].connections;
	return (unsigned)stress_worker_share(all, run->workers, worker.number);
}

/* Whether the clients of this mode are opened once each (and again when lost), or a
 * connection is one of what run.requests counts. */
static bool
stress_worker_by_connection(void)
{
	return worker.mode->request == NULL && !worker.mode->paced;
}

static void
stress_worker_set_up(const struct run *run, struct shared *shared, unsigned number)
{
	worker.run = run;
	worker.mode = run->mode;
	worker.shared = shared;
	worker.tally = &shared->of[number];
	worker.number = number;
	worker.count = (unsigned)stress_worker_share(run->connections, run->workers, number);
	worker.phase = UINT32_MAX;
	atomic_store(&worker.tally->pid, (uint64_t)getpid());
	worker.quota_whole = UINT64_MAX;
	worker.each = run->each > 0 ? run->each : UINT64_MAX;
	if (run->requests > 0)
		worker.quota_whole = stress_worker_share(run->requests, run->workers, number);
	else if (run->each > 0)
		worker.quota_whole = run->each * worker.count;
	else if (run->mode->once && run->duration == 0)
		worker.quota_whole = worker.count;
	list_init(&worker.waiting);
	list_init(&worker.roomy);
}

/* The terminal's Ctrl-C goes to all: the parent, which has blocked it, decides. */
static void
stress_worker_set_signals(void)
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
stress_worker_run(const struct run *run, struct shared *shared, unsigned number, pid_t starter)
{
	parent = starter;
	stress_worker_set_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	stress_worker_set_up(run, shared, number);
	alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (alarm_fd < 0 || loop_open(SCRATCH, conn_fired) < 0 || stress_tls_start(&run->tls) < 0)
		_exit(1);
	conn_start();
	dial_init(UINT64_MAX);
	stress_client_setup();
	if (loop_watch_start(&wake_watch, shared->wake, LOOP_READ | LOOP_EDGE, stress_worker_woken,
		NULL) < 0 ||
	    loop_watch_start(&alarm_watch, alarm_fd, LOOP_READ | LOOP_EDGE, stress_worker_alarmed,
		NULL) < 0)
		_exit(1);
	loop_timer_init(&tick, stress_worker_ticked, NULL);
	loop_timer_start(&tick, TICK_MS);
	loop_on_pass_end(stress_worker_pass_end);
	stress_worker_follow();
	stress_worker_pass_end();
	_exit(loop_run() < 0 ? 1 : 0);
}

/* ------------------------------------------------------------ what wakes it */

static void
stress_worker_woken(int fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	stress_worker_follow();
}

/* What is due is done at the end of the pass. */
static void
stress_worker_alarmed(int fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	alarm_at = 0;
}

static void
stress_worker_ticked(void *argument)
{
	(void)argument;
	tell_pace = true;
	stress_worker_tell();
	if (worker.phase >= PHASE_DRAIN)
		stress_worker_end_drain();
	else
		stress_worker_check_hope();
	loop_timer_start(&tick, TICK_MS);
}

/* The parent has said something else. */
static void
stress_worker_follow(void)
{
	struct shared *shared = worker.shared;
	uint64_t       now = clock_ns();
	uint64_t       epoch = atomic_load(&shared->epoch);
	uint32_t       phase = stress_worker_load(&shared->phase),
		 step = stress_worker_load(&shared->step);

	if (worker.wanted == 0 || step != worker.step) {
		worker.step = step;
		worker.step_began = now;
		worker.step_from = worker.begun;
		worker.wanted = stress_worker_wanted(step);
	}
	/* The epoch is raised behind the phase: this is half of what is being said. */
	if (phase == PHASE_MEASURE && worker.phase != PHASE_MEASURE && epoch == worker.epoch)
		return;
	if (epoch != worker.epoch) {
		struct tally *t = worker.tally;

		worker.epoch = epoch;
		worker.since = now;
		stress_tally_wipe(t);
		stress_client_measure_all();
		atomic_store(&t->peak, worker.open);
		worker.phase = UINT32_MAX;
		atomic_store(&t->state, TALLY_RUNNING);
		atomic_store(&t->epoch, epoch);
		kill(parent, SIGUSR1);
	}
	if (phase != worker.phase)
		stress_worker_begin_phase(phase, now);
}

/* A drain is told when the time is over for the parent; a request may be due a little later. */
static bool
stress_worker_has_due(void)
{
	return worker.mode->paced &&
	    (stress_pace_waiting() > 0 || stress_pace_next() < UINT64_MAX);
}

/* -d at equal intervals is a number of requests, whatever the moments at which the processes
 * are told that it begins and ends: those of all that fall to this one. UINT64_MAX: no end. */
static uint64_t
stress_worker_due_in_time(double rate)
{
	const struct run *run = worker.run;
	double            all = ceil(rate * (double)run->duration / 1000 - 1e-6);

	if (!worker.mode->paced || run->pacing != PACE_FIXED || run->duration == 0 ||
	    (run->requests > 0 && all > (double)run->requests))
		return UINT64_MAX;
	return ((uint64_t)all + run->workers - 1 - worker.number) / run->workers;
}

/* Requests may be sent: how many, and from when on. */
static void
stress_worker_begin_requests(uint32_t phase, uint64_t now)
{
	static bool warm;
	double      rate = atomic_load(&worker.shared->rate);
	uint64_t    in_time = stress_worker_due_in_time(rate), limit;

	if (phase == PHASE_WARM)
		worker.quota = UINT64_MAX;
	else if (phase == PHASE_MEASURE)
		worker.quota = in_time < UINT64_MAX ? UINT64_MAX : worker.quota_whole;
	worker.asking = worker.mode->paced && (phase == PHASE_WARM || phase == PHASE_MEASURE);
	if (worker.asking && worker.run->pacing != PACE_CLOSED) {
		limit = phase == PHASE_MEASURE && in_time < worker.quota ? in_time : worker.quota;
		/* A server that is behind already does not begin anew. */
		if (warm && worker.quota == UINT64_MAX)
			(void)stress_pace_go_on(now, limit);
		else if (warm)
			worker.quota = stress_pace_go_on(now, limit);
		else
			stress_pace_begin(now, rate / worker.run->workers, limit);
	}
	warm = phase == PHASE_WARM;
	if (phase < PHASE_DRAIN)
		return;
	/* What was due before the end is sent behind it: users would have asked, too. */
	worker.draining = loop_now();
	if (phase == PHASE_STOP || atomic_load(&worker.tally->state) >= TALLY_LOST)
		stress_pace_abandon(now);
	else if (in_time == UINT64_MAX)
		stress_pace_end(now);
	worker.asking = stress_worker_has_due();
}

static void
stress_worker_begin_phase(uint32_t phase, uint64_t now)
{
	worker.phase = phase;
	if (phase == PHASE_END) {
		stress_client_leave_all();
		_exit(0);
	}
	stress_worker_begin_requests(phase, now);
	/* What a connection does from its first moment on is to be measured. */
	worker.opens = phase >= PHASE_DRAIN
	    ? worker.mode->fresh && worker.asking
	    : !stress_worker_by_connection() || phase == PHASE_MEASURE;
	if (worker.mode->fresh && worker.begun < worker.count) {
		for (unsigned i = 0; i < worker.count; i++)
			list_append(&worker.waiting, &worker.clients[i].link);
		worker.begun = worker.tried = worker.count;
	}
	if (worker.asking)
		stress_client_restart_all();
	/* Even when there is no hope, what is in flight has to end. */
	if (phase >= PHASE_DRAIN || atomic_load(&worker.tally->state) < TALLY_LOST)
		atomic_store(&worker.tally->state,
		    phase == PHASE_RAMP ? TALLY_RAMPING : TALLY_RUNNING);
}

/* What the server owes has its -t; so has what is still to be sent, before that, and the
 * connect of a request with a connection of its own. */
static void
stress_worker_end_drain(void)
{
	uint64_t timeout = worker.run->timeout, past = loop_now() - worker.draining;

	if (worker.asking && past >= timeout) {
		worker.asking = worker.opens = false;
		stress_pace_abandon(clock_ns());
	}
	if (past >= timeout * DRAIN_TIMEOUTS + GRACE_MS)
		stress_client_settle_all();
}

/* ------------------------------------------------------- the end of a pass */

static void
stress_worker_tell_waiting(void)
{
	struct tally *t = worker.tally;
	uint64_t      n = stress_pace_waiting();

	atomic_store_explicit(&t->unsent, n, memory_order_relaxed);
	if (n > atomic_load_explicit(&t->late, memory_order_relaxed))
		atomic_store_explicit(&t->late, n, memory_order_relaxed);
}

static void
stress_worker_pass_end(void)
{
	uint64_t now = 0;
	bool     more = false;

	if (worker.opens && (worker.begun < worker.wanted || !list_empty(&worker.waiting))) {
		now = clock_ns();
		more = stress_worker_open(now);
	}
	if (worker.asking && !list_empty(&worker.roomy)) {
		now = clock_ns();
		more |= stress_client_take_turns(now);
	}
	if (tell_pace && worker.asking && worker.run->pacing != PACE_CLOSED) {
		/* Behind the turns: what they could have taken does not wait. */
		now = now != 0 ? now : clock_ns();
		stress_pace_count(now);
		stress_worker_tell_waiting();
	}
	tell_pace = false;
	if (now != 0)
		stress_worker_set_alarm(now, more);
	stress_worker_update_state();
}

/* ns: when the ramp opens the next one. */
static uint64_t
stress_worker_ramp_next(void)
{
	const struct run *run = worker.run;
	double            gap = 1e9 / run->ramp, turn;

	turn = (double)(worker.begun - worker.step_from) * run->workers + worker.number;
	return worker.step_began + (uint64_t)(gap * turn);
}

/* Whether a connection that was lost may be opened again: with a ramp, at its rate. */
static bool
stress_worker_may_reopen(uint64_t now)
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
stress_worker_may_begin(uint64_t now, uint64_t *due)
{
	if (worker.mode->fresh)
		return stress_pace_take(now, due);
	/* When all has been asked, nobody needs another. */
	if (!stress_worker_by_connection())
		return worker.quota > 0 || worker.phase < PHASE_MEASURE;
	if (worker.quota == 0)
		return false;
	worker.quota--;
	return true;
}

/* Returns whether there is more to open at once. */
static bool
stress_worker_open(uint64_t now)
{
	const struct run     *run = worker.run;
	struct stress_client *c;
	struct node          *n;
	uint64_t              due = now;
	bool                  fresh;

	for (unsigned i = 0; i < OPENS_MAX; i++) {
		/* Where few ports are left, finding one takes the kernel milliseconds. */
		if (i > 0 && clock_ns() - now > OPENS_NS)
			return true;
		if (run->ramp == 0 && worker.opening >= OPENING_MAX)
			return false;
		/* Those that have not been opened yet come first: the ramp is over when
		 * all have been tried. */
		fresh = worker.begun < worker.wanted &&
		    (run->ramp == 0 || stress_worker_ramp_next() <= now);
		n = list_first(&worker.waiting);
		if ((!fresh && (n == NULL || !stress_worker_may_reopen(now))) ||
		    !stress_worker_may_begin(now, &due))
			return false;
		c = fresh ? &worker.clients[worker.begun++]
			  : container_of(n, struct stress_client, link);
		if (!fresh)
			node_unlink(n);
		stress_client_open(c, due);
	}
	return true;
}

/* Open loop: whether there is a connection for the next request, or room for one. */
static bool
stress_worker_has_place(void)
{
	if (!worker.mode->fresh)
		return !list_empty(&worker.roomy);
	return !list_empty(&worker.waiting) && worker.opening < OPENING_MAX;
}

/* One alarm for the next connection of the ramp and the next request that is due. */
static void
stress_worker_set_alarm(uint64_t now, bool at_once)
{
	struct itimerspec when = { .it_value = { 0, 0 } };
	uint64_t          at = at_once ? now : UINT64_MAX, next;

	if (worker.opens && worker.run->ramp > 0 && worker.begun < worker.wanted) {
		next = stress_worker_ramp_next();
		at = next < at ? next : at;
	}
	if (worker.opens && worker.run->ramp > 0 && !list_empty(&worker.waiting) &&
	    worker.reopen_at < at)
		at = worker.reopen_at;
	if (worker.asking && worker.run->pacing != PACE_CLOSED && stress_worker_has_place()) {
		next = stress_pace_next();
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
stress_worker_set_state(enum tally_state state)
{
	if (atomic_load_explicit(&worker.tally->state, memory_order_relaxed) == state)
		return;
	stress_worker_tell();
	atomic_store(&worker.tally->state, state);
	kill(parent, SIGUSR1);
}

/* What of its work is done. */
static void
stress_worker_update_state(void)
{
	bool used_up = worker.quota == 0 &&
	    (worker.phase >= PHASE_MEASURE || stress_worker_by_connection());

	if (worker.tried >= worker.wanted &&
	    atomic_load_explicit(&worker.tally->reached, memory_order_relaxed) <= worker.step) {
		stress_worker_tell();
		atomic_store(&worker.tally->reached, worker.step + 1);
		kill(parent, SIGUSR1);
	}
	if (worker.phase >= PHASE_DRAIN)
		used_up = !worker.asking || !stress_worker_has_due();
	else if (stress_worker_by_connection() && worker.active > 0)
		used_up = false;
	/* On its way to a connection of its own, a request is not in flight yet. */
	if (used_up && worker.flying == 0 && (!worker.mode->fresh || worker.opening == 0))
		stress_worker_set_state(TALLY_DONE);
}

/* Where -n is the only end: requests have timed out on all connections again and again, and
 * not a byte has come back meanwhile. To wait for each of them is to wait for nothing. */
static bool
stress_worker_server_is_mute(void)
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
stress_worker_check_hope(void)
{
	struct tally *t = worker.tally;
	uint64_t      connected = atomic_load(&t->connected);

	if (stress_worker_server_is_mute()) {
		stress_worker_set_state(TALLY_MUTE);
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
		stress_worker_set_state(TALLY_LOST);
}

static void
stress_worker_tell(void)
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
