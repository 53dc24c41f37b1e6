/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * token: what counts against a limit over all workers (board_take) goes from one of them
 * to another, together with what holds it.
 *
 *	from: 1, to: 0 ──announce──► to: 1 arriving, ──sent──► to: 1 arriving ──receive──► to: 1
 *	       ▲                     from: 1 announced
 *	       └──────withdraw────────────┘
 *
 * While both live it is never counted less than once; between two words it may be twice.
 * Behind the gauge stand a field of BOARD_ARRIVING and one of BOARD_ANNOUNCED.
 *
 * A worker may be killed at any point. Then nobody knows whether what it had announced was
 * sent, so all of it is taken from what arrives there (tokens_reclaim). What had been sent
 * all the same counts again when it is received, and nothing is ever taken from `arriving`
 * that is not there: so no token stays that nobody holds, whatever happens.
 */
#ifndef UPSTREAM_TOKEN_H
#define UPSTREAM_TOKEN_H

/* Which tokens of a peer something holds. */
enum token_holds {
	TOKEN_NONE,
	TOKEN_CONN,	/* of max_conns */
	TOKEN_LINK,	/* that, and one of pool_size */
};

/* Before what holds it can arrive there. All that a worker has announced at a time is for
 * one other. */
void token_announce(int board, unsigned field, unsigned from, unsigned to);

/* It has been sent; it has not been sent after all. */
void token_sent(int board, unsigned field, unsigned from);
void token_withdraw(int board, unsigned field, unsigned from, unsigned to);

/* It has arrived at one's own seat, and was sent to that one: another when its worker died. */
void token_receive(int board, unsigned field, unsigned seat, unsigned sent_to);

/* The same for those of a peer's board entry. */
void tokens_announce(int board, enum token_holds, unsigned from, unsigned to);
void tokens_sent(int board, enum token_holds, unsigned from);
void tokens_withdraw(int board, enum token_holds, unsigned from, unsigned to);
void tokens_receive(int board, enum token_holds, unsigned seat, unsigned sent_to);
void tokens_give(int board, enum token_holds, unsigned seat);

/* Master: the seat's worker was killed. Before the seat is cleared. */
void tokens_reclaim(unsigned seat);

#endif
