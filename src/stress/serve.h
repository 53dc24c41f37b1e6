/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve: weir-stress --serve, a backend that answers, slowly or wrongly if it is
 * told to.
 *
 *	serve            options, sockets, processes, what was counted
 *	serve_options    the command line
 *	serve_door       a process: its listening sockets (doors) and its loop
 *	serve_session    a connection: reading, waiting, ending
 *	serve_kind       echo, line, sink, source: what a request is, and its reply
 *	serve_reply      when replies are sent, and what goes wrong with them
 *	serve_again      lines that come twice
 *	serve_alarm      times, to the microsecond
 */
#ifndef STRESS_SERVE_H
#define STRESS_SERVE_H

#include <stdbool.h>

/* Whether the command line asks for a backend. */
bool stress_serve_wanted(int argc, char **argv);

/* Is one, until a signal ends it. Returns the exit status. */
int stress_serve_main(int argc, char **argv);

#endif
