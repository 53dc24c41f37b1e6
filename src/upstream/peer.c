/* SPDX-License-Identifier: BSD-2-Clause */
/* peer: whether a peer may be picked, how much it is to get, and what is known of failures. */
#include "upstream/peer.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "net/loop.h"
#include "upstream/upstream.h"

/* PEER_ORDER: a weight (0: none), and enum peer_order. */
#define ORDER_WEIGHT UINT64_C(0xffff)
#define ORDER_STATE_AT 16

/* PEER_FAULT: ms below, the errno, and enum peer_outcome. */
#define FAULT_TIME  ((UINT64_C(1) << 40) - 1)
#define FAULT_ERROR_AT   40
#define FAULT_OUTCOME_AT 56

/* A ramp has so many steps, none of them shorter than that, and begins with the first. */
#define RAMP_STEPS    64u
#define RAMP_STEP_MIN 10u	/* ms */

static uint64_t peer_word(const struct weir_peer *, enum peer_word);
static enum peer_order peer_order_of(uint64_t order);
static bool peer_is_out(uint64_t setting, uint64_t order);
static enum peer_state peer_judge(const struct weir_peer *, uint64_t setting, uint64_t order,
    uint64_t failed, uint64_t now);
static uint64_t peer_weight(uint64_t setting, uint64_t order);
static void peer_drop_orders(struct weir_peer *, uint64_t before, uint64_t setting);
static void peer_forget_checks(struct weir_peer *);
static uint64_t peer_put_order(board_word *, uint64_t mask, uint64_t bits);
static void peer_note_fault(struct weir_peer *, enum peer_outcome, int error, uint64_t now);
static uint32_t peer_ramp(const struct weir_peer *, uint64_t share, uint64_t now, uint64_t *until);
static void peer_changed(const struct weir_peer *);
static void peer_recovered(struct weir_peer *, const char *how, uint64_t now);
static bool peer_blames(int error);
static void peer_count(const struct weir_peer *, enum peer_outcome);
static const char *peer_explain(enum peer_outcome, int error);
static const char *peer_remedy(int error);
static bool peer_has_other(const struct weir_peer *, uint64_t now);
static void peer_count_failure(struct weir_peer *, const char *what, uint64_t now);

/* ----------------------------------------------------- what the words decide */

static uint64_t
peer_word(const struct weir_peer *peer, enum peer_word word)
{
	return atomic_load_explicit(&peer->shared[word], memory_order_relaxed);
}

static enum peer_order
peer_order_of(uint64_t order)
{
	return (enum peer_order)(order >> ORDER_STATE_AT & 3);
}

static bool
peer_is_out(uint64_t setting, uint64_t order)
{
	if ((setting & SETTING_GONE) != 0)
		return true;
	switch (peer_order_of(order)) {
	case PEER_ORDERED_UP:
		return false;
	case PEER_ORDERED_DOWN:
	case PEER_ORDERED_DRAIN:
		return true;
	default:
		return (setting & SETTING_DOWN) != 0;
	}
}

static enum peer_state
peer_judge(const struct weir_peer *peer, uint64_t setting, uint64_t order, uint64_t failed,
    uint64_t now)
{
	if (peer_is_out(setting, order) ||
	    (peer->upstream->health.on &&
		health_read(peer_word(peer, PEER_HEALTH)).state == HEALTH_DOWN))
		return PEER_OUT;
	return now < failed ? PEER_FAILING : PEER_GOOD;
}

static uint64_t
peer_weight(uint64_t setting, uint64_t order)
{
	return (order & ORDER_WEIGHT) != 0 ? order & ORDER_WEIGHT : setting & SETTING_WEIGHT;
}

enum peer_state
peer_state(const struct weir_peer *peer, uint64_t now)
{
	return peer_judge(peer, peer_word(peer, PEER_SETTING), peer_word(peer, PEER_ORDER),
	    peer_word(peer, PEER_FAILED_UNTIL), now);
}

