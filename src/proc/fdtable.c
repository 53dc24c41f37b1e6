/* SPDX-License-Identifier: BSD-2-Clause */
/* fdtable: descriptors by what they are: (kind, name, slot). */
#include "proc/fdtable.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

static bool fdtable_search(const struct fdtable *, enum fd_kind, const char *, unsigned,
    unsigned *);
static void     fdtable_remove_at(struct fdtable *, unsigned at);
static int      fdtable_decode_line(struct fd_entry *, char *line);

struct fdtable master_fds;

static const char *const kind_names[FD_KINDS] = {
	[FD_BOARD] = "board",
	[FD_PID] = "pid",
	[FD_CONTROL] = "control",
	[FD_CLIENT] = "client",
	[FD_SURVEY] = "survey",
	[FD_STARTER] = "starter",
	[FD_REPORTS] = "reports",
	[FD_MASTER] = "master",
	[FD_CHANNEL] = "channel",
	[FD_SNAPSHOT] = "snapshot",
	[FD_MAILBOX] = "mailbox",
	[FD_INBOX] = "inbox",
	[FD_HANDOVER] = "handover",
	[FD_ARRIVALS] = "arrivals",
	[FD_COMPANION] = "companion",
	[FD_HEIR] = "heir",
	[FD_LISTEN] = "listen",
	[FD_INHERITED] = "inherited",
	[FD_LOG] = "log",
};

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

const char *
fd_kind_name(enum fd_kind kind)
{
	return kind_names[kind];
}

int
fdtable_add(struct fdtable *t, enum fd_kind kind, const char *name, unsigned slot, int fd)
{
	struct fd_entry **grown, *e;
	unsigned          at, room;

	if (strlen(name) >= sizeof e->name || slot >= FD_SLOTS) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (fdtable_search(t, kind, name, slot, &at)) {
		errno = EEXIST;
		return -1;
	}
	if (t->count == t->room) {
		room = t->room == 0 ? 16 : 2 * t->room;
		grown = realloc(t->entries, room * sizeof *grown);
		if (grown == NULL)
			return -1;
		t->entries = grown;
		t->room = room;
	}
	e = malloc(sizeof *e);
	if (e == NULL)
		return -1;
	*e = (struct fd_entry){ .kind = kind, .slot = slot, .fd = fd };
	strcpy(e->name, name);
	memmove(t->entries + at + 1, t->entries + at, (t->count - at) * sizeof(struct fd_entry *));
	t->entries[at] = e;
	t->count++;
	return 0;
}

int
fdtable_find(const struct fdtable *t, enum fd_kind kind, const char *name, unsigned slot)
{
	unsigned at;

	return fdtable_search(t, kind, name, slot, &at) ? t->entries[at]->fd : -1;
}

int
fdtable_take(struct fdtable *t, enum fd_kind kind, const char *name, unsigned slot)
{
	unsigned at;
	int      fd;

	if (!fdtable_search(t, kind, name, slot, &at))
		return -1;
	fd = t->entries[at]->fd;
	fdtable_remove_at(t, at);
	return fd;
}

void
fdtable_close(struct fdtable *t, enum fd_kind kind, const char *name, unsigned slot)
{
	int fd = fdtable_take(t, kind, name, slot);

	fd_close(&fd);
}

void
fdtable_close_kind(struct fdtable *t, enum fd_kind kind)
{
	for (unsigned i = t->count; i-- > 0;) {
		if (t->entries[i]->kind != kind)
			continue;
		fd_close(&t->entries[i]->fd);
		fdtable_remove_at(t, i);
	}
}

void
fdtable_close_all(struct fdtable *t)
{
	for (unsigned i = 0; i < t->count; i++)
		fd_close(&t->entries[i]->fd);
	fdtable_forget(t);
}

void
fdtable_forget(struct fdtable *t)
{
	for (unsigned i = 0; i < t->count; i++)
		free(t->entries[i]);
	free(t->entries);
	*t = (struct fdtable){ 0 };
}

