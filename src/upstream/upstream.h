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

#include "base/list.h"
#include "conf/conf.h"
#include "conf/place.h"
#include "net/addr.h"
#include "net/proxy_header.h"
#include "net/sock.h"
#include "upstream/board.h"
#include "upstream/source.h"
#include "weir.h"

struct dial_tls;
struct pool;
struct requester;

/* How links are shared by those who ask (upstream/pool). */
enum pool_mode {
	POOL_PIPELINE,		/* requests of many on one link */
	POOL_REQUEST,		/* a link carries one request at a time */
	POOL_SESSION,		/* a link belongs to one requester for its stay */
};

#define UPSTREAM_PEERS_MAX   1024u
#define UPSTREAM_RETRIES_MAX 15u

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
	bool                  full;		/* all of them are, as far as is known */
};

struct weir_upstream {
	const char               *name;
	const struct weir_module *balancer;
	const char               *balance;		/* its name */
	struct weir_peer         *peers;
	unsigned                  peer_count;
	uint64_t                  connect_timeout;	/* ms */
	uint64_t                  retries;		/* other peers tried */
	const char               *tls_name;		/* of the [tls]; NULL: none */
	uint64_t                  handshake_timeout;	/* ms */
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
	void                     *memory;
	unsigned                  seat;
	unsigned                  turn;			/* weir_upstream_turn */
	struct node               queue;		/* who waits for a link (upstream/queue) */
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
	UPSTREAM_ORPHANED,	/* replies to requesters that had gone */
	UPSTREAM_FAILED,	/* + enum weir_failure */
	UPSTREAM_FIELDS = UPSTREAM_FAILED + WEIR_FAILURES
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
	PEER_LINKS_CLOSED_BY_PEER,	/* while idle */
	PEER_UNSOLICITED,	/* links closed for bytes that nobody had asked for */
	PEER_REPLY_TIMEOUTS,
	PEER_BAD_REPLIES,
	PEER_STARVES,		/* private; ms: since when it needs a link and has none */
	PEER_ALLOWED,		/* private: links that there may be, as this worker is told */
	PEER_DOWN,		/* private: `down` is configured */
	PEER_LINKS_STUFFED,	/* times that a link had LINK_OUT_MAX unsent bytes */
	PEER_TLS_FULL,		/* handshakes */
	PEER_TLS_RESUMED,
	PEER_TLS_FAILED,
	PEER_FIELDS
};

/* The words that a peer's board entry shares between all workers. */
enum peer_word {
	PEER_FAILS,		/* within the window */
	PEER_WINDOW,		/* ms: when it began */
	PEER_FAILED_UNTIL,	/* ms; 0: does not fail */
	PEER_WANTED,		/* when a worker last found no token for a link, and which */
};

/* Keys and checks of [upstream NAME], for conf_request.core; options of its server lines. */
extern const struct weir_module upstream_module;
extern const struct conf_option peer_option_table[];

/* "pool_wait": as its counter is called behind failed_. */
const char *upstream_failure_name(enum weir_failure);

/* The upstream of that name, or by its place in the file; NULL: there is none. */
struct weir_upstream *upstream_find(const struct conf *, const char *name);
struct weir_upstream *upstream_at(const struct conf *, unsigned index);

/* Its peer of that name, or NULL. */
struct weir_peer *upstream_peer(const struct weir_upstream *, const char *name);

/* template: board entries. Returns 0, or -1 with errno. */
/* template: how many upstreams and peers there are, for which: */
uint64_t upstreams_entries(const struct conf *);
int upstreams_enter(const struct conf *, unsigned generation) __attribute__((warn_unused_result));

/* Worker: cells and the balancers' memory. turn: another for each worker and
 * generation. Returns 0, or -1 with errno. */
int  upstreams_start(const struct conf *, unsigned seat, unsigned turn)
    __attribute__((warn_unused_result));
void upstreams_stop(const struct conf *);

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
	bool               pooled;	/* wants a link: one that there is will do … */
	bool               alone;	/* … if nobody else uses it */
	uint8_t            ruled_out;	/* how many of peers[] */
	uint16_t           peers[UPSTREAM_RETRIES_MAX + 1];	/* by their index */
};

static inline void
attempt_begin(struct weir_attempt *a, const struct addr_packed *client, uint64_t now)
{
	a->client = *client;
	a->now = now;
	a->stage = ATTEMPT_GOOD;
	a->tried = a->ruled_out = 0;
	a->probes = a->pooled = a->alone = false;
}

/*
 * Chooses a peer, takes its connection token and notes it as tried (another than
 * the first is counted as retried). NULL when no peer may be used (counted as
 * no_peer, if none was tried). Give the token back with
 * peer_release.
 */
struct weir_peer *upstream_choose(struct weir_upstream *, struct weir_attempt *);
void              peer_release(struct weir_peer *);

/* The two halves of it. The next peer of this stage, or NULL; peers are noted as
 * tried by attempt_rule_out. peer_claim takes the token: false when there is none
 * left, or somebody else is probing the peer. */
struct weir_peer *upstream_pick(struct weir_upstream *, const struct weir_attempt *);
void              attempt_rule_out(struct weir_attempt *, const struct weir_peer *);
bool              peer_claim(struct weir_peer *, struct weir_attempt *)
    __attribute__((warn_unused_result));

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

/* What became of a request that was sent to the peer, for the balancer. started: of
 * loop_micros, or 0. */
void peer_done(struct weir_peer *, enum weir_outcome, uint64_t started);

/* Whether the peer with this board entry counts as failed: from max_fails on,
 * until an attempt succeeds. For whoever looks at the board. */
bool peer_failing(int board);

/* Whether its configuration says that it is down; the same. */
bool peer_down(int board);

/* connect(2) has failed at once: reported, if that speaks of the other end, told
 * once in a while if of this machine. Returns whether it is the peer's fault. */
bool peer_refused(struct weir_peer *, int error, uint64_t now);

#endif
