/* SPDX-License-Identifier: BSD-2-Clause */
/* conduct: leads the workers through the phases of a run. */
#include "stress/conduct.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "stress/across.h"
#include "stress/expect.h"
#include "stress/mode.h"
#include "stress/outcome.h"
#include "stress/report.h"
#include "stress/slo.h"
#include "stress/tally.h"
#include "stress/watch.h"
#include "stress/worker.h"

#define SECOND     UINT64_C(1000000000)
#define MS         UINT64_C(1000000)
#define GRACE_MS   2000u	/* beyond what workers give themselves to drain */
#define END_MS     5000u	/* until a worker must have ended */

static bool trouble(const char *what);
static bool start(const struct run *);
static bool start_workers(void);
static int  finish(const struct expect *);
static int  search(const struct expect *);
static bool met(const struct outcome *);
static void tell_so_far(void);
static void ramp(void);
static void warm_up(void);
static void measure(void);
static void measure_stations(void);
static void tell_lost(void);
static void drain(void);
static void end(void);
static void say(enum phase, unsigned step, bool anew);
static void wait_until(uint64_t at, bool (*done)(void));
static void look_at_workers(void);
static bool all_reached(void);
static bool all_begun(void);
static bool all_done(void);

static struct {
	const struct run *run;
	const struct expect *conditions;
	struct shared    *shared;
	size_t            shared_size;
	pid_t             pids[RUN_WORKERS_MAX];
	unsigned          living;
	struct report    *report;
	struct watch      watch;
	struct across     across;
	struct outcome    outcome;
	sigset_t          signals;
	uint64_t          second;	/* ns: when the next live line is due */
	uint64_t          across_at;
	unsigned          step;
	unsigned          interrupts;	/* SIGINT and SIGTERM so far */
	unsigned          patience;	/* as many of them do not end the present wait */
	bool              acrossing;
	bool              broken;	/* a worker has died, or there is no memory */
	bool              ending;
} conductor;

int
conduct(const struct run *run, const struct expect *conditions)
{
	int status;

	conductor.run = run;
	conductor.conditions = conditions;
	if (!start(run))
		return 1;
	ramp();
	status = run->slo != NULL ? search(conditions) : -1;
	if (status < 0) {
		measure();
		conductor.across_at = UINT64_MAX;	/* what runs may end */
		drain();
	}
	end();	/* nobody counts any more */
	if (status < 0 && report_outcome(conductor.report, &conductor.outcome) < 0)
		conductor.broken = true;
	if (conductor.acrossing)
		across_end(&conductor.across, &conductor.outcome);
	report_free(conductor.report);
	if (status < 0)
		status = finish(conditions);
	outcome_clear(&conductor.outcome);
	if (fflush(report_output(run)) != 0 || ferror(report_output(run))) {
		trouble("the report could not be written");
		status = 1;
	}
	return conductor.broken ? 1 : status;
}

/* ---------------------------------------------------------------- beginning */

static bool
trouble(const char *what)
{
	fprintf(stderr, "weir-stress: %s: %s\n", what, strerror(errno));
	return false;
}

static bool
start(const struct run *run)
{
	size_t size = sizeof *conductor.shared + run->workers * sizeof conductor.shared->of[0];

	if (watch_open(&conductor.watch, run->watch) < 0) {
		fprintf(stderr, "weir-stress: --watch %d: %s\n", (int)run->watch,
		    errno == ESRCH ? "there is no such process" : strerror(errno));
		return false;
	}
	conductor.shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	    -1, 0);
	if (conductor.shared == MAP_FAILED)
		return trouble("memory for the workers' counters");
	conductor.shared_size = size;
	conductor.shared->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (conductor.shared->wake < 0)
		return trouble("eventfd");
	atomic_store(&conductor.shared->rate, run->rate);
	conductor.report = report_create(run, conductor.shared);
	if (conductor.report == NULL)
		return trouble("memory for the report");
	sigemptyset(&conductor.signals);
	sigaddset(&conductor.signals, SIGINT);
	sigaddset(&conductor.signals, SIGTERM);
	sigaddset(&conductor.signals, SIGHUP);
	sigaddset(&conductor.signals, SIGCHLD);
	sigaddset(&conductor.signals, SIGUSR1);
	sigaddset(&conductor.signals, SIGUSR2);
	sigprocmask(SIG_BLOCK, &conductor.signals, NULL);
	conductor.across_at = UINT64_MAX;
	conductor.second = clock_ns() + SECOND;
	return start_workers();
}

