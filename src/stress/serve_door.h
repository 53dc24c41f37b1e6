/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_door: a process of a backend: the sockets it accepts from, and its loop. */
#ifndef STRESS_SERVE_DOOR_H
#define STRESS_SERVE_DOOR_H

#include "base/list.h"
#include "net/listener.h"
#include "stress/serve_alarm.h"
#include "stress/serve_options.h"

struct door {
	struct listener           listener;
	struct alarm              alarm;	/* when somebody listens again */
	const struct listen_spec *spec;
	struct node               sessions;
	/* At the end of this pass: nobody listens for serve.down … */
	bool                      shuts;
	bool                      crashes;	/* … and all sessions are reset */
};

/*
 * Serves until SIGTERM or SIGINT, which have to be blocked, then closes
 * everything. fds: listening sockets, one for each of serve.doors, which it takes
 * over. number: of the process, from 0. Returns 0, or -1 when it cannot work.
 */
int stress_doors_serve(const struct serve *, struct serve_counts *, const int *fds,
    unsigned number);

#endif
