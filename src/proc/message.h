/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * message: what master, templates and workers say to each other, over
 * SOCK_SEQPACKET pairs: a kind, three numbers, some bytes, some descriptors.
 *
 * All processes but another master and its are forks of one program, so structs travel
 * as they are.
 */
#ifndef PROC_MESSAGE_H
#define PROC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum message_kind {
	/* between versions of weir: their numbers stay */
	MESSAGE_SESSIONS,	/* on FD_HANDOVER: a: how many descriptors, b: the seat that it is
				 * for; data: a parcel */
	MESSAGE_COMPANION,	/* master to master; data: text, see companion.c */

	/* template to master */
	MESSAGE_REPORT,		/* a: enum weir_level; data: a line of text */
	MESSAGE_SETTINGS,	/* data: struct digest_settings */
	MESSAGE_LOG_SPEC,	/* data: struct digest_log */
	MESSAGE_LISTEN,		/* data: struct digest_listen */
	MESSAGE_LOADED,		/* a: 1 all is well, 0 what was reported is why not */
	MESSAGE_CLONED,		/* a: slot, or POST_KEEPER, b: pid (0: c is the errno) */
	MESSAGE_PONG,		/* to PING */

	/* master to template */
	MESSAGE_DESCRIPTORS,	/* some of an fdtable, see fdtable_encode */
	MESSAGE_EQUIPPED,	/* that were all of them; a: sockets, see service_params */
	MESSAGE_CLONE,		/* a: slot, or POST_KEEPER, b: seat */
	MESSAGE_PING,		/* say that you are there */

	/* master to worker, and to the template what concerns it */
	MESSAGE_START,		/* a: your pid, so that it is not for your predecessor */
	MESSAGE_GO,		/* accept */
	MESSAGE_RETIRE,		/* accept no more, end when all sessions have */
	MESSAGE_STOP,		/* close all sessions, end */
	MESSAGE_REVIEW,		/* a slot's state has changed; workers send it, too */
	MESSAGE_CLAIM,		/* a newer generation is gone, and this one runs again */
	MESSAGE_TICKETS,	/* data: struct tls_ticket_keys; wipe it */
	MESSAGE_LOG,		/* a: index of the log; one descriptor, reopened */
	MESSAGE_HEIRS,		/* a, b: the generation that runs, and its index; c:
				 * PARCEL_VERSION; data: uint32_t each, the seats of its workers;
				 * their FD_HANDOVER */
	MESSAGE_HASTEN,		/* a: worker_shutdown_timeout of the generation that runs, in ms:
				 * yours is over then at the latest */
	MESSAGE_ARRIVALS,	/* one descriptor: FD_ARRIVALS of a worker that has died */
	MESSAGE_SURVEY,		/* data: struct survey_query; the channel for what is found */
	MESSAGE_QUIT,		/* template: end */

	/* keeper to workers */
	MESSAGE_PEERS,		/* a: board entry of an upstream: look at its peers again */

	/* worker to worker */
	MESSAGE_LINK_WANTED,	/* a: board entry of a peer, b: slot that wants a link */
	MESSAGE_LINK_FREED,	/* a: board entry of a peer: try again */

	/* worker and keeper to master */
	MESSAGE_READY,		/* a: generation, b: slot */
	MESSAGE_FAILED,		/* the same; data: why it cannot start */
	MESSAGE_MOVED,		/* the same; data: struct handover_report */

	MESSAGE_KINDS
};

#define MESSAGE_DATA_MAX 49152u
#define MESSAGE_FDS_MAX  253u	/* the kernel's SCM_MAX_FD */

struct message {
	enum message_kind kind;
	uint32_t          a;
	uint32_t          b;
	uint32_t          c;
	const void       *data;
	size_t            size;
	const int        *fds;
	unsigned          fd_count;
	pid_t             sender;	/* received: as the kernel says, 0 without SO_PASSCRED */
	bool              lost;		/* received: the last of its descriptors are missing */
};

/*
 * A connected pair, close-on-exec. credentials: what ends[0] receives tells who
 * sent it. Returns 0, or -1 with errno.
 */
int message_pair(int ends[2], bool credentials) __attribute__((warn_unused_result));

/*
 * Sends one, and never waits, whatever the flags of the channel: those that
 * share it can change them. Returns 0, or -1 with errno (EAGAIN: not now;
 * EPIPE: nobody there).
 */
int message_send(int channel, const struct message *) __attribute__((warn_unused_result));

/*
 * Receives one, and never waits: data and fds are valid until the next call; the
 * descriptors (close-on-exec) are the caller's. Returns 1, 0 when the other end
 * is closed (or sends nothing at all, without SO_PASSCRED), -1 with errno (EAGAIN; EPROTO: a
 * message that makes no sense or has lost descriptors, which is thrown away;
 * its sender is filled in).
 */
int message_receive(int channel, struct message *) __attribute__((warn_unused_result));

/* The same, but one that has lost descriptors (`lost`) is not thrown away. */
int message_receive_some(int channel, struct message *) __attribute__((warn_unused_result));

/*
 * From now on this process keeps MESSAGE_RESERVE descriptors for what it is sent: they are
 * given back right before a message is received, and taken again after it. The kernel
 * throws away what a process at its limit has no room for.
 */
#define MESSAGE_RESERVE 8u

void message_reserve(void);

/* As message_receive for those that have nothing else to do: they wait, instead of EAGAIN. */
int message_send_wait(int channel, const struct message *) __attribute__((warn_unused_result));
int message_receive_wait(int channel, struct message *) __attribute__((warn_unused_result));

/* Kind, a, b and c of the next one, which stays where it is. Returns as message_receive. */
int message_peek(int channel, struct message *) __attribute__((warn_unused_result));

/* Over a stream: one byte and a descriptor, as send(2); what has come, with the descriptor
 * that has (or -1), as recv(2). */
ssize_t message_send_byte(int stream, char byte, int fd) __attribute__((warn_unused_result));
ssize_t message_receive_bytes(int stream, void *data, size_t, int *fd)
    __attribute__((warn_unused_result));

/* Overwrites the data of a received message, which is a secret. */
void message_wipe(const struct message *);

/* Closes the descriptors of a received message that nobody took. */
void message_discard(struct message *);

#endif
