/* SPDX-License-Identifier: BSD-2-Clause */
/* run: the command line of weir-stress: what is read, and what contradicts itself. */
#include "stress/run.h"

#include <getopt.h>
#include <unistd.h>

#include "stress/mode.h"
#include "unit/tap.h"

static struct run run;
static char      *told;		/* what the last one said on stderr */

/* Reads a command line of words; returns what stress_run_read does. */
static int
read_line(const char *line)
{
	char  copy[512], *rest = copy, *word, *argv[64];
	int   argc = 0, result, saved;
	FILE *out = tmpfile();
	long  size;

	argv[argc++] = (char[]){ "weir-stress" };
	snprintf(copy, sizeof copy, "%s", line);
	while ((word = strsep(&rest, " ")) != NULL)
		argv[argc++] = word;
	argv[argc] = NULL;
	fflush(stderr);
	saved = dup(STDERR_FILENO);
	dup2(fileno(out), STDERR_FILENO);
	optind = 0;	/* getopt begins anew */
	free(run.sources);
	result = stress_run_read(&run, argc, argv);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	size = lseek(fileno(out), 0, SEEK_END);
	free(told);
	told = calloc(1, (size_t)size + 1);
	ok(told != NULL && pread(fileno(out), told, (size_t)size, 0) == size, "%s", line);
	fclose(out);
	return result;
}

static void
good(void)
{
	is_number(read_line("echo 127.0.0.1:7"), 0, "is enough");
	is_string(told, "", "and nothing is told");
	ok(run.connections == 50 && run.workers == 1 && run.depth == 1 && run.size == 64 &&
		run.timeout == 10000 && run.pacing == PACE_CLOSED && run.seed == 1 &&
		run.step_count == 0 && run.duration == 0 && run.requests == 0,
	    "the defaults");

	is_number(read_line("line -c 10 -n 500 -s 4k -p 16 -w 2 -t 500ms -r 0.5 [::1]:7"), 0,
	    "is good");
	ok(run.connections == 10 && run.requests == 500 && run.size == 4096 && run.depth == 16 &&
		run.workers == 2 && run.timeout == 500 && run.ramp > 0.49 && run.ramp < 0.51,
	    "values are read");
	is_string(run.target_name, "[::1]:7", "and the target");

	is_number(read_line("idle -c 10,100,1000 --hold 5m unix:/x"), 0, "is good");
	ok(run.step_count == 3 && run.steps[1].connections == 100 && run.steps[2].hold == 300000 &&
		run.connections == 1000,
	    "stations");

	is_number(read_line("127.0.0.1:7 echo --rate=100"), 2, "is the wrong way round");
	is_number(read_line("echo --rate=1000.5 127.0.0.1:7"), 0, "is good");
	ok(run.pacing == PACE_FIXED && run.rate > 1000.4 && run.rate < 1000.6, "an open loop");
	is_number(read_line("echo 127.0.0.1:7 --rate 1000 --poisson"), 0, "is good");
	ok(run.pacing == PACE_POISSON, "at random");
	is_number(read_line("echo 127.0.0.1:7 --slo p99<5ms"), 0, "is good");
	ok(run.pacing == PACE_FIXED && run.duration > 0,
	    "a search is in an open loop, with an end");
	is_number(read_line("echo --source 127.0.1.1 --source 127.0.1.2 127.0.0.1:7"), 0,
	    "is good: sources add up");
	is_number(run.source_count, 2, "two");
	is_number(read_line("idle --seed 5 -q -q 127.0.0.1:7"), 0, "is good");
	is_number(read_line("line --poisson --rate 5 --seed 5 127.0.0.1:7"), 0, "is good");
	is_number(read_line("bulk 127.0.0.1:7 --rate 10m --way out"), 0, "is good");
	ok(run.rate > 10485759 && run.rate < 10485761 && run.way == WAY_OUT && run.size == 64 << 20,
	    "bulk has bytes, and a size of its own");
}

static void
sources(void)
{
	char text[ADDR_TEXT_MAX];

	is_number(read_line("echo --source 127.0.1.254-127.0.2.1,127.0.9.9 127.0.0.1:7"), 0,
	    "is good");
	is_number(run.source_count, 5, "five addresses");
	ok(strncmp(addr_print(&run.sources[2], text), "127.0.2.0:", 10) == 0, "over a border: %s",
	    text);
	is_number(read_line("echo --source ::1-::ff [::1]:7"), 0, "is good");
	is_number(run.source_count, 255, "255 addresses");
	is_number(read_line("echo --source 127.0.0.2-127.0.0.1 127.0.0.1:7"), 2, "is backwards");
	is_number(read_line("echo --source 127.0.0.1-127.255.0.1 127.0.0.1:7"), 2, "is too much");
	is_number(read_line("echo --source 127.0.0.1,::1 127.0.0.1:7"), 2, "is of two families");
	is_number(read_line("echo --source ::1 127.0.0.1:7"), 2, "is of another family");
	is_number(read_line("echo --source 127.0.0.1 unix:/x"), 2, "is of another family");
	is_number(read_line("echo --source 127.0.0.1:80 127.0.0.1:7"), 2, "has a port");
	is_number(read_line("echo --source 127.0.0.1, 127.0.0.1:7"), 2, "lacks one");
}

