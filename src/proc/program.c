/* SPDX-License-Identifier: BSD-2-Clause */
/* program: the command that this process was started with, to give it again. */
#include "proc/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/child.h"

#define PROGRAM_SELF "/proc/self/exe"

static struct {
	char **arguments;	/* NULL: there was no memory for them */
	char   path[PATH_MAX];	/* "": unknown */
	char   directory[PATH_MAX];
} program;

static bool program_is(const char *path);
static bool program_find(const char *name);
static bool program_take(const char *folder, size_t len, const char *name);

void
program_note(int argc, char **argv)
{
	ssize_t len;

	if (getcwd(program.directory, sizeof program.directory) == NULL)
		program.directory[0] = '\0';
	program.arguments = calloc((size_t)argc + 1, sizeof *program.arguments);
	for (int i = 0; program.arguments != NULL && i < argc; i++)
		program.arguments[i] = strdup(argv[i]);
	if (program_find(argv[0]))
		return;
	/* Whoever started it has called it something else. */
	len = readlink(PROGRAM_SELF, program.path, sizeof program.path - 1);
	program.path[len > 0 ? len : 0] = '\0';
}

const char *
program_path(void)
{
	return program.path[0] == '\0' ? NULL : program.path;
}

void
program_become(const char *variable, const char *value, int fd)
{
	if (program.arguments == NULL || program.path[0] == '\0') {
		errno = ENOENT;
		return;
	}
	if (chdir(program.directory) < 0 || setenv(variable, value, 1) < 0 ||
	    fcntl(fd, F_SETFD, 0) < 0)
		return;
	child_signals();
	child_default(SIGPIPE);
	execv(program.path, program.arguments);
}

/* As a shell does. */
static bool
program_find(const char *name)
{
	const char *path = getenv("PATH");
	size_t      len;

	if (*name == '/')
		return program_take("", 0, name);
	if (strchr(name, '/') != NULL)
		return program_take(program.directory, strlen(program.directory), name);
	for (; path != NULL && *path != '\0'; path += len + (path[len] == ':')) {
		len = strcspn(path, ":");
		if (program_take(path, len, name))
			return true;
	}
	return false;
}

/* Whether it is the file that runs. */
static bool
program_take(const char *folder, size_t len, const char *name)
{
	int n = len == 0
	    ? snprintf(program.path, sizeof program.path, "%s", name)
	    : snprintf(program.path, sizeof program.path, "%.*s/%s", (int)len, folder, name);

	return n > 0 && (size_t)n < sizeof program.path && program_is(program.path);
}

static bool
program_is(const char *path)
{
	struct stat there, self;

	return *path == '/' && stat(path, &there) == 0 && stat(PROGRAM_SELF, &self) == 0 &&
	    there.st_dev == self.st_dev && there.st_ino == self.st_ino;
}
