/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * upstream: [upstream NAME] scopes and their peers: settings, states, choice.
 *
 * Settings are constant after check. What is known of a peer all workers know, through
 * the words its board entry shares (upstream/peer); the balancer's memory, and the
 * order that it keeps (upstream/roster), belong to one worker.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "conf/conf.h"
#include "net/proxy_header.h"
#include "net/sock.h"
#include "upstream/board.h"
#include "upstream/health.h"
#include "upstream/peer.h"
#include "upstream/source.h"
#include "weir.h"

struct name;
struct requester;
struct roster;

/* How links are shared by those who ask (upstream/pool). */
enum pool_mode {
	POOL_PIPELINE,		/* requests of many on one link */
	POOL_REQUEST,		/* a link carries one request at a time */
	POOL_SESSION,		/* a link belongs to one requester for its stay */
};

#define UPSTREAM_PEERS_MAX   16384u
#define UPSTREAM_RETRIES_MAX 15u

struct weir_upstream {
	const char               *name;
	const struct weir_module *balancer;
	const char               *balance;		/* its name … */
	char                     *balance_words;	/* … and what follows it, or "" */
	bool                      keyed;		/* it goes by keys */
	const void               *balancer_conf;	/* its block here; NULL: it has none */
	struct weir_peer         *peers;
	unsigned                  peer_count;
	unsigned                  fixed;		/* of them; what is behind is for members */
	struct name              *lines;		/* whose members they are */
	unsigned                  line_count;
	uint64_t                  resolve_peers;	/* members of each line, at most */
	uint64_t                  resolve_min;		/* ms: bounds of what a TTL says */
	uint64_t                  resolve_max;
	uint16_t                 *names;		/* a table of peers by their names, */
	unsigned                  names_size;		/* a power of two; index + 1; 0: none */
	uint64_t                  slow_start;		/* ms; 0: off */
	uint64_t                  connect_timeout;	/* ms */
	uint64_t                  retries;		/* other peers tried */
	const char               *tls_name;		/* of the [tls]; NULL: none */
	uint64_t                  handshake_timeout;	/* ms */
	struct health_check       health;
	struct sock_options       options;
	struct source_list        sources;
	enum proxy_version        send_proxy;	/* in front of what its peers are sent */
	unsigned                  index;	/* of all; set by the checks of [weir] */
	const struct weir_module *framed_by;		/* what its servers speak; or NULL */

	/* of framed protocols; times in ms, 0: off */
	enum pool_mode            mode;
	uint64_t                  pool_size;		/* links to a peer, over all workers */
	uint64_t                  pool_min_idle;	/* the same, kept although idle */
	uint64_t                  pool_idle_timeout;
	uint64_t                  pool_idle_check;
	uint64_t                  pool_lifetime;
	uint64_t                  pool_queue;		/* or WEIR_AUTOMATIC */
	uint64_t                  pool_wait;
	uint64_t                  pipeline_spread;
	uint64_t                  pipeline_depth;
	uint64_t                  reply_max;		/* bytes */
	uint64_t                  reply_timeout;

	/* in a worker */
	int                       board;		/* entry "upstream" */
	board_word               *cell;
	board_word               *shared;
	void                     *memory;		/* the balancer's */
	struct roster            *roster;
	uint64_t                  set_seen;	/* UPSTREAM_SET as its members were seen */
	bool                      set_late;	/* there was no place for one of them */
	uint64_t                  complained_late;
	bool                      chosen;		/* from: the balancer has begun */
	unsigned                  full;			/* peers that are */
	unsigned                  seat;
	unsigned                  turn;			/* weir_upstream_turn */
	struct node               queue;		/* who waits for any link */
	unsigned                  queued;
	uint64_t                  queue_most;		/* may wait */
	struct requester         *served;		/* asks in place of the queue's first */
	uint64_t                  failing[WEIR_FAILURES];	/* of loop_complain */
	uint64_t                  complained_unsolicited;	/* of replies to nothing */
	uint64_t                  complained_malformed;		/* of requests that are none */
	uint64_t                  complained_tls;	/* of handshakes that fail */
	uint64_t                  hindered;		/* ms: this machine has refused a link */
};

/* Fields of the board entries. */
enum upstream_field {
	UPSTREAM_WAITING,	/* gauge: clients whose requests wait for a link */
	UPSTREAM_REQUESTS,
	UPSTREAM_WAITED,	/* times that one had to */
	UPSTREAM_MOVED,		/* went to another link unsent */
	UPSTREAM_NO_PEER,
	UPSTREAM_RETRIED,
	UPSTREAM_LOOKUPS,	/* of names, by the keeper */
	UPSTREAM_LOOKUPS_FAILED,
	UPSTREAM_LEFT_OUT,	/* optional gauge: addresses beyond resolve_peers */
	UPSTREAM_ORPHANED,	/* replies to requesters that had gone */
	UPSTREAM_FAILED,	/* + enum weir_failure */
	UPSTREAM_FIELDS = UPSTREAM_FAILED + WEIR_FAILURES
};

