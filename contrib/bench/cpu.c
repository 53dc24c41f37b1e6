/* SPDX-License-Identifier: BSD-2-Clause */
/* What processes took of the processor, from /proc. */
#include "cpu.h"

#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What comes after the name in /proc/PID/stat, up to the user and system time. */
#define STAT_TIMES " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu"

static void read_line(const char *path, char *line, size_t size);

struct cpu
cpu_of(const pid_t *pids, size_t count)
{
	struct cpu sum = { 0 };
	char path[64], line[1024], *after;
	unsigned long long ns, user, sys, steal;

	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pids[i]);
		read_line(path, line, sizeof(line));
		if (sscanf(line, "%llu", &ns) != 1) {
			die("%s", path);
		}
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pids[i]);
		read_line(path, line, sizeof(line));
		after = strrchr(line, ')');	/* the name before it may hold anything */
		if (after == NULL || sscanf(after + 1, STAT_TIMES, &user, &sys) != 2) {
			die("%s", path);
		}
		sum.secs += (double)ns / 1e9;
		sum.user += (double)user;
		sum.sys += (double)sys;
	}
	read_line("/proc/stat", line, sizeof(line));
	if (sscanf(line, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1) {
		die("/proc/stat");
	}
	sum.steal = (double)steal / (double)sysconf(_SC_CLK_TCK);
	return sum;
}

static void
read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");

	if (f == NULL || fgets(line, (int)size, f) == NULL) {
		die("%s", path);
	}
	fclose(f);
}
