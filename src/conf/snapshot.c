/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot: all that a configuration was read from, as it was read. */
#include "conf/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define SNAPSHOT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

/* As it is written: this, the name with its NUL, the data. */
struct snapshot_head {
	uint64_t kind;
	uint64_t device;
	uint64_t inode;
	uint64_t changed;
	uint64_t name_size;
	uint64_t size;
};

static int snapshot_put(int fd, const void *data, size_t size);

const struct snapshot_record *
snapshot_add(struct snapshot *s, const struct snapshot_record *wanted)
{
	size_t                  name_size = strlen(wanted->name) + 1;
	struct snapshot_record *r = malloc(sizeof *r + name_size + wanted->size);
	char                   *room;

	if (r == NULL)
		return NULL;
	room = (char *)(r + 1);
	*r = *wanted;
	r->next = NULL;
	r->name = memcpy(room, wanted->name, name_size);
	r->data = room + name_size;
	if (wanted->size > 0)
		memcpy(room + name_size, wanted->data, wanted->size);
	if (s->last == NULL)
		s->first = s->at = r;
	else
		s->last->next = r;
	s->last = r;
	return r;
}

const struct snapshot_record *
snapshot_add_file(struct snapshot *s, const char *path, const struct file *file)
{
	const struct snapshot_record record = { .kind = SNAPSHOT_FILE,
		.device = file->device,
		.inode = file->inode,
		.name = path,
		.data = file->bytes,
		.size = file->size };

	return snapshot_add(s, &record);
}

const char *
snapshot_read_file(struct snapshot *s, const char *path, struct file *file)
{
	const struct snapshot_record *kept;
	const char                   *wrong;

	if (s != NULL && s->replays) {
		kept = snapshot_next(s, SNAPSHOT_FILE, path);
		return kept == NULL ? "what it held was not kept"
				    : file_copy(file, kept->data, kept->size);
	}
	wrong = file_read(file, path);
	if (wrong == NULL && s != NULL && snapshot_add_file(s, path, file) == NULL) {
		wrong = strerror(errno);
		file_free(file);
	}
	return wrong;
}

const struct snapshot_record *
snapshot_next(struct snapshot *s, enum snapshot_kind kind, const char *name)
{
	const struct snapshot_record *r = s->at;

	if (r == NULL || r->kind != kind || strcmp(r->name, name) != 0)
		return NULL;
	s->at = r->next;
	return r;
}

int
snapshot_write(const struct snapshot *s, int fd)
{
	const struct snapshot_record *r;
	struct snapshot_head          head;

	for (r = s->first; r != NULL; r = r->next) {
		head = (struct snapshot_head){ .kind = r->kind,
			.device = r->device,
			.inode = r->inode,
			.changed = r->changed,
			.name_size = strlen(r->name) + 1,
			.size = r->size };
		if (snapshot_put(fd, &head, sizeof head) < 0 ||
		    snapshot_put(fd, r->name, head.name_size) < 0 ||
		    snapshot_put(fd, r->data, r->size) < 0)
			return -1;
	}
	return fcntl(fd, F_ADD_SEALS, SNAPSHOT_SEALS);
}

/* One record from the bytes at `data`; returns how many it took, 0: it is not whole. */
static size_t
snapshot_take(struct snapshot *s, const char *data, size_t size)
{
	struct snapshot_head   head;
	struct snapshot_record r;

	if (size < sizeof head)
		return 0;
	memcpy(&head, data, sizeof head);
	size -= sizeof head;
	if (head.name_size == 0 || head.name_size > size || head.size > size - head.name_size ||
	    data[sizeof head + head.name_size - 1] != '\0')
		return 0;
	r = (struct snapshot_record){ .kind = (enum snapshot_kind)head.kind,
		.device = head.device,
		.inode = head.inode,
		.changed = head.changed,
		.name = data + sizeof head,
		.data = data + sizeof head + head.name_size,
		.size = head.size };
	return snapshot_add(s, &r) == NULL ? 0 : sizeof head + head.name_size + head.size;
}

int
snapshot_read(struct snapshot *s, int fd)
{
	int         seals = fcntl(fd, F_GET_SEALS);
	size_t      size, at = 0, taken = 1;
	struct stat st;
	char       *all;

	if (seals < 0 || fstat(fd, &st) < 0)
		return -1;
	if ((seals & F_SEAL_WRITE) == 0 || (seals & F_SEAL_SHRINK) == 0 || st.st_size == 0) {
		errno = EPROTO;
		return -1;
	}
	size = (size_t)st.st_size;
	all = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (all == MAP_FAILED)
		return -1;
	for (; at < size && taken > 0; at += taken)
		taken = snapshot_take(s, all + at, size - at);
	munmap(all, size);
	s->replays = true;
	if (taken > 0)
		return 0;
	errno = EPROTO;
	return -1;
}

void
snapshot_free(struct snapshot *s)
{
	struct snapshot_record *r;

	while ((r = s->first) != NULL) {
		s->first = r->next;
		explicit_bzero((char *)(r + 1) + strlen(r->name) + 1, r->size);
		free(r);
	}
	*s = (struct snapshot){ 0 };
}

static int
snapshot_put(int fd, const void *data, size_t size)
{
	const char *at = data;
	ssize_t     n;

	while (size > 0) {
		n = write(fd, at, size);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return 0;
}
