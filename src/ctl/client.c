/* SPDX-License-Identifier: BSD-2-Clause */
/* client: talks to the control socket of a running weir. */
#include "ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proc/fdtable.h"

/* A reload may load for 60 seconds and start for 30. */
#define CLIENT_TIMEOUT 120000	/* ms without a line */
#define CLIENT_READ    65536u

struct reply {
	char  *data;
	size_t size;
	size_t used;	/* lines that were taken */
	size_t room;
};

static int  client_connect(const char *path);
static int  client_ask(int fd, enum control_command);
static int  client_take_answer(int fd, bool quiet);
static char *client_next_line(struct reply *, int fd);
static bool client_wait(int fd);

int
client_run(const char *path, enum control_command command, bool quiet)
{
	int fd = client_connect(path), status = 1;

	if (fd < 0)
		return 1;
	if (client_ask(fd, command) < 0)
		fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
	else
		status = client_take_answer(fd, quiet);
	fd_close(&fd);
	if (ferror(stdout)) {
		fprintf(stderr, "weir: stdout: %s\n", strerror(errno));
		return 1;
	}
	return status;
}

static int
client_connect(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int                fd;

	if (strlen(path) >= sizeof to.sun_path) {
		fprintf(stderr, "weir: control = %s: too long for a socket\n", path);
		return -1;
	}
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
		fprintf(stderr, "weir: weir is not running: nobody answers at %s\n", path);
	else
		fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
	fd_close(&fd);
	return -1;
}

static int
client_ask(int fd, enum control_command command)
{
	char line[CONTROL_LINE_MAX + 2];
	int  len = snprintf(line, sizeof line, "%s\n", control_command_name(command));

	return send(fd, line, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -1;
}

static int
client_take_answer(int fd, bool quiet)
{
	struct reply r = { 0 };
	char        *line;
	int          status = -1;

	while (status < 0 && (line = client_next_line(&r, fd)) != NULL) {
		if (*line == '=')
			status = strcmp(line + 1, "0") == 0 ? 0 : 1;
		else if (*line == '!')
			fprintf(stderr, "%s\n", line + 1);
		else if (!quiet)
			printf("%s\n", line + 1);
		fflush(stdout);
	}
	free(r.data);
	if (status >= 0)
		return status;
	fprintf(stderr, "weir: weir has ended, or does not answer\n");
	return 1;
}

/* Without its end, valid until the next; NULL when there is no more. */
static char *
client_next_line(struct reply *r, int fd)
{
	char   *end, *line, *grown;
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
		n = client_wait(fd) ? recv(fd, r->data + r->size, r->room - r->size, 0) : 0;
		if (n <= 0)
			return NULL;
		r->size += (size_t)n;
	}
	line = r->data + r->used;
	*end = '\0';
	r->used = (size_t)(end - r->data) + 1;
	return line;
}

static bool
client_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int           n;

	do
		n = poll(&p, 1, CLIENT_TIMEOUT);
	while (n < 0 && errno == EINTR);
	return n > 0;
}
