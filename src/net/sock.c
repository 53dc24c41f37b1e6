/* SPDX-License-Identifier: BSD-2-Clause */
/* sock: sockets as the configuration wants them: options, listening, connecting. */
#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/str.h"
#include "net/ports.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

enum { LOCK_SNDBUF = 1, LOCK_RCVBUF = 2 };	/* of SO_BUF_LOCK, linux/socket.h */

static int  sock_set_early(int fd, int family, const struct sock_options *, bool fresh,
    const char **step);
static int  sock_set_late(int fd, int family, const struct sock_options *, bool fresh,
    const char **step);
static int  sock_set_listener(int fd, const struct listen_spec *, const struct listen_spec *was,
    const char **step);
static int  sock_set_back(int fd, const struct listen_spec *, const struct listen_spec *was,
    const char **step);
static int  sock_set_back_buffer(int fd, int fresh, int option, int lock);
static int  sock_set_int(int fd, int level, int option, int value);
static int  sock_set_before_bind(int fd, const struct listen_spec *, const char **step);
static int  sock_try_owner(uid_t, gid_t);
static int  sock_bind_source(int fd, const struct addr *);
static int  sock_bind_unix(int fd, const struct listen_spec *, const char **step);
static int  sock_unix_is_served(const struct addr *);
static void sock_close_keeping_errno(int fd);

static int
sock_failed(const char **step, const char *name)
{
	if (step != NULL)
		*step = name;
	return -1;
}

int
sock_probe(const struct listen_spec *spec, const char **step)
{
	int fd, served;

	sock_failed(step, "bind");
	if (spec->addr.sa.sa_family == AF_UNIX && !addr_is_abstract(&spec->addr)) {
		served = sock_unix_is_served(&spec->addr);
		if (served > 0)
			errno = EADDRINUSE;
		return served == 0 ? 0 : -1;
	}
	fd = socket(spec->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* SO_REUSEADDR passes over connections in TIME_WAIT, never over a listener. */
	if (sock_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
	    sock_set_before_bind(fd, spec, step) < 0 ||
	    bind(fd, &spec->addr.sa, spec->addr.len) < 0) {
		sock_close_keeping_errno(fd);
		return -1;
	}
	close(fd);
	return 0;
}

int
sock_listen(const struct listen_spec *spec, const char **step)
{
	bool file = spec->addr.sa.sa_family == AF_UNIX && !addr_is_abstract(&spec->addr);
	int  fd;

	fd = socket(spec->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sock_failed(step, "socket");
	if (file) {
		if (sock_bind_unix(fd, spec, step) < 0)
			goto fail;
	} else {
		if (sock_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
		    (spec->reuseport && sock_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0)) {
			sock_failed(step, "setsockopt");
			goto fail;
		}
		if (sock_set_before_bind(fd, spec, step) < 0)
			goto fail;
		if (bind(fd, &spec->addr.sa, spec->addr.len) < 0) {
			sock_failed(step, "bind");
			goto fail;
		}
	}
	if (sock_relisten(fd, spec, NULL, step) < 0)
		goto fail;
	return fd;
fail:
	sock_close_keeping_errno(fd);
	return -1;
}

int
sock_relisten(int fd, const struct listen_spec *spec, const struct listen_spec *was,
    const char **step)
{
	if (sock_set_listener(fd, spec, was, step) < 0)
		return -1;
	if (listen(fd, (int)spec->backlog) < 0)
		return sock_failed(step, "listen");
	return 0;
}

int
sock_try(const struct listen_spec *spec, const struct listen_spec *was, const char **step)
{
	int fd = socket(spec->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return sock_failed(step, "socket");
	result = sock_set_listener(fd, spec, was, step);
	sock_close_keeping_errno(fd);
	return result;
}

int
sock_rehearse(const struct listen_spec *spec, const char **step)
{
	if (sock_try(spec, NULL, step) < 0)
		return -1;
	if (sock_probe(spec, step) < 0 && errno != EADDRINUSE)
		return -1;
	if ((spec->owner != (uid_t)-1 || spec->group != (gid_t)-1) &&
	    sock_try_owner(spec->owner, spec->group) < 0)
		return sock_failed(step, "chown");
	return 0;
}

/* On a file that nobody sees. */
static int
sock_try_owner(uid_t owner, gid_t group)
{
	int fd = memfd_create("owner", MFD_CLOEXEC), result;

	if (fd < 0)
		return -1;
	result = fchown(fd, owner, group);
	sock_close_keeping_errno(fd);
	return result;
}

bool
sock_same_listener(const struct listen_spec *old, const struct listen_spec *wanted)
{
	return addr_equal(&old->addr, &wanted->addr) &&
	    old->reuseport == wanted->reuseport && old->v6only == wanted->v6only &&
	    old->transparent == wanted->transparent && strcmp(old->device, wanted->device) == 0 &&
	    old->mode == wanted->mode && old->owner == wanted->owner && old->group == wanted->group;
}

int
sock_read_listener(int fd, struct listen_spec *s)
{
	int       on, level = IPPROTO_IP, name = IP_TRANSPARENT;
	socklen_t len = sizeof on, device = sizeof s->device;

	if (s->addr.sa.sa_family == AF_UNIX)
		return 0;
	if (s->addr.sa.sa_family == AF_INET6) {
		level = IPPROTO_IPV6;
		name = IPV6_TRANSPARENT;
		if (getsockopt(fd, level, IPV6_V6ONLY, &on, &len) < 0)
			return -1;
		s->v6only = on != 0;
	}
	if (getsockopt(fd, level, name, &on, &len) < 0)
		return -1;
	s->transparent = on != 0;
	memset(s->device, 0, sizeof s->device);
	return getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, s->device, &device);
}

bool
sock_collides(const struct listen_spec *a, const struct listen_spec *b)
{
	if (a->addr.sa.sa_family == AF_UNIX || !addr_overlap(&a->addr, &b->addr))
		return false;
	if (a->addr.sa.sa_family != b->addr.sa.sa_family && (a->v6only || b->v6only))
		return false;
	return a->device[0] == '\0' || b->device[0] == '\0' || strcmp(a->device, b->device) == 0;
}

int
sock_reuseport_limit(int fd, unsigned n)
{
	/* A random socket of the first n. Every packet of a handshake after the
	 * SYN finds its request, so they need not agree with it. */
	struct sock_filter pick[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	static struct sock_fprog program;	/* its padding goes to the kernel, too */
	int nothing = 0;

	program.len = 3;
	program.filter = pick;
	if (n > 0)
		return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
		    sizeof program);
	if (setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &nothing, sizeof nothing) < 0 &&
	    errno != ENOENT)
		return -1;
	return 0;
}

static int
sock_begin_connect(int fd, const struct addr *to)
{
	if (to->sa.sa_family == AF_UNIX)
		return connect(fd, &to->sa, to->len);
	return ports_connect(fd, to);
}

int
sock_connect(const struct addr *to, const struct addr *from, const struct sock_options *options)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (sock_set_early(fd, to->sa.sa_family, options, true, NULL) < 0 ||
	    (from != NULL && sock_bind_source(fd, from) < 0) ||
	    (sock_begin_connect(fd, to) < 0 && errno != EINPROGRESS)) {
		sock_close_keeping_errno(fd);
		return -1;
	}
	return fd;
}