struct peer_standing
peer_assess(const struct weir_peer *peer, uint64_t now)
{
	uint64_t             setting = peer_word(peer, PEER_SETTING);
	uint64_t             order = peer_word(peer, PEER_ORDER);
	uint64_t             failed = peer_word(peer, PEER_FAILED_UNTIL);
	struct peer_standing s = { peer_judge(peer, setting, order, failed, now), 0, UINT64_MAX };

	if (failed > now)
		s.until = failed;
	if (s.state != PEER_OUT)
		s.share = peer_ramp(peer, peer_weight(setting, order) * WEIR_SHARE_ONE, now,
		    &s.until);
	return s;
}

/* What of a share slow_start lets it have. *until: no later than the next step. */
static uint32_t
peer_ramp(const struct weir_peer *peer, uint64_t share, uint64_t now, uint64_t *until)
{
	uint64_t returned = peer_word(peer, PEER_RETURNED), slow = peer->upstream->slow_start;
	uint64_t gone, step;

	if (returned == 0 || slow == 0 || now >= returned + slow)
		return (uint32_t)share;
	/* Another worker's clock may be a little ahead. */
	gone = now > returned ? now - returned : 0;
	step = slow / RAMP_STEPS > RAMP_STEP_MIN ? slow / RAMP_STEPS : RAMP_STEP_MIN;
	gone = (gone / step + 1) * step;
	if (returned + gone < *until)
		*until = returned + gone;
	share = gone < slow ? share * gone / slow : share;
	return (uint32_t)(share > 0 ? share : 1);
}

static uint64_t
peer_setting(const struct weir_peer *peer, uint32_t generation)
{
	return (uint64_t)generation << SETTING_GENERATION_AT | SETTING_THERE |
	    (peer->down ? SETTING_DOWN : 0) | (peer->backup ? SETTING_BACKUP : 0) | peer->weight;
}

void
peer_introduce(struct weir_peer *peer, uint32_t generation, bool joins, uint64_t now)
{
	uint64_t none = 0;

	if (peer_word(peer, PEER_SETTING) != 0)
		return;
	if (joins)
		atomic_store(&peer->shared[PEER_RETURNED], now);
	if (!atomic_compare_exchange_strong(&peer->shared[PEER_SETTING], &none,
		peer_setting(peer, generation)))
		return;
	atomic_store(&peer->shared[PEER_MOST], peer->max_conns);
	atomic_store(&peer->shared[PEER_SINCE], now);
	peer_changed(peer);
}

void
peer_settle(struct weir_peer *peer, uint32_t generation, bool claims, uint64_t now)
{
	uint64_t setting = atomic_load(&peer->shared[PEER_SETTING]);
	uint64_t wanted = peer_setting(peer, generation);

	/* Numbers may wrap: the later one is less than half of all ahead. */
	while (setting != wanted &&
	    (claims ||
		(int32_t)(generation - (uint32_t)(setting >> SETTING_GENERATION_AT)) >= 0))
		if (atomic_compare_exchange_weak(&peer->shared[PEER_SETTING], &setting, wanted)) {
			atomic_store(&peer->shared[PEER_MOST], peer->max_conns);
			if (!peer->upstream->health.on)
				peer_forget_checks(peer);
			if (((setting ^ wanted) & SETTING_DOWN) != 0)
				atomic_store(&peer->shared[PEER_SINCE], now);
			peer_drop_orders(peer, setting, wanted);
			peer_changed(peer);
			break;
		}
}

/* What was said at run time of that which the configuration has changed since: it was
 * said of another one. */
static void
peer_drop_orders(struct weir_peer *peer, uint64_t before, uint64_t setting)
{
	uint64_t mask = 0, dropped;

	if (((before ^ setting) & SETTING_WEIGHT) != 0)
		mask |= ORDER_WEIGHT;
	if (((before ^ setting) & SETTING_DOWN) != 0)
		mask |= UINT64_C(3) << ORDER_STATE_AT;
	dropped = mask != 0 ? peer_put_order(&peer->shared[PEER_ORDER], mask, 0) & mask : 0;
	if (dropped != 0)
		log_notice("peer %s of upstream %s: its line in the configuration is another: the "
			   "%s that was set by command is so no more",
		    peer->name, peer->upstream->name,
		    (dropped & ORDER_WEIGHT) != 0 ? "weight" : "state");
}

