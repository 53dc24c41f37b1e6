/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * least_time: the peer that is expected to answer soonest, for its share.
 *
 *	cost = time of an answer * (what is under way + 1) / share
 *
 * The time is a mean that rises to every peak at once and falls by half in HALF_LIFE: so
 * a peer that has become slow is found with its first late answer, and tried again when
 * the mean has fallen below that of the others. All means fall at one rate, so while
 * nothing happens to two peers their order stays as it is: the logarithm of the cost, plus
 * the time at which it was that, is a rank that need not be changed as time goes by.
 *
 * A failure counts as twice the slowest answer of the upstream: one that refuses is quick.
 */
#include <string.h>

#include <weir.h>

#define HALF_LIFE 5000.0		/* ms */
#define RANK_ONE  ((double)(1 << 24))	/* of the logarithm to base 2 */
#define RANK_MID  128.0			/* no logarithm here is below -that */
#define RANK_UNKNOWN (UINT64_C(1) << 62)

/* How long answers take. */
struct pace {
	double   micros;	/* at that time; 0: nothing is known */
	uint64_t at;		/* ms */
};

struct course {
	struct pace pace;
	double      base;	/* the logarithm of it, and of its time */
	uint32_t    busy;	/* weir_peer_in_flight, when it was last looked at */
	bool        given;	/* was picked before anything was known of it … */
	bool        trying;	/* … and something of that pick is under way */
};

/* 2 to the power of -x, within 1 in 10,000. x: 0 or more. */
static double
pace_fade(double x)
{
	unsigned whole = x < 200 ? (unsigned)x : 200;
	double   part = x < 200 ? x - whole : 0, y;

	y = 1 - part * (0.69315 - part * (0.24022 - part * (0.05550 - part * 0.00868)));
	for (; whole > 0; whole--)
		y /= 2;
	return y;
}

/* The logarithm to base 2, within 1 in 1,000. x: above 0. */
static double
pace_log2(double x)
{
	uint64_t bits;
	double   m, y;
	int      exponent;

	memcpy(&bits, &x, sizeof bits);
	exponent = (int)(bits >> 52 & 0x7ff) - 1023;
	bits = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1023) << 52;
	memcpy(&m, &bits, sizeof m);
	y = (m - 1) / (m + 1);
	return exponent + 2.885390 * y * (1 + y * y * (1 / 3.0 + y * y / 5));
}

static void
pace_observe(struct pace *p, double micros)
{
	uint64_t now = weir_now();
	double   rest = pace_fade((double)(now - p->at) / HALF_LIFE);

	p->micros *= rest;
	p->at = now;
	if (micros > p->micros)
		p->micros = micros;
	else
		p->micros += micros * (1 - rest);
}

static void
least_time_rank(struct weir_peer *peer)
{
	const struct course *c = weir_peer_memory(peer);
	uint32_t             busy = weir_peer_in_flight(peer), share = weir_peer_share(peer);

	if (share == 0)
		return;
	/* One at a time is sent to find out. */
	if (c->pace.micros <= 0)
		weir_peer_rank(peer, c->trying ? RANK_UNKNOWN + busy : 0);
	else
		weir_peer_rank(peer,
		    (uint64_t)((c->base + RANK_MID + pace_log2(busy + 1.0) - pace_log2(share)) *
			RANK_ONE));
}

static struct weir_peer *
least_time_pick(struct weir_upstream *u, const struct weir_attempt *attempt)
{
	struct weir_peer *peer = weir_upstream_first(u, attempt);
	struct course    *c = peer != NULL ? weir_peer_memory(peer) : NULL;

	if (c != NULL && c->pace.micros <= 0)
		c->given = true;
	return peer;
}

/* What is under way does not tell whether anybody finds out: sessions that an older
 * generation has handed over do not. Anything that ends may have been the trial, and
 * have ended without an answer. */
static void
least_time_load(struct weir_peer *peer)
{
	struct course *c = weir_peer_memory(peer);
	uint32_t       busy = weir_peer_in_flight(peer);

	if (busy < c->busy)
		c->trying = false;
	else if (c->given) {
		c->given = false;
		c->trying = true;
	}
	c->busy = busy;
	least_time_rank(peer);
}

static void
least_time_done(struct weir_peer *peer, enum weir_outcome outcome, uint64_t microseconds)
{
	struct course *c = weir_peer_memory(peer);
	struct pace   *all = weir_upstream_memory(weir_peer_upstream(peer));
	double         micros = (double)microseconds + 1;

	if (outcome == WEIR_REQUEST_ANSWERED)
		pace_observe(all, micros);
	else if (micros < 2 * all->micros)
		micros = 2 * all->micros;
	pace_observe(&c->pace, micros);
	c->base = pace_log2(c->pace.micros) + (double)c->pace.at / HALF_LIFE;
	least_time_rank(peer);
}

static void
least_time_share(struct weir_peer *peer, uint32_t before)
{
	(void)before;
	least_time_rank(peer);
}

static const struct weir_balancer least_time = {
	.upstream_size = sizeof(struct pace),
	.peer_size     = sizeof(struct course),
	.pick          = least_time_pick,
	.done          = least_time_done,
	.share         = least_time_share,
	.load          = least_time_load,
};

const struct weir_module least_time_module = {
	.name     = "least_time",
	.balancer = &least_time,
};
WEIR_MODULE(least_time_module);
