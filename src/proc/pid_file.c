/* SPDX-License-Identifier: BSD-2-Clause */
/* pid_file: the file that says which process is the master, locked while it lives. */
#include "proc/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "proc/fdtable.h"
#include "proc/report.h"

#define LOCK_TRIES 20u	/* … */
#define LOCK_PAUSE 5	/* … ms between them: a command that looks holds it for less */

static int  pid_file_open_locked(const char *path, const char *place);
static bool pid_file_lock(int fd);
static int  pid_file_write(int fd);
static pid_t pid_file_read(int fd);
static void pid_file_report_taken(const char *path, const char *place, int fd);
static void pid_file_complain(const char *path, const char *place, const char *why);
static bool pid_file_is_at(const char *path, int fd);

struct aside pid_file_aside = { .what = "pid file" };

int
pid_file_open(const char *path, const char *place, bool aside)
{
	int fd;

	if (aside_begin(&pid_file_aside, path, aside) < 0) {
		pid_file_complain(path, place, strerror(errno));
		return -1;
	}
	path = pid_file_aside.path;
	fd = pid_file_open_locked(path, place);
	if (fd < 0)
		return -1;
	if (fdtable_add(&master_fds, FD_PID, "", 0, fd) < 0) {
		pid_file_complain(path, place, strerror(errno));
		unlink(path);
		fd_close(&fd);
		return -1;
	}
	if (pid_file_write(fd) < 0) {
		pid_file_complain(path, place, strerror(errno));
		return -1;
	}
	return 0;
}

void
pid_file_look(void)
{
	int old = fdtable_find(&master_fds, FD_PID, "", 0), made;

	if (old < 0 || pid_file_is_at(pid_file_aside.path, old))
		return;
	made = open(pid_file_aside.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (made < 0 && errno == EEXIST) {
		log_warn("pid file: something else is at %s now: remove that, and reload",
		    pid_file_aside.path);
		return;
	}
	old = fdtable_take(&master_fds, FD_PID, "", 0);
	if (made >= 0 && pid_file_lock(made) && pid_file_write(made) == 0 &&
	    fdtable_add(&master_fds, FD_PID, "", 0, made) == 0) {
		fd_close(&old);
		log_notice("pid file: %s was removed: it has been made again", pid_file_aside.path);
		return;
	}
	log_error("pid file: %s was removed, and cannot be made again: %s", pid_file_aside.path,
	    strerror(errno));
	if (made >= 0)
		unlink(pid_file_aside.path);
	fd_close(&made);
	if (fdtable_add(&master_fds, FD_PID, "", 0, old) < 0)
		fd_close(&old);
}

static int
pid_file_write(int fd)
{
	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    dprintf(fd, "%d\n", (int)getpid()) < 0)
		return -1;
	return 0;
}

pid_t
pid_file_holder(const char *path)
{
	int   fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	pid_t pid = 0;

	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		pid = pid_file_read(fd);
		pid = pid > 0 ? pid : -1;
	}
	fd_close(&fd);
	return pid;
}

void
pid_file_remove(void)
{
	int fd = fdtable_find(&master_fds, FD_PID, "", 0);

	if (fd >= 0 && pid_file_is_at(pid_file_aside.path, fd) && unlink(pid_file_aside.path) < 0)
		log_error("removing %s: %s", pid_file_aside.path, strerror(errno));
	fdtable_close(&master_fds, FD_PID, "", 0);
	aside_end(&pid_file_aside);
}

/* The one who removes a file holds its lock: what was opened before and locked
 * after that is no longer the file that others find. */
static int
pid_file_open_locked(const char *path, const char *place)
{
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0) {
			pid_file_complain(path, place, strerror(errno));
			return -1;
		}
		if (!pid_file_lock(fd)) {
			pid_file_report_taken(path, place, fd);
			fd_close(&fd);
			return -1;
		}
		if (pid_file_is_at(path, fd))
			return fd;
		fd_close(&fd);
	}
}

static bool
pid_file_lock(int fd)
{
	int result;

	for (unsigned i = 0;
	     (result = flock(fd, LOCK_EX | LOCK_NB)) < 0 && errno == EWOULDBLOCK && i < LOCK_TRIES;
	     i++)
		poll(NULL, 0, LOCK_PAUSE);
	return result == 0;
}

/* 0: there is no number in it. */
static pid_t
pid_file_read(int fd)
{
	char    text[32];
	ssize_t n = read(fd, text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	return (pid_t)strtol(text, NULL, 10);
}

static void
pid_file_report_taken(const char *path, const char *place, int fd)
{
	char  text[32];
	pid_t pid;

	if (errno != EWOULDBLOCK) {
		pid_file_complain(path, place, strerror(errno));
		return;
	}
	pid = pid_file_read(fd);
	snprintf(text, sizeof text, "pid %d", (int)pid);
	report_say(WEIR_ERROR, "%s: error: pid = %s: weir is running already, %s", place, path,
	    pid > 0 ? text : "or starting");
}

static void
pid_file_complain(const char *path, const char *place, const char *why)
{
	report_say(WEIR_ERROR, "%s: error: pid = %s: %s", place, path, why);
}

static bool
pid_file_is_at(const char *path, int fd)
{
	struct stat there, here;

	return stat(path, &there) == 0 && fstat(fd, &here) == 0 &&
	    there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}
