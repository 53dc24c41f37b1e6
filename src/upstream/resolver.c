/* SPDX-License-Identifier: BSD-2-Clause */
/* resolver: questions to name servers, by way of c-ares. */
#include "upstream/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/str.h"
#include "net/addr.h"
#include "net/loop.h"

/* A server that says nothing is asked so often, each time for twice as long. */
#define RESOLVER_TRIES       2
#define RESOLVER_TIMEOUT  1000		/* ms, the first time */
#define RESOLVER_RENEW   10000u		/* ms: what the system says of servers is read again */
#define RESOLVER_ADDRESSES_MAX 4096u	/* of one name */
#define RESOLVER_PORT       53u

/* One of c-ares' sockets. Kept when it is closed: the next has it. */
struct resolver_socket {
	struct resolver_socket *next;
	struct loop_watch       watch;
	int                     fd;	/* -1: none */
};

/* One question. */
struct resolver_query {
	resolver_addresses_function *addresses;
	resolver_message_function   *message;
	void                        *argument;
};

static struct {
	ares_channel            channel;	/* NULL: there is none */
	char                    servers[RESOLVER_SERVERS_MAX];
	bool                    looped;
	bool                    ready;		/* c-ares is there */
	unsigned                open;		/* questions */
	uint64_t                since;		/* ms: of the channel */
	struct resolver_socket *sockets;
	struct loop_timer       timer;
} resolver;

static int  resolver_open_channel(void);
static void resolver_renew(void);
static void resolver_socket_changed(void *, ares_socket_t, int readable, int writable);
static void resolver_socket_ready(int fd, short what, void *);
static void resolver_due(void *);
static void resolver_arm(void);
static struct resolver_query *resolver_ask(void *argument);
static void resolver_take_addresses(void *, int status, int timeouts, struct ares_addrinfo *);
static unsigned resolver_copy_addresses(const struct ares_addrinfo *, struct addr *,
    uint32_t *ttl);
static void resolver_take_message(void *, int status, int timeouts, unsigned char *, int length);

static const char *const resolver_faults[RESOLVER_FAULTS] = {
	[RESOLVER_GOOD] = "all is well",
	[RESOLVER_NO_NAME] = "there is no such name (NXDOMAIN)",
	[RESOLVER_NO_DATA] = "the name has no address, or no such service",
	[RESOLVER_BAD_NAME] = "that is no name",
	[RESOLVER_TIMED_OUT] = "the name servers do not answer",
	[RESOLVER_UNREACHABLE] = "no name server can be reached, or none of them gives an answer",
	[RESOLVER_REFUSED] = "the name servers refuse to answer (REFUSED)",
	[RESOLVER_FAILED] = "the name servers have failed (SERVFAIL)",
	[RESOLVER_MALFORMED] = "what the name servers answer makes no sense",
	[RESOLVER_NO_MEMORY] = "there is no memory",
	[RESOLVER_GIVEN_UP] = "the name servers have not answered in time",
};

const char *
resolver_explain(enum resolver_fault fault)
{
	return fault < RESOLVER_FAULTS ? resolver_faults[fault] : "the reason is not known";
}

bool
resolver_may_recover(enum resolver_fault fault)
{
	return fault >= RESOLVER_TIMED_OUT;
}

static enum resolver_fault
resolver_fault_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return RESOLVER_GOOD;
	case ARES_ENOTFOUND:
		return RESOLVER_NO_NAME;
	case ARES_ENODATA:
		return RESOLVER_NO_DATA;
	case ARES_EBADNAME:
		return RESOLVER_BAD_NAME;
	case ARES_ETIMEOUT:
		return RESOLVER_TIMED_OUT;
	case ARES_ECONNREFUSED:
		return RESOLVER_UNREACHABLE;
	case ARES_EREFUSED:
		return RESOLVER_REFUSED;
	case ARES_ENOMEM:
		return RESOLVER_NO_MEMORY;
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION:
		return RESOLVER_GIVEN_UP;
	case ARES_EBADRESP:
	case ARES_EFORMERR:
		return RESOLVER_MALFORMED;
	default:
		return RESOLVER_FAILED;
	}
}

/* --------------------------------------------------------------- configuration */

const char *
resolver_parse(char servers[RESOLVER_SERVERS_MAX], const char *text)
{
	char        copy[RESOLVER_SERVERS_MAX], port[ADDR_TEXT_MAX], *rest = copy, *word;
	struct addr a;
	size_t      used = 0;

	servers[0] = '\0';
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long";
	if (strcmp(text, "system") == 0)
		return NULL;
	while ((word = str_word(&rest)) != NULL) {
		snprintf(port, sizeof port, "%s:%u", word, RESOLVER_PORT);
		if (addr_parse(&a, word[0] == '[' && word[strlen(word) - 1] == ']' ? port : word,
			NULL) != NULL &&
		    addr_parse(&a, port, NULL) != NULL)
			return "write system, or addresses of name servers: ADDRESS or "
			       "ADDRESS:PORT, and an IPv6 address in brackets";
		if (a.sa.sa_family == AF_UNIX || addr_port(&a) == 0 ||
		    strchr(word, '.') == strchr(word, '['))
			return "write system, or IP addresses of name servers";
		used += (size_t)snprintf(servers + used, RESOLVER_SERVERS_MAX - used, "%s%s",
		    used > 0 ? "," : "", addr_print(&a, port));
		if (used >= RESOLVER_SERVERS_MAX)
			return "is too long";
	}
	return used > 0 ? NULL : "is empty: write system, or addresses of name servers";
}

