/* SPDX-License-Identifier: BSD-2-Clause */
/* addr: reads, prints and compares socket addresses. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define PORT_MAX      65535u
#define HOST_MAX      256u	/* a name of the DNS, and a NUL */
#define UNIX_PREFIX   "unix:"
#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path))

static_assert(sizeof(struct addr_packed) == 20, "what a session pays for its client's address");
static_assert(sizeof UNIX_PREFIX + UNIX_PATH_MAX <= ADDR_TEXT_MAX, "any path can be printed");

static const char no_port[] = "a port is missing: ADDRESS:PORT is expected";
static const char bad_port[] = "the port is not a number from 1 to 65535";

/* ---------------------------------------------------------------- reading */

static const char *
addr_parse_port(const char *text, in_port_t *port)
{
	uint64_t number;

	if (!str_number(text, &number) || number < 1 || number > PORT_MAX)
		return bad_port;
	*port = htons((uint16_t)number);
	return NULL;
}

/* name: what is behind the @. The kernel compares names up to the address's length:
 * there is no NUL at the end. */
static const char *
addr_parse_abstract(struct addr *a, const char *name)
{
	size_t len = strlen(name), i;

	if (len == 0)
		return "a name is expected behind unix:@";
	if (len >= UNIX_PATH_MAX)
		return "the name is longer than the 107 bytes that an abstract socket's may have";
	for (i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] > '~')
			return "the name of an abstract socket is printable ASCII";
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path + 1, name, len);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
	return NULL;
}

static const char *
addr_parse_unix(struct addr *a, const char *path, const char *prefix)
{
	const char *slash = "";
	size_t      len;
	int         n;

	if (path[0] == '@')
		return addr_parse_abstract(a, path + 1);
	if (path[0] == '\0')
		return "a path is expected behind unix:";
	for (const char *p = path; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			return "the path has a control byte";
	if (path[0] == '/')
		prefix = "";
	else if (prefix == NULL)
		return "the path does not begin with /";
	else if (prefix[0] != '\0' && prefix[strlen(prefix) - 1] != '/')
		slash = "/";
	len = strlen(prefix) + strlen(slash) + strlen(path);
	if (len >= UNIX_PATH_MAX)
		return "the path is longer than the 107 bytes that a UNIX socket's may have";
	a->un.sun_family = AF_UNIX;
	n = snprintf(a->un.sun_path, UNIX_PATH_MAX, "%s%s%s", prefix, slash, path);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
	return NULL;
}

static const char *
addr_parse_any(struct addr *a, const char *port)
{
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_addr = in6addr_any;
	a->len = sizeof a->in6;
	return addr_parse_port(port, &a->in6.sin6_port);
}

static const char *
addr_parse_scope(const char *name, uint32_t *scope)
{
	uint64_t number;

	if (str_number(name, &number) && number > 0 && number <= UINT32_MAX)
		*scope = (uint32_t)number;
	else
		*scope = if_nametoindex(name);
	return *scope == 0 ? "there is no interface of the name behind the %" : NULL;
}

/* text: what is behind the "[". */
static const char *
addr_parse_ipv6(struct addr *a, const char *text)
{
	char        host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	const char *end, *wrong;
	char       *scope;
	size_t      len;

	end = strchr(text, ']');
	if (end == NULL)
		return "a ] is missing";
	len = (size_t)(end - text);
	if (len >= sizeof host)
		return "what is between [ and ] is not an IPv6 address";
	memcpy(host, text, len);
	host[len] = '\0';
	a->in6.sin6_family = AF_INET6;
	a->len = sizeof a->in6;
	scope = strchr(host, '%');
	if (scope != NULL)
		*scope = '\0';
	if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) != 1)
		return "what is between [ and ] is not an IPv6 address";
	if (scope != NULL) {
		wrong = addr_parse_scope(scope + 1, &a->in6.sin6_scope_id);
		if (wrong != NULL)
			return wrong;
	}
	if (end[1] != ':')
		return end[1] == '\0' ? no_port : "behind ] only :PORT may stand";
	return addr_parse_port(end + 2, &a->in6.sin6_port);
}

/* Splits NAME:PORT; NULL or a phrase. */
static const char *
addr_split_host(const char *text, char host[HOST_MAX], const char **port)
{
	const char *colon;
	size_t      len;

	colon = strchr(text, ':');
	if (colon == NULL)
		return no_port;
	if (strchr(colon + 1, ':') != NULL)
		return "an IPv6 address stands in brackets: [ADDRESS]:PORT";
	len = (size_t)(colon - text);
	if (len == 0)
		return "an address is missing in front of the port";
	if (len >= HOST_MAX)
		return "the name is longer than 255 bytes";
	memcpy(host, text, len);
	host[len] = '\0';
	*port = colon + 1;
	return NULL;
}

