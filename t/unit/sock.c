/* SPDX-License-Identifier: BSD-2-Clause */
/* sock: probing, listening, stale UNIX sockets, sharing a port, connecting. */
#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/check.h"
#include "tap.h"

static char folder[] = "/tmp/weir-sock-XXXXXX";

static struct listen_spec
spec_of(const char *text)
{
	struct listen_spec s = {
		.backlog = 16,
		.reuseport = true,
		.mode = 0600,
		.owner = (uid_t)-1,
		.group = (gid_t)-1,
		.options.nodelay = true,
	};

	if (addr_parse(&s.addr, text, folder) != NULL)
		bail_out("%s is no address", text);
	addr_print(&s.addr, s.name);
	return s;
}

/* A port that nobody has: bound by a socket of ours that does not listen. */
static struct listen_spec
free_port(int *holder)
{
	struct listen_spec s = spec_of("127.0.0.1:1");
	socklen_t          len = s.addr.len;
	int                one = 1;

	s.addr.in.sin_port = 0;
	*holder = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(*holder, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(*holder, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (bind(*holder, &s.addr.sa, s.addr.len) < 0 ||
	    getsockname(*holder, &s.addr.sa, &len) < 0)
		bail_out("no free port: %s", strerror(errno));
	return s;
}

static int
get_int(int fd, int level, int option)
{
	int       value = -1;
	socklen_t len = sizeof value;

	getsockopt(fd, level, option, &value, &len);
	return value;
}

static void
test_tcp(void)
{
	int                holder, fd, client, taken;
	struct listen_spec s = free_port(&holder);
	const char        *step = NULL;

	close(holder);
	is_number(sock_probe(&s, NULL), 0, "a free port is free");
	s.options.keepalive_idle = 77;
	fd = sock_listen(&s, &step);
	ok(fd >= 0, "it can be listened on (%s)", step ? step : "no step failed");
	ok(fcntl(fd, F_GETFL) & O_NONBLOCK, "without blocking");
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "and closed on exec");
	ok(get_int(fd, IPPROTO_TCP, TCP_NODELAY) > 0, "with TCP_NODELAY");
	is_number(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77, "and its keepalive");
	is_number(sock_probe(&s, NULL), -1, "then it is not free");
	is_number(errno, EADDRINUSE, "but in use");
	taken = sock_listen(&s, NULL);
	ok(taken >= 0, "though a further socket of ours may join");
	close(taken);

	s.options.keepalive_idle = 0;
	s.options.nodelay = false;
	is_number(sock_relisten(fd, &s, NULL, &step), 0, "options change while it listens");
	is_number(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 0, "TCP_NODELAY");
	is_number(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 0, "SO_KEEPALIVE");

	s.options.nodelay = true;
	client = sock_connect(&s.addr, NULL, &s.options);
	ok(client >= 0, "it is connected to");
	is_number(sock_error(client), 0, "without an error");
	is_number(get_int(client, IPPROTO_TCP, TCP_NODELAY), 0, "what can wait is not set yet");
	s.options.keepalive_idle = 77;
	is_number(sock_settle(client, &s.addr, &s.options), 0, "then it is");
	ok(get_int(client, IPPROTO_TCP, TCP_NODELAY) > 0, "TCP_NODELAY");
	is_number(get_int(client, IPPROTO_TCP, TCP_KEEPIDLE), 77, "and keepalive");
	close(client);
	close(fd);
}

static const char *
local_name(int fd, char text[ADDR_TEXT_MAX])
{
	struct addr a;

	a.len = sizeof a.in6;
	if (getsockname(fd, &a.sa, &a.len) < 0)
		return "none";
	if (a.sa.sa_family == AF_INET)
		a.in.sin_port = 0;
	else
		a.in6.sin6_port = 0;
	return addr_print(&a, text);
}

/* The local address is that of the source, its port the choice of connect(2). */
static void
test_sources(void)
{
	struct addr        from = { .in = { .sin_family = AF_INET }, .len = sizeof from.in };
	struct addr        six = { .in6 = { .sin6_family = AF_INET6 }, .len = sizeof six.in6 };
	int                holder, fd, client;
	struct listen_spec s = free_port(&holder);
	uint64_t           anywhere = 0;
	char               text[ADDR_TEXT_MAX];

	close(holder);
	fd = sock_listen(&s, NULL);
	from.in.sin_addr.s_addr = htonl(0x7f000009);
	is_number(sock_try_source(&from), 0, "127.0.0.9 is of this machine");
	client = sock_connect(&s.addr, &from, &s.options);
	ok(client >= 0, "it is connected from");
	is_number(sock_error(client), 0, "without an error");
	is_string(local_name(client, text), "127.0.0.9:0", "that is the local address");
	is_number(get_int(client, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1,
	    "it does not have the port for all destinations");
	close(client);

	if (check_sysctl(NULL, "net/ipv4/ip_nonlocal_bind", &anywhere) < 0 || anywhere == 0) {
		from.in.sin_addr.s_addr = htonl(0xcb007101);
		is_number(sock_try_source(&from), -1, "203.0.113.1 is not");
		is_number(errno, EADDRNOTAVAIL, "and that is what is said");
		is_number(sock_connect(&s.addr, &from, &s.options), -1, "nor connected from");
		is_number(errno, EADDRNOTAVAIL, "for the same reason");
	}
	close(fd);

	six.in6.sin6_addr = in6addr_loopback;
	if (sock_try_source(&six) < 0)
		return;		/* a machine without IPv6 */
	s.addr = six;
	s.options = (struct sock_options){ .nodelay = true };
	fd = sock_listen(&s, NULL);
	s.addr.len = sizeof s.addr.in6;
	ok(fd >= 0 && getsockname(fd, &s.addr.sa, &s.addr.len) == 0, "a listener of IPv6");
	client = sock_connect(&s.addr, &six, &s.options);
	ok(client >= 0, "it is connected to from a source");
	is_string(local_name(client, text), "[::1]:0", "that is the local address");
	is_number(get_int(client, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1,
	    "without the port, too");
	close(client);
	close(fd);
}

static void
get_congestion(int fd, char name[16])
{
	socklen_t len = 16;

	memset(name, 0, 16);
	getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len);
}

/* What a configuration no longer sets is the kernel's again. */
static void
test_taking_back(void)
{
	int                holder, fd, fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct listen_spec s = free_port(&holder), set;
	const char        *step = "none";
	char               now[16], usual[16];

	close(holder);
	set = s;
	set.options = (struct sock_options){ .keepalive_idle = 60,
		.keepalive_interval = 7,
		.keepalive_count = 3,
		.rcvbuf = 20000,
		.sndbuf = 20000 };
	strcpy(set.options.congestion, "reno");
	set.fastopen = 9;
	fd = sock_listen(&set, &step);
	ok(fd >= 0, "a listener with many options (%s)", step);
	s.options.keepalive_idle = 60;
	is_number(sock_try(&s, &set, &step), 0, "going without them can be tried");
	is_number(get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7, "which changes nothing");
	is_number(sock_relisten(fd, &s, &set, &step), 0, "and be done");
	is_number(get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL),
	    get_int(fresh, IPPROTO_TCP, TCP_KEEPINTVL), "TCP_KEEPINTVL");
	is_number(get_int(fd, IPPROTO_TCP, TCP_KEEPCNT), get_int(fresh, IPPROTO_TCP, TCP_KEEPCNT),
	    "TCP_KEEPCNT");
	is_number(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN), 0, "TCP_FASTOPEN");
	is_number(get_int(fd, SOL_SOCKET, SO_RCVBUF), get_int(fresh, SOL_SOCKET, SO_RCVBUF),
	    "SO_RCVBUF");
	is_number(get_int(fd, SOL_SOCKET, SO_SNDBUF), get_int(fresh, SOL_SOCKET, SO_SNDBUF),
	    "SO_SNDBUF");
	is_number(get_int(fd, SOL_SOCKET, SO_BUF_LOCK), 0, "which the kernel tunes again");
	get_congestion(fd, now);
	get_congestion(fresh, usual);
	is_string(now, usual, "TCP_CONGESTION");

	strcpy(s.options.congestion, "nonsense");
	is_number(sock_try(&s, NULL, &step), -1, "what the kernel does not have is found out");
	is_string(step, "TCP_CONGESTION", "and named");
	close(fd);
	close(fresh);
}