/* Nobody makes any more: what they said is no longer so. */
static void
peer_forget_checks(struct weir_peer *peer)
{
	atomic_store(&peer->shared[PEER_HEALTH], 0);
	atomic_store(&peer->shared[PEER_CHECKED], 0);
}

/* Returns what stood there. */
static uint64_t
peer_put_order(board_word *word, uint64_t mask, uint64_t bits)
{
	uint64_t order = atomic_load(word);

	while (!atomic_compare_exchange_weak(word, &order, (order & ~mask) | bits))
		;
	return order;
}

/* All workers look at the peers of the upstream again. */
static void
peer_changed(const struct weir_peer *peer)
{
	atomic_fetch_add(&peer->upstream->shared[UPSTREAM_CHANGES], 1);
}

bool
peer_fits(const struct weir_peer *peer, const struct weir_attempt *a)
{
	enum peer_state state = peer_state(peer, a->now);

	if (state == PEER_OUT || attempt_has_ruled_out(a, peer))
		return false;
	return a->stage == ATTEMPT_FAILED ||
	    (state == PEER_GOOD && peer->backup == (a->stage == ATTEMPT_BACKUP));
}

bool
weir_peer_usable(const struct weir_peer *peer, const struct weir_attempt *a)
{
	if (!peer_fits(peer, a))
		return false;
	if (a->pooled)
		return !peer->full || peer->upstream->balancer->balancer->waits;
	if (!peer_is_full(peer))
		return true;
	board_add(&peer->cell[PEER_FULL], 1);
	return false;
}

/* ----------------------------------------------------- connections and probes */

void
peer_release(struct weir_peer *peer)
{
	board_give(peer->board, PEER_CONNS, peer->upstream->seat);
}

bool
peer_claim(struct weir_peer *peer, struct weir_attempt *a)
{
	if (peer->max_conns == 0)
		board_add(&peer->cell[PEER_CONNS], 1);
	else if (!board_take(peer->board, PEER_CONNS, peer->upstream->seat, peer->max_conns)) {
		board_add(&peer->cell[PEER_FULL], 1);
		return false;
	}
	if (peer_may_probe(peer, a))
		return true;
	peer_release(peer);
	return false;
}

bool
peer_is_full(const struct weir_peer *peer)
{
	return peer->max_conns > 0 && board_sum(peer->board, PEER_CONNS) >= peer->max_conns;
}

bool
peer_may_probe(struct weir_peer *peer, struct weir_attempt *a)
{
	uint64_t until = peer_word(peer, PEER_FAILED_UNTIL);

	a->probes = false;
	if (until == 0 || a->now < until || a->stage == ATTEMPT_FAILED)
		return true;
	a->probes = atomic_compare_exchange_strong(&peer->shared[PEER_FAILED_UNTIL], &until,
	    a->now + peer->fail_timeout);
	return a->probes;
}

void
peer_unreported(struct weir_peer *peer, const struct weir_attempt *a)
{
	uint64_t until = a->now + peer->fail_timeout;

	if (a->probes &&
	    atomic_compare_exchange_strong(&peer->shared[PEER_FAILED_UNTIL], &until, a->now))
		peer_changed(peer);
}

/* ------------------------------------------------------------------ failures */