static const char *
addr_parse_ipv4(struct addr *a, const char *text)
{
	char        host[HOST_MAX];
	const char *port, *wrong;

	wrong = addr_split_host(text, host, &port);
	if (wrong != NULL)
		return wrong;
	if (inet_pton(AF_INET, host, &a->in.sin_addr) != 1)
		return "not an IPv4 address, [IPv6 address], * or unix:PATH";
	a->in.sin_family = AF_INET;
	a->len = sizeof a->in;
	return addr_parse_port(port, &a->in.sin_port);
}

static bool
addr_is_only(const char *text, const char *characters)
{
	return text[strspn(text, characters)] == '\0';
}

const char *
addr_parse(struct addr *out, const char *text, const char *prefix)
{
	struct addr a;
	const char *wrong;

	memset(&a, 0, sizeof a);
	if (text[0] == '\0')
		wrong = "an address is expected";
	else if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
		wrong = addr_parse_unix(&a, text + strlen(UNIX_PREFIX), prefix);
	else if (text[0] == '[')
		wrong = addr_parse_ipv6(&a, text + 1);
	else if (text[0] == '*' && text[1] == ':')
		wrong = addr_parse_any(&a, text + 2);
	else if (addr_is_only(text, "0123456789"))
		wrong = addr_parse_any(&a, text);
	else
		wrong = addr_parse_ipv4(&a, text);
	if (wrong == NULL)
		*out = a;
	return wrong;
}

/* -------------------------------------------------------------- resolving */

static bool
addr_is_known(const struct addr *list, unsigned n, const struct addr *a)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (addr_equal(&list[i], a))
			return true;
	}
	return false;
}

static const char *
addr_resolve_name(struct addr *out, unsigned max, unsigned *n, const char *host, in_port_t port)
{
	struct addrinfo  hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list, *i;
	struct addr      a;
	int              rc;

	rc = getaddrinfo(host, NULL, &hints, &list);
	if (rc != 0)
		return rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc);
	for (i = list; i != NULL && *n < max; i = i->ai_next) {
		if (i->ai_addrlen > sizeof a.in6)
			continue;
		memset(&a, 0, sizeof a);
		memcpy(&a.sa, i->ai_addr, i->ai_addrlen);
		a.len = i->ai_addrlen;
		if (a.sa.sa_family == AF_INET)
			a.in.sin_port = port;
		else if (a.sa.sa_family == AF_INET6)
			a.in6.sin6_port = port;
		else
			continue;
		if (!addr_is_known(out, *n, &a))
			out[(*n)++] = a;
	}
	freeaddrinfo(list);
	return *n == 0 ? "the name has no address" : NULL;
}

const char *
addr_resolve(struct addr *out, unsigned max, unsigned *n, const char *text, const char *prefix)
{
	char           host[HOST_MAX];
	struct in_addr in;
	const char    *port, *wrong;
	in_port_t      number;

	*n = 0;
	assert(max > 0);
	if (text[0] == '\0')
		return "an address is expected";
	if (text[0] == '*' || addr_is_only(text, "0123456789"))
		return "a peer has an ADDRESS:PORT of its own";
	if (text[0] == '[' || strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
		wrong = addr_parse(out, text, prefix);
		*n = wrong == NULL;
		return wrong;
	}
	wrong = addr_split_host(text, host, &port);
	if (wrong == NULL)
		wrong = addr_parse_port(port, &number);
	if (wrong != NULL)
		return wrong;
	if (inet_pton(AF_INET, host, &in) == 1) {
		*n = 1;
		return addr_parse(out, text, prefix);
	}
	/* What getaddrinfo would read as an address of another kind: 127.1, 0x7f000001. */
	if (addr_is_only(host, "0123456789.") || inet_aton(host, &in) != 0)
		return "not an IPv4 address";
	return addr_resolve_name(out, max, n, host, number);
}

/* --------------------------------------------------------------- printing */

static char *
addr_print_ip(int family, const void *ip, uint32_t scope, uint16_t port, char out[ADDR_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE];

	inet_ntop(family, ip, host, sizeof host);
	if (family == AF_INET)
		snprintf(out, ADDR_TEXT_MAX, "%s:%u", host, port);
	else if (scope == 0)
		snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", host, port);
	else if (if_indextoname(scope, name) != NULL)
		snprintf(out, ADDR_TEXT_MAX, "[%s%%%s]:%u", host, name, port);
	else
		snprintf(out, ADDR_TEXT_MAX, "[%s%%%u]:%u", host, scope, port);
	return out;
}

