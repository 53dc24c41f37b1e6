/* SPDX-License-Identifier: BSD-2-Clause */
/* gate: what a client has to say before anything else. */
#include "session/gate.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "net/cidr.h"
#include "net/client_hello.h"
#include "net/proxy_header.h"
#include "session/parcel.h"
#include "session/route.h"
#include "session/server.h"
#include "upstream/upstream.h"

#define GATE_NAME_MAX 256u

static void        gate_run(struct weir_session *);
static void        gate_deadline(const struct weir_session *, struct session_deadline *);
static void        gate_leave(struct weir_session *);
static const char *gate_explain(const struct weir_session *, enum session_reason);
static bool        gate_take(struct weir_session *, struct gate *);
static bool        gate_trusts(const struct weir_session *);
static bool        gate_take_header(struct weir_session *, struct gate *);
static bool        gate_pass_header(struct weir_session *, struct gate *, struct weir_span in,
    const struct proxy_header *);
static void        gate_refuse_header(struct weir_session *, struct gate *, const char *wrong);
static bool        gate_take_hello(struct weir_session *, struct gate *);
static bool        gate_pass_hello(struct weir_session *, struct gate *, struct weir_span in,
    const struct client_hello_wants *);
static void        gate_refuse_hello(struct weir_session *, struct gate *,
    const struct client_hello_wants *);
static void        gate_tell(struct weir_session *, enum tls_alert, enum session_reason);
static void        gate_client_ended(struct weir_session *, enum session_reason);

const struct session_mode gate_mode = {
	.name     = "gate",
	.run      = gate_run,
	.deadline = gate_deadline,
	.leave    = gate_leave,
	.explain  = gate_explain,
	.depart   = gate_leave,
};

/* Of loop_complain. */
static uint64_t complained_header, complained_stranger;

static struct gate *
gate_of(struct weir_session *s)
{
	return server_has_gate(s->server) ? (struct gate *)(void *)(s->state + s->server->gate)
					  : NULL;
}

const struct gate *
gate_of_session(const struct weir_session *s)
{
	return gate_of((struct weir_session *)(uintptr_t)s);
}

/* ------------------------------------------------------------------- the mode */

static void
gate_run(struct weir_session *s)
{
	struct gate *g = gate_of(s);

	if (g == NULL || gate_take(s, g))
		session_enter(s, STEP_HANDSHAKE);
	else if (s->step == STEP_GATE)
		preread_note(&g->preread, s, buf_memory(s->client.in));
}

/* True: all is there that has to be. */
static bool
gate_take(struct weir_session *s, struct gate *g)
{
	if (s->server->proxy_protocol && !g->passed && !gate_take_header(s, g))
		return false;
	return routes_count(&s->server->routes) == 0 || gate_take_hello(s, g);
}

static void
gate_leave(struct weir_session *s)
{
	struct gate *g = gate_of(s);

	if (g != NULL)
		preread_leave(&g->preread);
}

static void
gate_deadline(const struct weir_session *s, struct session_deadline *d)
{
	if (server_has_gate(s->server))
		session_deadline_add(d, s->start, s->server->handshake_timeout,
		    SESSION_HANDSHAKE_TIMEOUT);
}

static const char *
gate_explain(const struct weir_session *s, enum session_reason reason)
{
	const struct gate *g = gate_of_session(s);

	(void)reason;
	return g != NULL ? g->wrong : NULL;
}

/* Whether the client has ended, or is gone: then the session is over, for this reason if
 * it had begun to say something. */
static void
gate_client_ended(struct weir_session *s, enum session_reason reason)
{
	struct conn *c = &s->client;

	if (c->broken || c->write_shut)
		session_close(s, session_failure(c, SESSION_CLIENT_FAILED));
	else if (c->eof && c->in == NULL)
		session_close(s, SESSION_CLIENT_CLOSED);
	else if (c->eof) {
		gate_of(s)->wrong = "the client has ended within it";
		session_close(s, reason);
	}
}

/* ----------------------------------------------------------- the PROXY header */

static bool
gate_trusts(const struct weir_session *s)
{
	const struct server *server = s->server;

	for (unsigned i = 0; i < server->proxies.count; i++)
		if (cidr_has(&server->proxies.list[i], &s->from))
			return true;
	return false;
}

/* True: it is there, and taken. */
static bool
gate_take_header(struct weir_session *s, struct gate *g)
{
	struct conn            *c = &s->client;
	size_t                  most = s->server->read_buffer;
	struct proxy_header     h;
	struct weir_span        in;
	enum proxy_header_state state;

	if (!gate_trusts(s)) {
		if (loop_complain(&complained_stranger))
			log_warn("a client that is not in proxy_protocol_from is sent away: if it "
				 "is a proxy, add it there");
		session_close(s, SESSION_PROXY_REFUSED);
		return false;
	}
	while (conn_may_read(c)) {
		/* No more than a read_buffer comes behind it. */
		(void)proxy_header_parse(buf_span(c->in), &h);
		in = conn_take(c, h.length > most ? h.length : most);
		if (in.len == 0)
			break;
		state = proxy_header_parse(in, &h);
		if (state == PROXY_HEADER_WHOLE)
			return gate_pass_header(s, g, in, &h);
		if (state == PROXY_HEADER_MALFORMED) {
			gate_refuse_header(s, g, h.wrong);
			return false;
		}
		if (!conn_keep(c, in, 0)) {
			session_close(s, SESSION_NO_MEMORY);
			return false;
		}
	}
	gate_client_ended(s, SESSION_BAD_PROXY_HEADER);
	return false;
}

