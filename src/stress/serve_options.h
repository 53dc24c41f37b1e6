/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_options: what a backend has been asked to be, and what it has counted. */
#ifndef STRESS_SERVE_OPTIONS_H
#define STRESS_SERVE_OPTIONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/sock.h"
#include "stress/tls.h"

#define SERVE_DOORS_MAX   64u
#define SERVE_WORKERS_MAX 64u

/* What can be made to go wrong: names of --fault, and of what is counted. The
 * first six end the connection at a reply. */
#define SERVE_HARMS(X)                                                         \
	X(CLOSE, "close")                                                      \
	X(CUT, "cut")                                                          \
	X(RESET, "reset")                                                      \
	X(HALF, "half")                                                        \
	X(STALL, "stall")                                                      \
	X(CRASH, "crash")                                                      \
	X(GARBAGE, "garbage")                                                  \
	X(REPEAT, "repeat")                                                    \
	X(SKIP, "skip")                                                        \
	X(SWAP, "swap")                                                        \
	X(REORDER, "reorder")                                                  \
	X(DELAY, "delay")                                                      \
	X(SPLIT, "split")                                                      \
	X(PAUSE, "pause")                                                      \
	X(DOOR, "door")                                                        \
	X(REFUSE, "refuse")                                                    \
	X(IDLE, "idle")

enum harm {
#define X(name, word) HARM_##name,
	SERVE_HARMS(X)
#undef X
	    HARM_COUNT
};
#define HARM_NONE HARM_COUNT

extern const char *const harm_names[HARM_COUNT + 1];	/* ends with NULL */

enum serve_kind { SERVE_ECHO, SERVE_LINE, SERVE_SINK, SERVE_SOURCE };

struct serve {
	enum serve_kind    kind;
	struct listen_spec doors[SERVE_DOORS_MAX];
	unsigned           door_count;
	unsigned           workers;
	uint64_t           delay_min;		/* µs */
	uint64_t           delay_max;		/* with the jitter */
	uint64_t           jitter;
	uint64_t           down;		/* µs */
	uint64_t           size;		/* source: bytes; UINT64_MAX: no end */
	uint64_t           seed;
	double             rates[HARM_COUNT];
	struct stress_tls  tls;
	bool               straight;		/* no reply is delayed, cut up or spoilt */
	bool               split;		/* all replies are sent byte by byte */
	bool               again;		/* lines that come twice are counted */
	bool               quiet;
};

/* A process's own. */
struct serve_counts {
	_Atomic uint64_t accepted;
	_Atomic uint64_t open;			/* connections now */
	_Atomic uint64_t starved;		/* times that accepting paused */
	_Atomic uint64_t handshakes;		/* of TLS */
	_Atomic uint64_t resumed;		/* of them */
	_Atomic uint64_t tls_failed;		/* before or behind the handshake */
	_Atomic uint64_t requests;		/* that a reply was owed for */
	_Atomic uint64_t answered;		/* rightly and whole, as far as it is up to us */
	_Atomic uint64_t unanswered;
	_Atomic uint64_t again;			/* lines that had come before */
	_Atomic uint64_t overlong;		/* lines that were too long */
	_Atomic uint64_t bytes_in;
	_Atomic uint64_t bytes_out;
	_Atomic uint64_t harms[HARM_COUNT];
	char             tls_reason[120];	/* why the first of tls_failed has */
};

/* What this process serves, and what it counts. */
extern const struct serve  *stress_served;
extern struct serve_counts *stress_counts;

/* Reads the command line. Returns 0; 2 with all that is wrong told on stderr; -1:
 * the help has been printed. */
int stress_serve_read(struct serve *, int argc, char **argv);

#endif
