/* SPDX-License-Identifier: BSD-2-Clause */
/* digest: what the master has to know of a configuration, told by its template. */
#include "proc/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "proc/keeper.h"
#include "proc/message.h"
#include "proc/settings.h"
#include "session/server.h"
#include "upstream/tls_scope.h"

static int digest_send_settings(const struct conf *, int channel);
static int digest_send_logs(const struct settings_logs *, int channel);
static int digest_send_listens(const struct conf *, int channel);
static int digest_take_log(struct digest *, const struct message *);
static int digest_take_listen(struct digest *, const struct message *);

int
digest_send(const struct conf *conf, int channel)
{
	if (digest_send_settings(conf, channel) < 0 ||
	    digest_send_logs(&settings_of(conf)->logs, channel) < 0)
		return -1;
	return digest_send_listens(conf, channel);
}

int
digest_take(struct digest *d, const struct message *m)
{
	switch (m->kind) {
	case MESSAGE_SETTINGS:
		if (m->size != sizeof d->settings)
			break;
		memcpy(&d->settings, m->data, sizeof d->settings);
		return 0;
	case MESSAGE_LOG_SPEC:
		return digest_take_log(d, m);
	case MESSAGE_LISTEN:
		return digest_take_listen(d, m);
	case MESSAGE_LOADED:
		d->whole = true;
		d->good = m->a == 1;
		return 0;
	default:
		break;
	}
	errno = EPROTO;
	return -1;
}

void
digest_free(struct digest *d)
{
	free(d->listens);
	*d = (struct digest){ 0 };
}

static int
digest_send_settings(const struct conf *conf, int channel)
{
	const struct settings *s = settings_of(conf);
	struct weir_scope     *scope = conf_scope(conf, SCOPE_WEIR, 0);
	struct digest_settings d = {
		.workers = (uint32_t)s->workers,
		.connections = s->connections,
		.lowered = s->lowered,
		.shutdown_timeout = s->shutdown_timeout,
		.watchdog = s->watchdog,
		.handover = s->handover,
		.rebalance = s->rebalance,
		.keeper = keeper_is_needed(conf),
		.ticket_lifetime = s->ticket_keys == NULL ? tls_scopes_ticket_lifetime(conf) : 0,
	};
	struct message         m = { .kind = MESSAGE_SETTINGS, .data = &d, .size = sizeof d };

	if ((size_t)snprintf(d.pid, sizeof d.pid, "%s", s->pid) >= sizeof d.pid ||
	    (size_t)snprintf(d.control, sizeof d.control, "%s", s->control) >= sizeof d.control) {
		errno = ENAMETOOLONG;
		return -1;
	}
	scope_place(scope, "pid", d.pid_place, sizeof d.pid_place);
	scope_place(scope, "control", d.control_place, sizeof d.control_place);
	return message_send_wait(channel, &m);
}

/* line 0: -g. */
static void
digest_print_place(char *out, size_t size, struct place at)
{
	if (at.file == NULL)
		snprintf(out, size, "default");
	else if (at.line == 0)
		snprintf(out, size, "%s", at.file);
	else
		snprintf(out, size, "%s:%u", at.file, at.line);
}

static int
digest_send_logs(const struct settings_logs *logs, int channel)
{
	struct digest_log d;
	struct message    m = { .kind = MESSAGE_LOG_SPEC, .data = &d, .size = sizeof d };

	for (unsigned i = 0; i < logs->count; i++) {
		memset(&d, 0, sizeof d);
		d.spec = logs->specs[i];
		digest_print_place(d.place, sizeof d.place, logs->places[i]);
		if (message_send_wait(channel, &m) < 0)
			return -1;
	}
	return 0;
}

static int
digest_send_listens(const struct conf *conf, int channel)
{
	struct digest_listen d;
	struct message       m = { .kind = MESSAGE_LISTEN, .data = &d, .size = sizeof d };
	const struct server *s;

	for (unsigned i = 0; (s = server_at(conf, i)) != NULL; i++) {
		memset(&d, 0, sizeof d);
		snprintf(d.server, sizeof d.server, "%s", s->name);
		for (unsigned k = 0; k < s->listen_count; k++) {
			d.spec = s->listens[k].spec;
			digest_print_place(d.place, sizeof d.place, s->listens[k].place);
			if (message_send_wait(channel, &m) < 0)
				return -1;
		}
	}
	return 0;
}

static int
digest_take_log(struct digest *d, const struct message *m)
{
	struct digest_log log;

	if (m->size != sizeof log || d->log_count == LOG_SINKS_MAX) {
		errno = EPROTO;
		return -1;
	}
	memcpy(&log, m->data, sizeof log);
	d->logs[d->log_count] = log.spec;
	memcpy(d->log_places[d->log_count], log.place, sizeof log.place);
	d->log_count++;
	return 0;
}

static int
digest_take_listen(struct digest *d, const struct message *m)
{
	struct digest_listen *grown;

	if (m->size != sizeof *grown) {
		errno = EPROTO;
		return -1;
	}
	grown = realloc(d->listens, (d->listen_count + 1) * sizeof *grown);
	if (grown == NULL)
		return -1;
	d->listens = grown;
	memcpy(&d->listens[d->listen_count++], m->data, sizeof *grown);
	return 0;
}
