/* SPDX-License-Identifier: BSD-2-Clause */
/* watch: what proc(5) says of a process, and of real ones. */
#include "stress/watch.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stress/outcome.h"

#include "unit/tap.h"

#define MEGABYTES 48u
#define BURN_US   60000u

static void
test_texts(void)
{
	struct watch_stat stat = { 0 };
	uint64_t          ns = 0, bytes = 0;

	ok(stress_watch_parse_stat(
	       "42 (a) b) S) S 1 42 42 0 -1 4194560 1129 0 12 0 30 12 7 8 20 0 1 0 "
			    "123456 2351104 874 18446744073709551615\n",
	       &stat) == 0,
	    "a stat with brackets in its name is read");
	is_number(stat.ticks, 42, "user and system time");
	is_number(stat.ended, 15, "that of children that have ended");
	is_number(stat.start, 123456, "when it began");
	ok(!stat.dead, "it lives");
	ok(stress_watch_parse_stat("42 (weir S 1", &stat) < 0, "what is none is none");
	ok(stress_watch_parse_stat("42 (weir) S 1 2", &stat) < 0, "nor half of one");
	ok(stress_watch_parse_schedstat("123456789 55 66\n", &ns) == 0 && ns == 123456789,
	    "a schedstat");
	ok(stress_watch_parse_schedstat("\n", &ns) < 0, "nothing is no schedstat");
	ok(stress_watch_parse_memory("00400000-7ffe [rollup]\nRss:    1234 kB\nPss:     567 kB\n"
			      "Pss_Dirty:  8 kB\n",
	       "Pss", &bytes) == 0 &&
		bytes == 567 * 1024,
	    "Pss of many fields");
	ok(stress_watch_parse_memory("Rss: 1234 kB\n", "Pss", &bytes) < 0,
	    "one that is not there");
	ok(stress_watch_parse_memory("Pss: much\n", "Pss", &bytes) < 0, "one without a number");
}

