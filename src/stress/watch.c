/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch: CPU and memory of a server and its children, from proc(5).
 *
 *	CPU      schedstat of each thread (ns), or stat of the process (clock ticks, but
 *	         of threads that have ended, too): whichever says more
 *	memory   Pss of smaps_rollup: what several processes share counts once; it makes
 *	         the kernel walk through all pages, so it is not done each second.
 *	         Rss of statm when that file may not be read
 */
#include "stress/watch.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stress/outcome.h"

#define TEXT_MAX 4096

static int look(struct watch *, pid_t, bool first);
static void look_for_children(struct watch *, pid_t, bool first);
static int stat_read(pid_t, uint64_t *us, uint64_t *start);
static uint64_t threads_cpu(pid_t);
static int text_read(char text[TEXT_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void sample(struct watch *, bool first);

int
watch_open(struct watch *w, pid_t pid)
{
	uint64_t us, start;

	memset(w, 0, sizeof *w);
	if (pid == 0)
		return 0;
	if (stat_read(pid, &us, &start) != 0)
		return -1;
	w->root = pid;
	sample(w, true);
	w->base_memory = watch_weigh(w);
	return 0;
}

void
watch_sample(struct watch *w)
{
	if (w->root != 0)
		sample(w, false);
}

void
watch_measuring(struct watch *w)
{
	watch_sample(w);
	w->base_cpu = w->cpu;
}

void
watch_measured(struct watch *w, struct outcome *o)
{
	uint64_t memory;

	if (w->root == 0)
		return;
	watch_sample(w);
	memory = watch_weigh(w);
	o->watched = true;
	o->server_cpu = w->cpu - w->base_cpu;
	o->server_memory = w->memory;
	o->server_grown = (int64_t)(memory - w->base_memory);
	o->server_processes = w->count;
	o->server_gone = w->gone;
}

uint64_t
watch_weigh(struct watch *w)
{
	char     text[TEXT_MAX];
	uint64_t sum = 0, bytes, pages;

	for (unsigned i = 0; i < w->count; i++) {
		int pid = (int)w->of[i].pid;

		if (text_read(text, "/proc/%d/smaps_rollup", pid) == 0 &&
		    watch_parse_memory(text, "Pss", &bytes) == 0)
			sum += bytes;
		else if (text_read(text, "/proc/%d/statm", pid) == 0 &&
		    sscanf(text, "%*u %" SCNu64, &pages) == 1)
			sum += pages * (uint64_t)sysconf(_SC_PAGESIZE);
	}
	if (sum > w->memory)
		w->memory = sum;
	return sum;
}

/* «pid (any name) S ppid …»: utime and stime are the 14th and 15th, starttime the
 * 22nd. */
int
watch_parse_stat(const char *text, uint64_t *ticks, uint64_t *start)
{
	const char *at = strrchr(text, ')');
	uint64_t    user, system;

	if (at == NULL ||
	    sscanf(at + 1,
		" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
		" %*d %*d %*d %*d %*d %*d %" SCNu64,
		&user, &system, start) != 3)
		return -1;
	*ticks = user + system;
	return 0;
}

int
watch_parse_schedstat(const char *text, uint64_t *ns)
{
	return sscanf(text, "%" SCNu64 " %*u %*u", ns) == 1 ? 0 : -1;
}

int
watch_parse_memory(const char *text, const char *field, uint64_t *bytes)
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

/* What a process used before it was first seen counts if it has begun since. */
static void
sample(struct watch *w, bool first)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < w->count; i++)
		w->of[i].seen = false;
	if (look(w, w->root, first) != 0)
		w->gone = true;
	for (unsigned i = 0; i < w->count; i++) {
		if (w->of[i].seen)
			w->of[kept++] = w->of[i];
	}
	w->count = kept;
}

static int
look(struct watch *w, pid_t pid, bool first)
{
	struct watched *p = NULL;
	uint64_t        us, start, threads;

	if (stat_read(pid, &us, &start) != 0)
		return -1;
	threads = threads_cpu(pid);
	us = threads > us ? threads : us;
	for (unsigned i = 0; i < w->count && p == NULL; i++) {
		if (w->of[i].pid == pid && w->of[i].start == start)
			p = &w->of[i];
	}
	if (p == NULL && w->count == WATCH_PROCESSES_MAX)
		return 0;
	if (p == NULL) {
		if (pid == w->root && !first)
			return -1;	/* the number is another process's by now */
		p = &w->of[w->count++];
		*p = (struct watched){ pid, start, first ? us : 0, false };
	}
	if (p->seen)
		return 0;
	p->seen = true;
	/* Ticks and schedstat do not agree quite: it never goes back. */
	if (us > p->cpu) {
		w->cpu += us - p->cpu;
		p->cpu = us;
	}
	look_for_children(w, pid, first);
	return 0;
}

/* Each thread's children are its own. Without CONFIG_PROC_CHILDREN there is no such
 * file: then the process is watched alone. */
static void
look_for_children(struct watch *w, pid_t pid, bool first)
{
	char           path[64], text[TEXT_MAX], *at, *end;
	DIR           *threads;
	struct dirent *entry;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	threads = opendir(path);
	if (threads == NULL)
		return;
	while ((entry = readdir(threads)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    text_read(text, "%s/%.16s/children", path, entry->d_name) != 0)
			continue;
		for (at = text;; at = end) {
			long child = strtol(at, &end, 10);

			if (end == at || *end != ' ')	/* the last may be cut */
				break;
			look(w, (pid_t)child, first);
		}
	}
	closedir(threads);
}

/* errno is set when it fails. */
static int
stat_read(pid_t pid, uint64_t *us, uint64_t *start)
{
	char     text[TEXT_MAX];
	uint64_t ticks;

	if (text_read(text, "/proc/%d/stat", (int)pid) != 0) {
		errno = errno == ENOENT ? ESRCH : errno;
		return -1;
	}
	if (watch_parse_stat(text, &ticks, start) != 0) {
		errno = EPROTO;
		return -1;
	}
	*us = ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	return 0;
}

static uint64_t
threads_cpu(pid_t pid)
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
		    text_read(text, "%s/%.16s/schedstat", path, entry->d_name) == 0 &&
		    watch_parse_schedstat(text, &ns) == 0)
			sum += ns;
	}
	closedir(threads);
	return sum / 1000;
}

/* The file's beginning, up to TEXT_MAX - 1 bytes. Returns -1 with errno. */
static int
text_read(char text[TEXT_MAX], const char *format, ...)
{
	char    path[128];
	va_list args;
	ssize_t n;
	size_t  length = 0;
	int     fd, error;

	va_start(args, format);
	vsnprintf(path, sizeof path, format, args);
	va_end(args);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	while ((n = read(fd, text + length, TEXT_MAX - 1 - length)) > 0)
		length += (size_t)n;
	error = errno;
	close(fd);
	text[length] = '\0';
	if (n == -1) {
		errno = error;
		return -1;
	}
	return 0;
}