static bool
start_workers(void)
{
	const struct run *run = conductor.run;
	pid_t             self = getpid();

	for (unsigned i = 0; i < run->workers; i++) {
		conductor.pids[i] = fork();
		if (conductor.pids[i] == 0)
			worker_run(run, conductor.shared, i, self);
		if (conductor.pids[i] < 0) {
			trouble("fork");
			end();
			return false;
		}
		conductor.living++;
	}
	return true;
}

/* ------------------------------------------------------------------- phases */

/* Whether connections are opened before anything is measured. */
static bool
ramps(void)
{
	const struct mode *mode = conductor.run->mode;

	return mode->request != NULL && !mode->fresh;
}

static void
ramp(void)
{
	const struct run *run = conductor.run;

	if (ramps())
		wait_until(UINT64_MAX, all_reached);
	if (run->slo == NULL)
		warm_up();
}

static void
warm_up(void)
{
	const struct run *run = conductor.run;

	if (run->warmup == 0 || run->mode->request == NULL || conductor.interrupts > 0)
		return;
	say(PHASE_WARM, 0, false);
	wait_until(clock_ns() + run->warmup * MS, NULL);
}

/* From here on it counts. */
static void
begin_measuring(void)
{
	unsigned patience;
	uint64_t now;

	watch_measuring(&conductor.watch);
	now = clock_ns();
	if (report_measuring(conductor.report, now) < 0)
		conductor.broken = true;
	say(PHASE_MEASURE, conductor.step, true);
	/* Figures from before it are not to be taken for those of it. */
	patience = conductor.patience;
	conductor.patience = UINT32_MAX;
	wait_until(now + SECOND, all_begun);
	conductor.patience = patience;
}

/* The order is that of the beginning. Weighing may take long, so that it is done when
 * the clock has been read. */
static void
end_measuring(void)
{
	watch_measured(&conductor.watch);
	report_measured(conductor.report, clock_ns());
	watch_outcome(&conductor.watch, &conductor.outcome);
	tell_lost();
}

static void
measure(void)
{
	const struct run *run = conductor.run;

	begin_measuring();
	if (run->across != NULL) {
		conductor.acrossing = true;
		across_begin(&conductor.across, run, conductor.shared, clock_ns());
		conductor.across_at = 0;
	}
	if (run->step_count > 0)
		measure_stations();
	else
		wait_until(run->duration > 0 ? clock_ns() + run->duration * MS : UINT64_MAX,
		    all_done);
	end_measuring();
}

/* Why a run ends before its time. */
static void
tell_lost(void)
{
	const struct run *run = conductor.run;
	uint64_t          connected = 0;
	unsigned          lost = 0, mute = 0;

	for (unsigned i = 0; i < run->workers; i++) {
		const struct tally *t = &conductor.shared->of[i];

		connected += atomic_load(&t->connected);
		lost += atomic_load(&t->state) >= TALLY_LOST;
		mute += atomic_load(&t->state) == TALLY_MUTE;
	}
	if (lost == 0)
		return;
	report_clear(conductor.report);
	if (connected == 0)
		fprintf(stderr,
		    "weir-stress: %s: no connection could be opened, the run has ended "
		    "at once\n",
		    run->target_name);
	else if (all_done() && mute > 0)
		fprintf(stderr,
		    "weir-stress: %s: requests time out and not a byte comes back: is it "
		    "stuck, or does it speak something else? The run has ended early\n",
		    run->target_name);
	else if (all_done())
		fprintf(stderr,
		    "weir-stress: %s: all connections are gone and none could be opened "
		    "for %ju ms (-t), the run has ended early\n",
		    run->target_name, (uintmax_t)run->timeout);
}

