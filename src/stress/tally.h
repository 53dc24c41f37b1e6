/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tally: what a worker of weir-stress has counted, in memory that the parent
 * reads while it runs.
 */
#ifndef STRESS_TALLY_H
#define STRESS_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include "stress/hist.h"

/* What can go wrong with a connection or a request: the name that --json and
 * --expect use, and the words of the report. */
#define TALLY_FAULTS(X)                                                        \
	X(CONNECT_REFUSED, "connect_refused", "connect: refused")              \
	X(CONNECT_TIMEOUT, "connect_timeout", "connect: timed out")            \
	X(CONNECT_PORTS, "connect_ports", "connect: no local port left")       \
	X(CONNECT_FAILED, "connect_failed", "connect: other failures")         \
	X(TLS_TIMEOUT, "tls_timeout", "TLS: the handshake has timed out")        \
	X(TLS_FAILED, "tls_failed", "TLS: failed")                             \
	X(NO_DESCRIPTORS, "no_descriptors", "no descriptors left")             \
	X(RESET, "reset", "reset by the server")                               \
	X(CLOSED, "closed", "closed by the server before all was answered")    \
	X(CLOSED_IDLE, "closed_idle", "closed by the server, with nothing owed") \
	X(TIMEOUT, "timeout", "no reply in time")                              \
	X(WRONG, "wrong", "a reply that is not what was asked for")            \
	X(UNASKED, "unasked", "bytes that nobody had asked for")               \
	X(FAILED, "failed", "answered with the failure text")                  \
	X(NO_MEMORY, "no_memory", "no memory")

enum fault {
#define X(name, word, text) FAULT_##name,
	TALLY_FAULTS(X)
#undef X
	    FAULT_COUNT
};

#define TALLY_ERRNOS 134u	/* Linux has no higher one */

#define TALLY_REASONS 8u

struct tally_reason {
	_Atomic uint64_t count;
	char             text[120];
};

struct tally {
	_Atomic uint64_t open;			/* connections now */
	_Atomic uint64_t opening;
	_Atomic uint64_t peak;			/* most that were open at once */
	_Atomic uint64_t connected;		/* ever */
	_Atomic uint64_t sent;			/* requests */
	_Atomic uint64_t answered;		/* of them, rightly */
	_Atomic uint64_t handshakes;		/* of TLS, ever */
	_Atomic uint64_t resumed;		/* of them */
	_Atomic uint64_t lost;			/* in flight when their connection ended */
	_Atomic uint64_t bytes_in;
	_Atomic uint64_t bytes_out;
	_Atomic uint64_t faults[FAULT_COUNT];
	_Atomic uint64_t errnos[TALLY_ERRNOS];		/* of connections that failed */
	_Atomic uint64_t due;			/* open loop: requests whose time has come */
	_Atomic uint64_t unsent;		/* of them, those that wait for room */
	_Atomic uint64_t late;			/* the most that have waited, each 100 ms */
	_Atomic uint64_t own[8];		/* what mode.counters names */
	_Atomic uint64_t cpu;			/* µs so far; see stress_tally_cpu */
	_Atomic uint64_t pid;
	_Atomic uint64_t state;			/* enum tally_state */
	_Atomic uint64_t reached;		/* steps whose connections have all been tried */
	_Atomic uint64_t epoch;			/* of shared.epoch: that it has begun */
	struct hist      latency;		/* from when it was to be sent */
	struct hist      raw;			/* from when it was sent */
	struct hist      connect;
	struct hist      handshake;		/* of TLS; from when it was connected */
	_Atomic uint64_t least;			/* answers to the client that has the fewest */
	char             wrong[256];		/* the first wrong reply, in words */
	char             tls[96];		/* what the first handshake has agreed on */
	struct tally_reason reasons[TALLY_REASONS];	/* why TLS has failed */
};

/* DONE: all that was to be sent has been, and nothing is in flight. LOST: there is no
 * connection, and none could be opened for the time of -t (or ever, not once). MUTE: the
 * server takes requests, and nothing comes back. */
enum tally_state {
	TALLY_STARTING,
	TALLY_RAMPING,
	TALLY_RUNNING,
	TALLY_DONE,
	TALLY_LOST,
	TALLY_MUTE,
};

/* What the parent tells the workers. DRAIN: what was due is still sent, and what is owed
 * waited for. STOP: only the latter. */
enum phase { PHASE_RAMP, PHASE_WARM, PHASE_MEASURE, PHASE_DRAIN, PHASE_STOP, PHASE_END };

/* What a drain may take, in the time of -t: for what is to be sent, its connect, its reply. */
#define DRAIN_TIMEOUTS 3u

struct shared {
	_Atomic uint32_t phase;			/* enum phase */
	_Atomic double   rate;			/* open loop: requests a second, all workers */
	_Atomic uint64_t epoch;			/* grows when the measuring begins: workers then
						 * wipe sent, answered, due, late, latency
						 * and raw, and peak begins at open; all else
						 * counts from the beginning */
	_Atomic uint32_t step;			/* of run.steps: how many connections there are */
	int              wake;			/* an eventfd: written when one of these has
						 * changed, and never read, so that the edge
						 * wakes all workers */
	struct tally     of[];			/* a worker each */
};

static inline void
stress_tally_add(_Atomic uint64_t *w, uint64_t n)
{
	atomic_store_explicit(w, atomic_load_explicit(w, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

extern const char *const fault_words[FAULT_COUNT];
extern const char *const fault_texts[FAULT_COUNT];

/* Counts a reason for TLS to fail; those that have no place count as the last one. */
void stress_tally_reason(struct tally *, const char *text);

/* Sums up all workers. The result is the caller's to free(3); NULL: no memory. */
struct tally *stress_tally_sum(const struct shared *, unsigned workers);

/* Takes away what had been counted at an earlier sum, but for what has been wiped since,
 * and for what is no count. */
void stress_tally_since(struct tally *, const struct tally *earlier);

/* The latencies of all workers so far. */
void stress_tally_latencies(const struct shared *, unsigned workers, struct hist *);

/* Wipes what shared.epoch says; for the worker alone. */
void stress_tally_wipe(struct tally *);

/* µs of processor time of a worker, as of now while it lives. */
uint64_t stress_tally_cpu(const struct tally *);

/* All faults but FAULT_FAILED, which is an answer. */
uint64_t stress_tally_errors(const struct tally *);

#endif
