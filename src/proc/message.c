/* SPDX-License-Identifier: BSD-2-Clause */
/* message: what master, templates and workers say to each other. */
#include "proc/message.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "proc/fdtable.h"

struct head {
	uint32_t kind;
	uint32_t a;
	uint32_t b;
	uint32_t c;
};

static void message_reserve_take(void);
static void message_reserve_give(void);
static int  message_take_control(struct msghdr *, struct message *);
static void message_wait(int channel, short event);

/* What was received last: a process reads its channels one after the other. */
static char     inbox[MESSAGE_DATA_MAX];
static int      inbox_fds[MESSAGE_FDS_MAX];

static int      reserve[MESSAGE_RESERVE];
static unsigned reserve_count;
static bool     reserves;

int
message_pair(int ends[2], bool credentials)
{
	int on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	if (credentials && setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
		fd_close(&ends[0]);
		fd_close(&ends[1]);
		return -1;
	}
	return 0;
}

int
message_send(int channel, const struct message *m)
{
	struct head  head = { m->kind, m->a, m->b, m->c };
	struct iovec parts[2] = {
		{ .iov_base = &head, .iov_len = sizeof head },
		{ .iov_base = (void *)(uintptr_t)m->data, .iov_len = m->size },
	};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof inbox_fds)];
	struct msghdr   h = { .msg_iov = parts, .msg_iovlen = 2 };
	struct cmsghdr *c;
	size_t          fds = m->fd_count * sizeof *m->fds;

	if (m->size > MESSAGE_DATA_MAX || m->fd_count > MESSAGE_FDS_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (m->fd_count > 0) {
		memset(control, 0, sizeof control);
		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE(fds);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds);
		memcpy(CMSG_DATA(c), m->fds, fds);
	}
	while (sendmsg(channel, &h, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		if (errno != EINTR)
			return -1;
	return 0;
}

void
message_reserve(void)
{
	reserves = true;
	message_reserve_take();
}

/* As many as there are: more of them another time. */
static void
message_reserve_take(void)
{
	while (reserves && reserve_count < MESSAGE_RESERVE &&
	    (reserve[reserve_count] = eventfd(0, EFD_CLOEXEC)) >= 0)
		reserve_count++;
}

static void
message_reserve_give(void)
{
	while (reserve_count > 0)
		fd_close(&reserve[--reserve_count]);
}

int
message_receive(int channel, struct message *m)
{
	int got = message_receive_some(channel, m);

	if (got != 1 || !m->lost)
		return got;
	message_discard(m);
	errno = EPROTO;
	return -1;
}

int
message_receive_some(int channel, struct message *m)
{
	struct head  head;
	struct iovec parts[2] = {
		{ .iov_base = &head, .iov_len = sizeof head },
		{ .iov_base = inbox, .iov_len = sizeof inbox },
	};
	_Alignas(struct cmsghdr) char
	    control[CMSG_SPACE(sizeof inbox_fds) + CMSG_SPACE(sizeof(struct ucred))];
	struct msghdr h = { .msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = sizeof control };
	ssize_t       n;
	int           error;

	memset(m, 0, sizeof *m);
	message_reserve_give();
	do
		n = recvmsg(channel, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	error = errno;
	message_reserve_take();
	errno = error;
	if (n < 0)
		return -1;
	if (message_take_control(&h, m) < 0 || (size_t)n < sizeof head ||
	    head.kind >= MESSAGE_KINDS || (h.msg_flags & MSG_TRUNC) != 0) {
		message_discard(m);
		if (n == 0 && m->sender == 0)
			return 0;
		errno = EPROTO;
		return -1;
	}
	m->kind = head.kind;
	m->a = head.a;
	m->b = head.b;
	m->c = head.c;
	m->data = inbox;
	m->size = (size_t)n - sizeof head;
	m->lost = (h.msg_flags & MSG_CTRUNC) != 0;
	return 1;
}

int
message_peek(int channel, struct message *m)
{
	struct head head;
	ssize_t     n;

	memset(m, 0, sizeof *m);
	do
		n = recv(channel, &head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return (int)n;
	if ((size_t)n < sizeof head || head.kind >= MESSAGE_KINDS) {
		errno = EPROTO;
		return -1;
	}
	m->kind = head.kind;
	m->a = head.a;
	m->b = head.b;
	m->c = head.c;
	return 1;
}

int
message_send_wait(int channel, const struct message *m)
{
	int result;

	while ((result = message_send(channel, m)) < 0 && errno == EAGAIN)
		message_wait(channel, POLLOUT);
	return result;
}

int
message_receive_wait(int channel, struct message *m)
{
	int got;

	while ((got = message_receive(channel, m)) < 0 && errno == EAGAIN)
		message_wait(channel, POLLIN);
	return got;
}

ssize_t
message_send_byte(int stream, char byte, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec    part = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr   h = { .msg_iov = &part,
		  .msg_iovlen = 1,
		  .msg_control = control,
		  .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(stream, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t
message_receive_bytes(int stream, void *data, size_t size, int *fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof *fd)];
	struct iovec    part = { .iov_base = data, .iov_len = size };
	struct msghdr   h = { .msg_iov = &part,
		  .msg_iovlen = 1,
		  .msg_control = control,
		  .msg_controllen = sizeof control };
	struct cmsghdr *c;
	ssize_t         n;

	*fd = -1;
	n = recvmsg(stream, &h, MSG_CMSG_CLOEXEC);
	if (n < 0 || (c = CMSG_FIRSTHDR(&h)) == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof *fd))
		return n;
	memcpy(fd, CMSG_DATA(c), sizeof *fd);
	return n;
}

void
message_wipe(const struct message *m)
{
	explicit_bzero(inbox, m->size);
}

void
message_discard(struct message *m)
{
	for (unsigned i = 0; i < m->fd_count; i++) {
		int fd = m->fds[i];
		fd_close(&fd);
	}
	m->fd_count = 0;
}

static void
message_wait(int channel, short event)
{
	struct pollfd p = { .fd = channel, .events = event };

	poll(&p, 1, -1);
}

/* Descriptors that arrived are open whatever else is wrong: all are noted. */
static int
message_take_control(struct msghdr *h, struct message *m)
{
	struct ucred sender;
	unsigned     n;

	m->fds = inbox_fds;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			return -1;
		if (c->cmsg_type == SCM_RIGHTS) {
			n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			if (n > MESSAGE_FDS_MAX - m->fd_count)
				return -1;
			memcpy(inbox_fds + m->fd_count, CMSG_DATA(c), n * sizeof(int));
			m->fd_count += n;
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&sender, CMSG_DATA(c), sizeof sender);
			m->sender = sender.pid;
		}
	}
	return 0;
}
