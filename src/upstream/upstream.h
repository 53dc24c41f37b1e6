/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * upstream: [upstream NAME] scopes and their peers: settings, states, choice.
 *
 * Settings are constant after check. Whether a peer fails is known to all
 * workers through the words its board entry shares; the balancer's memory
 * belongs to one worker.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/sock.h"
#include "upstream/board.h"
#include "weir.h"

struct conf;

#define UPSTREAM_PEERS_MAX   1024u
#define UPSTREAM_RETRIES_MAX 15u

struct weir_peer {
	struct weir_upstream *upstream;
	char                  name[ADDR_TEXT_MAX];
	struct addr           addr;
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
};

struct weir_upstream {
	const char               *name;
	const struct weir_module *balancer;
	const char               *balance;		/* its name */
	struct weir_peer         *peers;
	unsigned                  peer_count;
	uint64_t                  connect_timeout;	/* ms */
	uint64_t                  retries;		/* other peers tried */
	struct sock_options       options;
	int                       board;		/* entry "upstream" */
	board_word               *cell;
	void                     *memory;
	unsigned                  seat;
};

/* Fields of the board entries. */
enum upstream_field { UPSTREAM_NO_PEER, UPSTREAM_RETRIED, UPSTREAM_FIELDS };
enum peer_field {
	PEER_CONNS,		/* gauge, and the token of max_conns */
	PEER_CONNECTS,		/* connections established */
	PEER_CONNECT_FAILED,
	PEER_CONNECT_TIMED_OUT,
	PEER_FULL,		/* max_conns was reached */
	PEER_BYTES_SENT,
	PEER_BYTES_RECEIVED,
	PEER_FIELDS
};

/* Keys and checks of [upstream NAME], for conf_request.core. */
extern const struct weir_module upstream_module;

/* The upstream of that name, or by its place in the file; NULL: there is none. */
struct weir_upstream *upstream_find(const struct conf *, const char *name);
struct weir_upstream *upstream_at(const struct conf *, unsigned index);

/* template: board entries. Returns 0, or -1 with errno. */
int upstreams_enter(const struct conf *, unsigned generation) __attribute__((warn_unused_result));

/* Worker: cells and the balancers' memory. Returns 0, or -1 with errno. */
int  upstreams_start(const struct conf *, unsigned seat) __attribute__((warn_unused_result));
void upstreams_stop(void);

/* How far a search had to go. */
enum attempt_stage {
	ATTEMPT_GOOD,		/* peers that do not fail */
	ATTEMPT_BACKUP,		/* backups that do not */
	ATTEMPT_FAILED,		/* none is left: better one that fails than none */
};

/* One search: begin with a zeroed one that says who asks. */
struct weir_attempt {
	struct addr_packed client;
	uint64_t           now;		/* ms, CLOCK_MONOTONIC */
	uint8_t            stage;	/* enum attempt_stage */
	uint8_t            tried;	/* connections attempted */
	bool               probes;	/* the last peer chosen had failed; this finds out */
	uint8_t            ruled_out;	/* how many of peers[] */
	uint16_t           peers[UPSTREAM_RETRIES_MAX + 1];	/* by their index */
};

/*
 * Chooses a peer, takes its connection token and notes it as tried. NULL when
 * no peer may be used (counted as no_peer). Give the token back with
 * peer_release.
 */
struct weir_peer *upstream_choose(struct weir_upstream *, struct weir_attempt *);
void              peer_release(struct weir_peer *);

/* The attempt has been given up before it was known what becomes of it: if it
 * was to probe the peer, another one may. */
void peer_unreported(struct weir_peer *, const struct weir_attempt *);

/* What became of a connection attempt: max_fails failures within fail_timeout
 * make a peer failed for fail_timeout; then one attempt probes it. What one
 * worker learns holds for all. Logs the changes, with the errno. */
enum peer_outcome { PEER_CONNECTED, PEER_REFUSED, PEER_TIMED_OUT };
void peer_report(struct weir_peer *, enum peer_outcome, int error, uint64_t now);

/* Whether the peer with this board entry counts as failed: from max_fails on,
 * until an attempt succeeds. For whoever looks at the board. */
bool peer_failing(int board);

#endif