/* --------------------------------------------------------------------- channel */

int
resolver_open(const char *servers, bool looped)
{
	snprintf(resolver.servers, sizeof resolver.servers, "%s", servers);
	resolver.looped = looped;
	if (!resolver.ready && ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		errno = ENOMEM;
		return -1;
	}
	resolver.ready = true;
	if (looped)
		loop_timer_init(&resolver.timer, resolver_due, NULL);
	return resolver_open_channel();
}

void
resolver_close(void)
{
	struct resolver_socket *s;

	if (resolver.channel != NULL)
		ares_destroy(resolver.channel);
	resolver.channel = NULL;
	while ((s = resolver.sockets) != NULL) {
		resolver.sockets = s->next;
		free(s);
	}
	if (resolver.looped)
		loop_timer_stop(&resolver.timer);
	if (resolver.ready)
		ares_library_cleanup();
	resolver.ready = false;
}

static int
resolver_open_channel(void)
{
	char                hosts_first[] = "fb";
	struct ares_options o = {
		.timeout = RESOLVER_TIMEOUT,
		.tries = RESOLVER_TRIES,
		.lookups = hosts_first,
		.sock_state_cb = resolver_socket_changed,
	};
	int                 mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS;

	if (resolver.looped)
		mask |= ARES_OPT_SOCK_STATE_CB;
	if (ares_init_options(&resolver.channel, &o, mask) != ARES_SUCCESS) {
		resolver.channel = NULL;
		errno = ENOMEM;
		return -1;
	}
	resolver.since = clock_ns() / 1000000;
	if (resolver.servers[0] != '\0' &&
	    ares_set_servers_ports_csv(resolver.channel, resolver.servers) != ARES_SUCCESS) {
		ares_destroy(resolver.channel);
		resolver.channel = NULL;
		errno = EINVAL;
		return -1;
	}
	return 0;
}

/* c-ares reads resolv.conf only when a channel is made. */
static void
resolver_renew(void)
{
	uint64_t now = clock_ns() / 1000000;

	if (resolver.channel != NULL &&
	    (resolver.open > 0 || resolver.servers[0] != '\0' ||
		now < resolver.since + RESOLVER_RENEW))
		return;
	if (resolver.channel != NULL)
		ares_destroy(resolver.channel);
	resolver.channel = NULL;
	if (resolver_open_channel() < 0)
		resolver.channel = NULL;
}

/* ------------------------------------------------------------- sockets and time */

static void
resolver_socket_changed(void *argument, ares_socket_t fd, int readable, int writable)
{
	struct resolver_socket *s = resolver.sockets, *vacant = NULL;
	unsigned                events = 0;

	(void)argument;
	for (; s != NULL && s->fd != fd; s = s->next)
		if (s->fd < 0)
			vacant = s;
	if (s != NULL)
		loop_watch_stop(&s->watch);
	else if ((s = vacant) == NULL) {
		/* Without it the question is not answered, which its timeout tells. */
		if ((s = calloc(1, sizeof *s)) == NULL)
			return;
		s->next = resolver.sockets;
		resolver.sockets = s;
	}
	s->fd = -1;
	events |= readable ? LOOP_READ : 0;
	events |= writable ? LOOP_WRITE : 0;
	if (events != 0 &&
	    loop_watch_start(&s->watch, fd, events, resolver_socket_ready, NULL) == 0)
		s->fd = fd;
}

