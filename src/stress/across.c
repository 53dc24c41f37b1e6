/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * across: a command that is run again and again during the load.
 *
 *	begin ──► it runs ──► end ──► echo ──────────┐
 *	  ▲         losses are its own               │ losses are others'
 *	  └───────────── --every ────────────────────┘
 */
#include "stress/across.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "stress/outcome.h"
#include "stress/run.h"
#include "stress/tally.h"

#define MS 1000000u

static void losses_count(struct across *);
static void across_echo_over(struct across *);
static void across_run(struct across *, uint64_t now_ns);
static _Noreturn void across_exec(const struct across *);
static bool across_reap(struct across *, uint64_t now_ns);
static void across_run_ended(struct across *, int status, uint64_t now_ns);
static void across_describe(struct across *, int status);

void
stress_across_begin(struct across *a, const struct run *run, const struct shared *shared,
    uint64_t now_ns)
{
	*a = (struct across){ .run = run, .shared = shared, .output = -1, .next = now_ns };
	if (run->across == NULL)
		return;
	a->before = calloc(1, sizeof *a->before);
	a->now = calloc(1, sizeof *a->now);
	losses_count(a);
	a->other = a->during = (struct losses){ 0, 0 };
}

uint64_t
stress_across_tick(struct across *a, uint64_t now_ns)
{
	uint64_t echo;

	if (a->run->across == NULL)
		return UINT64_MAX;
	losses_count(a);
	if (a->pid != 0 && !across_reap(a, now_ns)) {
		if (now_ns < a->began + (uint64_t)ACROSS_LIMIT_MS * MS)
			return a->began + (uint64_t)ACROSS_LIMIT_MS * MS;
		kill(-a->pid, SIGKILL);
		return now_ns + 100 * MS;
	}
	echo = a->ended + (uint64_t)ACROSS_ECHO_MS * MS;
	if (a->ended != 0 && (now_ns >= echo || now_ns >= a->next))
		across_echo_over(a);
	if (now_ns >= a->next) {
		across_run(a, now_ns);
		return a->pid != 0 ? a->began + (uint64_t)ACROSS_LIMIT_MS * MS : a->next;
	}
	return a->ended != 0 && echo < a->next ? echo : a->next;
}

void
stress_across_end(struct across *a, struct outcome *o)
{
	uint64_t        limit = clock_ns() + (uint64_t)ACROSS_END_MS * MS;
	struct timespec wait = { 0, 10 * MS };
	sigset_t        enough;

	sigemptyset(&enough);
	sigaddset(&enough, SIGINT);
	sigaddset(&enough, SIGTERM);
	sigaddset(&enough, SIGHUP);
	if (a->run->across == NULL)
		return;
	losses_count(a);
	while (a->pid != 0 && !across_reap(a, clock_ns())) {
		if (clock_ns() < limit && sigtimedwait(&enough, NULL, &wait) < 0)
			continue;
		kill(-a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);	/* what has been killed by SIGKILL ends */
		a->pid = 0;
		a->runs++;
		a->failed++;
		a->ended = limit;
	}
	losses_count(a);
	across_echo_over(a);
	if (a->output >= 0)
		close(a->output);
	free(a->before);
	free(a->now);
	a->before = a->now = NULL;
	a->output = -1;
	o->acrossed = true;
	o->across_runs = a->runs;
	o->across_failed = a->failed;
	o->across_faults = a->during.faults;
	o->across_lost = a->during.requests;
	o->across_other = a->other.faults + a->other.requests;
	o->across_time = a->longest;
	o->across_max = a->slowest;
	memcpy(o->across_words, a->words, sizeof o->across_words);
}

/* What has been lost since it was last called is put where it belongs. */
static void
losses_count(struct across *a)
{
	struct losses  now = { 0, 0 };
	struct losses *into = a->pid != 0 || a->ended != 0 ? &a->during : &a->other;

	for (unsigned w = 0; w < a->run->workers; w++) {
		const struct tally *t = &a->shared->of[w];

		now.faults += stress_tally_errors(t);
		now.requests += atomic_load_explicit(&t->lost, memory_order_relaxed);
	}
	into->faults += now.faults - a->seen.faults;
	into->requests += now.requests - a->seen.requests;
	a->seen = now;
}

static void
across_echo_over(struct across *a)
{
	uint64_t slowest;
	bool     counted = a->ended != 0;

	a->ended = 0;
	if (!counted || a->before == NULL || a->now == NULL)
		return;
	stress_tally_latencies(a->shared, a->run->workers, a->now);
	stress_hist_since(a->now, a->now, a->before);
	slowest = atomic_load_explicit(&a->now->max, memory_order_relaxed);
	if (slowest > a->slowest)
		a->slowest = slowest;
}

static void
across_run(struct across *a, uint64_t now_ns)
{
	if (a->before != NULL)
		stress_tally_latencies(a->shared, a->run->workers, a->before);
	/* A file in memory: it can neither fill up nor break like a pipe that a
	 * daemon, started by the command, goes on writing to. */
	if (a->output >= 0)
		close(a->output);
	a->output = memfd_create("across", MFD_CLOEXEC);
	a->began = now_ns;
	a->pid = fork();
	if (a->pid == 0)
		across_exec(a);
	if (a->pid < 0) {
		a->pid = 0;
		a->runs++;
		if (a->failed++ == 0)
			snprintf(a->words, sizeof a->words, "cannot fork: %s", strerror(errno));
		a->next = now_ns + a->run->across_interval * MS;
		return;
	}
	setpgid(a->pid, a->pid);	/* whoever of us is first */
}

static _Noreturn void
across_exec(const struct across *a)
{
	int      null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(a->output >= 0 ? a->output : null, STDOUT_FILENO);
	dup2(a->output >= 0 ? a->output : null, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", a->run->across, (char *)NULL);
	dprintf(STDERR_FILENO, "/bin/sh: %s\n", strerror(errno));
	_exit(127);
}

/* Whether the command has ended. */
static bool
across_reap(struct across *a, uint64_t now_ns)
{
	int   status;
	pid_t pid = waitpid(a->pid, &status, WNOHANG);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return false;
	/* Somebody else has reaped it: its status is lost. */
	across_run_ended(a, pid < 0 ? 0 : status, now_ns);
	return true;
}

static void
across_run_ended(struct across *a, int status, uint64_t now_ns)
{
	uint64_t took = now_ns - a->began;

	a->pid = 0;
	a->ended = now_ns;
	a->next = now_ns + a->run->across_interval * MS;
	a->runs++;
	if (took > a->longest)
		a->longest = took;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		if (a->failed++ == 0)
			across_describe(a, status);
	}
}

/* "status 1: weir: no such file": how it ended, and the last line it said. */
static void
across_describe(struct across *a, int status)
{
	char    text[1024], how[64];
	off_t   size = a->output >= 0 ? lseek(a->output, 0, SEEK_END) : 0;
	ssize_t n = 0;
	char   *line = text;

	if (size > 0)
		n = pread(a->output, text, sizeof text - 1,
		    size > (off_t)sizeof text - 1 ? size - ((off_t)sizeof text - 1) : 0);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n > 0 ? n : 0] = '\0';
	if (strrchr(text, '\n') != NULL)
		line = strrchr(text, '\n') + 1;
	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		snprintf(how, sizeof how, "status %d", WEXITSTATUS(status));
	n = snprintf(a->words, sizeof a->words, "%s%s", how, *line != '\0' ? ": " : "");
	str_printable(span_of(line), a->words + n, sizeof a->words - (size_t)n);
}
