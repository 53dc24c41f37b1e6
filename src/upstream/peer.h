/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer: one backend address of an upstream: whether it may be picked, and how much it
 * is to get.
 *
 *	configuration ── PEER_SETTING ──┐
 *	commands ── PEER_ORDER ─────────┤
 *	traffic ── PEER_FAILED_UNTIL ───┤
 *	checks ─── PEER_HEALTH ─────────┼──► peer_assess ──► roster, balancers
 *	its return ── PEER_RETURNED ────┘
 *
 * What decides lies in the words that the peer's board entry shares: so it is the same
 * for all workers, of whatever generation, and lasts over reloads. Whoever changes one
 * of them counts UPSTREAM_CHANGES up, and all workers look again.
 *
 * What checks find (upstream/checker) and what traffic does are one decision:
 *
 *	checked down	it is not used at all, until `rise` checks in a row were good
 *	traffic fails	max_fails: it is used when no other is left, for fail_timeout, and is
 *			checked at once: a bad check now is enough to take it out, whatever
 *			`fall` says; `rise` good ones in a row end fail_timeout early
 *	both are good	it is used
 */
#ifndef UPSTREAM_PEER_H
#define UPSTREAM_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/place.h"
#include "net/addr.h"
#include "upstream/board.h"
#include "upstream/health.h"
#include "weir.h"

struct dial_tls;
struct pool;

struct weir_peer {
	struct weir_upstream *upstream;
	char                  name[ADDR_TEXT_MAX];
	struct addr           addr;
	struct place          place;		/* in the configuration */
	const char           *host;		/* its name there; NULL: it is an address */
	struct dial_tls      *tls;		/* NULL: it is spoken to in the clear */
	unsigned              index;
	unsigned              weight;
	uint64_t              max_conns;	/* over all workers; 0: no limit */
	uint64_t              max_fails;	/* 0: never counted as failed */
	uint64_t              fail_timeout;	/* ms */
	bool                  backup;
	bool                  down;
	int                   board;		/* entry "peer" */
	board_word           *cell;		/* in a worker */
	board_word           *shared;
	void                 *memory;		/* the balancer's */
	struct pool          *pool;		/* its links; NULL: no protocol needs them */
	uint32_t              in_flight;	/* of this worker: sessions that are relayed
						   to it, and requests without a reply */
	bool                  full;		/* all links are, as far as is known */
	bool                  listed;		/* upstream/member: it is in the set */
};

enum peer_field {
	PEER_CONNS,		/* gauge, and the token of max_conns */
	PEER_ARRIVING,		/* of them, on their way from another worker */
	PEER_ANNOUNCED,		/* of them, about to be sent to another */
	PEER_CONNECTS,		/* connections established */
	PEER_CONNECT_FAILED,
	PEER_CONNECT_TIMED_OUT,
	PEER_FULL,		/* max_conns was reached */
	PEER_BYTES_SENT,
	PEER_BYTES_RECEIVED,
	PEER_LINKS,		/* gauge, and the token of pool_size */
	PEER_LINKS_ARRIVING,	/* of them, on their way from another worker */
	PEER_LINKS_ANNOUNCED,	/* of them, about to be sent to another */
	PEER_IN_FLIGHT,		/* gauge: requests on their way to a reply */
	PEER_REQUESTS,
	PEER_LINKS_GIVEN_UP,	/* for another worker */
	PEER_LINKS_CLOSED_IDLE,
	PEER_LINKS_CLOSED_LIFETIME,
	PEER_LINKS_WITHDRAWN,	/* the peer was not to be used any more */
	PEER_LINKS_CLOSED_BY_PEER,	/* while idle */
	PEER_LINKS_FOUND_DEAD,	/* the same, without a word */
	PEER_UNSOLICITED,	/* links closed for bytes that nobody had asked for */
	PEER_REPLY_TIMEOUTS,
	PEER_BAD_REPLIES,
	PEER_STARVES,		/* private; ms: since when it needs a link and has none */
	PEER_ALLOWED,		/* private: links that there may be, as this worker is told */
	PEER_LINKS_STUFFED,	/* times that a link had LINK_OUT_MAX unsent bytes */
	PEER_TLS_FULL,		/* handshakes */
	PEER_TLS_RESUMED,
	PEER_TLS_FAILED,
	PEER_TLS_WAITED,	/* for others that were open */
	PEER_TLS_OVERLOAD,	/* given up for them, or while they waited */
	PEER_CHECKS,		/* of its health */
	PEER_CHECKS_FAILED,
	PEER_FIELDS
};

