/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tickets: the keys of TLS session tickets, which all workers have in common.
 *
 *	next ──► current ──► previous ──► wiped		once in each lifetime
 *
 * So a ticket can be read for as long as it is good, by any worker, over reloads and
 * deaths; `next` is known to all before the first of them uses it. The master makes the
 * keys and keeps them in memory that is not in its children, nor in a core file, nor, if
 * the system allows it, ever swapped out. Workers get them through their mailboxes.
 */
#ifndef PROC_TICKETS_H
#define PROC_TICKETS_H

#include <stdint.h>

struct tls_ticket_keys;

/* rotated: all workers have to be given the new ones. */
void tickets_start(void (*rotated)(void));
void tickets_stop(void);

/* A worker starts whose tickets are good for so many ms; 0: it needs no keys. Another
 * lifetime counts from when the current key became it, too. */
void tickets_wanted(uint64_t lifetime);

/* Goes on with those of another master, which are copied, and with its tickets_since: they
 * are rotated when that would have done it. */
void tickets_adopt(const struct tls_ticket_keys *, uint64_t since);

/* NULL: nobody wants any, or there are none to be had. */
const struct tls_ticket_keys *tickets_keys(void);

/* When the current one became it, in ms of CLOCK_MONOTONIC. */
uint64_t tickets_since(void);

#endif
