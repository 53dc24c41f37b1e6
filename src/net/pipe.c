/* SPDX-License-Identifier: BSD-2-Clause */
/* pipe: pipes lent to streams that carry much. */
#include "net/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "net/conn.h"

static struct pipe *idle;
static unsigned     count;	/* lent ones, too */

static struct pipe *pipe_create(void);
static void         pipe_destroy(struct pipe *);

struct pipe *
pipe_borrow(void)
{
	struct pipe *p = idle;

	if (p == NULL)
		return count < PIPES_MAX ? pipe_create() : NULL;
	idle = p->next;
	return p;
}

void
pipe_return(struct pipe **lent)
{
	struct pipe *p = *lent;

	*lent = NULL;
	if (p == NULL)
		return;
	if (p->held > 0) {
		pipe_destroy(p);
		return;
	}
	p->next = idle;
	idle = p;
}

void
pipe_trim(void)
{
	struct pipe *p;

	while ((p = idle) != NULL) {
		idle = p->next;
		pipe_destroy(p);
	}
}

unsigned
pipe_count(void)
{
	return count;
}

size_t
pipe_fill(struct pipe *p, struct conn *from, size_t size)
{
	ssize_t n;

	if (from->eof || from->broken)
		return 0;
	do
		n = splice(conn_fd(from), NULL, p->end[1], NULL, size,
		    SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;	/* the end, or an urgent mark and a FIN behind it: recv(2) tells */
	if (n < 0) {
		/* The pipe is empty, so EAGAIN speaks of the socket: it is drained,
		 * or an urgent byte is next, which only reading gets past. */
		conn_read_ended(from, errno);
		return 0;
	}
	/* However few: a pipe has room for a number of pieces, not of bytes. */
	p->held = (size_t)n;
	return p->held;
}

bool
pipe_drain(struct pipe *p, struct conn *to)
{
	ssize_t n;

	while (p->held > 0 && to->writable) {
		n = splice(p->end[0], NULL, conn_fd(to), NULL, p->held,
		    SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n > 0) {
			p->held -= (size_t)n;
			to->progress = true;
		} else if (n == 0 || errno != EINTR)	/* 0: what was held is not there */
			conn_send_ended(to, n < 0 ? errno : EPIPE);
	}
	return !to->write_shut && !to->broken;
}

bool
pipe_spill(struct pipe *p, struct conn *to)
{
	char    block[4096];
	ssize_t n;

	while (p->held > 0) {
		n = read(p->end[0], block, sizeof block);
		if (n <= 0)
			return false;
		p->held -= (size_t)n;
		if (!conn_gather(to, span_make(block, (size_t)n)))
			return false;
	}
	return true;
}

static struct pipe *
pipe_create(void)
{
	struct pipe *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	if (pipe2(p->end, O_NONBLOCK | O_CLOEXEC) < 0) {
		free(p);
		return NULL;
	}
	/* A smaller one works as well, in smaller steps. */
	(void)fcntl(p->end[1], F_SETPIPE_SZ, (int)PIPE_ROOM);
	count++;
	return p;
}

static void
pipe_destroy(struct pipe *p)
{
	close(p->end[0]);
	close(p->end[1]);
	free(p);
	count--;
}
