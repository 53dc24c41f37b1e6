/* SPDX-License-Identifier: BSD-2-Clause */
/* across: a command that runs again and again, and whose are the losses. */
#include "stress/across.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stress/outcome.h"
#include "stress/run.h"
#include "stress/tally.h"

#include "unit/tap.h"

#define SECOND   UINT64_C(1000000000)
#define DEADLINE (20 * SECOND)

static struct shared *shared;

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void
rest(void)
{
	nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
}

/* Until so many have ended. */
static void
wait_for_runs(struct across *a, uint64_t runs)
{
	uint64_t end = now() + DEADLINE;

	while (a->runs < runs && now() < end) {
		stress_across_tick(a, now());
		rest();
	}
}

static struct run
run_of(const char *command)
{
	memset(shared, 0, sizeof *shared + sizeof shared->of[0]);
	return (struct run){ .workers = 1, .across = command, .across_interval = 10 };
}

static void
test_none(void)
{
	struct run     run = run_of(NULL);
	struct across  a;
	struct outcome o = { 0 };

	stress_across_begin(&a, &run, shared, now());
	ok(stress_across_tick(&a, now()) == UINT64_MAX, "without a command there is nothing to do");
	stress_across_end(&a, &o);
	ok(!o.acrossed, "and nothing to be told");
}

static void
test_runs(void)
{
	struct run     run = run_of("exit 0");
	struct across  a;
	struct outcome o = { 0 };

	stress_across_begin(&a, &run, shared, now());
	wait_for_runs(&a, 3);
	stress_across_end(&a, &o);
	ok(o.acrossed && o.across_runs >= 3, "it runs again and again: %" PRIu64, o.across_runs);
	is_number(o.across_failed, 0, "and does not fail");
	ok(o.across_time > 0 && o.across_time < DEADLINE, "how long it took is known");
}

static void
test_failures(void)
{
	struct run     run = run_of("echo one; echo 'two\tthree' >&2; exit 3");
	struct across  a;
	struct outcome o = { 0 };

	stress_across_begin(&a, &run, shared, now());
	wait_for_runs(&a, 2);
	stress_across_end(&a, &o);
	ok(o.across_failed >= 2 && o.across_failed == o.across_runs, "failures are counted");
	is_string(o.across_words, "status 3: two\\x09three", "the last line of the first is kept");

	run = run_of("kill -9 $$");
	stress_across_begin(&a, &run, shared, now());
	wait_for_runs(&a, 1);
	memset(&o, 0, sizeof o);
	stress_across_end(&a, &o);
	is_string(o.across_words, "killed by SIGKILL", "so is a signal");
}

/* What is lost while it runs, and in its echo, is its own; before and after it is not. */
static void
test_losses(void)
{
	struct run     run = run_of("exit 0");
	struct across  a;
	struct outcome o = { 0 };
	uint64_t       begin = now(), ended;

	run.across_interval = 3600000;
	stress_tally_add(&shared->of[0].faults[FAULT_RESET], 100);
	stress_across_begin(&a, &run, shared, begin + SECOND);
	stress_tally_add(&shared->of[0].faults[FAULT_CLOSED], 1);
	stress_across_tick(&a, begin);
	ok(a.pid == 0, "it does not begin before its time");
	stress_tally_add(&shared->of[0].faults[FAULT_CLOSED], 2);
	stress_hist_add(&shared->of[0].latency, 700000);
	stress_across_tick(&a, begin + SECOND);
	ok(a.pid != 0, "it has begun");
	stress_tally_add(&shared->of[0].faults[FAULT_RESET], 10);
	stress_tally_add(&shared->of[0].faults[FAULT_FAILED], 20);
	stress_tally_add(&shared->of[0].lost, 30);
	stress_hist_add(&shared->of[0].latency, 1234);
	for (uint64_t limit = now() + DEADLINE; a.runs == 0 && now() < limit; rest())
		stress_across_tick(&a, begin + SECOND + 1);
	ended = begin + SECOND + 1;
	stress_tally_add(&shared->of[0].lost, 40);
	stress_across_tick(&a, ended + SECOND * ACROSS_ECHO_MS / 1000);
	stress_tally_add(&shared->of[0].faults[FAULT_RESET], 500);
	stress_hist_add(&shared->of[0].latency, 900000);
	stress_across_tick(&a, ended + 2 * SECOND * ACROSS_ECHO_MS / 1000);
	stress_across_end(&a, &o);
	is_number(o.across_runs, 1, "it has run once");
	is_number(o.across_faults, 10, "faults meanwhile; to be told that it failed is none");
	is_number(o.across_lost, 70, "requests meanwhile, and shortly after");
	is_number(o.across_other, 503, "what is lost otherwise");
	is_number(o.across_max, 1234, "the slowest request meanwhile");
}

static void
test_bounds(void)
{
	struct run     run = run_of("sleep 1000 & sleep 1000");
	struct across  a;
	struct outcome o = { 0 };
	uint64_t       begin = now(), late;
	pid_t          group;

	stress_across_begin(&a, &run, shared, begin);
	stress_across_tick(&a, begin);
	ok(a.pid != 0, "a command that does not end has begun");
	late = begin + (uint64_t)ACROSS_LIMIT_MS * 1000000;
	ok(stress_across_tick(&a, begin + 1) == late, "it is known when that is too long");
	group = a.pid;
	for (uint64_t limit = now() + DEADLINE; a.runs == 0 && now() < limit; rest())
		stress_across_tick(&a, late);
	is_number(a.failed, 1, "then it is killed, and has failed");
	for (uint64_t limit = now() + DEADLINE; kill(-group, 0) == 0 && now() < limit; rest())
		;
	ok(kill(-group, 0) != 0, "with all that it has begun");
	stress_across_end(&a, &o);
	is_string(o.across_words, "killed by SIGKILL", "that is told");
}

/* What cannot be started has failed, and is tried again when it is due: nothing is waited
 * for. */
static void
test_no_process(void)
{
	struct run    run = run_of("exit 0");
	struct across a;
	struct rlimit none = { 0, 0 };
	uint64_t      begin = now(), next;
	int           status = -1;
	pid_t         pid = fork();

	if (pid == 0) {
		if (setrlimit(RLIMIT_NPROC, &none) != 0 ||
		    (getuid() == 0 && setresuid(65534, 65534, 65534) != 0))
			_exit(99);
		stress_across_begin(&a, &run, shared, begin);
		next = stress_across_tick(&a, begin);
		if (a.pid != 0)
			_exit(98);
		_exit((next == begin + 10000000 ? 0 : 1) | (a.failed == 1 ? 0 : 2) |
		    (strncmp(a.words, "cannot fork", 11) == 0 ? 0 : 4));
	}
	waitpid(pid, &status, 0);
	if (WEXITSTATUS(status) >= 98)
		skip(1, "nothing keeps processes from being started here");
	else
		is_number(status, 0, "a command that cannot be started");
}

int
main(void)
{
	shared = calloc(1, sizeof *shared + sizeof shared->of[0]);
	if (shared == NULL)
		return 1;
	test_none();
	test_runs();
	test_failures();
	test_losses();
	test_bounds();
	test_no_process();
	free(shared);
	return done_testing();
}
