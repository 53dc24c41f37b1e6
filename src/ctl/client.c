/* SPDX-License-Identifier: BSD-2-Clause */
/* client: talks to the control socket of a running weir. */
#include "ctl/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/child.h"
#include "proc/control_line.h"
#include "proc/fdtable.h"
#include "proc/message.h"
#include "proc/options.h"
#include "proc/pid_file.h"
#include "proc/text.h"
#include "proc/wait.h"

/* A master that is well says something at once, if only that it has begun. A
 * reload may then wait for the one before it; each sends for 10 seconds at most and
 * starts for 30, and loads as long as it gets on with that. */
#define CLIENT_BEGIN 10000u	/* ms */
#define CLIENT_WHOLE 300000u
#define CLIENT_READ  65536u

struct reply {
	char    *data;
	size_t   size;
	size_t   used;		/* lines that were taken */
	size_t   room;
	uint64_t since;		/* ms; when the command was given */
	uint64_t patience;	/* ms from then on */
	int     *passed;	/* a descriptor that has come with it */
};

static int  client_connect(const struct client_request *, uint64_t timeout);
static void client_print_absence(const struct client_request *);
static int  client_send_command(int fd, const struct client_request *);
static int  client_print_answer(int fd, uint64_t timeout, bool quiet, struct client_channel *);
static void client_print_silence(int fd, uint64_t timeout, bool begun);
static void client_print_time(const char *path, uint64_t timeout);
static char *reply_next_line(struct reply *, int fd);
static bool reply_wait(const struct reply *, int fd);

int
client_run(const struct client_request *request, struct client_channel *channel)
{
	uint64_t timeout = request->timeout;
	int      fd = client_connect(request, timeout > 0 ? timeout : CLIENT_BEGIN);
	int      status = 1;

	*channel = (struct client_channel){ .fd = -1 };
	if (fd < 0)
		return 1;
	/* One that was refused has been told why, and its line may find the other
	 * end closed. */
	if (client_send_command(fd, request) < 0 && errno != EPIPE && errno != ECONNRESET)
		fprintf(stderr, "weir: %s: %s\n", request->path, strerror(errno));
	else
		status = client_print_answer(fd, timeout, request->options->quiet, channel);
	fd_close(&fd);
	return status;
}

/* The queue of a UNIX socket that nobody accepts from fills: connecting waits
 * then, but not for ever. */
static int
client_connect(const struct client_request *request, uint64_t timeout)
{
	const char        *path = request->path;
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval     limit = { .tv_sec = (time_t)(timeout / 1000),
		.tv_usec = (suseconds_t)(timeout % 1000 * 1000) };
	int                fd;

	if (strlen(path) >= sizeof to.sun_path) {
		fprintf(stderr, "weir: control = %s: too long for a socket\n", path);
		return -1;
	}
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
		client_print_absence(request);
	else if (errno == EAGAIN)
		client_print_time(path, timeout);
	else
		fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
	fd_close(&fd);
	return -1;
}

/* The pid file knows better: the socket's file may have been removed, or another name
 * of it configured meanwhile. */
static void
client_print_absence(const struct client_request *request)
{
	char *path = options_file(request->options, "pid", "run/weir.pid");
	pid_t pid = path == NULL ? 0 : pid_file_holder(path);

	if (pid == 0)
		fprintf(stderr, "weir: weir is not running: nobody answers at %s\n", request->path);
	else if (pid < 0)
		fprintf(stderr, "weir: weir is starting, and does not answer at %s yet\n",
		    request->path);
	else
		fprintf(stderr,
		    "weir: process %d runs (it holds %s), but nobody answers at %s: its control "
		    "socket was removed, or had another name when it was started, which -g "
		    "'control = FILE' can say; kill -TERM %d stops it, kill -HUP %d reloads, "
		    "and makes a socket again that was removed\n",
		    (int)pid, path, request->path, (int)pid, (int)pid);
	free(path);
}

static int
client_send_command(int fd, const struct client_request *request)
{
	struct text line = { 0 };
	ssize_t     sent = -1;

	text_add(&line, "%s", request->line);
	options_write(request->options, &line);
	text_add(&line, "\n");
	if (line.cut || line.size > CONTROL_LINE_MAX)
		errno = line.cut ? ENOMEM : E2BIG;
	else
		sent = send(fd, line.data, line.size, MSG_NOSIGNAL);
	text_free(&line);
	return sent < 0 ? -1 : 0;
}

