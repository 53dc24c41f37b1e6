/* SPDX-License-Identifier: BSD-2-Clause */
/* ports: whether this machine has ports for what the configuration allows. */
#ifndef PROC_PORTS_H
#define PROC_PORTS_H

#include <stdint.h>

struct conf;

/* In the check of [weir]: warns of each upstream whose peers and sources do not
 * carry its sessions and links; sessions: the most that all workers take. */
void ports_check(const struct conf *, uint64_t sessions);

#endif