int
sock_settle(int fd, const struct addr *to, const struct sock_options *options)
{
	return sock_set_late(fd, to->sa.sa_family, options, true, NULL);
}

uint32_t
sock_options_hash(const struct sock_options *o)
{
	const uint32_t numbers[] = { o->nodelay, o->keepalive_idle, o->keepalive_interval,
		o->keepalive_count, o->user_timeout, o->rcvbuf, o->sndbuf };
	uint32_t       hash = hash_text(HASH_START, o->congestion);

	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
		hash = (hash ^ numbers[i]) * 16777619u;
	return hash;
}

int
sock_renew(int fd, const struct sock_options *options)
{
	int       family;
	socklen_t len = sizeof family;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 ||
	    sock_set_early(fd, family, options, false, NULL) < 0)
		return -1;
	return sock_set_late(fd, family, options, false, NULL);
}

int
sock_try_source(const struct addr *from)
{
	int fd = socket(from->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), result;

	if (fd < 0)
		return -1;
	result = sock_bind_source(fd, from);
	sock_close_keeping_errno(fd);
	return result;
}

int
sock_error(int fd)
{
	int       error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}

const char *
sock_keepalive_parse(struct sock_options *o, const char *text)
{
	char     copy[96], *field[3] = { NULL, NULL, NULL }, *rest = copy;
	uint64_t idle, interval = 0, count = 0;
	unsigned n = 0;

	if (strcmp(text, "off") == 0) {
		o->keepalive_idle = o->keepalive_interval = o->keepalive_count = 0;
		return NULL;
	}
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long; write off, or IDLE[:INTERVAL[:COUNT]]";
	while (rest != NULL && n < 3)
		field[n++] = strsep(&rest, ":");
	if (rest != NULL || !str_time(field[0], &idle) ||
	    (n > 1 && !str_time(field[1], &interval)) ||
	    (n > 2 && !str_number(field[2], &count)))
		return "write off, or IDLE[:INTERVAL[:COUNT]], like 3m or 3m:30s:4 (small letters)";
	/* The bounds of tcp(7), in seconds. */
	if (idle < 1000 || idle > 32767000 || (n > 1 && (interval < 1000 || interval > 32767000)))
		return "IDLE and INTERVAL are 1s to 32767s";
	if (n > 2 && (count < 1 || count > 127))
		return "COUNT is 1 to 127";
	o->keepalive_idle = (uint32_t)(idle / 1000);
	o->keepalive_interval = (uint32_t)(interval / 1000);
	o->keepalive_count = (uint32_t)count;
	return NULL;
}

