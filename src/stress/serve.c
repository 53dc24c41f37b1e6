/* SPDX-License-Identifier: BSD-2-Clause */
/* serve: weir-stress --serve: sockets, processes, what was counted. */
#include "stress/serve.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress/serve_door.h"
#include "stress/serve_options.h"
#include "stress/tally.h"

#define PATIENCE 5	/* seconds for a process to end */

static int  fds[SERVE_WORKERS_MAX][SERVE_DOORS_MAX];

static void serve_block_signals(sigset_t *);
static void serve_raise_descriptors(void);
static int  serve_listen(struct serve *);
static int  serve_listen_one(struct serve *, unsigned door, unsigned worker);
static void serve_print_addresses(const struct serve *);
static int  serve_run_workers(const struct serve *, struct serve_counts *, const sigset_t *);
static void serve_worker(const struct serve *, struct serve_counts *, unsigned number,
    pid_t parent);
static int  serve_watch(const pid_t *, unsigned n, const sigset_t *);
static int  serve_end(const pid_t *, unsigned n);
static void serve_print_counts(const struct serve *, const struct serve_counts *);
static void serve_unlink(const struct serve *);

bool
stress_serve_wanted(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--serve") == 0 || strncmp(argv[i], "--serve=", 8) == 0)
			return true;
	}
	return false;
}

int
stress_serve_main(int argc, char **argv)
{
	static struct serve  serve;
	struct serve_counts *counts;
	sigset_t             signals;
	int                  status;

	status = stress_serve_read(&serve, argc, argv);
	if (status != 0)
		return status < 0 ? 0 : status;
	serve_block_signals(&signals);
	serve_raise_descriptors();
	counts = mmap(NULL, serve.workers * sizeof *counts, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED) {
		warn("no memory");
		return 1;
	}
	status = serve_listen(&serve);
	if (status == 0) {
		serve_print_addresses(&serve);
		status = serve.workers == 1 ? stress_doors_serve(&serve, counts, fds[0], 0)
					    : serve_run_workers(&serve, counts, &signals);
		serve_unlink(&serve);
		serve_print_counts(&serve, counts);
	}
	munmap(counts, serve.workers * sizeof *counts);
	return status < 0 ? 1 : 0;
}

/* They are taken by a descriptor or waited for; SIGPIPE is an errno. */
static void
serve_block_signals(sigset_t *set)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGCHLD);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static void
serve_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Sockets that share an address are made here, so that none comes too late. */
static int
serve_listen(struct serve *v)
{
	for (unsigned d = 0; d < v->door_count; d++) {
		for (unsigned w = 0; w < v->workers; w++) {
			if (w > 0 && !v->doors[d].reuseport)
				fds[w][d] = fds[0][d];
			else if (serve_listen_one(v, d, w) < 0)
				return -1;
		}
	}
	return 0;
}

static bool
serve_any_port(const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == 0;
	return a->sa.sa_family == AF_INET6 && a->in6.sin6_port == 0;
}

static int
serve_listen_one(struct serve *v, unsigned door, unsigned worker)
{
	struct listen_spec *spec = &v->doors[door];
	bool                any = serve_any_port(&spec->addr), in_use;
	const char         *call = "bind";
	char                name[ADDR_TEXT_MAX];
	int                 fd = -1;

	if (worker > 0 || any || !spec->reuseport || sock_probe(spec, NULL) == 0)
		fd = sock_listen(spec, &call);
	if (fd < 0) {
		in_use = errno == EADDRINUSE;
		warn("cannot listen on %s: %s", addr_print(&spec->addr, name), call);
		if (in_use && spec->addr.sa.sa_family == AF_UNIX)
			warnx("somebody else does; ss -lxp shows who");
		else if (in_use)
			warnx("somebody else does; ss -ltnp shows who, and port 0 is any");
		return -1;
	}
	if (any) {
		spec->addr.len = sizeof spec->addr.un;
		getsockname(fd, &spec->addr.sa, &spec->addr.len);
	}
	fds[worker][door] = fd;
	return 0;
}

static void
serve_print_addresses(const struct serve *v)
{
	char name[ADDR_TEXT_MAX];

	for (unsigned i = 0; i < v->door_count && !v->quiet; i++)
		printf("listening on %s\n", addr_print(&v->doors[i].addr, name));
	fflush(stdout);
}

