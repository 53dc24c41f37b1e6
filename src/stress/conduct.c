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

static bool conduct_trouble(const char *what);
static bool conduct_start(const struct run *);
static bool conduct_start_workers(void);
static int  conduct_finish(const struct expect *);
static int  conduct_search(const struct expect *);
static bool conduct_met(const struct outcome *);
static void conduct_print_so_far(void);
static void conduct_ramp(void);
static void conduct_warm_up(void);
static void conduct_measure(void);
static void conduct_measure_stations(void);
static void conduct_print_lost(void);
static void conduct_drain(void);
static void conduct_end(void);
static void conduct_set_phase(enum phase, unsigned step, bool anew);
static void conduct_wait(uint64_t at, bool (*done)(void));
static void conduct_watch_workers(void);
static bool conduct_all_reached(void);
static bool conduct_all_begun(void);
static bool conduct_all_done(void);

static struct {
	const struct run    *run;
	const struct expect *conditions;
	struct shared       *shared;
	size_t               shared_size;
	pid_t                pids[RUN_WORKERS_MAX];
	unsigned             living;
	struct report       *report;
	struct stress_watch  watch;
	struct across        across;
	struct outcome       outcome;
	sigset_t             signals;
	uint64_t             second;	/* ns: when the next live line is due */
	uint64_t             across_at;
	unsigned             step;
	unsigned             interrupts;	/* SIGINT and SIGTERM so far */
	unsigned             patience;	/* as many of them do not end the present wait */
	bool                 acrossing;
	bool                 broken;	/* a worker has died, or there is no memory */
	bool                 ending;
} conductor;

int
stress_conduct_run(const struct run *run, const struct expect *conditions)
{
	int status;

	conductor.run = run;
	conductor.conditions = conditions;
	if (!conduct_start(run))
		return 1;
	conduct_ramp();
	status = run->slo != NULL ? conduct_search(conditions) : -1;
	if (status < 0) {
		conduct_measure();
		conductor.across_at = UINT64_MAX;	/* what runs may end */
		conduct_drain();
	}
	conduct_end();	/* nobody counts any more */
	if (status < 0 && stress_report_outcome(conductor.report, &conductor.outcome) < 0)
		conductor.broken = true;
	if (conductor.acrossing)
		stress_across_end(&conductor.across, &conductor.outcome);
	stress_report_free(conductor.report);
	if (status < 0)
		status = conduct_finish(conditions);
	stress_outcome_clear(&conductor.outcome);
	if (fflush(stress_report_output(run)) != 0 || ferror(stress_report_output(run))) {
		conduct_trouble("the report could not be written");
		status = 1;
	}
	return conductor.broken ? 1 : status;
}

/* ---------------------------------------------------------------- beginning */

static bool
conduct_trouble(const char *what)
{
	fprintf(stderr, "weir-stress: %s: %s\n", what, strerror(errno));
	return false;
}

static bool
conduct_start(const struct run *run)
{
	size_t size = sizeof *conductor.shared + run->workers * sizeof conductor.shared->of[0];

	if (stress_watch_open(&conductor.watch, run->watch) < 0) {
		fprintf(stderr, "weir-stress: --watch %d: %s\n", (int)run->watch,
		    errno == ESRCH ? "there is no such process" : strerror(errno));
		return false;
	}
	conductor.shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	    -1, 0);
	if (conductor.shared == MAP_FAILED)
		return conduct_trouble("memory for the workers' counters");
	conductor.shared_size = size;
	conductor.shared->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (conductor.shared->wake < 0)
		return conduct_trouble("eventfd");
	atomic_store(&conductor.shared->rate, run->rate);
	conductor.report = stress_report_create(run, conductor.shared);
	if (conductor.report == NULL)
		return conduct_trouble("memory for the report");
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
	return conduct_start_workers();
}

static bool
conduct_start_workers(void)
{
	const struct run *run = conductor.run;
	pid_t             self = getpid();

	for (unsigned i = 0; i < run->workers; i++) {
		conductor.pids[i] = fork();
		if (conductor.pids[i] == 0)
			stress_worker_run(run, conductor.shared, i, self);
		if (conductor.pids[i] < 0) {
			conduct_trouble("fork");
			conduct_end();
			return false;
		}
		conductor.living++;
	}
	return true;
}

/* ------------------------------------------------------------------- phases */

/* Whether connections are opened before anything is measured. */
static bool
conduct_ramps(void)
{
	const struct mode *mode = conductor.run->mode;

	return mode->request != NULL && !mode->fresh;
}

static void
conduct_ramp(void)
{
	const struct run *run = conductor.run;

	if (conduct_ramps())
		conduct_wait(UINT64_MAX, conduct_all_reached);
	if (run->slo == NULL)
		conduct_warm_up();
}

static void
conduct_warm_up(void)
{
	const struct run *run = conductor.run;

	if (run->warmup == 0 || run->mode->request == NULL || conductor.interrupts > 0)
		return;
	conduct_set_phase(PHASE_WARM, 0, false);
	conduct_wait(clock_ns() + run->warmup * MS, NULL);
}

