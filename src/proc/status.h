/* SPDX-License-Identifier: BSD-2-Clause */
/* status: what weir counts, from the board, and who its processes are. */
#ifndef PROC_STATUS_H
#define PROC_STATUS_H

#include <stdbool.h>

struct text;

/* `weir status`, as text or JSON. */
void status_print(struct text *, bool json);

/* `weir generations` */
void status_print_generations(struct text *);

#endif