static bool
gate_pass_header(struct weir_session *s, struct gate *g, struct weir_span in,
    const struct proxy_header *h)
{
	char proxy[ADDR_TEXT_MAX];

	g->passed = true;
	session_came(s, h->length);
	addr_print_packed(&s->from, proxy);
	if (h->stated) {
		s->from = h->from;
		g->to = h->to;
	}
	log_info("PROXY header of %s%s", proxy, h->stated ? "" : ", which tells of no client");
	if (conn_put_back(&s->client, in, h->length))
		return true;
	session_close(s, SESSION_NO_MEMORY);
	return false;
}

static void
gate_refuse_header(struct weir_session *s, struct gate *g, const char *wrong)
{
	g->wrong = wrong;
	if (loop_complain(&complained_header))
		log_warn("%s: it is sent away; has what is in front of weir been told to send "
			 "PROXY headers, and does nobody else connect?",
		    wrong);
	session_close(s, SESSION_BAD_PROXY_HEADER);
}

/* ------------------------------------------------------------- the ClientHello */

/* True: it is there, and leads somewhere. */
static bool
gate_take_hello(struct weir_session *s, struct gate *g)
{
	struct conn              *c = &s->client;
	struct client_hello_wants wants;
	struct weir_span          in;

	while (conn_may_read(c)) {
		in = conn_take(c, CLIENT_HELLO_RAW_MAX);
		if (in.len == 0)
			break;
		switch (client_hello_read(&g->hello, in, &wants)) {
		case CLIENT_HELLO_MORE:
			if (conn_keep(c, in, 0))
				continue;
			session_close(s, SESSION_NO_MEMORY);
			return false;
		case CLIENT_HELLO_WHOLE:
			return gate_pass_hello(s, g, in, &wants);
		case CLIENT_HELLO_NOT_TLS:
			return gate_pass_hello(s, g, in, NULL);
		case CLIENT_HELLO_MALFORMED:
			gate_refuse_hello(s, g, &wants);
			return false;
		}
	}
	gate_client_ended(s, SESSION_BAD_CLIENT_HELLO);
	return false;
}

/* wants: NULL: it is no TLS. */
static bool
gate_pass_hello(struct weir_session *s, struct gate *g, struct weir_span in,
    const struct client_hello_wants *wants)
{
	g->upstream = routes_find(&s->server->routes, wants);
	if (g->upstream != NULL) {
		if (conn_put_back(&s->client, in, 0))
			return true;
		session_close(s, SESSION_NO_MEMORY);
	} else if (wants != NULL) {
		log_info("no route: %s%s", wants->name[0] != '\0' ? "the client asks for " : "",
		    wants->name[0] != '\0' ? wants->name : "the client asks for no name");
		gate_tell(s, TLS_ALERT_UNRECOGNIZED_NAME, SESSION_NO_ROUTE);
	} else
		session_finish(s, SESSION_NOT_TLS);
	return false;
}

static void
gate_refuse_hello(struct weir_session *s, struct gate *g, const struct client_hello_wants *wants)
{
	g->wrong = wants->wrong;
	gate_tell(s, wants->alert, SESSION_BAD_CLIENT_HELLO);
}

static void
gate_tell(struct weir_session *s, enum tls_alert alert, enum session_reason reason)
{
	char record[TLS_ALERT_SIZE];

	client_hello_refuse(alert, record);
	session_went(s, sizeof record);
	(void)conn_send(&s->client, span_make(record, sizeof record));
	session_finish(s, reason);
}

/* ------------------------------------------------------------- to other workers */

/* As it is written. */
struct gate_past {
	struct addr_packed to;
	bool               passed;
};

void
gate_write(const struct weir_session *s, struct parcel *p)
{
	const struct gate *g = gate_of_session(s);
	struct gate_past   past;

	memset(&past, 0, sizeof past);
	past.passed = g != NULL && g->passed;
	if (g != NULL)
		past.to = g->to;
	parcel_put(p, &past, sizeof past);
	parcel_put_name(p, g != NULL && g->upstream != NULL ? g->upstream->name : NULL);
}

/* A route that leads nowhere now is asked for again, where that is still possible. */
void
gate_read(struct weir_session *s, struct parcel *p)
{
	struct gate     *g = gate_of(s);
	struct gate_past past;
	char             name[GATE_NAME_MAX];

	parcel_get(p, &past, sizeof past);
	parcel_get_name(p, name, sizeof name);
	if (p->bad || g == NULL)
		return;
	g->passed = past.passed;
	g->to = past.to;
	for (unsigned i = 0; name[0] != '\0' && i < server_upstreams(s->server); i++)
		if (strcmp(server_upstream_name(s->server, i), name) == 0)
			g->upstream = server_upstream(s->server, i);
}