/* From here on it counts. */
static void
conduct_begin_measuring(void)
{
	unsigned patience;
	uint64_t now;

	stress_watch_measuring(&conductor.watch);
	now = clock_ns();
	if (stress_report_measuring(conductor.report, now) < 0)
		conductor.broken = true;
	conduct_set_phase(PHASE_MEASURE, conductor.step, true);
	/* Figures from before it are not to be taken for those of it. */
	patience = conductor.patience;
	conductor.patience = UINT32_MAX;
	conduct_wait(now + SECOND, conduct_all_begun);
	conductor.patience = patience;
}

/* The order is that of the beginning. Weighing may take long, so that it is done when
 * the clock has been read. */
static void
conduct_end_measuring(void)
{
	stress_watch_measured(&conductor.watch);
	stress_report_measured(conductor.report, clock_ns());
	stress_watch_outcome(&conductor.watch, &conductor.outcome);
	conduct_print_lost();
}

static void
conduct_measure(void)
{
	const struct run *run = conductor.run;

	conduct_begin_measuring();
	if (run->across != NULL) {
		conductor.acrossing = true;
		stress_across_begin(&conductor.across, run, conductor.shared, clock_ns());
		conductor.across_at = 0;
	}
	if (run->step_count > 0)
		conduct_measure_stations();
	else
		conduct_wait(run->duration > 0 ? clock_ns() + run->duration * MS : UINT64_MAX,
		    conduct_all_done);
	conduct_end_measuring();
}

/* Why a run ends before its time. */
static void
conduct_print_lost(void)
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
	stress_report_clear(conductor.report);
	if (connected == 0)
		fprintf(stderr,
		    "weir-stress: %s: no connection could be opened, the run has ended "
		    "at once\n",
		    run->target_name);
	else if (conduct_all_done() && mute > 0)
		fprintf(stderr,
		    "weir-stress: %s: requests time out and not a byte comes back: is it "
		    "stuck, or does it speak something else? The run has ended early\n",
		    run->target_name);
	else if (conduct_all_done())
		fprintf(stderr,
		    "weir-stress: %s: all connections are gone and none could be opened "
		    "for %ju ms (-t), the run has ended early\n",
		    run->target_name, (uintmax_t)run->timeout);
}

/* Load and measuring go on from one to the next. */
static void
conduct_measure_stations(void)
{
	const struct run *run = conductor.run;

	for (unsigned i = 0; i < run->step_count && conductor.interrupts == 0; i++) {
		if (i > 0) {
			conduct_set_phase(PHASE_MEASURE, i, false);
			conduct_wait(UINT64_MAX, conduct_all_reached);
		}
		if (conductor.interrupts > 0 || conductor.broken)
			return;
		stress_report_hold(conductor.report, &conductor.watch, clock_ns());
		conduct_wait(clock_ns() + run->steps[i].hold * MS, conduct_all_done);
		stress_report_held(conductor.report, &conductor.watch, clock_ns());
		if (conduct_all_done())
			return;
	}
}

static void
conduct_drain(void)
{
	uint64_t limit = conductor.run->timeout * DRAIN_TIMEOUTS + GRACE_MS;

	conductor.patience = conductor.interrupts;
	conduct_set_phase(conductor.interrupts > 0 ? PHASE_STOP : PHASE_DRAIN, conductor.step,
	    false);
	conduct_wait(clock_ns() + limit * MS, conduct_all_done);
	conductor.outcome.interrupted = conductor.interrupts > 0;
}

/* Nobody is there any more: neither a connection, nor a reply in a whole try. */
static bool
conduct_deserted(const struct outcome *o)
{
	return o->answered == 0 && o->open == 0 && atomic_load(&o->sum->connected) == 0 &&
	    stress_tally_errors(o->sum) > 0;
}

/* Returns false when the search cannot go on. */
static bool
conduct_try_rate(struct slo *slo, double rate)
{
	const struct run *run = conductor.run;
	struct outcome   *o = &conductor.outcome;
	bool              lost;

	stress_outcome_clear(o);
	*o = (struct outcome){ 0 };
	atomic_store(&conductor.shared->rate, rate);
	conduct_warm_up();
	conduct_begin_measuring();
	conduct_wait(clock_ns() + run->duration * MS, conduct_all_done);
	lost = conduct_all_done();
	conduct_end_measuring();
	conduct_drain();
	if (lost)
		stress_report_whole(conductor.report);
	if (stress_report_outcome(conductor.report, o) < 0)
		conductor.broken = true;
	o->rate = rate;
	stress_report_clear(conductor.report);
	if (conductor.broken || conductor.interrupts > 0)
		stress_slo_give_up(slo, conductor.broken ? SLO_BROKEN : SLO_INTERRUPTED);
	else if (lost || conduct_deserted(o))
		stress_slo_give_up(slo, SLO_LOST);
	else
		stress_slo_tried(slo, stress_report_output(run), run, o);
	return slo->end == SLO_GOES_ON;
}

