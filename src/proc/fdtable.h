/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdtable: descriptors by what they are: (kind, name, slot).
 *
 * The master holds all of its own in one table: so a child knows what to let
 * go, nothing is left at the end, and one function writes the table out. A
 * template is sent a table of what it and its workers need.
 */
#ifndef PROC_FDTABLE_H
#define PROC_FDTABLE_H

#include <stddef.h>

#include "net/addr.h"

enum fd_kind {
	FD_BOARD,
	FD_PID,			/* the pid file, locked */
	FD_CONTROL,		/* where clients of the control socket are accepted */
	FD_CLIENT,		/* slot: which */
	FD_SURVEY,		/* slot: of a client, doubled: what it is sent; and one more: the
				 * other end of that */
	FD_STARTER,		/* who waits for the daemon to be ready */
	FD_REPORTS,		/* the master's mailbox: where it reads … */
	FD_MASTER,		/* … and where workers write */
	FD_CHANNEL,		/* name: generation; to its template */
	FD_SNAPSHOT,		/* name: generation; the text of its configuration */
	FD_MAILBOX,		/* name: generation; where to write to the slot's worker */
	FD_INBOX,		/* the other end */
	FD_HANDOVER,		/* name: generation; where to send sessions to the slot's worker */
	FD_ARRIVALS,		/* the other end: where they arrive */
	FD_COMPANION,		/* to the other master, while one takes over from another */
	FD_HEIR,		/* slot: where to send sessions to its workers */
	FD_LISTEN,		/* name: as addr_print says; slot, or FD_SHARED */
	FD_INHERITED,		/* listening sockets that we were started with, unused so far */
	FD_LOG,			/* name: generation; slot: which error_log */
	FD_KINDS
};

#define FD_SHARED 65535u	/* as slot: one socket for all */
#define FD_SLOTS  65536u

struct fd_entry {
	enum fd_kind kind;
	unsigned     slot;
	int          fd;
	char         name[ADDR_TEXT_MAX];
};

/* Zeroed: empty. Entries are in the order of kind, name, slot. */
struct fdtable {
	struct fd_entry **entries;
	unsigned          count;
	unsigned          room;
};

/* Every descriptor that the master holds, but for those of its log. */
extern struct fdtable master_fds;

/* Closes and forgets: *fd is -1 afterwards, errno as before. -1 is allowed. */
void fd_close(int *fd);

/* Adds a descriptor, which then belongs to the table. Returns 0, or -1 with
 * errno (ENOMEM; EEXIST; ENAMETOOLONG) and the fd still the caller's. */
int fdtable_add(struct fdtable *, enum fd_kind, const char *name, unsigned slot, int fd)
    __attribute__((warn_unused_result));

/* The descriptor, or -1. */
int fdtable_find(const struct fdtable *, enum fd_kind, const char *name, unsigned slot);

/* Removes it without closing it: the caller's again. -1: there is none. */
int fdtable_take(struct fdtable *, enum fd_kind, const char *name, unsigned slot);

/* Closes one, all of a kind, everything (and frees the table). */
void fdtable_close(struct fdtable *, enum fd_kind, const char *name, unsigned slot);
void fdtable_close_kind(struct fdtable *, enum fd_kind);
void fdtable_close_all(struct fdtable *);

/* Frees the table and closes nothing: for one that lists what others own. */
void fdtable_forget(struct fdtable *);

/* "listen": as it is written out. */
const char *fd_kind_name(enum fd_kind);

/*
 * Writes entries from *from on as lines "KIND SLOT FD NAME" into out, and their
 * descriptors into fds, as many as there is room for in both (at most fd_room);
 * moves *from behind them. Returns the length of the text; *fd_count is how
 * many.
 */
size_t fdtable_encode(const struct fdtable *, unsigned *from, char *out, size_t size, int *fds,
    unsigned fd_room, unsigned *fd_count);

/*
 * Adds what was written. fds: the descriptors in the order of the lines, as
 * they arrived over a socket; NULL: the numbers in the text are ours (after
 * exec). Returns how many of fds it has taken over when all went well, or -1
 * with errno (EPROTO: not such a text), having taken none.
 */
int fdtable_decode(struct fdtable *, const char *text, size_t size, const int *fds,
    unsigned fd_count) __attribute__((warn_unused_result));

#endif
