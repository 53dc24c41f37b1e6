/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_door: a process of a backend: the sockets it accepts from, and its loop. */
#include "stress/serve_door.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "net/conn.h"
#include "stress/serve_session.h"
#include "stress/tally.h"

#define AGAIN 10000u	/* µs until another try to listen */

enum { SCRATCH = 256 * 1024 };

static struct {
	const struct serve  *options;
	struct serve_counts *counts;
	struct door          of[SERVE_DOORS_MAX];
	struct event         signals;
	uint64_t             number;	/* of the last connection */
	bool                 told;	/* that descriptors have run out */
} doors;

static int  signals_watch(void);
static int  door_open(struct door *, const struct listen_spec *, int fd);
static void door_close(struct door *);
static void door_reopen(struct alarm *);
static bool accepted(struct listener *, int fd, const struct addr *);
static bool may_accept(struct listener *);
static void starved(struct listener *, int error);
static void signalled(evutil_socket_t, short, void *);
static void pass_ended(void);

static const struct listener_ops ops = {
	.accepted   = accepted,
	.may_accept = may_accept,
	.starved    = starved,
};

int
doors_serve(const struct serve *options, struct serve_counts *counts, const int *fds,
    unsigned number)
{
	unsigned i;
	int      result = -1;

	doors.options = options;
	doors.counts = counts;
	doors.number = number;
	if (loop_open(SCRATCH, conn_fired) < 0 || alarm_open() < 0) {
		warn("cannot watch descriptors");
		return -1;
	}
	conn_start();
	sessions_start();
	loop_on_pass_end(pass_ended);
	for (i = 0; i < options->door_count; i++) {
		if (door_open(&doors.of[i], &options->doors[i], fds[i]) < 0)
			break;
	}
	if (i < options->door_count || signals_watch() < 0)
		warn("cannot watch descriptors");
	else if ((result = loop_run()) < 0)
		warn("cannot wait for descriptors");
	while (i-- > 0)
		door_close(&doors.of[i]);
	sessions_finish();
	alarm_close();
	loop_close();
	return result;
}

const struct serve *
doors_options(void)
{
	return doors.options;
}

struct serve_counts *
doors_counts(void)
{
	return doors.counts;
}

bool
door_is_open(const struct door *d)
{
	return d->listener.fd >= 0;
}

void
door_shut(struct door *d)
{
	if (!door_is_open(d))
		return;
	listener_stop(&d->listener);
	close(d->listener.fd);
	d->listener.fd = -1;
	alarm_set(&d->alarm, alarm_clock() + doors.options->down);
}

void
door_crash(struct door *d)
{
	d->crashes = true;
}

static int
signals_watch(void)
{
	sigset_t set;
	int      fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -1 : loop_watch(&doors.signals, fd, EV_READ, signalled, NULL);
}

static void
signalled(evutil_socket_t fd, short what, void *argument)
{
	(void)what;
	(void)argument;
	loop_unwatch(&doors.signals);
	close(fd);
	loop_stop();
}

static int
door_open(struct door *d, const struct listen_spec *spec, int fd)
{
	bool shared = doors.options->workers > 1 && !spec->reuseport;

	d->spec = spec;
	d->crashes = false;
	list_init(&d->sessions);
	listener_init(&d->listener, fd, shared, &ops);
	if (alarm_init(&d->alarm, door_reopen) < 0)
		return -1;
	listener_start(&d->listener);
	return 0;
}

static void
door_close(struct door *d)
{
	if (door_is_open(d)) {
		listener_stop(&d->listener);
		close(d->listener.fd);
	}
	alarm_finish(&d->alarm);
	sessions_end(d, false);
}

/* Somebody else may have taken the port meanwhile: then later. */
static void
door_reopen(struct alarm *a)
{
	struct door *d = container_of(a, struct door, alarm);
	int          fd;

	fd = sock_listen(d->spec, NULL);
	if (fd < 0) {
		alarm_set(&d->alarm, alarm_clock() + AGAIN);
		return;
	}
	listener_init(&d->listener, fd, false, &ops);
	listener_start(&d->listener);
}

static bool
accepted(struct listener *l, int fd, const struct addr *from)
{
	struct door *d = container_of(l, struct door, listener);

	(void)from;
	tally_add(&doors.counts->accepted, 1);
	doors.number += doors.options->workers;
	return session_open(d, fd, doors.number);
}

static bool
may_accept(struct listener *l)
{
	return l->fd >= 0;
}

static void
starved(struct listener *l, int error)
{
	(void)l;
	tally_add(&doors.counts->starved, 1);
	if (doors.told)
		return;
	doors.told = true;
	errno = error;
	warn("cannot accept, and clients wait: raise the limit of descriptors (ulimit -n), or "
	     "use more processes (-w)");
}

static void
pass_ended(void)
{
	for (unsigned i = 0; i < doors.options->door_count; i++) {
		if (!doors.of[i].crashes)
			continue;
		doors.of[i].crashes = false;
		sessions_end(&doors.of[i], true);
		door_shut(&doors.of[i]);
	}
	sessions_sweep();
}
