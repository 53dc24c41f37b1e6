/* SPDX-License-Identifier: BSD-2-Clause */
/* peers: what the board has of them, and what an operator says of one. */
#ifndef PROC_PEERS_H
#define PROC_PEERS_H

#include <stdbool.h>
#include <stdint.h>

struct control_line;
struct text;

/* A peer on the board. */
struct peer_place {
	int board;
	int upstream;	/* the upstream's entry */
};

/* `weir peers`: lines of it. False: there is no such upstream, and a line for stderr says
 * so. */
bool peers_print(const struct control_line *, struct text *out, struct text *err);

/* The peer that a command names. False as above, or it has left its upstream. */
bool peers_find(const struct control_line *, struct peer_place *, struct text *err);

/* Does what the command says with it, for all workers. */
void peers_order(const struct control_line *, const struct peer_place *);

/* How many connections it has, over all workers. */
uint64_t peers_connections(const struct peer_place *);

/* Whether a command may mean these: an address of a peer in any upstream, a server. */
bool peers_know_address(const char *address);
bool peers_know_server(const char *name);

/* What was said at run time and differs from the configuration, as comments in its form. */
void peers_print_orders(struct text *);

#endif
