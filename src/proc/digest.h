/* SPDX-License-Identifier: BSD-2-Clause */
/* digest: what the master has to know of a configuration, told by its template. */
#ifndef PROC_DIGEST_H
#define PROC_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "net/sock.h"

struct conf;
struct message;

struct digest_settings {
	uint32_t workers;
	uint64_t connections;		/* of one worker, as far as descriptors carry them … */
	bool     lowered;		/* … which was not as far as was wanted */
	uint64_t shutdown_timeout;	/* ms; 0: none */
	uint64_t watchdog;		/* ms; 0: off */
	uint64_t ticket_lifetime;	/* ms; 0: its workers need no keys for tickets */
	bool     handover;		/* its workers take over sessions of earlier ones */
	bool     rebalance;		/* and of one another */
	bool     keeper;		/* there is something to do for one */
	char     pid[1024];
	char     control[128];
	char     pid_place[256];	/* "weir.conf:3" */
	char     control_place[256];
};

struct digest_log {
	struct log_spec spec;
	char            place[256];
};

struct digest_listen {
	char               server[64];
	char               place[256];	/* "weir.conf:12" */
	struct listen_spec spec;
};

/* Zeroed: nothing has arrived. */
struct digest {
	struct digest_settings settings;
	struct log_spec        logs[LOG_SINKS_MAX];
	char                   log_places[LOG_SINKS_MAX][256];
	unsigned               log_count;
	struct digest_listen  *listens;
	unsigned               listen_count;
	bool                   whole;	/* MESSAGE_LOADED has come */
	bool                   good;	/* and said that all is well */
};

/* Template: sends all of it but MESSAGE_LOADED. Returns 0, or -1 with errno. */
int digest_send(const struct conf *, int channel) __attribute__((warn_unused_result));

/* Master: takes a message if it is part of the digest. Returns 0, or -1 with
 * errno (EPROTO: it is not, or makes no sense). */
int  digest_take(struct digest *, const struct message *) __attribute__((warn_unused_result));
void digest_free(struct digest *);

#endif
