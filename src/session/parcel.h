/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parcel: what is left of sessions while they are on their way to another worker: bytes
 * and descriptors, as one message carries them.
 *
 *	┌─────────────────────────────┬──────────────────┬────
 *	│ fixed, names, text, numbers │ the next session │ …     data
 *	└──────┬───────────┬──────────┴──────────────────┴────
 *	       client    peer   what is too long for a message     descriptors
 *
 * Whoever writes changes nothing of what it writes about: when the message cannot be
 * sent, all goes on as before. Whoever reads believes nothing: a parcel that ends too
 * early, or says what makes no sense, is `bad`, and everything read from it then is
 * empty, so only the last call has to be asked.
 */
#ifndef SESSION_PARCEL_H
#define SESSION_PARCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir.h"

/* Of what is written: another one cannot be read. */
#define PARCEL_VERSION 2u

#define PARCEL_SIZE   49152u	/* bytes of one message */
#define PARCEL_FDS      250u
#define PARCEL_INLINE  8192u	/* longer texts go into a file in memory */

struct parcel {
	char    *data;
	size_t   size;		/* writing: room; reading: how much there is */
	size_t   at;
	int     *fds;
	unsigned fd_count;	/* writing: so far; reading: how many there are */
	unsigned fd_at;		/* reading: the next one */
	bool     bad;		/* writing: there was no room; reading: it makes no sense */
	uint64_t files[(PARCEL_FDS + 63) / 64];	/* writing: which descriptors are its own */
};

/* A place in a parcel that is written. */
struct parcel_mark {
	size_t   at;
	unsigned fd_count;
};

/* Begins an empty one: data has PARCEL_SIZE bytes, fds room for PARCEL_FDS. */
void parcel_open(struct parcel *, char *data, int *fds);

/* What was written since is taken back. */
struct parcel_mark parcel_mark(const struct parcel *);
void               parcel_reset(struct parcel *, struct parcel_mark);

/* One session's part, which can be cut out by whoever reads: between the two. */
struct parcel_mark parcel_begin(struct parcel *);
void               parcel_end(struct parcel *, struct parcel_mark);

/* It was sent, or not: closes the files that it has made for long texts. */
void parcel_close(struct parcel *);

void parcel_put(struct parcel *, const void *, size_t);
void parcel_put_text(struct parcel *, struct weir_span);
void parcel_put_name(struct parcel *, const char *);	/* NULL is written, too */
void parcel_put_fd(struct parcel *, int);		/* stays whose it is */

/* Begins to read one. The descriptors belong to it until they are taken. */
void parcel_read(struct parcel *, const void *data, size_t, const int *fds, unsigned count);

/* Cuts out the next part, whatever is wrong in it later; its descriptors are its own then.
 * False: there is none left, or the parcel is bad. */
bool parcel_cut(struct parcel *, struct parcel *part);

void parcel_get(struct parcel *, void *, size_t);
/* Valid until the next call; in the parcel, or in memory of this function. */
struct weir_span parcel_get_text(struct parcel *);
/* A name of less than size bytes; "" for NULL. */
void parcel_get_name(struct parcel *, char *, size_t size);
/* The caller's; -1: bad. The one that was taken last can be given back. */
int  parcel_get_fd(struct parcel *);
void parcel_unget_fd(struct parcel *);

/* Closes the descriptors that nobody has taken. */
void parcel_discard(struct parcel *);

/* Per worker, at its end: frees the memory of parcel_get_text. */
void parcels_stop(void);

#endif