/* The words that its board entry shares between all workers. */
enum upstream_word {
	UPSTREAM_CHANGES,	/* grows whenever a word of a peer has changed */
	UPSTREAM_SERVED,	/* its peers have been there before: others join them */
	UPSTREAM_SET,		/* grows whenever members have come or gone */
	UPSTREAM_NAMING,	/* what came of the last lookup of a name (upstream/naming) */
};

/* Keys and checks of [upstream NAME], for conf_request.core; options of its server lines. */
extern const struct weir_module upstream_module;
extern const struct conf_option peer_option_table[];

/* What entries of peers count. */
extern const struct board_schema upstream_peer_schema;

/* "pool_wait": as its counter is called behind failed_. */
const char *upstream_failure_name(enum weir_failure);

/* The upstream of that name, or by its place in the file; NULL: there is none. */
struct weir_upstream *upstream_find(const struct conf *, const char *name);
struct weir_upstream *upstream_at(const struct conf *, unsigned index);

/* Its peer of that name, or NULL. */
struct weir_peer *upstream_peer(const struct weir_upstream *, const char *name);

/* Peers have come or gone: the table of names is made anew. */
void upstream_rename(struct weir_upstream *);

/* Template: how many entries of the board they take, upstreams and peers; and takes them.
 * Returns 0, or -1 with errno. */
uint64_t upstreams_entries(const struct conf *);
int      upstreams_enter(const struct conf *, unsigned generation)
    __attribute__((warn_unused_result));

/* Worker: what has become of members meanwhile, of all upstreams. */
void upstreams_follow(const struct conf *);

/* Worker: cells, rosters and the balancers' memory. Returns 0, or -1 with errno. */
int  upstreams_start(const struct conf *, unsigned seat, unsigned generation, unsigned slot)
    __attribute__((warn_unused_result));
void upstreams_stop(const struct conf *);

/* Worker, when its generation runs: what the configuration says of peers holds for all
 * workers, unless a newer one's does. claims: the generation that had that is gone. */
void upstreams_settle(const struct conf *, unsigned generation, bool claims);

/* How far a search had to go. */
enum attempt_stage {
	ATTEMPT_GOOD,		/* peers that do not fail */
	ATTEMPT_BACKUP,		/* backups that do not */
	ATTEMPT_FAILED,		/* none is left: better one that fails than none */
};

/* One search: begin with a zeroed one that says who asks. */
struct weir_attempt {
	struct addr_packed client;
	struct weir_span   key;		/* of the request, while its bytes are at hand */
	uint64_t           now;		/* ms, CLOCK_MONOTONIC */
	uint8_t            stage;	/* enum attempt_stage */
	uint8_t            tried;	/* connections attempted */
	bool               probes;	/* the last peer chosen had failed; this finds out */
	bool               pooled;	/* wants a link: one that there is will do … */
	bool               alone;	/* … if nobody else uses it */
	bool               newcomer;	/* … and nobody waits for the same peer */
	uint8_t            ruled_out;	/* how many of peers[] */
	uint16_t           peers[UPSTREAM_RETRIES_MAX + 1];	/* by their index */
	struct weir_peer  *awaits;	/* its links are busy, and no other peer will do */
};

static inline void
attempt_begin(struct weir_attempt *a, const struct addr_packed *client, uint64_t now)
{
	a->client = *client;
	a->key = (struct weir_span){ NULL, 0 };
	a->now = now;
	a->stage = ATTEMPT_GOOD;
	a->tried = a->ruled_out = 0;
	a->probes = a->pooled = a->alone = a->newcomer = false;
	a->awaits = NULL;
}

static inline bool
attempt_has_ruled_out(const struct weir_attempt *a, const struct weir_peer *peer)
{
	for (unsigned i = 0; i < a->ruled_out; i++)
		if (a->peers[i] == peer->index)
			return true;
	return false;
}

/*
 * Chooses a peer, takes its connection token and notes it as tried (another than
 * the first is counted as retried). NULL when no peer may be used (counted as
 * no_peer, if none was tried). Give the token back with
 * peer_release.
 */
struct weir_peer *upstream_choose(struct weir_upstream *, struct weir_attempt *);

/* The first half of it, before peer_claim. The next peer of this stage, or NULL; peers
 * are noted as tried by attempt_rule_out. */
struct weir_peer *upstream_pick(struct weir_upstream *, const struct weir_attempt *);
void              attempt_rule_out(struct weir_attempt *, const struct weir_peer *);

#endif