size_t
fdtable_encode(const struct fdtable *t, unsigned *from, char *out, size_t size, int *fds,
    unsigned fd_room, unsigned *fd_count)
{
	size_t   used = 0;
	unsigned n = 0;

	for (; *from < t->count && n < fd_room; ++*from) {
		const struct fd_entry *e = t->entries[*from];
		int                    len = snprintf(out + used, size - used, "%s %u %d %s\n",
		    kind_names[e->kind], e->slot, e->fd, e->name);

		if (len < 0 || (size_t)len >= size - used)
			break;
		used += (size_t)len;
		fds[n++] = e->fd;
	}
	*fd_count = n;
	return used;
}

int
fdtable_decode(struct fdtable *t, const char *text, size_t size, const int *fds, unsigned fd_count)
{
	const char     *end = text + size;
	struct fd_entry e;
	unsigned        n = 0, undo;
	char            line[2 * ADDR_TEXT_MAX];
	struct fdtable  added = { 0 };

	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		size_t      len = eol == NULL ? 0 : (size_t)(eol - text);

		if (eol == NULL || len >= sizeof line || (fds != NULL && n == fd_count))
			goto malformed;
		memcpy(line, text, len);
		line[len] = '\0';
		text = eol + 1;
		if (strlen(line) != len || fdtable_decode_line(&e, line) < 0)
			goto malformed;
		if (fds != NULL)
			e.fd = fds[n];
		if (fdtable_search(t, e.kind, e.name, e.slot, &undo))
			goto malformed;
		if (fdtable_add(&added, e.kind, e.name, e.slot, e.fd) < 0)
			goto fail;
		n++;
	}
	if (fds != NULL && n != fd_count)
		goto malformed;
	for (undo = 0; undo < added.count; undo++) {
		struct fd_entry *a = added.entries[undo];
		if (fdtable_add(t, a->kind, a->name, a->slot, a->fd) < 0) {
			while (undo-- > 0) {
				a = added.entries[undo];
				fdtable_take(t, a->kind, a->name, a->slot);
			}
			goto fail;
		}
	}
	fdtable_forget(&added);
	return (int)n;
malformed:
	errno = EPROTO;
fail:
	fdtable_forget(&added);
	return -1;
}

/* Whether the key is there, and where it is or belongs. */
static bool
fdtable_search(const struct fdtable *t, enum fd_kind kind, const char *name, unsigned slot,
    unsigned *at)
{
	unsigned low = 0, high = t->count;

	while (low < high) {
		unsigned               middle = low + (high - low) / 2;
		const struct fd_entry *e = t->entries[middle];
		int                    order = e->kind < kind ? -1 : e->kind > kind;

		if (order == 0)
			order = strcmp(e->name, name);
		if (order == 0)
			order = e->slot == slot ? 0 : e->slot < slot ? -1 : 1;
		if (order == 0) {
			*at = middle;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*at = low;
	return false;
}

static void
fdtable_remove_at(struct fdtable *t, unsigned at)
{
	free(t->entries[at]);
	t->count--;
	memmove(t->entries + at, t->entries + at + 1,
	    (t->count - at) * sizeof(struct fd_entry *));
}

static int
fdtable_decode_line(struct fd_entry *e, char *line)
{
	const char *kind = strsep(&line, " ");
	const char *slot = strsep(&line, " ");
	const char *fd = strsep(&line, " ");
	uint64_t    number;
	unsigned    k = 0;

	if (line == NULL || strlen(line) >= sizeof e->name)
		return -1;
	while (k < FD_KINDS && strcmp(kind_names[k], kind) != 0)
		k++;
	if (k == FD_KINDS || !str_number(slot, &number) || number >= FD_SLOTS)
		return -1;
	e->kind = (enum fd_kind)k;
	e->slot = (unsigned)number;
	if (!str_number(fd, &number) || number > INT_MAX)
		return -1;
	e->fd = (int)number;
	strcpy(e->name, line);
	return 0;
}