/* What is wrong with a value is told once, and no other complaint follows from it. */
static void
once(void)
{
	static const char *const lines[] = { "echo --rate abc 127.0.0.1:7",
		"echo --rate abc --poisson 127.0.0.1:7", "echo -c x --hold 5s 127.0.0.1:7",
		"echo -c 0 -w 60 127.0.0.1:7", "echo -w x 127.0.0.1:7", "echo -w 65 127.0.0.1:7",
		"bulk --rate abc 127.0.0.1:7", "echo --way up 127.0.0.1",
		"line --seed x 127.0.0.1:7",
		"line --expect errors==0 --expect lost==0 127.0.0.1:7",
		"idle --watch me 127.0.0.1:7",
		"line --slo p99<5ms --poisson --seed 4 -n 4 127.0.0.1:7" };

	for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		unsigned told_lines = 0;

		is_number(read_line(lines[i]), 2, "is refused");
		for (const char *at = told; (at = strchr(at, '\n')) != NULL; at++)
			told_lines++;
		if (strstr(lines[i], "--way") != NULL)
			told_lines -= 2;	/* of another mode, and a port is missing */
		if (!ok(told_lines == 2, "once, and where there is help"))
			diag("%s", told);
	}
}

static void
bad(void)
{
	static const char *const lines[] = {
		"", "echo", "ech 127.0.0.1:7", "echo 127.0.0.1", "echo 7", "echo 127.0.0.1:7 more",
		"echo 127.0.0.1:0", "echo -c 0 127.0.0.1:7", "echo -c 5,5 127.0.0.1:7",
		"echo -c 1,x 127.0.0.1:7", "echo -c -1 127.0.0.1:7", "echo -n 1k 127.0.0.1:7",
		"echo -d 5x 127.0.0.1:7", "echo -d 0 127.0.0.1:7", "echo -p 0 127.0.0.1:7",
		"echo -w 51 127.0.0.1:7", "echo -c 9 -w 10 127.0.0.1:7",
		"echo -w 65 -c 100 127.0.0.1:7",
		"echo --rate 0 127.0.0.1:7", "echo --rate -5 127.0.0.1:7",
		"echo --rate 1e3 127.0.0.1:7",
		"echo --poisson 127.0.0.1:7", "idle --rate 5 127.0.0.1:7", "idle -n 5 127.0.0.1:7",
		"idle -p 5 127.0.0.1:7", "churn -r 5 127.0.0.1:7", "churn -p 5 127.0.0.1:7",
		"echo --hold 5s 127.0.0.1:7", "echo -c 1,2 -d 5s 127.0.0.1:7",
		"echo -c 1,2 -n 5 127.0.0.1:7", "churn -c 1,2 127.0.0.1:7",
		"bulk -c 1,2 127.0.0.1:7",
		"echo --every 5s 127.0.0.1:7", "echo --failure x 127.0.0.1:7",
		"line -s 31 127.0.0.1:7", "echo --slo p99<5ms -n 5 127.0.0.1:7",
		"echo --slo p99<5ms --expect p99<5ms 127.0.0.1:7", "bulk --slo p99<5ms 127.0.0.1:7",
		"echo --slo p99<5ms -c 1,2 127.0.0.1:7", "echo --json x --hgrm x 127.0.0.1:7",
		"echo --watch me 127.0.0.1:7", "echo --nonsense 127.0.0.1:7", "echo -c",
		"echo -Z 127.0.0.1:7",
		"echo -q=5 127.0.0.1:7", "echo --quiet=5 127.0.0.1:7", "bulk --way up 127.0.0.1:7",
		"echo --plan --force 127.0.0.1:7", "echo --seed 5 127.0.0.1:7",
		"echo -c 5 -c 6 127.0.0.1:7", "echo --json a --json b 127.0.0.1:7",
		"echo --expect errors==0 --expect lost==0 127.0.0.1:7",
		"echo --way in 127.0.0.1:7", "slowloris -p 3 127.0.0.1:7", "echo -s 2g 127.0.0.1:7",
	};
	unsigned                 silent = 0;

	for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		is_number(read_line(lines[i]), 2, "is refused");
		silent += strncmp(told, "weir-stress: ", 13) != 0;
	}
	is_number(silent, 0, "and each says why");

	is_number(read_line("echp --timeuot 5s -c 0 -p x -n 1y --poisson localhost"), 2,
	    "is all wrong");
	ok(strstr(told, "did you mean echo") != NULL &&
		strstr(told, "did you mean --timeout") != NULL && strstr(told, "-c 0") != NULL &&
		strstr(told, "-p x") != NULL && strstr(told, "-n 1y") != NULL &&
		strstr(told, "localhost") != NULL,
	    "and told so at once");
}

int
main(void)
{
	good();
	once();
	sources();
	bad();
	free(told);
	free(run.sources);
	return done_testing();
}
