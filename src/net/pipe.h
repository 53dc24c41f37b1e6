/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pipe: pipes lent to streams that carry much, so that the kernel moves their
 * bytes from socket to socket (splice(2)) and no byte is copied here.
 *
 * They cost descriptors, and the kernel grants one user only so many of full
 * size (pipe(7), pipe-user-pages-soft): so they are few, and lent only while
 * bytes flow. Who gets none copies.
 */
#ifndef NET_PIPE_H
#define NET_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;

#define PIPES_MAX  64u			/* of one process */
#define PIPE_ROOM  (256u << 10)		/* asked of the kernel for each */

struct pipe {
	struct pipe *next;	/* of those that nobody has */
	int          end[2];	/* [0] is read, [1] is written */
	size_t       held;	/* bytes in it */
};

/* An empty pipe, or NULL when there is none to be had. */
struct pipe *pipe_borrow(void);

/* Gives it back (NULL in *p is fine); one that is not empty is closed. */
void pipe_return(struct pipe **p);

/* Closes those that nobody has. */
void pipe_trim(void);

/* How many there are, lent or not; each is two descriptors. */
unsigned pipe_count(void);

/* Moves at most size bytes from the conn into an empty pipe. Returns how many.
 * 0 says nothing: reading may yet find some, and only reading finds the end. */
size_t pipe_fill(struct pipe *, struct conn *from, size_t size);

/* Moves what is held to the conn, behind all that it was sent before: nothing
 * may wait in its `out`. Returns false when the conn is write_shut or broken. */
bool pipe_drain(struct pipe *, struct conn *to);

/* Takes out what is held and sends it as conn_gather does. */
bool pipe_spill(struct pipe *, struct conn *to);

#endif
