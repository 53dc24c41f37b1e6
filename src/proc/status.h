/* SPDX-License-Identifier: BSD-2-Clause */
/* status: what weir counts, from the board, and who its processes are. */
#ifndef PROC_STATUS_H
#define PROC_STATUS_H

#include <stdbool.h>
#include <stdint.h>

struct text;

/* `weir status`, as text or JSON. uptime: the master's, in ms; stopping: weir is
 * about to end. */
void status_print(struct text *, bool json, uint64_t uptime, bool stopping);

/* `weir generations` */
void status_print_generations(struct text *);

#endif
