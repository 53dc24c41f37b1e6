/* SPDX-License-Identifier: BSD-2-Clause */
/* loading: whether the process that loads a configuration gets on with it. */
#ifndef PROC_LOADING_H
#define PROC_LOADING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOADING_LOOK   250u	/* ms between two looks */
#define LOADING_SLOW  5000u	/* ms with one thing until that is told … */
#define LOADING_LIMIT 60000u	/* … and until it hangs, when nothing else says how long */
/* A name may take the system's resolver that long; it ends by itself. */
#define LOADING_NAME_LIMIT 60000u

enum loading_state { LOADING_GOES_ON, LOADING_IS_SLOW, LOADING_HANGS };

/* What the process was found to do, since when. */
struct loading {
	pid_t              pid;
	enum loading_state state;
	uint64_t           since;
	uint64_t           looked;
	char               doing[512];
};

void loading_begin(struct loading *, pid_t);

/*
 * Looks at what it does; limit in ms, of worker_watchdog, 0: off. When that is another
 * state than at the last look, and not GOES_ON, text says what it does, and for how long.
 * Returns whether text does.
 */
bool loading_look(struct loading *, uint64_t limit, char *text, size_t size);

#endif