void
peer_report(struct weir_peer *peer, enum peer_outcome outcome, int error, uint64_t now)
{
	if (outcome == PEER_CONNECTED || outcome == PEER_REACHED)
		board_add(&peer->cell[PEER_CONNECTS], 1);
	if (outcome == PEER_REACHED)
		return;
	if (outcome == PEER_CONNECTED || outcome == PEER_ANSWERED) {
		if (peer_word(peer, PEER_FAILS) == 0 && peer_word(peer, PEER_FAILED_UNTIL) == 0)
			return;
		atomic_store(&peer->shared[PEER_FAILS], 0);
		if (atomic_exchange(&peer->shared[PEER_FAILED_UNTIL], 0) != 0)
			peer_recovered(peer, "", now);
		return;
	}
	peer_count(peer, outcome);
	peer_note_fault(peer, outcome, error, now);
	if (peer->max_fails > 0)
		peer_count_failure(peer, peer_explain(outcome, error), now);
}

bool
peer_refused(struct weir_peer *peer, int error, uint64_t now)
{
	static uint64_t    complained;
	bool               blamed = peer_blames(error);
	struct log_subject outer;

	if (blamed) {
		log_info("connect: %s", strerror(error));
		peer_report(peer, PEER_REFUSED, error, now);
		return true;
	}
	peer->upstream->hindered = now;
	if (loop_complain(&complained)) {
		outer = log_about((struct log_subject){ NULL, NULL });
		log_error("connect to peer %s of upstream %s: %s: not the peer's fault, but this "
			  "machine's: %s",
		    peer->name, peer->upstream->name, strerror(error), peer_remedy(error));
		log_about(outer);
	}
	return false;
}

/* It was away for a while: slow_start begins. */
static void
peer_recovered(struct weir_peer *peer, const char *how, uint64_t now)
{
	struct log_subject outer;

	atomic_store(&peer->shared[PEER_RETURNED], now);
	atomic_store(&peer->shared[PEER_SINCE], now);
	peer_changed(peer);
	outer = log_about((struct log_subject){ NULL, NULL });
	log_notice("peer %s of upstream %s answers again%s", peer->name, peer->upstream->name, how);
	log_about(outer);
}

/* connect(2): which of its errors speak of the other end. */
static bool
peer_blames(int error)
{
	return error == ECONNREFUSED || error == ETIMEDOUT || error == EHOSTUNREACH ||
	    error == ENETUNREACH || error == ECONNRESET || error == ENOENT || error == EPIPE ||
	    error == EACCES;
}

static void
peer_count(const struct weir_peer *peer, enum peer_outcome outcome)
{
	if (outcome == PEER_TIMED_OUT)
		board_add(&peer->cell[PEER_CONNECT_TIMED_OUT], 1);
	else if (outcome == PEER_REFUSED)
		board_add(&peer->cell[PEER_CONNECT_FAILED], 1);
	else if (outcome == PEER_INSECURE)
		board_add(&peer->cell[PEER_TLS_FAILED], 1);
}

static const char *
peer_explain(enum peer_outcome outcome, int error)
{
	if (outcome == PEER_INSECURE)
		return "TLS handshake";
	return outcome == PEER_BROKE && error == ETIMEDOUT ? "no reply in time" : strerror(error);
}

/* What helps against one of the others. */
static const char *
peer_remedy(int error)
{
	switch (error) {
	case EADDRNOTAVAIL:
		return "no local port towards it is free: give the upstream (more) addresses to "
		       "connect from (source), or widen net.ipv4.ip_local_port_range";
	case EMFILE:
		return "raise worker_rlimit_nofile or lower worker_connections";
	case EBUSY:
		return "so many TLS handshakes are open that it had no turn within "
		       "handshake_timeout, or was given up for others: raise worker_handshakes";
	case ENFILE:
		return "raise fs.file-max";
	case ENOMEM:
	case ENOBUFS:
		return "it is short of memory";
	default:
		return "its network or its firewall may say why";
	}
}