static int
client_print_answer(int fd, uint64_t timeout, bool quiet, struct client_channel *channel)
{
	struct reply r = { .since = wait_now(),
		.patience = timeout > 0 ? timeout : CLIENT_BEGIN,
		.passed = &channel->fd };
	char        *line;
	int          status = -1;
	bool         begun = false;

	while (status < 0 && (line = reply_next_line(&r, fd)) != NULL) {
		begun = true;
		if (timeout == 0)
			r.patience = CLIENT_WHOLE;
		if (*line == '=')
			status = strcmp(line + 1, "0") == 0 ? 0 : 1;
		else if (*line == '!') {
			fflush(stdout);
			fprintf(stderr, "%s\n", line + 1);
		} else if (*line == '>' && channel->asked == NULL)
			channel->asked = strdup(line + 1);
		else if (*line == ' ' && !quiet)
			printf("%s\n", line + 1);
	}
	fflush(stdout);
	free(r.data);
	if (status >= 0)
		return status;
	if (wait_now() - r.since >= r.patience)
		client_print_silence(fd, r.patience, begun);
	else
		fprintf(stderr, "weir: weir has ended before it had answered\n");
	return 1;
}

/* Who listens there is known, though it says nothing. */
static void
client_print_silence(int fd, uint64_t timeout, bool begun)
{
	struct ucred master;
	socklen_t    len = sizeof master;
	char         state, time[STR_UNIT_MAX];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &master, &len) < 0 || master.pid <= 0) {
		client_print_time("the control socket", timeout);
		return;
	}
	state = child_state(master.pid);
	str_print_time(timeout, time);
	if (state == 'T' || state == 't')
		fprintf(stderr,
		    "weir: no answer within %s: the master, process %d, is stopped: kill -CONT %d "
		    "lets it go on%s\n",
		    time, (int)master.pid, (int)master.pid,
		    begun ? "" : ", and this command is dropped then");
	else if (begun)
		fprintf(stderr,
		    "weir: not done within %s: the master, process %d, has begun, and goes on "
		    "with it: weir generations and the log tell more; --timeout waits longer\n",
		    time, (int)master.pid);
	else
		fprintf(stderr,
		    "weir: no answer within %s: the master, process %d, is busy, and drops this "
		    "command when it comes to it; --timeout waits longer\n",
		    time, (int)master.pid);
}

static void
client_print_time(const char *path, uint64_t timeout)
{
	char time[STR_UNIT_MAX];

	fprintf(stderr,
	    "weir: %s: nobody has taken the connection within %s: the master is stopped, or busy\n",
	    path, str_print_time(timeout, time));
}

/* Without its end, valid until the next; NULL when there is no more. */
static char *
reply_next_line(struct reply *r, int fd)
{
	char   *end, *line, *grown;
	int     passed = -1;
	ssize_t n;

	while ((end = r->size == r->used
		       ? NULL
		       : memchr(r->data + r->used, '\n', r->size - r->used)) == NULL) {
		if (r->used > 0)
			memmove(r->data, r->data + r->used, r->size - r->used);
		r->size -= r->used;
		r->used = 0;
		if (r->size == r->room) {
			grown = realloc(r->data, r->room + CLIENT_READ);
			if (grown == NULL)
				return NULL;
			r->data = grown;
			r->room += CLIENT_READ;
		}
		n = reply_wait(r, fd)
		    ? message_receive_bytes(fd, r->data + r->size, r->room - r->size, &passed)
		    : 0;
		if (n <= 0)
			return NULL;
		if (passed >= 0) {
			fd_close(r->passed);
			*r->passed = passed;
		}
		r->size += (size_t)n;
	}
	line = r->data + r->used;
	*end = '\0';
	r->used = (size_t)(end - r->data) + 1;
	return line;
}

static bool
reply_wait(const struct reply *r, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t      waited;
	int           n;

	fflush(stdout);		/* before it is waited, what there is */
	do {
		waited = wait_now() - r->since;
		if (waited >= r->patience)
			return false;
		n = poll(&p, 1,
		    (int)(r->patience - waited < INT_MAX ? r->patience - waited : INT_MAX));
	} while (n < 0 && errno == EINTR);
	return n > 0;
}
