/* SPDX-License-Identifier: BSD-2-Clause */
/* daemon: leaving the terminal, but not before it is known whether weir serves. */
#include "proc/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/child.h"
#include "proc/fdtable.h"
#include "proc/wait.h"

static int  daemon_await(pid_t daemon, int fd);
static void daemon_starter_ended(struct watch *, short what);
static void daemon_quieten_fds(int first, int last);

static bool         is_daemon;	/* or was started by it */
static struct watch starter_watch;
static void       (*on_abandoned)(void);

int
daemon_start(void)
{
	int   ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		fprintf(stderr, "weir: pipe: %s\n", strerror(errno));
		return 1;
	}
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "weir: fork: %s\n", strerror(errno));
		return 1;
	}
	if (pid > 0) {
		child_signals();
		fd_close(&ends[1]);
		fdtable_close_all(&master_fds);
		return daemon_await(pid, ends[0]);
	}
	fd_close(&ends[0]);
	if (fdtable_add(&master_fds, FD_STARTER, "", 0, ends[1]) < 0 || setsid() < 0 ||
	    chdir("/") < 0) {
		fprintf(stderr, "weir: leaving the terminal: %s\n", strerror(errno));
		_exit(1);
	}
	is_daemon = true;
	daemon_quieten_fds(STDIN_FILENO, STDOUT_FILENO);
	return -1;
}

int
daemon_continue(void)
{
	is_daemon = true;
	return chdir("/");
}

bool
daemon_is_one(void)
{
	return is_daemon;
}

void
daemon_watch(void (*abandoned)(void))
{
	int starter = fdtable_find(&master_fds, FD_STARTER, "", 0);

	if (starter < 0)
		return;
	on_abandoned = abandoned;
	watch_start(&starter_watch, starter, 0, daemon_starter_ended);
}

/* Nobody reads the pipe any more: POLLERR, which is not asked for. */
static void
daemon_starter_ended(struct watch *w, short what)
{
	(void)what;
	watch_stop(w);
	on_abandoned();
}

void
daemon_quieten(bool keep_stderr)
{
	if (is_daemon && !keep_stderr)
		daemon_quieten_fds(STDERR_FILENO, STDERR_FILENO);
}

void
daemon_ready(bool keep_stderr)
{
	int starter = fdtable_find(&master_fds, FD_STARTER, "", 0);

	if (starter < 0)
		return;
	watch_stop(&starter_watch);
	daemon_quieten(keep_stderr);
	if (write(starter, "", 1) < 0)
		/* The starter has been killed: it is not missed. */
		errno = 0;
	fdtable_close(&master_fds, FD_STARTER, "", 0);
}

static void
daemon_quieten_fds(int first, int last)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	for (int fd = first; fd <= last; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		fd_close(&null);
}

static int
daemon_await(pid_t daemon, int fd)
{
	char    byte, how[96];
	ssize_t n;
	int     status;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	while (waitpid(daemon, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	if (WIFSIGNALED(status))
		fprintf(stderr, "weir: the daemon %s while it started\n",
		    child_status_print(status, how, sizeof how));
	return 1;
}
