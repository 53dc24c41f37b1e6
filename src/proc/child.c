/* SPDX-License-Identifier: BSD-2-Clause */
/* child: what all processes that the master starts have in common. */
#include "proc/child.h"

#include <bsd/unistd.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/fdtable.h"

static const int caught[] = {
	SIGHUP,
	SIGINT,
	SIGQUIT,
	SIGTERM,
	SIGUSR1,
	SIGUSR2,
	SIGWINCH,
	SIGCHLD,
};

static struct {
	char *start;
	char *name_end;		/* where argv[0] ended */
	char *end;		/* and the last argument */
} title;

char *
child_status_print(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "was killed by SIG%s (%s)", sigabbrev_np(WTERMSIG(status)),
		    sigdescr_np(WTERMSIG(status)));
	else
		snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
	return out;
}

void
child_tie(pid_t master)
{
	/* KILL, so that even a process that hangs lets go of its sockets. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != master)
		_exit(1);
}

void
child_signals(void)
{
	struct sigaction a = { .sa_handler = SIG_DFL };
	sigset_t         none;

	for (unsigned i = 0; i < sizeof caught / sizeof *caught; i++)
		sigaction(caught[i], &a, NULL);
	a.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &a, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void
child_ignore_signals(void)
{
	struct sigaction a = { .sa_handler = SIG_IGN };

	child_signals();
	for (unsigned i = 0; i < sizeof caught / sizeof *caught; i++)
		if (caught[i] != SIGCHLD)
			sigaction(caught[i], &a, NULL);
}

void
child_default(int signal)
{
	struct sigaction a = { .sa_handler = SIG_DFL };

	sigaction(signal, &a, NULL);
}

char
child_state(pid_t pid)
{
	char        path[64], text[256];
	const char *name_end;
	ssize_t     got;
	int         fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof text - 1);
	fd_close(&fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	name_end = strrchr(text, ')');
	return name_end != NULL && name_end[1] == ' ' ? name_end[2] : '\0';
}

const char *
child_doing(pid_t pid)
{
	switch (child_state(pid)) {
	case 'R':
		return "is computing: a loop in a module?";
	case 'S':
		return "waits in a system call: does a module call something that blocks?";
	case 'D':
		return "waits for a disk or for memory";
	case 'T':
		return "is stopped by a signal (SIGCONT lets it go on)";
	case 't':
		return "is held by a debugger";
	default:
		return "what it does is not known";
	}
}

void
child_title_init(int argc, char **argv, char **envp)
{
	title.start = argv[0];
	title.name_end = argv[0] + strlen(argv[0]);
	title.end = argv[argc - 1] + strlen(argv[argc - 1]);
	setproctitle_init(argc, argv, envp);
}

/*
 * setproctitle(3) leaves a dot where the program's name ended, which ps shows
 * behind a shorter title, or a space behind one as long as the name. It belongs
 * to the end of all arguments: a last byte that is no NUL tells the kernel that
 * one text stands there, up to its NUL.
 */
void
child_title_set(const char *format, ...)
{
	char    text[128], *end;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	setproctitle("-weir: %s", text);
	if (title.end == NULL)
		return;
	end = title.start + strlen("weir: ") + strlen(text);
	if (*title.name_end == '.' || title.name_end == end)
		*title.name_end = '\0';
	if (end < title.end)
		*title.end = '.';
}