/* The words that a peer's board entry shares between all workers. */
enum peer_word {
	PEER_FAILS,		/* within the window */
	PEER_WINDOW,		/* ms: when it began */
	PEER_FAILED_UNTIL,	/* ms; 0: does not fail */
	PEER_WANTED,		/* when a worker last found no token for a link, and which */
	PEER_SETTING,		/* what the newest configuration says of it; 0: none yet */
	PEER_RETURNED,		/* ms: when slow_start began; 0: it was there from the first */
	PEER_ORDER,		/* what was said at run time against that; 0: nothing */
	PEER_MOST,		/* max_conns of the newest configuration */
	PEER_SINCE,		/* ms: it has been used, or not been, since then */
	PEER_FAULT,		/* its last failure, and when; 0: none */
	PEER_HEALTH,		/* what checks say of it (upstream/health); 0: nothing */
	PEER_CHECKED,		/* the last check, and when */
};

/* PEER_SETTING: the number of the configuration's generation above, and below it: */
#define SETTING_WEIGHT UINT64_C(0xffff)
#define SETTING_DOWN   (UINT64_C(1) << 16)
#define SETTING_THERE  (UINT64_C(1) << 17)
#define SETTING_BACKUP (UINT64_C(1) << 18)
/* … of a member of a set (upstream/member): */
#define SETTING_GONE   (UINT64_C(1) << 19)	/* it has left, and is `down` */
#define SETTING_MEMBER (UINT64_C(1) << 20)
#define SETTING_KEY_AT 21			/* whose set: struct name */
#define SETTING_KEY    UINT64_C(0x7ff)
#define SETTING_GENERATION_AT 32

/* What an operator may say of a peer at run time, whatever its configuration says. */
enum peer_order {
	PEER_AS_CONFIGURED,
	PEER_ORDERED_UP,	/* although it is `down` there */
	PEER_ORDERED_DOWN,
	PEER_ORDERED_DRAIN,	/* it is to be empty soon */
};

/* What may be done with a peer. */
enum peer_state {
	PEER_GOOD,
	PEER_FAILING,	/* only when no other is left */
	PEER_OUT,	/* nothing at all */
};

/* What the words on the board say of a peer. */
struct peer_standing {
	enum peer_state state;
	uint32_t        share;	/* what it is to get, in parts of WEIR_SHARE_ONE to a weight of 1:
				   less while slow_start lasts, at least 1; 0: it is out */
	uint64_t        until;	/* ms: this may be another without anybody's doing; UINT64_MAX:
				   never */
};

/* The one place that decides, for all who pick: it reads each word once, so the parts
 * belong together whatever other processes write meanwhile. now: ms. */
struct peer_standing peer_assess(const struct weir_peer *, uint64_t now);

/* That part of it alone. */
enum peer_state peer_state(const struct weir_peer *, uint64_t now);

/* What the worker's configuration says of the peer, for the board: when the worker begins,
 * if nothing stands there yet; one that joins others begins slowly. */
void peer_introduce(struct weir_peer *, uint32_t generation, bool joins, uint64_t now);

/* When its generation runs: in place of what older ones have written. claims: also in place
 * of a newer one's, which is gone. */
void peer_settle(struct weir_peer *, uint32_t generation, bool claims, uint64_t now);

/* Takes a connection token: false when there is none left, or somebody else is probing the peer. */
bool peer_claim(struct weir_peer *, struct weir_attempt *) __attribute__((warn_unused_result));

