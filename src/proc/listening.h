/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listening: the master's listening sockets, kept over generations.
 *
 *	plan ──► offer ──► commit      what the new generation listens on, opened
 *	   └────────┴────► drop        before it runs; or closed again
 *
 * One address is a group of sockets, one for each slot (SO_REUSEPORT), or a
 * single one that all share. Closing a socket of a group resets what waits in
 * its queue: so a smaller number of workers keeps the others' sockets until
 * nothing has come to them for LISTENING_RETIRED ms.
 */
#ifndef PROC_LISTENING_H
#define PROC_LISTENING_H

#include <stdbool.h>
#include <stddef.h>

#include "proc/digest.h"
#include "proc/fdtable.h"

#define LISTENING_RETIRED 60000u

/* Why listening there failed, in one line: "[server web] listen 127.0.0.1:80: Permission
 * denied: ports below 1024 …". step: the call. Returns out. */
char *listening_explain(const struct listen_spec *, const char *server, const char *step,
    int error, char *out, size_t size);

/*
 * Takes over what sd_listen_fds(3) promises: descriptors from 3 on, when they
 * are meant for this process. A `listen` with the same address uses them; those
 * that none uses are closed when the first generation runs.
 * Returns 0, or -1 when one of them is no listening stream socket (and says so).
 */
int listening_inherit(void) __attribute__((warn_unused_result));

/* Whether there are listeners, and none of them is among these: neither its address
 * nor one that covers it. */
bool listening_loses_all(const struct digest_listen *, unsigned count);

/*
 * Opens what is new and prepares what is kept, so that slots 0 … workers-1 have
 * their sockets. All that is wrong is reported; then -1 is returned and drop
 * has to follow. One plan at a time.
 */
int listening_plan(const struct digest_listen *, unsigned count, unsigned workers)
    __attribute__((warn_unused_result));

/* Lists the plan's sockets in a table that owns nothing. Returns how many slots
 * have sockets (at least `workers`), or -1 with errno. */
int listening_offer(struct fdtable *) __attribute__((warn_unused_result));

/* The new generation runs, the old one has been told to stop accepting: what
 * the plan does not want is closed. Reports what was opened and closed. */
void listening_commit(void);

/* The plan's generation is dropped: everything is as before. */
void listening_drop(void);

/*
 * Between two masters, of which the newer one goes on for the older (proc/companion).
 * bequeath: lists all there is for it, in a table that owns nothing, FD_LISTEN and
 * FD_INHERITED; take_over takes what master_fds has of these. Both have the sockets
 * then, and neither removes the file of one until it is alone. Return 0, or -1 with errno.
 */
int  listening_bequeath(struct fdtable *) __attribute__((warn_unused_result));
int  listening_take_over(void) __attribute__((warn_unused_result));
void listening_alone(void);

/* The newer one goes back: from now on connections come to sockets that the older one has,
 * too. The older one, or whoever is left: to those of its own workers. */
void listening_retreat(void);
void listening_share(void);

/* Closes everything: nobody shall listen any more. Files of what another master has as
 * well are removed when that one is gone (listening_alone), or left to it. */
void listening_close(void);
void listening_forget(void);

#endif