/* What connecting depends on. A fresh socket has the kernel's defaults: what is one is
 * not set again. */
static int
sock_set_early(int fd, int family, const struct sock_options *o, bool fresh, const char **step)
{
	if (o->rcvbuf > 0 && sock_set_int(fd, SOL_SOCKET, SO_RCVBUF, (int)o->rcvbuf) < 0)
		return sock_failed(step, "SO_RCVBUF");
	if (o->sndbuf > 0 && sock_set_int(fd, SOL_SOCKET, SO_SNDBUF, (int)o->sndbuf) < 0)
		return sock_failed(step, "SO_SNDBUF");
	if (family == AF_UNIX)
		return 0;
	if ((o->user_timeout > 0 || !fresh) &&
	    sock_set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)o->user_timeout) < 0)
		return sock_failed(step, "TCP_USER_TIMEOUT");
	if (o->congestion[0] != '\0' &&
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion,
		(socklen_t)strlen(o->congestion)) < 0)
		return sock_failed(step, "TCP_CONGESTION");
	return 0;
}

static int
sock_set_late(int fd, int family, const struct sock_options *o, bool fresh, const char **step)
{
	if (family == AF_UNIX)
		return 0;
	if ((o->nodelay || !fresh) && sock_set_int(fd, IPPROTO_TCP, TCP_NODELAY, o->nodelay) < 0)
		return sock_failed(step, "TCP_NODELAY");
	if ((o->keepalive_idle > 0 || !fresh) && sock_set_keepalive(fd, o) < 0)
		return sock_failed(step, "SO_KEEPALIVE");
	return 0;
}

static int
sock_set_listener(int fd, const struct listen_spec *spec, const struct listen_spec *was,
    const char **step)
{
	if (was != NULL && sock_set_back(fd, spec, was, step) < 0)
		return -1;
	if (sock_set_early(fd, spec->addr.sa.sa_family, &spec->options, false, step) < 0 ||
	    sock_set_late(fd, spec->addr.sa.sa_family, &spec->options, false, step) < 0)
		return -1;
	if (spec->addr.sa.sa_family == AF_UNIX)
		return 0;
	/* Seconds after which a silent client is given up (tcp(7)). */
	if (sock_set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, spec->deferred ? 10 : 0) < 0)
		return sock_failed(step, "TCP_DEFER_ACCEPT");
	if ((spec->fastopen > 0 || (was != NULL && was->fastopen > 0)) &&
	    sock_set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, (int)spec->fastopen) < 0)
		return sock_failed(step, "TCP_FASTOPEN");
	return 0;
}

static int
sock_copy_int(int to, int from, int level, int option)
{
	int       value;
	socklen_t len = sizeof value;

	if (getsockopt(from, level, option, &value, &len) < 0)
		return -1;
	return sock_set_int(to, level, option, value);
}

static int
sock_copy_congestion(int to, int from)
{
	char      name[16];
	socklen_t len = sizeof name;

	if (getsockopt(from, IPPROTO_TCP, TCP_CONGESTION, name, &len) < 0)
		return -1;
	return setsockopt(to, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strnlen(name, len));
}

/* What was set and is now the kernel's choice again gets what a fresh socket
 * has. An option that weir never set stays as it is: whoever opened an
 * inherited socket may have set it. */
static int
sock_set_back(int fd, const struct listen_spec *spec, const struct listen_spec *was,
    const char **step)
{
	const struct sock_options *o = &spec->options, *old = &was->options;
	const char                *name = NULL;
	int                        fresh;

	fresh = socket(spec->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fresh < 0)
		return sock_failed(step, "socket");
	if (old->rcvbuf > 0 && o->rcvbuf == 0 &&
	    sock_set_back_buffer(fd, fresh, SO_RCVBUF, LOCK_RCVBUF) < 0)
		name = "SO_RCVBUF";
	else if (old->sndbuf > 0 && o->sndbuf == 0 &&
	    sock_set_back_buffer(fd, fresh, SO_SNDBUF, LOCK_SNDBUF) < 0)
		name = "SO_SNDBUF";
	else if (old->keepalive_interval > 0 && o->keepalive_interval == 0 &&
	    sock_copy_int(fd, fresh, IPPROTO_TCP, TCP_KEEPINTVL) < 0)
		name = "TCP_KEEPINTVL";
	else if (old->keepalive_count > 0 && o->keepalive_count == 0 &&
	    sock_copy_int(fd, fresh, IPPROTO_TCP, TCP_KEEPCNT) < 0)
		name = "TCP_KEEPCNT";
	else if (old->congestion[0] != '\0' && o->congestion[0] == '\0' &&
	    sock_copy_congestion(fd, fresh) < 0)
		name = "TCP_CONGESTION";
	sock_close_keeping_errno(fresh);
	return name == NULL ? 0 : sock_failed(step, name);
}

