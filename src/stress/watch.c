/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch: CPU and memory of a server and its children, from proc(5).
 *
 *	CPU      schedstat of each thread (ns), or stat of the process (clock ticks, but
 *	         of threads that have ended, too): whichever says more. What a child used
 *	         between its last sample and its end is told by its parent's stat
 *	memory   Pss of smaps_rollup: what several processes share counts once; it makes
 *	         the kernel walk through all pages, so it is done now and then only.
 *	         Rss of statm when that file may not be read
 */
#include "stress/watch.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "stress/outcome.h"
#include "stress/procfs.h"

#define TEXT_MAX     4096
#define CHILDREN_MAX 16384	/* bytes of a list */

static void stress_watch_take_sample(struct stress_watch *, bool first);
static uint64_t stress_watch_weigh(struct stress_watch *);
static uint64_t stress_watch_weigh_one(pid_t, uint64_t *own);
static void stress_watch_count_ended(struct stress_watch *);
static int stress_watch_look(struct stress_watch *, pid_t, pid_t parent, bool first);
static void stress_watch_find_children(struct stress_watch *, pid_t, bool first);
static int stress_watch_stat_read(pid_t, struct watch_stat *);
static uint64_t stress_watch_threads_cpu(pid_t);

int
stress_watch_open(struct stress_watch *w, pid_t pid)
{
	struct watch_stat stat;

	memset(w, 0, sizeof *w);
	if (pid == 0)
		return 0;
	if (stress_watch_stat_read(pid, &stat) != 0)
		return -1;
	if (stat.dead) {
		errno = ESRCH;
		return -1;
	}
	w->root = pid;
	stress_watch_take_sample(w, true);
	w->base_memory = stress_watch_weigh(w);
	return 0;
}

void
stress_watch_sample(struct stress_watch *w)
{
	uint64_t now, took;

	if (w->root == 0)
		return;
	stress_watch_take_sample(w, false);
	now = clock_ns();
	if (now < w->weigh_at)
		return;
	(void)stress_watch_weigh(w);
	took = clock_ns() - now;
	w->weigh_at = now + (uint64_t)((double)took / WATCH_SHARE);
}

void
stress_watch_measuring(struct stress_watch *w)
{
	if (w->root != 0)
		stress_watch_take_sample(w, false);
	w->base_cpu = w->measured_cpu = w->cpu;
}

void
stress_watch_measured(struct stress_watch *w)
{
	if (w->root != 0)
		stress_watch_take_sample(w, false);
	w->measured_cpu = w->cpu;
}

void
stress_watch_outcome(struct stress_watch *w, struct outcome *o)
{
	if (w->root == 0)
		return;
	o->server_grown = stress_watch_grown(w);
	o->watched = true;
	o->server_cpu = w->measured_cpu - w->base_cpu;
	o->server_memory = w->memory;
	o->server_processes = w->count;
	o->server_gone = w->gone;
}

int64_t
stress_watch_grown(struct stress_watch *w)
{
	uint64_t own = stress_watch_weigh(w);

	return w->root == 0 || w->gone ? 0 : (int64_t)(own - w->base_memory);
}

/* «pid (any name) S ppid …»: utime and stime are the 14th and 15th, those of children
 * the next two, starttime the 22nd. */
int
stress_watch_parse_stat(const char *text, struct watch_stat *stat)
{
	const char *at = strrchr(text, ')');
	uint64_t    user, system, ended_user, ended_system;
	char        state;

	if (at == NULL ||
	    sscanf(at + 1,
		" %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64
		" %" SCNu64 " %*d %*d %*d %*d %" SCNu64,
		&state, &user, &system, &ended_user, &ended_system, &stat->start) != 6)
		return -1;
	stat->ticks = user + system;
	stat->ended = ended_user + ended_system;
	stat->dead = state == 'Z' || state == 'X';
	return 0;
}

int
stress_watch_parse_schedstat(const char *text, uint64_t *ns)
{
	return sscanf(text, "%" SCNu64 " %*u %*u", ns) == 1 ? 0 : -1;
}

int
stress_watch_parse_memory(const char *text, const char *field, uint64_t *bytes)
{
	size_t   n = strlen(field);
	uint64_t k;

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += line != text;
		if (strncmp(line, field, n) == 0 && line[n] == ':') {
			if (sscanf(line + n + 1, " %" SCNu64 " kB", &k) != 1)
				return -1;
			*bytes = k * 1024;
			return 0;
		}
	}
	return -1;
}

static void
stress_watch_take_sample(struct stress_watch *w, bool first)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < w->count; i++)
		w->of[i].seen = false;
	if (stress_watch_look(w, w->root, 0, first) != 0)
		w->gone = true;
	if (!first)
		stress_watch_count_ended(w);
	for (unsigned i = 0; i < w->count; i++) {
		if (w->of[i].seen)
			w->of[kept++] = w->of[i];
	}
	w->count = kept;
}

/* What children have used since they were last looked at, or without ever having been: all
 * that their parent knows of, but for what is known already. */