static void
peer_count_failure(struct weir_peer *peer, const char *what, uint64_t now)
{
	struct log_subject outer;
	char               text[STR_UNIT_MAX];
	uint64_t           fails, until;

	/* Another worker's clock may be a little ahead. */
	if (atomic_load(&peer->shared[PEER_WINDOW]) + peer->fail_timeout < now) {
		atomic_store(&peer->shared[PEER_WINDOW], now);
		atomic_store(&peer->shared[PEER_FAILS], 0);
	}
	fails = atomic_fetch_add(&peer->shared[PEER_FAILS], 1) + 1;
	if (fails < peer->max_fails)
		return;
	until = atomic_exchange(&peer->shared[PEER_FAILED_UNTIL], now + peer->fail_timeout);
	/* Others look again when the time that they have seen is over: not when it comes
	 * earlier now, by another configuration's fail_timeout. */
	if (until <= now || until > now + peer->fail_timeout)
		peer_changed(peer);
	if (until != 0)
		return;
	atomic_store(&peer->shared[PEER_SINCE], now);
	outer = log_about((struct log_subject){ NULL, NULL });
	if (peer_has_other(peer, now))
		log_warn("peer %s of upstream %s fails (%s; max_fails = %llu): not used for %s "
			 "while others can be",
		    peer->name, peer->upstream->name, what,
		    (unsigned long long)peer->max_fails, str_print_time(peer->fail_timeout, text));
	else
		log_warn("peer %s of upstream %s fails (%s; max_fails = %llu): no other is left, "
			 "so it is tried all the same",
		    peer->name, peer->upstream->name, what, (unsigned long long)peer->max_fails);
	log_about(outer);
}

/* Whether there is one that can take its place. */
static bool
peer_has_other(const struct weir_peer *peer, uint64_t now)
{
	const struct weir_upstream *u = peer->upstream;

	for (unsigned i = 0; i < u->peer_count; i++)
		if (i != peer->index && peer_state(&u->peers[i], now) == PEER_GOOD)
			return true;
	return false;
}

/* -------------------------------------------------------------- health checks */

void
peer_checked(struct weir_peer *peer, enum health_result result, int error, const char *why,
    uint64_t now)
{
	const struct health_check *check = &peer->upstream->health;
	struct health              h = health_read(peer_word(peer, PEER_HEALTH));
	bool                       good = result == HEALTH_GOOD;
	enum health_change         change;

	board_add(&peer->cell[PEER_CHECKS], 1);
	board_add(&peer->cell[PEER_CHECKS_FAILED], !good);
	atomic_store(&peer->shared[PEER_CHECKED], health_note(result, error, now));
	change = health_take(&h, good, peer_is_failing(peer), check);
	atomic_store(&peer->shared[PEER_HEALTH], health_write(h));
	if (change == HEALTH_FELL) {
		atomic_store(&peer->shared[PEER_SINCE], now);
		peer_changed(peer);
		log_warn("peer %s of upstream %s is down: health check: %s: not used until checks "
			 "are good again (rise = %llu)",
		    peer->name, peer->upstream->name, why, (unsigned long long)check->rise);
	} else if (change != HEALTH_STAYS) {
		atomic_store(&peer->shared[PEER_FAILS], 0);
		atomic_store(&peer->shared[PEER_FAILED_UNTIL], 0);
		peer_recovered(peer, ": its health checks are good", now);
	}
}

void
peer_doubt(struct weir_peer *peer)
{
	struct health h = health_read(peer_word(peer, PEER_HEALTH));

	health_doubt(&h);
	atomic_store(&peer->shared[PEER_HEALTH], health_write(h));
}

bool
peer_is_failing(const struct weir_peer *peer)
{
	return peer_word(peer, PEER_FAILED_UNTIL) != 0;
}

bool
peer_is_withdrawn(const struct weir_peer *peer)
{
	return peer_is_out(peer_word(peer, PEER_SETTING), peer_word(peer, PEER_ORDER));
}

/* -------------------------------------------------- commands, and who looks on */

static void
peer_note_fault(struct weir_peer *peer, enum peer_outcome outcome, int error, uint64_t now)
{
	atomic_store_explicit(&peer->shared[PEER_FAULT],
	    (now & FAULT_TIME) | (uint64_t)(error & 0xffff) << FAULT_ERROR_AT |
		(uint64_t)outcome << FAULT_OUTCOME_AT,
	    memory_order_relaxed);
}