/* µs that this process has used. */
static uint64_t
used(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* From now on, whatever forking cost: that was before anybody looked. Returns µs. */
static uint64_t
burn(void)
{
	uint64_t began = used();

	while (used() - began < BURN_US)
		;
	return used() - began;
}

/* µs: proc(5) counts user and system time in whole ticks each. */
static uint64_t
rounding(void)
{
	return 2 * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Whether this is what was used, as proc(5) tells it, and what went on beside it: forking,
 * writing, ending. */
static bool
is_used(uint64_t us, uint64_t least)
{
	return us + rounding() >= least && us < least + 5000000;
}

/* A child with a child, which takes memory and CPU when it is told to, and says how much. First
 * it says that it is there: a process that comes later shares, and so divides, the pages of the
 * others. */
static pid_t
family(int go, int done)
{
	pid_t    pid = fork();
	uint64_t burnt = 0, began;
	char     byte = 0, *memory;

	if (pid != 0)
		return pid;
	if (fork() == 0) {
		if (write(done, &burnt, sizeof burnt) < 0 || read(go, &byte, 1) != 1)
			_exit(1);
		began = used();
		memory = mmap(NULL, MEGABYTES << 20, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(memory, 1, MEGABYTES << 20);
		burn();
		burnt = used() - began;
		if (write(done, &burnt, sizeof burnt) < 0)
			_exit(1);
		pause();
	}
	pause();
	_exit(0);
}

static void
test_family(void)
{
	int                 go[2], done[2];
	pid_t               pid;
	uint64_t            burnt = 0;
	struct stress_watch w;
	struct outcome      o = { .open = 1 };

	if (pipe(go) != 0 || pipe(done) != 0)
		return;
	pid = family(go[0], done[1]);
	if (read(done[0], &burnt, sizeof burnt) != sizeof burnt)
		diag("the child does not come");
	is_number(stress_watch_open(&w, pid), 0, "a process is watched");
	stress_watch_measuring(&w);
	if (write(go[1], "", 1) != 1 || read(done[0], &burnt, sizeof burnt) != sizeof burnt)
		diag("the child does not answer");
	/* While it has not gone to sleep, proc(5) may be a while behind. */
	for (unsigned i = 0; i < 10000 && o.server_cpu + rounding() < burnt; i++) {
		stress_watch_measured(&w);
		stress_watch_outcome(&w, &o);
		usleep(1000);
	}
	ok(o.watched && !o.server_gone, "it is there");
	is_number(o.server_processes, 2, "with its child");
	ok(is_used(o.server_cpu, burnt), "the child's CPU: %" PRIu64 " us of %" PRIu64,
	    o.server_cpu, burnt);
	ok(o.server_grown >= (int64_t)(MEGABYTES << 20) &&
		o.server_grown < (int64_t)((MEGABYTES + 8) << 20),
	    "the child's memory: %" PRId64 " bytes of at least %u", o.server_grown,
	    MEGABYTES << 20);
	ok(o.server_memory >= (uint64_t)o.server_grown, "the most there was");
	kill(w.of[1].pid, SIGKILL);
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	stress_watch_sample(&w);
	ok(w.gone, "that it ends is seen, even if nobody waits for it");
	waitpid(pid, NULL, 0);
	stress_watch_measured(&w);
	stress_watch_outcome(&w, &o);
	ok(o.server_gone, "that it ends is seen");
	ok(is_used(o.server_cpu, burnt), "what it has used is not forgotten");
	ok(o.server_memory >= MEGABYTES << 20, "nor what it had");
	is_number(o.server_grown, 0, "nothing is said of what it has grown");
	errno = 0;
	ok(stress_watch_open(&w, pid) < 0 && errno == ESRCH, "who is not there is not watched");
}

/* A server that replaces its children, as at a reload: what they have used counts, also
 * when they were never seen, and never less than before. */
static void
test_replaced(void)
{
	int                 go[2], done[2];
	struct stress_watch w;
	struct outcome      o = { .open = 1 };
	uint64_t            before, burnt = 0, reaped, sum = 0;
	pid_t               pid;
	char                byte = 0;

	if (pipe(go) != 0 || pipe(done) != 0)
		return;
	pid = fork();
	if (pid == 0) {
		while (read(go[0], &byte, 1) == 1) {
			pid_t child = fork();

			if (child == 0) {
				burnt = burn();
				_exit(write(done[1], &burnt, sizeof burnt) < 0);
			}
			waitpid(child, NULL, 0);
			if (write(done[1], &(uint64_t){ 0 }, sizeof(uint64_t)) < 0)
				_exit(1);
		}
		_exit(0);
	}
	is_number(stress_watch_open(&w, pid), 0, "a process is watched");
	stress_watch_measuring(&w);
	for (unsigned i = 1; i <= 3; i++) {
		before = w.cpu;
		if (write(go[1], &byte, 1) != 1 ||
		    read(done[0], &burnt, sizeof burnt) != sizeof burnt ||
		    read(done[0], &reaped, sizeof reaped) != sizeof reaped)
			diag("it does not answer");
		sum += burnt;
		stress_watch_sample(&w);
		ok(is_used(w.cpu - before, burnt),
		    "a child that was never seen counts: %" PRIu64 " us of %" PRIu64,
		    w.cpu - before, burnt);
	}
	stress_watch_measured(&w);
	stress_watch_outcome(&w, &o);
	ok(is_used(o.server_cpu, sum), "and all together: %" PRIu64 " us of %" PRIu64, o.server_cpu,
	    sum);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
test_nobody(void)
{
	struct stress_watch w;
	struct outcome      o = { .open = 1 };

	is_number(stress_watch_open(&w, 0), 0, "nobody is watched");
	stress_watch_sample(&w);
	stress_watch_measuring(&w);
	stress_watch_measured(&w);
	stress_watch_outcome(&w, &o);
	ok(!o.watched, "and nothing is said of nobody");
	is_number(stress_watch_grown(&w), 0, "who has no weight");
}

int
main(void)
{
	test_texts();
	test_family();
	test_replaced();
	test_nobody();
	return done_testing();
}
