/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record: one session as it is written into a parcel, and read from it.
 *
 *	server, protocol │ past │ peer, tokens │ client's fd, options, in, out │ gate │
 *	    the mode's │ state
 *
 * Servers, upstreams and peers go by their names; the rest means the same in every
 * worker. Who sends looks whether it can go on there; but what lies in a channel may be read
 * by a worker of yet another generation, so whoever reads looks, too.
 */
#ifndef SESSION_RECORD_H
#define SESSION_RECORD_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct move_heir;
struct parcel;
struct server;
struct sock_options;
struct weir_session;

/* Per worker: its configuration and seat. */
void records_start(const struct conf *, unsigned seat);

/* Worker of the generation that runs: others may send sessions of this server. */
void record_announce(const struct server *, uint32_t generation);

enum record_state {
	RECORD_READY,	/* it can be written */
	RECORD_BUSY,	/* later: it is to pause, and has a turn when it is at rest */
	RECORD_BOUND,	/* it cannot travel: *why */
	RECORD_EARLY,	/* that worker does not serve yet */
};
enum record_state record_check(struct weir_session *, const struct move_heir *, const char **why);

/* Whether the server has links to the same upstream there, a client's alone. */
bool record_keeps_links(const struct server *, const struct move_heir *);

/* Whether nothing waits in it, not even bytes: where it may be ended without a loss. */
bool record_is_clean(struct weir_session *);

/* A READY one. The parcel is bad when there was no room. */
void record_write(const struct weir_session *, struct parcel *);

/* The socket's options, in the place where a mode writes its own, too: those that it has are
 * noted; and those of this configuration set, where they are others. */
void record_write_options(struct parcel *, const struct sock_options *);
void record_renew_options(struct parcel *, int fd, const struct sock_options *);

/* Its tokens go ahead of it to the worker of that seat (upstream/token); then it was sent,
 * or was not. */
void record_announce_tokens(const struct weir_session *, unsigned seat);
void record_note_sent(const struct weir_session *);
void record_withdraw_tokens(const struct weir_session *, unsigned seat);

/* Reads one from its part, which was sent to that seat: it is open and served from now on,
 * or, if it cannot be, closed and counted (SESSION_NOT_RESUMED, SESSION_NO_MEMORY). False:
 * the part makes no sense. */
bool record_read(struct parcel *part, unsigned sent_to);

#endif