static bool
addr_is_any6(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

/* What a UNIX address holds behind its family; the kernel's have no NUL at the end
 * when the path fills the field, and none at all when unbound or abstract. */
static struct weir_span
addr_unix_name(const struct addr *a)
{
	size_t len = 0, before = offsetof(struct sockaddr_un, sun_path);

	if (a->len > before)
		len = a->len - before;
	if (len > 0 && a->un.sun_path[0] != '\0')
		len = strnlen(a->un.sun_path, len);
	return span_make(a->un.sun_path, len);
}

static char *
addr_print_unix(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	struct weir_span name = addr_unix_name(a);
	char             text[ADDR_TEXT_MAX - sizeof UNIX_PREFIX];

	if (name.len > 0 && name.data[0] == '\0') {
		str_printable(span_skip(name, 1), text, sizeof text);
		snprintf(out, ADDR_TEXT_MAX, UNIX_PREFIX "@%s", text);
	} else {
		snprintf(out, ADDR_TEXT_MAX, UNIX_PREFIX "%.*s", (int)name.len, name.data);
	}
	return out;
}

char *
addr_print(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return addr_print_ip(AF_INET, &a->in.sin_addr, 0, ntohs(a->in.sin_port), out);
	case AF_INET6:
		if (!addr_is_any6(a) || a->in6.sin6_scope_id != 0)
			return addr_print_ip(AF_INET6, &a->in6.sin6_addr, a->in6.sin6_scope_id,
			    ntohs(a->in6.sin6_port), out);
		snprintf(out, ADDR_TEXT_MAX, "*:%u", ntohs(a->in6.sin6_port));
		return out;
	case AF_UNIX:
		return addr_print_unix(a, out);
	default:
		snprintf(out, ADDR_TEXT_MAX, "unknown");
		return out;
	}
}

char *
addr_print_packed(const struct addr_packed *p, char out[ADDR_TEXT_MAX])
{
	if (p->family == AF_INET || p->family == AF_INET6)
		return addr_print_ip(p->family, p->ip, 0, p->port, out);
	snprintf(out, ADDR_TEXT_MAX, "%s", p->family == AF_UNIX ? UNIX_PREFIX : "unknown");
	return out;
}

/* -------------------------------------------------------------- comparing */

void
addr_pack(struct addr_packed *p, const struct addr *a)
{
	memset(p, 0, sizeof *p);
	if (a->sa.sa_family == AF_INET) {
		p->family = AF_INET;
		p->port = ntohs(a->in.sin_port);
		memcpy(p->ip, &a->in.sin_addr, 4);
	} else if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
		p->family = AF_INET;
		p->port = ntohs(a->in6.sin6_port);
		memcpy(p->ip, a->in6.sin6_addr.s6_addr + 12, 4);
	} else if (a->sa.sa_family == AF_INET6) {
		p->family = AF_INET6;
		p->port = ntohs(a->in6.sin6_port);
		memcpy(p->ip, &a->in6.sin6_addr, 16);
	} else if (a->sa.sa_family == AF_UNIX) {
		p->family = AF_UNIX;
	}
}

static bool
addr_unix_equal(const struct addr *a, const struct addr *b)
{
	struct weir_span x = addr_unix_name(a), y = addr_unix_name(b);

	return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	switch (a->sa.sa_family) {
	case AF_INET:
		return a->in.sin_port == b->in.sin_port &&
		    a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	case AF_INET6:
		return a->in6.sin6_port == b->in6.sin6_port &&
		    a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
		    IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
	case AF_UNIX:
		return addr_unix_equal(a, b);
	default:
		return true;
	}
}

uint16_t
addr_port(const struct addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return ntohs(a->in.sin_port);
	case AF_INET6:
		return ntohs(a->in6.sin6_port);
	default:
		return 0;
	}
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
}

bool
addr_is_abstract(const struct addr *a)
{
	return a->sa.sa_family == AF_UNIX && a->un.sun_path[0] == '\0' &&
	    a->len > offsetof(struct sockaddr_un, sun_path) + 1;
}

bool
addr_is_inside(const struct addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };
	struct addr_packed   p;

	addr_pack(&p, a);
	if (p.family == AF_INET)
		return p.ip[0] == 127;
	return p.family == AF_UNIX ||
	    (p.family == AF_INET6 && memcmp(p.ip, one, sizeof one) == 0);
}

bool
addr_overlap(const struct addr *a, const struct addr *b)
{
	static const uint8_t any[16];
	struct addr_packed   x, y;
	size_t               size;

	if (a->sa.sa_family == AF_UNIX || b->sa.sa_family == AF_UNIX)
		return addr_equal(a, b);
	addr_pack(&x, a);
	addr_pack(&y, b);
	if (x.port != y.port)
		return false;
	if (addr_is_any6(a) || addr_is_any6(b))
		return true;
	if (x.family != y.family)
		return false;
	size = x.family == AF_INET ? 4 : 16;
	if (memcmp(x.ip, any, size) == 0 || memcmp(y.ip, any, size) == 0)
		return true;
	if (x.family == AF_INET6 && a->in6.sin6_scope_id != b->in6.sin6_scope_id)
		return false;
	return memcmp(x.ip, y.ip, size) == 0;
}
