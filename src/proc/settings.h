/* SPDX-License-Identifier: BSD-2-Clause */
/* settings: the keys of [weir] that concern processes. */
#ifndef PROC_SETTINGS_H
#define PROC_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "conf/place.h"
#include "weir.h"

struct conf;
struct tls_ticket_keys;

struct settings_user {
	char  name[64];
	uid_t uid;
	gid_t gid;
};

struct settings_logs {
	struct log_spec specs[LOG_SINKS_MAX];
	struct place    places[LOG_SINKS_MAX];
	unsigned        count;
};

struct settings {
	uint64_t             workers;		/* after check: never automatic */
	uint64_t             connections;	/* worker_connections; after check: what fits */
	bool                 lowered;		/* it has been, by check */
	uint64_t             handshakes;	/* worker_handshakes */
	uint64_t             preread;		/* worker_preread, bytes; the same */
	uint64_t             nofile;		/* worker_rlimit_nofile; WEIR_AUTOMATIC */
	uint64_t             shutdown_timeout;	/* ms; 0: none */
	uint64_t             watchdog;		/* ms; 0: off */
	bool                 handover;		/* sessions of earlier generations move here */
	bool                 rebalance;		/* and from worker to worker */
	bool                 affinity;		/* a processor for each worker */
	bool                 daemon;
	struct settings_user user;
	const char          *ticket_file;	/* or WEIR_AUTOMATIC: the master makes them */
	const struct tls_ticket_keys *ticket_keys;	/* of that file; NULL: auto */
	const char          *pid;		/* absolute */
	const char          *control;
	struct settings_logs logs;
};

/* Keys and checks, for conf_request.core. */
extern const struct weir_module settings_module;

const struct settings *settings_of(const struct conf *);

/* "USER [GROUP]" → user. Returns NULL or a phrase. */
const char *settings_parse_user(struct settings_user *, const char *text);

/* How many processors this process may run on; at least 1. */
unsigned settings_processors(void);

/*
 * How many sessions `limit` descriptors carry: each needs `each` of them, and
 * `fixed` are needed without any session.
 */
uint64_t settings_carried(uint64_t limit, uint64_t each, uint64_t fixed);

/* Raises RLIMIT_NOFILE of this process to `wanted` as far as the system lets
 * it; never lowers it. Returns what it is now. */
uint64_t settings_raise_nofile(uint64_t wanted);

#endif