/* Load and measuring go on from one to the next. */
static void
measure_stations(void)
{
	const struct run *run = conductor.run;

	for (unsigned i = 0; i < run->step_count && conductor.interrupts == 0; i++) {
		if (i > 0) {
			say(PHASE_MEASURE, i, false);
			wait_until(UINT64_MAX, all_reached);
		}
		if (conductor.interrupts > 0 || conductor.broken)
			return;
		report_hold(conductor.report, &conductor.watch, clock_ns());
		wait_until(clock_ns() + run->steps[i].hold * MS, all_done);
		report_held(conductor.report, &conductor.watch, clock_ns());
		if (all_done())
			return;
	}
}

static void
drain(void)
{
	uint64_t limit = conductor.run->timeout * DRAIN_TIMEOUTS + GRACE_MS;

	conductor.patience = conductor.interrupts;
	say(conductor.interrupts > 0 ? PHASE_STOP : PHASE_DRAIN, conductor.step, false);
	wait_until(clock_ns() + limit * MS, all_done);
	conductor.outcome.interrupted = conductor.interrupts > 0;
}

/* Nobody is there any more: neither a connection, nor a reply in a whole try. */
static bool
deserted(const struct outcome *o)
{
	return o->answered == 0 && o->open == 0 && atomic_load(&o->sum->connected) == 0 &&
	    tally_errors(o->sum) > 0;
}

/* Returns false when the search cannot go on. */
static bool
try_rate(struct slo *slo, double rate)
{
	const struct run *run = conductor.run;
	struct outcome   *o = &conductor.outcome;
	bool              lost;

	outcome_clear(o);
	*o = (struct outcome){ 0 };
	atomic_store(&conductor.shared->rate, rate);
	warm_up();
	begin_measuring();
	wait_until(clock_ns() + run->duration * MS, all_done);
	lost = all_done();
	end_measuring();
	drain();
	if (lost)
		report_whole(conductor.report);
	if (report_outcome(conductor.report, o) < 0)
		conductor.broken = true;
	o->rate = rate;
	report_clear(conductor.report);
	if (conductor.broken || conductor.interrupts > 0)
		slo_give_up(slo, conductor.broken ? SLO_BROKEN : SLO_INTERRUPTED);
	else if (lost || deserted(o))
		slo_give_up(slo, SLO_LOST);
	else
		slo_tried(slo, report_output(run), run, o);
	return slo->end == SLO_GOES_ON;
}

static int
search(const struct expect *conditions)
{
	const struct run *run = conductor.run;
	static struct slo slo;
	int               status;

	slo_begin(&slo, conditions, run->rate);
	while (try_rate(&slo, slo_rate(&slo)))
		;
	slo_print(report_output(run), &slo, run, &conductor.outcome);
	status = slo.end == SLO_FOUND ? 0 : 1;
	if (report_slo_json(run, &slo) < 0 ||
	    (slo.best.sum != NULL && report_hgrm(run, &slo.best) < 0))
		status = 1;
	slo_clear(&slo);
	return status;
}

static void
end(void)
{
	uint64_t limit = clock_ns() + END_MS * MS;

	conductor.ending = true;
	conductor.patience = UINT32_MAX;
	say(PHASE_END, conductor.step, false);
	while (conductor.living > 0 && clock_ns() < limit) {
		struct timespec t = { 0, 100000000 };

		look_at_workers();
		if (conductor.living > 0)
			sigtimedwait(&conductor.signals, NULL, &t);
	}
	for (unsigned i = 0; i < conductor.run->workers; i++) {
		if (conductor.pids[i] > 0) {
			kill(conductor.pids[i], SIGKILL);
			waitpid(conductor.pids[i], NULL, 0);
		}
	}
}

/* What it came to, told and judged. */
static int
finish(const struct expect *conditions)
{
	const struct run *run = conductor.run;
	struct outcome   *o = &conductor.outcome;
	FILE             *out = report_output(run);
	bool              reached;

	if (o->sum == NULL)
		return 1;
	reached = report_print(out, run, o);
	o->met = met(o);
	o->broken = conductor.broken;
	o->unwritten = report_json(run, o, true) < 0 || report_hgrm(run, o) < 0;
	report_verdict(out, run, o, conditions, reached);
	return o->met && !o->broken && !o->unwritten ? 0 : 1;
}