/* Gives it back. */
void peer_release(struct weir_peer *);

/* Whether max_conns is reached. */
bool peer_is_full(const struct weir_peer *);

/* Of a peer whose time as a failed one is over, only one attempt may find out: this
 * one, from now on (a->probes)? False: somebody else is at it. */
bool peer_may_probe(struct weir_peer *, struct weir_attempt *)
    __attribute__((warn_unused_result));

/* Whether the attempt may go to the peer if that is not full. */
bool peer_fits(const struct weir_peer *, const struct weir_attempt *);

/* The attempt has been given up before it was known what becomes of it: if it
 * was to probe the peer, another one may. */
void peer_unreported(struct weir_peer *, const struct weir_attempt *);

/* What became of a connection attempt: max_fails failures within fail_timeout
 * make a peer failed for fail_timeout; then one attempt probes it. What one
 * worker learns holds for all. Logs the changes, with the errno. */
enum peer_outcome {
	PEER_CONNECTED,
	PEER_REFUSED,
	PEER_TIMED_OUT,
	PEER_INSECURE,		/* connected, but TLS could not be agreed on */
	PEER_REACHED,		/* connected, but it is yet to show that it works */
	PEER_ANSWERED,		/* it does */
	PEER_BROKE,		/* it does not */
};
void peer_report(struct weir_peer *, enum peer_outcome, int error, uint64_t now);

/* Keeper: a health check has ended; why: how, in words. Logs the changes. */
void peer_checked(struct weir_peer *, enum health_result, int error, const char *why,
    uint64_t now);

/* Keeper: own traffic has just found the peer to fail: only checks from now on speak for it. */
void peer_doubt(struct weir_peer *);

/* Whether traffic finds it failing; whether an operator or the configuration has taken it out. */
bool peer_is_failing(const struct weir_peer *);
bool peer_is_withdrawn(const struct weir_peer *);

/* What the board says of the peer with this entry, for whoever has no configuration. */
struct peer_account {
	enum peer_order   order;
	bool              down;		/* by its configuration */
	bool              backup;
	bool              failed;	/* from max_fails on, until an attempt succeeds */
	bool              unhealthy;	/* checks say that it is down */
	bool              gone;		/* its name has it no more */
	unsigned          weight;	/* in force */
	unsigned          configured;	/* its weight there */
	uint64_t          max_conns;
	uint64_t          failed_until;	/* ms: then one attempt may find out; 0: now */
	uint64_t          since;	/* ms: of its state */
	uint64_t          fault_at;	/* ms; 0: there was none */
	const char       *fault;	/* in words, until the next call */
	uint64_t          checked_at;	/* ms: its last check; 0: there was none */
	const char       *check;	/* "good", or in words what was wrong; the same */
};
void peer_account_read(struct peer_account *, int board, uint64_t now);

/* One word for its state: "up", "down", "draining", "drained", "unhealthy", "failed", and of
 * members that have left "leaving", "gone". */
const char *peer_account_state(const struct peer_account *, uint64_t connections);

/* An operator's word, for all workers at once: board entries of the peer and its upstream.
 * What its configuration says already is no order. _UP: its failures are forgotten, too. */
void peer_order_state(int board, int upstream, enum peer_order, uint64_t now);
void peer_order_weight(int board, int upstream, unsigned weight);

/* connect(2) has failed at once: reported, if that speaks of the other end, told
 * once in a while if of this machine. Returns whether it is the peer's fault. */
bool peer_refused(struct weir_peer *, int error, uint64_t now);

/* upstream/balance, for the balancer: something that is asked of the peer begins, or has ended. */
void peer_begin(struct weir_peer *);
void peer_end(struct weir_peer *);

/* What became of a request that was sent to the peer, or of connecting a session to it,
 * for the balancer. started: of peer_clock. */
void peer_done(struct weir_peer *, enum weir_outcome, uint64_t started);

/* When something begins that peer_done is told of, in µs; 0: nobody wants to know. */
uint64_t peer_clock(const struct weir_peer *);

#endif
