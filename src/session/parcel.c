/* SPDX-License-Identifier: BSD-2-Clause */
/* parcel: what is left of sessions while they are on their way to another worker. */
#include "session/parcel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARCEL_FILE   UINT32_MAX	/* as a length: the text is in a file */
#define PARCEL_LONGEST (64u << 20)

/* What a part begins with. */
struct parcel_head {
	uint32_t size;		/* without the head */
	uint32_t fds;
};

static int  parcel_file(struct weir_span);
static struct weir_span parcel_get_file(struct parcel *);

/* What parcel_get_file has read last. */
static char  *text;
static size_t text_size;

void
parcel_open(struct parcel *p, char *data, int *fds)
{
	*p = (struct parcel){ .data = data, .size = PARCEL_SIZE, .fds = fds };
}

struct parcel_mark
parcel_mark(const struct parcel *p)
{
	return (struct parcel_mark){ p->at, p->fd_count };
}

void
parcel_reset(struct parcel *p, struct parcel_mark m)
{
	while (p->fd_count > m.fd_count) {
		p->fd_count--;
		if ((p->files[p->fd_count / 64] >> p->fd_count % 64 & 1) != 0)
			close(p->fds[p->fd_count]);
		p->files[p->fd_count / 64] &= ~(UINT64_C(1) << p->fd_count % 64);
	}
	p->at = m.at;
	p->bad = false;
}

struct parcel_mark
parcel_begin(struct parcel *p)
{
	const struct parcel_head head = { 0, 0 };
	struct parcel_mark       m = parcel_mark(p);

	parcel_put(p, &head, sizeof head);
	return m;
}

void
parcel_end(struct parcel *p, struct parcel_mark m)
{
	const struct parcel_head head = {
		.size = (uint32_t)(p->at - m.at - sizeof head),
		.fds = p->fd_count - m.fd_count,
	};

	if (!p->bad)
		memcpy(p->data + m.at, &head, sizeof head);
}

void
parcel_close(struct parcel *p)
{
	parcel_reset(p, (struct parcel_mark){ 0, 0 });
}

/* ----------------------------------------------------------------- writing */

void
parcel_put(struct parcel *p, const void *what, size_t size)
{
	if (p->bad || size > p->size - p->at) {
		p->bad = true;
		return;
	}
	memcpy(p->data + p->at, what, size);
	p->at += size;
}

void
parcel_put_text(struct parcel *p, struct weir_span s)
{
	uint32_t length = s.len > PARCEL_INLINE ? PARCEL_FILE : (uint32_t)s.len;
	int      fd;

	parcel_put(p, &length, sizeof length);
	if (p->bad || length != PARCEL_FILE) {
		if (s.len > 0)
			parcel_put(p, s.data, s.len);
		return;
	}
	if (p->fd_count == PARCEL_FDS || s.len > PARCEL_LONGEST || (fd = parcel_file(s)) < 0) {
		p->bad = true;
		return;
	}
	p->files[p->fd_count / 64] |= UINT64_C(1) << p->fd_count % 64;
	p->fds[p->fd_count++] = fd;
}

void
parcel_put_name(struct parcel *p, const char *name)
{
	parcel_put_text(p, (struct weir_span){ name, name != NULL ? strlen(name) : 0 });
}

void
parcel_put_fd(struct parcel *p, int fd)
{
	if (p->bad || p->fd_count == PARCEL_FDS)
		p->bad = true;
	else
		p->fds[p->fd_count++] = fd;
}

/* A file in memory with the text; -1: that cannot be had. */
static int
parcel_file(struct weir_span s)
{
	int     fd = memfd_create("weir-session", MFD_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	while (s.len > 0) {
		n = write(fd, s.data, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			close(fd);
			return -1;
		}
		s.data += n;
		s.len -= (size_t)n;
	}
	return fd;
}

/* ----------------------------------------------------------------- reading */

void
parcel_read(struct parcel *p, const void *data, size_t size, const int *fds, unsigned count)
{
	*p = (struct parcel){
		.data = (char *)(uintptr_t)data,
		.size = size,
		.fds = (int *)(uintptr_t)fds,
		.fd_count = count,
	};
}

bool
parcel_cut(struct parcel *p, struct parcel *part)
{
	struct parcel_head head;

	if (p->bad || p->at == p->size)
		return false;
	parcel_get(p, &head, sizeof head);
	if (p->bad || head.size > p->size - p->at || head.fds > p->fd_count - p->fd_at) {
		p->bad = true;
		return false;
	}
	parcel_read(part, p->data + p->at, head.size, p->fds + p->fd_at, head.fds);
	p->at += head.size;
	p->fd_at += head.fds;
	return true;
}

void
parcel_get(struct parcel *p, void *into, size_t size)
{
	memset(into, 0, size);
	if (p->bad || size > p->size - p->at) {
		p->bad = true;
		return;
	}
	memcpy(into, p->data + p->at, size);
	p->at += size;
}

struct weir_span
parcel_get_text(struct parcel *p)
{
	struct weir_span s = { NULL, 0 };
	uint32_t         length;

	parcel_get(p, &length, sizeof length);
	if (length == PARCEL_FILE)
		return parcel_get_file(p);
	if (p->bad || length > p->size - p->at) {
		p->bad = true;
		return s;
	}
	s = (struct weir_span){ p->data + p->at, length };
	p->at += length;
	return s;
}

void
parcel_get_name(struct parcel *p, char *out, size_t size)
{
	struct weir_span s = parcel_get_text(p);

	out[0] = '\0';
	if (s.len >= size || memchr(s.data != NULL ? s.data : "", '\0', s.len) != NULL) {
		p->bad = true;
		return;
	}
	if (s.len > 0)
		memcpy(out, s.data, s.len);
	out[s.len] = '\0';
}

int
parcel_get_fd(struct parcel *p)
{
	if (p->bad || p->fd_at == p->fd_count) {
		p->bad = true;
		return -1;
	}
	return p->fds[p->fd_at++];
}

void
parcel_unget_fd(struct parcel *p)
{
	p->fd_at--;
}

void
parcel_discard(struct parcel *p)
{
	while (p->fd_at < p->fd_count)
		close(p->fds[p->fd_at++]);
}

/* Its sender has written it as a whole, and has let it go. */
static struct weir_span
parcel_get_file(struct parcel *p)
{
	int              fd = parcel_get_fd(p);
	struct weir_span s = { NULL, 0 };
	struct stat      st;
	char            *grown;

	if (fd < 0)
		return s;
	if (fstat(fd, &st) < 0 || st.st_size > (off_t)PARCEL_LONGEST) {
		p->bad = true;
		close(fd);
		return s;
	}
	if ((size_t)st.st_size > text_size) {
		grown = realloc(text, (size_t)st.st_size);
		if (grown == NULL)
			p->bad = true;
		else {
			text = grown;
			text_size = (size_t)st.st_size;
		}
	}
	if (!p->bad && pread(fd, text, (size_t)st.st_size, 0) == (ssize_t)st.st_size)
		s = (struct weir_span){ text, (size_t)st.st_size };
	else
		p->bad = true;
	close(fd);
	return s;
}

void
parcels_stop(void)
{
	free(text);
	text = NULL;
	text_size = 0;
}