static bool
met(const struct outcome *o)
{
	if (conductor.conditions != NULL)
		return expect_holds(conductor.conditions, o);
	return tally_errors(o->sum) == 0 && atomic_load(&o->sum->lost) == 0 &&
	    !(conductor.acrossing && o->across_failed > 0);
}

/* Somebody wants to know how it goes. */
static void
tell_so_far(void)
{
	struct outcome o = { 0 };

	if (conductor.run->slo != NULL || report_so_far(conductor.report, &o) < 0)
		return;
	report_clear(conductor.report);
	(void)report_json(conductor.run, &o, false);
	outcome_clear(&o);
}

/* -------------------------------------------------------------------- waiting */

static void
say(enum phase phase, unsigned step, bool anew)
{
	uint64_t one = 1;

	conductor.step = step;
	atomic_store(&conductor.shared->step, step);
	atomic_store(&conductor.shared->phase, (uint32_t)phase);
	if (anew)
		atomic_fetch_add(&conductor.shared->epoch, 1);
	if (write(conductor.shared->wake, &one, sizeof one) < 0)
		trouble("eventfd");
}

/* Of what each worker is at. */
static bool
all_reached(void)
{
	for (unsigned i = 0; i < conductor.run->workers; i++) {
		const struct tally *t = &conductor.shared->of[i];

		if (atomic_load(&t->reached) <= conductor.step &&
		    atomic_load(&t->state) < TALLY_LOST)
			return false;
	}
	return true;
}

static bool
all_begun(void)
{
	for (unsigned i = 0; i < conductor.run->workers; i++) {
		if (atomic_load(&conductor.shared->of[i].epoch) !=
		    atomic_load(&conductor.shared->epoch))
			return false;
	}
	return true;
}

static bool
all_done(void)
{
	if (!all_begun())
		return false;
	for (unsigned i = 0; i < conductor.run->workers; i++) {
		if (atomic_load(&conductor.shared->of[i].state) < TALLY_DONE)
			return false;
	}
	return true;
}

static void
look_at_workers(void)
{
	int status;

	for (unsigned i = 0; i < conductor.run->workers; i++) {
		if (conductor.pids[i] <= 0 || waitpid(conductor.pids[i], &status, WNOHANG) <= 0)
			continue;
		conductor.pids[i] = 0;
		conductor.living--;
		if (conductor.ending)
			continue;
		conductor.broken = true;
		report_clear(conductor.report);
		if (WIFSIGNALED(status))
			fprintf(stderr,
			    "weir-stress: process %u was ended by signal %d (%s): the "
			    "run ends\n",
			    i, WTERMSIG(status), strsignal(WTERMSIG(status)));
		else
			fprintf(stderr, "weir-stress: process %u could not go on: the run ends\n",
			    i);
	}
}

/* What is to be done now and then. Returns when next. */
static uint64_t
tend(uint64_t now)
{
	if (now >= conductor.second) {
		report_second(conductor.report, now);
		watch_sample(&conductor.watch);
		while (conductor.second <= now)
			conductor.second += SECOND;
	}
	if (conductor.acrossing && now >= conductor.across_at)
		conductor.across_at = across_tick(&conductor.across, now);
	return conductor.second < conductor.across_at ? conductor.second : conductor.across_at;
}

/* Until then, or until `done` says so (NULL: never), or somebody has had enough. */
static void
wait_until(uint64_t at, bool (*done)(void))
{
	struct timespec t;
	uint64_t        now, next;
	int             signal;

	for (;;) {
		now = clock_ns();
		if (now >= at || conductor.broken || conductor.interrupts > conductor.patience ||
		    (done != NULL && done()))
			return;
		next = tend(now);
		next = next < at ? next : at;
		next = next > now ? next - now : 0;
		t.tv_sec = (time_t)(next / SECOND);
		t.tv_nsec = (long)(next % SECOND);
		signal = sigtimedwait(&conductor.signals, NULL, &t);
		if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP)
			conductor.interrupts++;
		else if (signal == SIGUSR2)
			tell_so_far();
		else if (signal == SIGCHLD) {
			look_at_workers();
			if (conductor.acrossing)
				conductor.across_at = 0;
		}
	}
}