/* Setting a size also locks it, which ends the kernel's tuning: this takes the
 * lock off again (Linux 5.14). What is got is twice what was set (socket(7)). */
static int
sock_set_back_buffer(int fd, int fresh, int option, int lock)
{
	int       size, locks;
	socklen_t len = sizeof size;

	if (getsockopt(fresh, SOL_SOCKET, option, &size, &len) < 0 ||
	    sock_set_int(fd, SOL_SOCKET, option, size / 2) < 0)
		return -1;
	len = sizeof locks;
	if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &len) < 0)
		return -1;
	return sock_set_int(fd, SOL_SOCKET, SO_BUF_LOCK, locks & ~lock);
}

static int
sock_set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value);
}

static int
sock_set_before_bind(int fd, const struct listen_spec *spec, const char **step)
{
	int family = spec->addr.sa.sa_family;

	if (family == AF_INET6 && sock_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, spec->v6only) < 0)
		return sock_failed(step, "IPV6_V6ONLY");
	if (spec->transparent &&
	    sock_set_int(fd, family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
		family == AF_INET6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1) < 0)
		return sock_failed(step, "IP_TRANSPARENT");
	if (spec->device[0] != '\0' &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, spec->device,
		(socklen_t)strlen(spec->device)) < 0)
		return sock_failed(step, "SO_BINDTODEVICE");
	return 0;
}

int
sock_set_keepalive(int fd, const struct sock_options *o)
{
	if (sock_set_int(fd, SOL_SOCKET, SO_KEEPALIVE, o->keepalive_idle > 0) < 0)
		return -1;
	if (o->keepalive_idle > 0 &&
	    sock_set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)o->keepalive_idle) < 0)
		return -1;
	if (o->keepalive_interval > 0 &&
	    sock_set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)o->keepalive_interval) < 0)
		return -1;
	if (o->keepalive_count > 0 &&
	    sock_set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)o->keepalive_count) < 0)
		return -1;
	return 0;
}

int
sock_ping(int fd)
{
	if (sock_set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1) < 0)
		return -1;
	return sock_set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
}

/* Without this option bind(2) takes a port for itself alone, and one address
 * carries no more connections than it has ports, to all peers together. With it
 * connect(2) chooses the port, when it knows the peer. Its level is that of IPv4
 * for both families. */
static int
sock_bind_source(int fd, const struct addr *from)
{
	if (sock_set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) < 0)
		return -1;
	return bind(fd, &from->sa, from->len);
}

/* The file gets its mode and owner before anybody can connect: connecting
 * needs listen(2). */
static int
sock_bind_unix(int fd, const struct listen_spec *spec, const char **step)
{
	const char *path = spec->addr.un.sun_path;
	int         served = sock_unix_is_served(&spec->addr);
	mode_t      mask;
	int         bound;

	if (served != 0) {
		if (served > 0)
			errno = EADDRINUSE;
		return sock_failed(step, "bind");
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return sock_failed(step, "unlink");
	mask = umask(0777 & ~spec->mode);
	bound = bind(fd, &spec->addr.sa, spec->addr.len);
	umask(mask);
	if (bound < 0)
		return sock_failed(step, "bind");
	if (chmod(path, spec->mode) < 0)
		return sock_failed(step, "chmod");
	if ((spec->owner != (uid_t)-1 || spec->group != (gid_t)-1) &&
	    chown(path, spec->owner, spec->group) < 0)
		return sock_failed(step, "chown");
	return 0;
}

/* 1: somebody answers; 0: the path is free or a socket that nobody answers on;
 * -1: with errno (EEXIST: something that is no socket). */
static int
sock_unix_is_served(const struct addr *a)
{
	struct stat st;
	int         fd, error;

	if (lstat(a->un.sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	error = connect(fd, &a->sa, a->len) < 0 ? errno : 0;
	close(fd);
	/* EAGAIN: its backlog is full, so it has one. */
	if (error == 0 || error == EAGAIN || error == EINPROGRESS)
		return 1;
	if (error == ECONNREFUSED || error == ENOENT)
		return 0;
	errno = error;
	return -1;
}

static void
sock_close_keeping_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}
