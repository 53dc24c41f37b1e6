/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heirs: who goes on with the sessions of a generation that retires: the workers of the
 * one that runs, or, where this master has none any more, of the one that runs under
 * the other master (proc/companion).
 */
#ifndef PROC_HEIRS_H
#define PROC_HEIRS_H

#include <stdbool.h>
#include <stdint.h>

struct message;
struct post;

/* The generation that they are of; 0: nobody goes on with them. */
uint32_t heirs_number(void);

/*
 * Completes MESSAGE_HEIRS for this worker: the heirs of its sessions; for one of the
 * generation that runs the others of it, among whom sessions are evened out. Of very
 * many those that fit. False: nothing is to be said. Valid until the next call.
 */
bool heirs_complete(const struct post *, struct message *);

/* The same for the other master: the workers of ours that runs. */
bool heirs_offer(struct message *);

/* Those of the other master (its MESSAGE_HEIRS), until the next ones; the descriptors are
 * taken, and closed when there is no room for them. Without them: it has none. */
void heirs_adopt(struct message *);
void heirs_disown(void);

#endif
