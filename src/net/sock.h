/* SPDX-License-Identifier: BSD-2-Clause */
/* sock: sockets as the configuration wants them: options, listening, connecting. */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/addr.h"

/* tcp(7), socket(7). What does not apply to UNIX sockets is left out for them. */
struct sock_options {
	bool     nodelay;
	uint32_t keepalive_idle;	/* s; 0: off */
	uint32_t keepalive_interval;	/* s; 0: the kernel's */
	uint32_t keepalive_count;	/* 0: the kernel's */
	uint32_t user_timeout;		/* ms; 0: off */
	uint32_t rcvbuf;		/* bytes; 0: the kernel tunes it */
	uint32_t sndbuf;
	char     congestion[16];	/* "": the kernel's */
};

/* One `listen =` line, with the options of its server. */
struct listen_spec {
	struct addr         addr;
	char                name[ADDR_TEXT_MAX];	/* addr_print: how it is called */
	struct sock_options options;
	uint32_t            backlog;
	bool                reuseport;	/* a socket a slot; never for AF_UNIX */
	bool                deferred;	/* TCP_DEFER_ACCEPT */
	bool                v6only;
	bool                transparent;
	uint32_t            fastopen;	/* TCP_FASTOPEN queue; 0: off */
	char                device[16];	/* SO_BINDTODEVICE; "": any */
	mode_t              mode;	/* of a UNIX socket's file */
	uid_t               owner;	/* the same; -1: as created */
	gid_t               group;
};

#define SOCK_BACKLOG 4096u	/* default; the kernel caps it at net.core.somaxconn */

/*
 * Whether the address is free: binds without SO_REUSEPORT, which would let two
 * programs of one user share it in silence, and lets go. Returns 0, or -1 with
 * errno (EADDRINUSE, EADDRNOTAVAIL, EACCES …). A UNIX socket that nobody
 * answers on counts as free. *step (may be NULL) names the call that failed.
 */
int sock_probe(const struct listen_spec *, const char **step) __attribute__((warn_unused_result));

/*
 * A listening socket, non-blocking, close-on-exec. For AF_UNIX a stale file is
 * replaced, one that somebody answers on is EADDRINUSE; mode and owner are set
 * before it listens. Returns the fd, or -1 with errno; *step (may be NULL)
 * names the call that failed. An abstract one has no file: nothing of this is done.
 */
int sock_listen(const struct listen_spec *, const char **step) __attribute__((warn_unused_result));

/*
 * Applies to an open listener what can be changed while it listens: backlog and
 * options. `was` is what it has been opened with or given last (NULL: nothing):
 * what is no longer set is taken back. Returns 0, or -1 with errno and *step.
 */
int sock_relisten(int fd, const struct listen_spec *, const struct listen_spec *was,
    const char **step) __attribute__((warn_unused_result));

/* Whether sock_relisten will do, found out on a socket of its own. */
int sock_try(const struct listen_spec *, const struct listen_spec *was, const char **step)
    __attribute__((warn_unused_result));

/*
 * Whether listening there could succeed as far as this process and machine are concerned,
 * without doing it: options, address, port, device, the owner of a file. An address that is
 * in use does not count: it may be in the hands of whoever will listen. Returns 0, or -1
 * with errno and *step.
 */
int sock_rehearse(const struct listen_spec *, const char **step)
    __attribute__((warn_unused_result));

/* Reads from an open listener those options that are set before it is bound: v6only,
 * transparent, device; what has no meaning for its family stays. Returns 0, or -1 with
 * errno. */
int sock_read_listener(int fd, struct listen_spec *);

/* Whether a listener opened for `old` can serve `wanted` after sock_relisten. */
bool sock_same_listener(const struct listen_spec *old, const struct listen_spec *wanted);

/* Whether the kernel binds only one of them, unless both have reuseport. */
bool sock_collides(const struct listen_spec *, const struct listen_spec *);

/* Makes the reuseport group of fd hand connections to its first n sockets only,
 * in the order they began to listen (SO_ATTACH_REUSEPORT_CBPF, socket(7)); 0:
 * to all again. Returns 0, or -1 with errno. */
int sock_reuseport_limit(int fd, unsigned n) __attribute__((warn_unused_result));

/*
 * A non-blocking socket on its way to the address, with those options that matter
 * while it connects: buffers, tcp_user_timeout, congestion control; from: the
 * local address, without a port, or NULL: the kernel chooses. Returns the fd, or
 * -1 with errno. EINPROGRESS is not an error here; a full backlog of a UNIX
 * socket is EAGAIN; no port left between the two addresses, or a local address
 * that this machine does not have, EADDRNOTAVAIL.
 */
int sock_connect(const struct addr *to, const struct addr *from, const struct sock_options *)
    __attribute__((warn_unused_result));

/* The options that matter on a connected socket only: no delay, keepalive. They can
 * wait until more than one small message is sent. Returns 0, or -1 with errno. */
int sock_settle(int fd, const struct addr *to, const struct sock_options *);

/* The keepalive among them. Returns 0, or -1 with errno. */
int sock_set_keepalive(int fd, const struct sock_options *);

/* Has the kernel send a keepalive probe on a TCP connection at once, if nothing has come from
 * the other end for a second, and so on until the options are set again. Returns 0, or -1 with
 * errno. */
int sock_ping(int fd) __attribute__((warn_unused_result));

/* What two sockets' options have in common when they are the same; and gives an open
 * connection those of another configuration. What was set and is the kernel's choice now stays.
 * Returns 0, or -1 with errno. */
uint32_t sock_options_hash(const struct sock_options *);
int      sock_renew(int fd, const struct sock_options *);

/* Whether connections may come from the local address. Returns 0, or -1 with
 * errno (EADDRNOTAVAIL: this machine does not have it). */
int sock_try_source(const struct addr *) __attribute__((warn_unused_result));

/* SO_ERROR: 0, or the errno of the asynchronous failure. */
int sock_error(int fd);

/* "3m", "3m:30s:4", "off" → the three fields. Returns NULL or a phrase. */
const char *sock_keepalive_parse(struct sock_options *, const char *text);

#endif
