/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * token: what counts against a limit over all workers (board_take) goes from one of them
 * to another, together with what holds it.
 *
 *	from: 1, to: 0 ──send──► to: 1 arriving ──receive──► to: 1
 *	       ▲────────unsend────────┘
 *
 * It is never counted less than once; for a moment, between two words, it may be twice. The
 * field behind the gauge has to be BOARD_ARRIVING.
 */
#ifndef UPSTREAM_TOKEN_H
#define UPSTREAM_TOKEN_H

/* Which tokens of a peer something holds. */
enum token_holds {
	TOKEN_NONE,
	TOKEN_CONN,	/* of max_conns */
	TOKEN_LINK,	/* that, and one of pool_size */
};

/* Before what holds it can arrive there. */
void token_send(int board, unsigned field, unsigned from, unsigned to);

/* It has not been sent after all. */
void token_unsend(int board, unsigned field, unsigned from, unsigned to);

/* It has arrived at one's own seat. */
void token_receive(int board, unsigned field, unsigned seat);

/* The same for those of a peer's board entry. */
void tokens_send(int board, enum token_holds, unsigned from, unsigned to);
void tokens_unsend(int board, enum token_holds, unsigned from, unsigned to);
void tokens_receive(int board, enum token_holds, unsigned seat);
void tokens_give(int board, enum token_holds, unsigned seat);

#endif