static int
serve_run_workers(const struct serve *v, struct serve_counts *counts, const sigset_t *signals)
{
	pid_t    pids[SERVE_WORKERS_MAX], parent = getpid();
	unsigned n;
	int      status;

	for (n = 0; n < v->workers; n++) {
		pids[n] = fork();
		if (pids[n] == 0)
			serve_worker(v, &counts[n], n, parent);
		if (pids[n] < 0) {
			warn("cannot start process %u of %u", n + 1, v->workers);
			break;
		}
	}
	for (unsigned w = 0; w < v->workers; w++) {
		for (unsigned d = 0; d < v->door_count; d++) {
			if (w == 0 || v->doors[d].reuseport)
				close(fds[w][d]);
		}
	}
	status = n < v->workers ? -1 : serve_watch(pids, n, signals);
	return serve_end(pids, n) < 0 ? -1 : status;
}

static void
serve_worker(const struct serve *v, struct serve_counts *counts, unsigned number, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	for (unsigned w = 0; w < v->workers; w++) {
		for (unsigned d = 0; w != number && d < v->door_count; d++) {
			if (v->doors[d].reuseport)
				close(fds[w][d]);
		}
	}
	_exit(stress_doors_serve(v, counts, fds[number], number) < 0 ? 1 : 0);
}

/* Until a signal, or until one of them ends by itself: -1. */
static int
serve_watch(const pid_t *pids, unsigned n, const sigset_t *signals)
{
	siginfo_t info = { 0 };
	int       signal;

	for (;;) {
		signal = sigwaitinfo(signals, NULL);
		if (signal == SIGTERM || signal == SIGINT)
			return 0;
		for (unsigned i = 0; i < n && signal == SIGCHLD; i++) {
			info.si_pid = 0;
			if (waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
			    info.si_pid != 0) {
				warnx("process %d has ended by itself (%s %d): so do all",
				    (int)pids[i], info.si_code == CLD_EXITED ? "status" : "signal",
				    info.si_status);
				return -1;
			}
		}
	}
}

/* Returns -1 when one did not end well. */
static int
serve_end(const pid_t *pids, unsigned n)
{
	struct timespec patience = { .tv_sec = PATIENCE };
	sigset_t        child;
	int             status, result = 0;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (unsigned i = 0; i < n; i++)
		kill(pids[i], SIGTERM);
	for (unsigned i = 0; i < n; i++) {
		while (waitpid(pids[i], &status, WNOHANG) == 0) {
			if (sigtimedwait(&child, NULL, &patience) < 0 && errno == EAGAIN) {
				kill(pids[i], SIGKILL);
				waitpid(pids[i], &status, 0);
				break;
			}
		}
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			result = -1;
	}
	return result;
}

static void
serve_print_counts(const struct serve *v, const struct serve_counts *counts)
{
	static const struct {
		const char *name;
		size_t      offset;
	} rows[] = {
#define ROW(name) { #name, offsetof(struct serve_counts, name) }
		ROW(accepted), ROW(starved), ROW(handshakes), ROW(resumed), ROW(tls_failed),
		ROW(requests), ROW(answered), ROW(unanswered),
		ROW(again), ROW(overlong), ROW(bytes_in), ROW(bytes_out),
#undef ROW
	};
	const char *at;
	uint64_t    sum;

	if (v->quiet)
		return;
	for (unsigned w = 0; w < v->workers; w++) {
		if (counts[w].tls_failed > 0)
			printf("process %u, the first time that TLS failed: %s\n", w + 1,
			    counts[w].tls_reason);
	}
	for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
		sum = 0;
		for (unsigned w = 0; w < v->workers; w++) {
			at = (const char *)&counts[w] + rows[r].offset;
			sum += *(const _Atomic uint64_t *)(const void *)at;
		}
		printf("%s%s=%" PRIu64, r > 0 ? " " : "", rows[r].name, sum);
	}
	for (int h = 0; h < HARM_COUNT; h++) {
		sum = 0;
		for (unsigned w = 0; w < v->workers; w++)
			sum += counts[w].harms[h];
		printf(" %s=%" PRIu64, harm_names[h], sum);
	}
	printf("\n");
	fflush(stdout);
}

static void
serve_unlink(const struct serve *v)
{
	for (unsigned i = 0; i < v->door_count; i++) {
		if (v->doors[i].addr.sa.sa_family == AF_UNIX)
			unlink(v->doors[i].addr.un.sun_path);
	}
}