static void
test_unix(void)
{
	struct listen_spec s = spec_of("unix:s.sock");
	const char        *path = s.addr.un.sun_path, *step = NULL;
	struct stat        st;
	int                fd, file;

	s.reuseport = false;
	fd = sock_listen(&s, &step);
	ok(fd >= 0, "a UNIX socket listens (%s)", step ? step : "no step failed");
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "with its mode");
	is_number(sock_probe(&s, NULL), -1, "while it is answered, it is not free");
	is_number(errno, EADDRINUSE, "but in use");
	is_number(sock_listen(&s, &step), -1, "and cannot be taken");
	is_number(errno, EADDRINUSE, "for the same reason");
	close(fd);
	ok(stat(path, &st) == 0, "the file outlives its listener");
	is_number(sock_probe(&s, NULL), 0, "then it counts as free");
	fd = sock_listen(&s, &step);
	ok(fd >= 0, "and is replaced");
	close(fd);
	unlink(path);

	file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	is_number(write(file, "precious", 8), 8, "a plain file");
	close(file);
	is_number(sock_listen(&s, &step), -1, "is never replaced");
	is_number(errno, EEXIST, "because it is there");
	ok(stat(path, &st) == 0 && st.st_size == 8, "and stays as it is");
	unlink(path);
}

