/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loss: the lines of the log that could not be written, by whichever process.
 *
 * Each log has an entry on the board, kind "log", whose shared words have the count
 * and when it was last told: once a minute for all processes together.
 */
#ifndef PROC_LOSS_H
#define PROC_LOSS_H

#include <stdint.h>

struct log_spec;

/* Template: an entry for each log of a generation, which it counts in from loss_begin
 * on, and so do its workers. Returns 0, or -1 with errno as board_enter. */
int loss_enter(const struct log_spec *, unsigned count, unsigned generation)
    __attribute__((warn_unused_result));

/* Behind log_configure with the same logs. */
void loss_begin(void);

/* The same for the master, once the template has made the entries. */
void loss_begin_master(const struct log_spec *, unsigned count);

/* How many lines that log has lost; the id of its entry. */
uint64_t loss_lines(int board);

#endif