static void
resolver_socket_ready(int fd, short what, void *argument)
{
	(void)argument;
	ares_process_fd(resolver.channel, (what & LOOP_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (what & LOOP_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
	resolver_arm();
}

static void
resolver_due(void *argument)
{
	(void)argument;
	ares_process_fd(resolver.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	resolver_arm();
}

static void
resolver_arm(void)
{
	struct timeval left;

	if (!resolver.looped)
		return;
	if (resolver.open == 0 || ares_timeout(resolver.channel, NULL, &left) == NULL)
		loop_timer_stop(&resolver.timer);
	else
		loop_timer_start(&resolver.timer,
		    (uint64_t)left.tv_sec * 1000 + (uint64_t)left.tv_usec / 1000 + 1);
}

void
resolver_wait(uint64_t ms)
{
	uint64_t       now = clock_ns() / 1000000, end = now + ms;
	ares_socket_t  sockets[ARES_GETSOCK_MAXNUM];
	struct pollfd  polled[ARES_GETSOCK_MAXNUM];
	struct timeval longest, left;
	unsigned       bits;

	for (; resolver.open > 0 && now < end; now = clock_ns() / 1000000) {
		nfds_t n = 0;

		bits = (unsigned)ares_getsock(resolver.channel, sockets, ARES_GETSOCK_MAXNUM);
		for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
			/* Not by its macros, which shift into the sign. */
			short events = (bits >> i & 1) != 0 ? POLLIN : 0;

			if ((bits >> (i + ARES_GETSOCK_MAXNUM) & 1) != 0)
				events |= POLLOUT;
			if (events != 0)
				polled[n++] = (struct pollfd){ sockets[i], events, 0 };
		}
		longest.tv_sec = (time_t)((end - now) / 1000);
		longest.tv_usec = (suseconds_t)((end - now) % 1000 * 1000);
		ares_timeout(resolver.channel, &longest, &left);
		poll(polled, n, (int)(left.tv_sec * 1000 + left.tv_usec / 1000 + 1));
		for (nfds_t i = 0; i < n; i++)
			ares_process_fd(resolver.channel,
			    (polled[i].revents & ~POLLOUT) != 0 ? polled[i].fd : ARES_SOCKET_BAD,
			    (polled[i].revents & POLLOUT) != 0 ? polled[i].fd : ARES_SOCKET_BAD);
		ares_process_fd(resolver.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	}
	if (resolver.open > 0)
		ares_cancel(resolver.channel);
}

/* ------------------------------------------------------------------- questions */

void
resolver_ask_addresses(const char *host, resolver_addresses_function *took, void *argument)
{
	static const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct resolver_query                  *q = resolver_ask(argument);

	if (q == NULL) {
		took(argument, RESOLVER_NO_MEMORY, NULL, 0, 0);
		return;
	}
	q->addresses = took;
	ares_getaddrinfo(resolver.channel, host, NULL, &hints, resolver_take_addresses, q);
	resolver_arm();
}

void
resolver_ask_service(const char *name, resolver_message_function *took, void *argument)
{
	struct resolver_query *q = resolver_ask(argument);

	if (q == NULL) {
		took(argument, RESOLVER_NO_MEMORY, span_make(NULL, 0));
		return;
	}
	q->message = took;
	ares_query(resolver.channel, name, ns_c_in, ns_t_srv, resolver_take_message, q);
	resolver_arm();
}

static struct resolver_query *
resolver_ask(void *argument)
{
	struct resolver_query *q;

	resolver_renew();
	if (resolver.channel == NULL || (q = calloc(1, sizeof *q)) == NULL)
		return NULL;
	q->argument = argument;
	resolver.open++;
	return q;
}

static void
resolver_take_addresses(void *argument, int status, int timeouts, struct ares_addrinfo *result)
{
	struct resolver_query *q = argument;
	enum resolver_fault    fault = resolver_fault_of(status);
	struct addr           *addresses = NULL;
	unsigned               count = 0;
	uint32_t               ttl = 0;

	(void)timeouts;
	if (fault == RESOLVER_GOOD) {
		addresses = calloc(RESOLVER_ADDRESSES_MAX, sizeof *addresses);
		if (addresses == NULL)
			fault = RESOLVER_NO_MEMORY;
		else if ((count = resolver_copy_addresses(result, addresses, &ttl)) == 0)
			fault = RESOLVER_NO_DATA;
	}
	q->addresses(q->argument, fault, addresses, count, ttl);
	free(addresses);
	if (result != NULL)
		ares_freeaddrinfo(result);
	free(q);
	resolver.open--;
}

static unsigned
resolver_copy_addresses(const struct ares_addrinfo *result, struct addr *out, uint32_t *ttl)
{
	unsigned n = 0;

	*ttl = UINT32_MAX;
	for (const struct ares_addrinfo_cname *c = result->cnames; c != NULL; c = c->next)
		if (c->ttl >= 0 && (uint32_t)c->ttl < *ttl)
			*ttl = (uint32_t)c->ttl;
	for (const struct ares_addrinfo_node *node = result->nodes;
	     node != NULL && n < RESOLVER_ADDRESSES_MAX; node = node->ai_next) {
		if ((node->ai_family != AF_INET && node->ai_family != AF_INET6) ||
		    node->ai_addrlen > sizeof out->in6)
			continue;
		memset(&out[n], 0, sizeof out[n]);
		memcpy(&out[n].sa, node->ai_addr, node->ai_addrlen);
		out[n++].len = node->ai_addrlen;
		if (node->ai_ttl >= 0 && (uint32_t)node->ai_ttl < *ttl)
			*ttl = (uint32_t)node->ai_ttl;
	}
	return n;
}

static void
resolver_take_message(void *argument, int status, int timeouts, unsigned char *data, int length)
{
	struct resolver_query *q = argument;
	enum resolver_fault    fault = resolver_fault_of(status);
	bool                   good = fault == RESOLVER_GOOD && data != NULL && length > 0;

	(void)timeouts;
	q->message(q->argument, good || fault != RESOLVER_GOOD ? fault : RESOLVER_MALFORMED,
	    span_make(data, good ? (size_t)length : 0));
	free(q);
	resolver.open--;
}

const char *
resolver_library_version(void)
{
	return ares_version(NULL);
}
