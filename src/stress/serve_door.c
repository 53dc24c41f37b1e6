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
	struct door       of[SERVE_DOORS_MAX];
	struct loop_watch signals;
	uint64_t          number;	/* of the last connection */
	bool              told;		/* that descriptors have run out */
} doors;

static int  serve_door_watch_signals(void);
static int  serve_door_open(struct door *, const struct listen_spec *, int fd);
static bool serve_door_shut(struct door *);
static void serve_door_close(struct door *);
static void serve_door_reopen(struct alarm *);
static bool serve_door_accepted(struct listener *, int fd, const struct addr *);
static bool serve_door_may_accept(struct listener *);
static void serve_door_starved(struct listener *, int error);
static void serve_door_signalled(int, short, void *);
static void serve_door_pass_ended(void);

static const struct listener_ops ops = {
	.accepted   = serve_door_accepted,
	.may_accept = serve_door_may_accept,
	.starved    = serve_door_starved,
};

int
stress_doors_serve(const struct serve *options, struct serve_counts *counts, const int *fds,
    unsigned number)
{
	unsigned i;
	int      result = -1;

	stress_served = options;
	stress_counts = counts;
	doors.number = number;
	if (loop_open(SCRATCH, conn_fired) < 0 || stress_alarm_open() < 0 ||
	    stress_tls_start(&options->tls) < 0) {
		warn("cannot watch descriptors");
		return -1;
	}
	conn_start();
	stress_sessions_start();
	loop_on_pass_end(serve_door_pass_ended);
	for (i = 0; i < options->door_count; i++) {
		if (serve_door_open(&doors.of[i], &options->doors[i], fds[i]) < 0)
			break;
	}
	if (i < options->door_count || serve_door_watch_signals() < 0)
		warn("cannot watch descriptors");
	else if ((result = loop_run()) < 0)
		warn("cannot wait for descriptors");
	while (i-- > 0)
		serve_door_close(&doors.of[i]);
	stress_sessions_finish();
	stress_tls_stop(&options->tls);
	stress_alarm_close();
	loop_close();
	return result;
}

static int
serve_door_watch_signals(void)
{
	sigset_t set;
	int      fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -1
		      : loop_watch_start(&doors.signals, fd, LOOP_READ, serve_door_signalled, NULL);
}

static void
serve_door_signalled(int fd, short what, void *argument)
{
	(void)what;
	(void)argument;
	loop_watch_stop(&doors.signals);
	close(fd);
	loop_stop();
}

static int
serve_door_open(struct door *d, const struct listen_spec *spec, int fd)
{
	bool shared = stress_served->workers > 1 && !spec->reuseport;

	d->spec = spec;
	d->crashes = d->shuts = false;
	list_init(&d->sessions);
	listener_init(&d->listener, fd, shared, &ops);
	if (stress_alarm_init(&d->alarm, serve_door_reopen) < 0)
		return -1;
	listener_start(&d->listener);
	return 0;
}

/* Returns whether it was open. */
static bool
serve_door_shut(struct door *d)
{
	if (d->listener.fd < 0)
		return false;
	listener_stop(&d->listener);
	close(d->listener.fd);
	d->listener.fd = -1;
	return true;
}

static void
serve_door_close(struct door *d)
{
	serve_door_shut(d);
	stress_alarm_finish(&d->alarm);
	stress_sessions_end(d, false);
}

/* Somebody else may have taken the port meanwhile: then later. */
static void
serve_door_reopen(struct alarm *a)
{
	struct door *d = container_of(a, struct door, alarm);
	int          fd;

	fd = sock_listen(d->spec, NULL);
	if (fd < 0) {
		stress_alarm_set(&d->alarm, stress_alarm_clock() + AGAIN);
		return;
	}
	listener_init(&d->listener, fd, false, &ops);
	listener_start(&d->listener);
}

static bool
serve_door_accepted(struct listener *l, int fd, const struct addr *from)
{
	struct door *d = container_of(l, struct door, listener);

	(void)from;
	stress_tally_add(&stress_counts->accepted, 1);
	doors.number += stress_served->workers;
	return stress_session_open(d, fd, doors.number);
}

static bool
serve_door_may_accept(struct listener *l)
{
	return !container_of(l, struct door, listener)->shuts;
}

static void
serve_door_starved(struct listener *l, int error)
{
	(void)l;
	stress_tally_add(&stress_counts->starved, 1);
	if (doors.told)
		return;
	doors.told = true;
	errno = error;
	warn("cannot accept, and clients wait: raise the limit of descriptors (ulimit -n), or "
	     "use more processes (-w)");
}

static void
serve_door_pass_ended(void)
{
	for (unsigned i = 0; i < stress_served->door_count; i++) {
		struct door *d = &doors.of[i];

		if (d->crashes)
			stress_sessions_end(d, true);
		if ((d->crashes || d->shuts) && serve_door_shut(d))
			stress_alarm_set(&d->alarm, stress_alarm_clock() + stress_served->down);
		d->crashes = d->shuts = false;
	}
	stress_sessions_sweep();
}
