/* SPDX-License-Identifier: BSD-2-Clause */
/* tool: what the programs of t/tools share; nothing of weir: they cannot share its mistakes. */
#ifndef T_TOOLS_TOOL_H
#define T_TOOLS_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What they speak. A request is a line, its reply another:
 *
 *	TAG SIZE FILLER			c17.42 5 whatever
 *	TAG SUM PAD			c17.42 6f0d…(16 digits) rstuv
 *
 * SUM is that of the whole request without its newline (a CR is part of it), PAD
 * has SIZE bytes, which follow from SUM. So each reply can be told from all others,
 * and a wrong byte in the request or in the reply is seen.
 */

/* The sum of a request's bytes. */
uint64_t line_sum(const char *line, size_t len);

/* Bytes of a connection: what waits is [start, start + len). Zeroed: empty. */
struct bytes {
	char  *data;
	size_t start;
	size_t len;
	size_t size;
};

/* Room for `len` more bytes behind what there is; they count when len is raised. */
char *bytes_room(struct bytes *, size_t len);
void  bytes_append(struct bytes *, const void *, size_t len);
void  bytes_consume(struct bytes *, size_t len);
void  bytes_free(struct bytes *);

/* The line that begins `b`, without its newline, or NULL when it is not whole.
 * `*len` is its length; len + 1 bytes are to be consumed. */
const char *bytes_line(const struct bytes *b, size_t *len);

/* Appends the reply to a request of that tag, sum and SIZE, newline included. */
void bytes_append_reply(struct bytes *, const char *tag, size_t tag_len, uint64_t sum,
    unsigned size);

/* A stream of random numbers; equal (seed, number) give equal streams. */
struct rng {
	uint64_t state;
};

struct rng rng_make(uint64_t seed, uint64_t number);
uint64_t   rng_next(struct rng *);
uint64_t   rng_below(struct rng *, uint64_t bound);	/* 0 … bound - 1; 0 of 0 */
bool       rng_chance(struct rng *, double probability);

/* "name=probability,…" into rates[], by the names of the table, which ends with
 * NULL; ends the program when it is anything else. */
void rates_parse(const char *text, const char *const names[], double rates[]);

/* A number of an option, or the program ends. */
uint64_t number_parse(const char *option, const char *text, uint64_t max);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t now_us(void);

/* A socket that listens on the port of 127.0.0.1 (0: any), or -1 with errno. */
int  listen_on(unsigned port);
unsigned port_of(int fd);

/* A connect that has begun, to "PORT" or "IPV4:PORT"; -1 with errno. */
int  connect_to(const char *address);

/* The next close sends a reset. */
void reset_at_close(int fd);

/* Sets *stop when SIGTERM or SIGINT comes; a parent's death is a SIGTERM.
 * SIGPIPE is ignored. */
void stop_on_signals(volatile int *stop);

#endif