static int
conduct_search(const struct expect *conditions)
{
	const struct run *run = conductor.run;
	static struct slo slo;
	int               status;

	stress_slo_begin(&slo, conditions, run->rate);
	while (conduct_try_rate(&slo, stress_slo_rate(&slo)))
		;
	stress_slo_print(stress_report_output(run), &slo, run, &conductor.outcome);
	status = slo.end == SLO_FOUND ? 0 : 1;
	if (stress_report_slo_json(run, &slo) < 0 ||
	    (slo.best.sum != NULL && stress_report_hgrm(run, &slo.best) < 0))
		status = 1;
	stress_slo_clear(&slo);
	return status;
}

static void
conduct_end(void)
{
	uint64_t limit = clock_ns() + END_MS * MS;

	conductor.ending = true;
	conductor.patience = UINT32_MAX;
	conduct_set_phase(PHASE_END, conductor.step, false);
	while (conductor.living > 0 && clock_ns() < limit) {
		struct timespec t = { 0, 100000000 };

		conduct_watch_workers();
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
conduct_finish(const struct expect *conditions)
{
	const struct run *run = conductor.run;
	struct outcome   *o = &conductor.outcome;
	FILE             *out = stress_report_output(run);
	bool              reached;

	if (o->sum == NULL)
		return 1;
	reached = stress_report_print(out, run, o);
	o->met = conduct_met(o);
	o->broken = conductor.broken;
	o->unwritten = stress_report_json(run, o, true) < 0 || stress_report_hgrm(run, o) < 0;
	stress_report_verdict(out, run, o, conditions, reached);
	return o->met && !o->broken && !o->unwritten ? 0 : 1;
}

static bool
conduct_met(const struct outcome *o)
{
	if (conductor.conditions != NULL)
		return stress_expect_holds(conductor.conditions, o);
	return stress_tally_errors(o->sum) == 0 && atomic_load(&o->sum->lost) == 0 &&
	    !(conductor.acrossing && o->across_failed > 0);
}

/* Somebody wants to know how it goes. */
static void
conduct_print_so_far(void)
{
	struct outcome o = { 0 };

	if (conductor.run->slo != NULL || stress_report_so_far(conductor.report, &o) < 0)
		return;
	stress_report_clear(conductor.report);
	(void)stress_report_json(conductor.run, &o, false);
	stress_outcome_clear(&o);
}

/* -------------------------------------------------------------------- waiting */

static void
conduct_set_phase(enum phase phase, unsigned step, bool anew)
{
	uint64_t one = 1;

	conductor.step = step;
	atomic_store(&conductor.shared->step, step);
	atomic_store(&conductor.shared->phase, (uint32_t)phase);
	if (anew)
		atomic_fetch_add(&conductor.shared->epoch, 1);
	if (write(conductor.shared->wake, &one, sizeof one) < 0)
		conduct_trouble("eventfd");
}

/* Of what each worker is at. */
static bool
conduct_all_reached(void)
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
conduct_all_begun(void)
{
	for (unsigned i = 0; i < conductor.run->workers; i++) {
		if (atomic_load(&conductor.shared->of[i].epoch) !=
		    atomic_load(&conductor.shared->epoch))
			return false;
	}
	return true;
}

static bool
conduct_all_done(void)
{
	if (!conduct_all_begun())
		return false;
	for (unsigned i = 0; i < conductor.run->workers; i++) {
		if (atomic_load(&conductor.shared->of[i].state) < TALLY_DONE)
			return false;
	}
	return true;
}

static void
conduct_watch_workers(void)
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
		stress_report_clear(conductor.report);
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
conduct_tick(uint64_t now)
{
	if (now >= conductor.second) {
		stress_report_second(conductor.report, now);
		stress_watch_sample(&conductor.watch);
		while (conductor.second <= now)
			conductor.second += SECOND;
	}
	if (conductor.acrossing && now >= conductor.across_at)
		conductor.across_at = stress_across_tick(&conductor.across, now);
	return conductor.second < conductor.across_at ? conductor.second : conductor.across_at;
}

/* Until then, or until `done` says so (NULL: never), or somebody has had enough. */
static void
conduct_wait(uint64_t at, bool (*done)(void))
{
	struct timespec t;
	uint64_t        now, next;
	int             signal;

	for (;;) {
		now = clock_ns();
		if (now >= at || conductor.broken || conductor.interrupts > conductor.patience ||
		    (done != NULL && done()))
			return;
		next = conduct_tick(now);
		next = next < at ? next : at;
		next = next > now ? next - now : 0;
		t.tv_sec = (time_t)(next / SECOND);
		t.tv_nsec = (long)(next % SECOND);
		signal = sigtimedwait(&conductor.signals, NULL, &t);
		if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP)
			conductor.interrupts++;
		else if (signal == SIGUSR2)
			conduct_print_so_far();
		else if (signal == SIGCHLD) {
			conduct_watch_workers();
			if (conductor.acrossing)
				conductor.across_at = 0;
		}
	}
}
