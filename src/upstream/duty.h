/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * duty: what is done once for all workers, by the keeper (proc/keeper).
 *
 *	template: wanted? ─► keeper: start ─► its timers, its descriptors … ─► stop
 *
 * A keeper has the event loop that workers have, and neither listeners nor sessions. What
 * it finds out it writes to the board. One generation's keeper follows another's, so that
 * a duty begins with what stands there, and a keeper that dies costs nothing but time.
 */
#ifndef UPSTREAM_DUTY_H
#define UPSTREAM_DUTY_H

#include <stdbool.h>
#include <stdint.h>

struct conf;

/* Of the keeper that a duty is started in. */
struct duty_keeper {
	const struct conf *conf;
	unsigned           seat;	/* its cells on the board */
	uint32_t           number;	/* of its generation, … */
	unsigned           generation;	/* … and what the board knows that by */

	/*
	 * Whether it is the one that acts. Two are alive for a moment at each reload, and
	 * for as long as one of them is stopped by a signal; under two masters, too. To be
	 * asked before anything is done that others see.
	 */
	bool (*acts)(void);

	/* All workers of its generation are told to look at this upstream, an entry of the
	 * board. Those of others, and who does not hear it, look before they pick. */
	void (*changed)(int upstream);
};

struct duty {
	const char *name;

	/* Template: whether this configuration has any of it. Without any duty no keeper is
	 * started. */
	bool (*wanted)(const struct conf *);

	/* The keeper may begin. Returns 0, or -1 with errno: it ends, and another is started. */
	int  (*start)(const struct duty_keeper *);

	/* Its generation retires: the next keeper has begun already. */
	void (*stop)(void);
};

#endif
