/* SPDX-License-Identifier: BSD-2-Clause */
/* plan: ports that are left of a range; what is refused and what is said of it. */
#include "stress/plan.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress/mode.h"
#include "stress/run.h"

#include "unit/tap.h"

#define PORTS_NEEDED 1000000u	/* more than any range has */

static const struct {
	const char *range;
	const char *reserved;
	uint32_t    ports;
} ranges[] = {
	{ "32768\t60999\n", "\n", 28232 },
	{ "32768\t60999\n", "", 28232 },
	{ "1024 65535", "", 64512 },
	{ "5000 5000", "", 1 },
	{ "5000 5009", "5001", 9 },
	{ "5000 5009", "4000,5001,5005-5006,9000\n", 7 },
	{ "5000 5009", "4990-5001,5008-6000", 6 },
	{ "5000 5009", "1-65535", 0 },
	{ "5009 5000", "", 0 },
	{ "5000 70000", "", 0 },
	{ "5000", "", 0 },
	{ "", "", 0 },
};

static const struct mode idle = { .name = "idle", .paced = true, .takes = "s" };

static struct run
run_of(const char *target)
{
	struct run run = { .mode = &idle, .workers = 1, .connections = 10, .size = 64, .depth = 1 };

	if (addr_parse(&run.target, target, NULL) != NULL)
		diag("%s is not read", target);
	snprintf(run.target_name, sizeof run.target_name, "%s", target);
	return run;
}

/* What it says, and its status behind it. */
static const char *
planned(const struct run *run, uint64_t descriptors)
{
	static char   text[8192];
	struct rlimit limit = { descriptors, descriptors };
	int           ends[2], status;
	size_t        length = 0;
	ssize_t       n;
	pid_t         pid;

	if (pipe(ends) != 0)
		return "";
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		/* Without a privilege to raise it again. */
		if (descriptors > 0 &&
		    (setrlimit(RLIMIT_NOFILE, &limit) != 0 ||
			(getuid() == 0 && setresuid(65534, 65534, 65534) != 0)))
			_exit(99);
		status = stress_plan_check(run);
		fflush(stdout);
		_exit(status);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + length, sizeof text - 16 - length)) > 0)
		length += (size_t)n;
	close(ends[0]);
	waitpid(pid, &status, 0);
	snprintf(text + length, 16, "status %d", WEXITSTATUS(status));
	return text;
}

static void
says(const char *text, const char *part, const char *name)
{
	if (strcmp(text, "status 99") == 0)
		skip(1, "the limit on open files cannot be lowered here");	/* valgrind */
	else if (!ok(strstr(text, part) != NULL, "%s: %.30s", name, part))
		diag("%s", text);
}

static void
test_ranges(void)
{
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
		is_number(stress_plan_ports(ranges[i].range, ranges[i].reserved), ranges[i].ports,
		    "range \"%.11s\" without \"%.20s\"", ranges[i].range, ranges[i].reserved);
}

static void
test_plans(void)
{
	struct run  run = run_of("127.0.0.1:7000");
	const char *text;

	is_string(planned(&run, 0), "status 0", "a small run goes on without a word");
	run.plan_only = true;
	text = planned(&run, 0);
	says(text, "10 connections to 127.0.0.1:7000 (on this machine), 1 process", "the plan");
	says(text, "This run can succeed.", "the plan");
	run.connections = 200;
	text = planned(&run, 128);
	says(text, "descriptors", "too few descriptors");
	says(text, "MISSING", "too few descriptors");
	says(text, "-w 2, or", "too few descriptors");
	says(text, "ulimit -n 220", "too few descriptors");
	says(text, "This run cannot succeed.", "too few descriptors");
	run.workers = 4;
	says(planned(&run, 128), "status 0", "with more processes they are enough");
	run.plan_only = false;
	run.workers = 1;
	text = planned(&run, 128);
	says(text, "weir-stress: this run cannot succeed (--force", "without --plan");
	says(text, "status 1", "without --plan");
	ok(strstr(text, "  ok  ") == NULL, "only what is missing is told");
	run.force = true;
	says(planned(&run, 128), "status 0", "--force");
}

static void
test_ports(void)
{
	struct run  run = run_of("127.0.0.1:7000");
	const char *text;
	struct addr sources[2];

	run.connections = PORTS_NEEDED;
	run.workers = 64;
	run.plan_only = true;
	text = planned(&run, 0);
	says(text, "1 source with ", "too few ports");
	says(text, "--source 127.0.1.1-127.0.1.", "too few ports");
	run.connections = 10;
	if (addr_parse(&sources[0], "127.0.1.1:1", NULL) != NULL ||
	    addr_parse(&sources[1], "203.0.113.77:1", NULL) != NULL)
		diag("sources are not read");
	sources[0].in.sin_port = sources[1].in.sin_port = 0;
	run.sources = sources;
	run.source_count = 2;
	text = planned(&run, 0);
	says(text, "203.0.113.77 is no address of this machine", "a source that is not here");
	says(text, "status 1", "a source that is not here");
	run = run_of("unix:/nowhere");
	run.connections = PORTS_NEEDED;
	run.plan_only = true;
	ok(strstr(planned(&run, 0), "ports") == NULL, "UNIX sockets have no ports");
}

/* The line of memory, of 10,000 connections. */
static void
memory_line(unsigned depth, uint64_t size, char out[256])
{
	struct run  run = run_of("127.0.0.1:7000");
	const char *text;

	run.connections = 10000;
	run.workers = 10;
	run.depth = depth;
	run.size = size;
	run.plan_only = true;
	text = strstr(planned(&run, 0), "  memory ");
	snprintf(out, 256, "%.*s", text != NULL ? (int)strcspn(text, "\n") : 0,
	    text != NULL ? text : "");
	/* What there is changes meanwhile. */
	if (strstr(out, "about") != NULL)
		memmove(out, strstr(out, "about"), strlen(strstr(out, "about")) + 1);
}

static double
ours(const char *line)
{
	double value = 0;
	char   unit[8] = "";

	if (sscanf(line, "about %lf %7s", &value, unit) != 2)
		diag("%s", line);
	return value * (unit[0] == 'K' ? 1 << 10 : unit[0] == 'M' ? 1 << 20 : 1 << 30);
}

static void
test_memory(void)
{
	char a[256], b[256];

	memory_line(65, 1, a);
	memory_line(128, 1, b);
	ok(ours(a) > 0 && ours(a) >= ours(b) && ours(a) <= ours(b),
	    "a ring of 65 requests takes as much as one of 128: %s", a);
	memory_line(1, 1 << 20, a);
	ok(ours(a) > 10000.0 * (1 << 18), "what a socket does not take counts: %s", a);
	memory_line(1, 64, b);
	ok(ours(b) < 10000.0 * 2048, "and only that: %s", b);
}

int
main(void)
{
	test_ranges();
	test_plans();
	test_ports();
	test_memory();
	return done_testing();
}