static void
stress_watch_count_ended(struct stress_watch *w)
{
	for (unsigned i = 0; i < w->count; i++) {
		struct watched *p = &w->of[i];
		uint64_t        grown = p->ended - p->ended_before, known = 0;

		p->ended_before = p->ended;
		if (!p->seen || grown == 0)
			continue;
		for (unsigned k = 0; k < w->count; k++) {
			if (!w->of[k].seen && w->of[k].parent == p->pid)
				known += w->of[k].cpu + w->of[k].ended;
		}
		w->cpu += grown > known ? grown - known : 0;
	}
}

/* What a process used before it was first seen counts if it has begun since. */
static int
stress_watch_look(struct stress_watch *w, pid_t pid, pid_t parent, bool first)
{
	struct watched   *p = NULL;
	struct watch_stat stat;
	uint64_t          us, threads;

	if (stress_watch_stat_read(pid, &stat) != 0)
		return -1;
	threads = stress_watch_threads_cpu(pid);
	us = threads > stat.ticks ? threads : stat.ticks;
	for (unsigned i = 0; i < w->count && p == NULL; i++) {
		if (w->of[i].pid == pid && w->of[i].start == stat.start)
			p = &w->of[i];
	}
	if (p == NULL && w->count == WATCH_PROCESSES_MAX)
		return 0;
	if (p == NULL) {
		if (pid == w->root && !first)
			return -1;	/* the number is another process's by now */
		p = &w->of[w->count++];
		*p = (struct watched){ .pid = pid, .start = stat.start, .cpu = first ? us : 0,
			.ended_before = first ? stat.ended : 0 };
	}
	if (p->seen)
		return 0;
	if (pid == w->root && stat.dead)
		w->gone = true;
	p->seen = true;
	p->parent = parent;
	p->ended = stat.ended > p->ended ? stat.ended : p->ended;
	/* Ticks and schedstat do not agree quite: it never goes back. */
	if (us > p->cpu) {
		w->cpu += us - p->cpu;
		p->cpu = us;
	}
	stress_watch_find_children(w, pid, first);
	return 0;
}

/* Each thread's children are its own. Without CONFIG_PROC_CHILDREN there is no such
 * file: then the process is watched alone. */
static void
stress_watch_find_children(struct stress_watch *w, pid_t pid, bool first)
{
	char           path[64], text[CHILDREN_MAX], *at, *end;
	DIR           *threads;
	struct dirent *entry;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	threads = opendir(path);
	if (threads == NULL)
		return;
	while ((entry = readdir(threads)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    stress_procfs_read(text, sizeof text, "%s/%.16s/children", path,
			entry->d_name) != 0)
			continue;
		for (at = text;; at = end) {
			long child = strtol(at, &end, 10);

			if (end == at || *end != ' ')	/* the last may be cut */
				break;
			stress_watch_look(w, (pid_t)child, pid, first);
		}
	}
	closedir(threads);
}

/* Remembers the most there was; returns what is not of files. */
static uint64_t
stress_watch_weigh(struct stress_watch *w)
{
	uint64_t sum = 0, own = 0;

	for (unsigned i = 0; i < w->count; i++)
		sum += stress_watch_weigh_one(w->of[i].pid, &own);
	if (sum > w->memory)
		w->memory = sum;
	return own;
}

static uint64_t
stress_watch_weigh_one(pid_t pid, uint64_t *own)
{
	char     text[TEXT_MAX];
	uint64_t bytes, of_files = 0, resident, shared, page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (stress_procfs_read(text, sizeof text, "/proc/%d/smaps_rollup", (int)pid) == 0 &&
	    stress_watch_parse_memory(text, "Pss", &bytes) == 0) {
		(void)stress_watch_parse_memory(text, "Pss_File", &of_files);
		*own += bytes - of_files;
		return bytes;
	}
	if (stress_procfs_read(text, sizeof text, "/proc/%d/statm", (int)pid) != 0 ||
	    sscanf(text, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2)
		return 0;
	*own += (resident - shared) * page;
	return resident * page;
}

/* In µs. errno is set when it fails. */
static int
stress_watch_stat_read(pid_t pid, struct watch_stat *stat)
{
	char     text[TEXT_MAX];
	uint64_t tick = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);

	if (stress_procfs_read(text, sizeof text, "/proc/%d/stat", (int)pid) != 0) {
		errno = errno == ENOENT ? ESRCH : errno;
		return -1;
	}
	if (stress_watch_parse_stat(text, stat) != 0) {
		errno = EPROTO;
		return -1;
	}
	stat->ticks *= tick;
	stat->ended *= tick;
	return 0;
}

static uint64_t
stress_watch_threads_cpu(pid_t pid)
{
	char           path[64], text[TEXT_MAX];
	DIR           *threads;
	struct dirent *entry;
	uint64_t       sum = 0, ns;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	threads = opendir(path);
	if (threads == NULL)
		return 0;
	while ((entry = readdir(threads)) != NULL) {
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    stress_procfs_read(text, sizeof text, "%s/%.16s/schedstat", path,
			entry->d_name) == 0 &&
		    stress_watch_parse_schedstat(text, &ns) == 0)
			sum += ns;
	}
	closedir(threads);
	return sum / 1000;
}
