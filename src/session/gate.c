/* SPDX-License-Identifier: BSD-2-Clause */
/* gate: what a client has to say before anything else. */
#include "session/gate.h"

#include "base/log.h"
#include "base/str.h"
#include "net/cidr.h"
#include "net/proxy_header.h"
#include "session/server.h"

static void        gate_run(struct weir_session *);
static void        gate_deadline(const struct weir_session *, struct session_deadline *);
static const char *gate_explain(const struct weir_session *, enum session_reason);
static bool        gate_trusts(const struct weir_session *);
static bool        gate_take_header(struct weir_session *, struct gate *);
static bool        gate_pass_header(struct weir_session *, struct gate *, struct weir_span in,
    const struct proxy_header *);
static void        gate_refuse_header(struct weir_session *, struct gate *, const char *wrong);
static void        gate_client_ended(struct weir_session *, struct gate *);

const struct session_mode gate_mode = {
	.name     = "gate",
	.run      = gate_run,
	.deadline = gate_deadline,
	.explain  = gate_explain,
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

	if (g == NULL || !s->server->proxy_protocol || g->passed || gate_take_header(s, g))
		session_enter(s, STEP_HANDSHAKE);
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

/* The session has come to nothing: the client has ended, or is gone. */
static void
gate_client_ended(struct weir_session *s, struct gate *g)
{
	struct conn *c = &s->client;

	if (c->broken || c->write_shut)
		session_close(s, session_failure(c, SESSION_CLIENT_FAILED));
	else if (c->eof && c->in == NULL)
		session_close(s, SESSION_CLIENT_CLOSED);
	else if (c->eof)
		gate_refuse_header(s, g, "the client has ended within its PROXY header");
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
	gate_client_ended(s, g);
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
