/* SPDX-License-Identifier: BSD-2-Clause */
/* client: talks to the control socket of a running weir. */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/control.h"

/*
 * Sends the command and prints the answer, errors to stderr, the rest to
 * stdout (unless quiet). timeout: ms until all of it has come; 0: as long as the
 * command may take. Returns the exit status: the answer's, or 1 when there is
 * none, which is explained.
 */
int client_run(const char *path, enum control_command, uint64_t timeout, bool quiet);

#endif