static void
test_abstract(void)
{
	static const struct sock_options none;
	struct addr                      bound = { .len = sizeof bound.un };
	struct listen_spec               s;
	const char                      *step = NULL;
	char                             text[64];
	int                              fd, client;

	snprintf(text, sizeof text, "unix:@weir-unit-%d", (int)getpid());
	s = spec_of(text);
	s.reuseport = false;
	is_number(sock_probe(&s, NULL), 0, "an abstract name is free");
	fd = sock_listen(&s, &step);
	ok(fd >= 0, "and can be listened on (%s)", step ? step : "no step failed");
	ok(getsockname(fd, &bound.sa, &bound.len) == 0 && bound.len == s.addr.len &&
		addr_equal(&bound, &s.addr),
	    "the kernel has the same name, to the byte");
	ok(access(text + strlen("unix:"), F_OK) < 0, "there is no file");
	client = sock_connect(&s.addr, NULL, &none);
	ok(client >= 0, "it is connected to");
	close(client);
	ok(sock_probe(&s, NULL) < 0 && errno == EADDRINUSE, "while somebody listens it is in use");
	ok(sock_listen(&s, &step) < 0 && errno == EADDRINUSE, "and cannot be taken");
	is_string(step, "bind", "the step");
	s.addr.len--;
	is_number(sock_probe(&s, NULL), 0, "a name that is a part of it is another one");
	s.addr.len++;
	close(fd);
	is_number(sock_probe(&s, NULL), 0, "with its listener the name is gone");
}

/* How many of n connections each of the two listeners got. */
static void
spread(const struct listen_spec *s, int a, int b, unsigned n, unsigned *at_a, unsigned *at_b)
{
	int client, fd;

	*at_a = *at_b = 0;
	for (unsigned i = 0; i < n; i++) {
		client = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(client, &s->addr.sa, s->addr.len) < 0)
			bail_out("connect: %s", strerror(errno));
		if ((fd = accept(a, NULL, NULL)) >= 0)
			++*at_a;
		else if ((fd = accept(b, NULL, NULL)) >= 0)
			++*at_b;
		close(fd);
		close(client);
	}
}

static void
test_sharing(void)
{
	int                holder, a, b;
	struct listen_spec s = free_port(&holder);
	unsigned           at_a, at_b;

	/* The holder belongs to the group until it goes, but does not listen. */
	close(holder);
	a = sock_listen(&s, NULL);
	b = sock_listen(&s, NULL);
	ok(a >= 0 && b >= 0, "two sockets share a port");
	spread(&s, a, b, 100, &at_a, &at_b);
	is_number(at_a + at_b, 100, "nothing is lost");
	ok(at_a > 0 && at_b > 0, "both get some: %u and %u", at_a, at_b);
	is_number(sock_reuseport_limit(a, 1), 0, "limited to the first");
	spread(&s, a, b, 50, &at_a, &at_b);
	is_number(at_a, 50, "it gets all");
	is_number(sock_reuseport_limit(a, 0), 0, "the limit is lifted");
	spread(&s, a, b, 100, &at_a, &at_b);
	ok(at_a > 0 && at_b > 0, "both get some again: %u and %u", at_a, at_b);
	is_number(sock_reuseport_limit(a, 0), 0, "lifting it twice is no error");
	close(a);
	close(b);
}

static void
test_same_listener(void)
{
	struct listen_spec a = spec_of("127.0.0.1:80"), b = a;

	b.backlog = 9;
	b.options.nodelay = false;
	ok(sock_same_listener(&a, &b), "backlog and options change in place");
	b.v6only = true;
	ok(!sock_same_listener(&a, &b), "v6only does not");
	b = a;
	b.mode = 0666;
	ok(!sock_same_listener(&a, &b), "nor does a mode");
}

static void
test_keepalive(void)
{
	struct sock_options o = { 0 };

	ok(sock_keepalive_parse(&o, "3m:30s:4") == NULL, "three fields");
	ok(o.keepalive_idle == 180 && o.keepalive_interval == 30 && o.keepalive_count == 4,
		"in seconds, and a count");
	ok(sock_keepalive_parse(&o, "off") == NULL && o.keepalive_idle == 0, "off");
	ok(sock_keepalive_parse(&o, "3m:") != NULL, "an empty field is refused");
	ok(sock_keepalive_parse(&o, "3m:1s:2:3") != NULL, "so is a fourth");
	ok(sock_keepalive_parse(&o, "100ms") != NULL, "and less than a second");
	ok(sock_keepalive_parse(&o, "1m:1m:128") != NULL, "and more probes than the kernel takes");
	ok(sock_keepalive_parse(&o, "") != NULL, "and nothing");
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		bail_out("mkdtemp: %s", strerror(errno));
	test_tcp();
	test_sources();
	test_taking_back();
	test_unix();
	test_abstract();
	test_sharing();
	test_same_listener();
	test_keepalive();
	rmdir(folder);
	return done_testing();
}