void
peer_account_read(struct peer_account *a, int board, uint64_t now)
{
	const board_word  *words = board_shared(board);
	uint64_t           setting = atomic_load(&words[PEER_SETTING]);
	uint64_t           order = atomic_load(&words[PEER_ORDER]);
	uint64_t           failed = atomic_load(&words[PEER_FAILED_UNTIL]);
	uint64_t           fault = atomic_load(&words[PEER_FAULT]);
	uint64_t           checked = atomic_load(&words[PEER_CHECKED]);
	enum health_result result;
	int                error;

	*a = (struct peer_account){ .order = peer_order_of(order),
		.down = (setting & SETTING_DOWN) != 0,
		.backup = (setting & SETTING_BACKUP) != 0,
		.failed = failed != 0,
		.unhealthy = health_read(atomic_load(&words[PEER_HEALTH])).state == HEALTH_DOWN,
		.gone = (setting & SETTING_GONE) != 0,
		.weight = (unsigned)peer_weight(setting, order),
		.configured = (unsigned)(setting & SETTING_WEIGHT),
		.max_conns = atomic_load(&words[PEER_MOST]),
		.failed_until = failed > now ? failed : 0,
		.since = atomic_load(&words[PEER_SINCE]),
		.fault_at = fault & FAULT_TIME };
	if (fault != 0)
		a->fault = peer_explain((enum peer_outcome)(fault >> FAULT_OUTCOME_AT),
		    (int)(fault >> FAULT_ERROR_AT & 0xffff));
	result = health_noted(checked, &error, &a->checked_at);
	a->check = health_explain(result, error);
}

const char *
peer_account_state(const struct peer_account *a, uint64_t connections)
{
	if (a->gone)
		return connections > 0 ? "leaving" : "gone";
	if (a->order == PEER_ORDERED_DRAIN)
		return connections > 0 ? "draining" : "drained";
	if (a->order == PEER_ORDERED_DOWN || (a->down && a->order != PEER_ORDERED_UP))
		return "down";
	if (a->unhealthy)
		return "unhealthy";
	return a->failed ? "failed" : "up";
}

void
peer_order_state(int board, int upstream, enum peer_order state, uint64_t now)
{
	board_word *words = board_shared(board);
	uint64_t    setting = atomic_load(&words[PEER_SETTING]), before;
	uint64_t    was_failed = 0;

	if (state == PEER_ORDERED_UP) {
		atomic_store(&words[PEER_FAILS], 0);
		was_failed = atomic_exchange(&words[PEER_FAILED_UNTIL], 0);
		if (health_read(atomic_load(&words[PEER_HEALTH])).state == HEALTH_DOWN)
			was_failed |= atomic_exchange(&words[PEER_HEALTH], 0);
	}
	if (state == ((setting & SETTING_DOWN) != 0 ? PEER_ORDERED_DOWN : PEER_ORDERED_UP))
		state = PEER_AS_CONFIGURED;
	before = peer_put_order(&words[PEER_ORDER], UINT64_C(3) << ORDER_STATE_AT,
	    (uint64_t)state << ORDER_STATE_AT);
	if (peer_order_of(before) != state || was_failed != 0)
		atomic_store(&words[PEER_SINCE], now);
	/* It was away for a while: slow_start begins. */
	if (was_failed != 0 ||
	    (peer_is_out(setting, before) &&
		!peer_is_out(setting, (uint64_t)state << ORDER_STATE_AT)))
		atomic_store(&words[PEER_RETURNED], now);
	atomic_fetch_add(&board_shared(upstream)[UPSTREAM_CHANGES], 1);
}

void
peer_order_weight(int board, int upstream, unsigned weight)
{
	board_word *words = board_shared(board);

	if (weight == (atomic_load(&words[PEER_SETTING]) & SETTING_WEIGHT))
		weight = 0;
	peer_put_order(&words[PEER_ORDER], ORDER_WEIGHT, weight);
	atomic_fetch_add(&board_shared(upstream)[UPSTREAM_CHANGES], 1);
}
