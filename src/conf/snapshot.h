/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot: all that a configuration was read from, as it was read.
 *
 * While files are read, what they hold is added to it: texts, what patterns
 * matched, which module files were loaded, certificates and their keys. Written to a
 * memfd it outlives the process; read from there, the same configuration is loaded
 * again from it, whatever has become of the files. Records come back in the order in
 * which they were added: the same text is read in the same order.
 *
 * There are secrets in it. The memfd is sealed and in no process but the master, and
 * what has lain in memory is wiped.
 */
#ifndef CONF_SNAPSHOT_H
#define CONF_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum snapshot_kind {
	SNAPSHOT_FILE,		/* a path: its bytes */
	SNAPSHOT_PATTERN,	/* of an include: paths, each with its NUL */
	SNAPSHOT_MODULE,	/* a path: no data */
};

struct file;

struct snapshot_record {
	struct snapshot_record *next;
	enum snapshot_kind      kind;
	/* Which file it was. */
	uint64_t                device;
	uint64_t                inode;
	uint64_t                changed;	/* ns: its mtime; of modules */
	const char             *name;
	const char             *data;
	size_t                  size;
};

/* Zeroed: to be added to. */
struct snapshot {
	struct snapshot_record *first;
	struct snapshot_record *last;
	struct snapshot_record *at;	/* next to come back */
	bool                    replays;	/* it has been read: nothing is added */
};

/* Adds a copy. Returns it, which lives as long as the snapshot, or NULL with errno. */
const struct snapshot_record *snapshot_add(struct snapshot *, const struct snapshot_record *);

/* The same of what a file holds. */
const struct snapshot_record *snapshot_add_file(struct snapshot *, const char *path,
    const struct file *);

/* What a file held, or holds, which is then added: file_read's results. NULL: the file is
 * read, and that is all. */
const char *snapshot_read_file(struct snapshot *, const char *path, struct file *);

/* The next one; NULL if that is not of this kind and name. */
const struct snapshot_record *snapshot_next(struct snapshot *, enum snapshot_kind,
    const char *name);

/* To an empty memfd that allows sealing, which is sealed; from one. Return 0, or -1
 * with errno (EPROTO: that is none). */
int  snapshot_write(const struct snapshot *, int fd) __attribute__((warn_unused_result));
int  snapshot_read(struct snapshot *, int fd) __attribute__((warn_unused_result));
void snapshot_free(struct snapshot *);

#endif
