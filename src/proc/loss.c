/* SPDX-License-Identifier: BSD-2-Clause */
/* loss: the lines of the log that could not be written, by whichever process. */
#include "proc/loss.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "upstream/board.h"

#define LOSS_SILENCE 60000u	/* ms between two lines about the same log */

enum loss_word {
	LOSS_LINES,
	LOSS_TOLD,	/* ms of CLOCK_MONOTONIC; 0: never */
};

static const struct board_schema loss_schema = { "log", NULL, 0 };

/* -1: none. A template has entered its own while it still writes to the master's. */
static int entries[LOG_SINKS_MAX];
static int entered[LOG_SINKS_MAX];

static const char *loss_name(const struct log_spec *, char *out, size_t size);
static uint64_t    loss_add(unsigned sink);
static bool        loss_due(unsigned sink);

int
loss_enter(const struct log_spec *specs, unsigned count, unsigned generation)
{
	char name[sizeof specs->path];

	memset(entered, -1, sizeof entered);
	for (unsigned i = 0; i < count; i++)
		if ((entered[i] = board_enter(&loss_schema,
			 loss_name(&specs[i], name, sizeof name), generation)) < 0)
			return -1;
	return 0;
}

void
loss_begin(void)
{
	static const struct log_losses losses = { loss_add, loss_due };

	memcpy(entries, entered, sizeof entries);
	log_watch_losses(&losses);
}

void
loss_begin_master(const struct log_spec *specs, unsigned count)
{
	struct board_view view = { .id = -1 };
	char              name[sizeof specs->path];

	memset(entered, -1, sizeof entered);
	while (board_next(&view))
		for (unsigned i = 0; strcmp(view.kind, loss_schema.kind) == 0 && i < count; i++)
			if (strcmp(view.name, loss_name(&specs[i], name, sizeof name)) == 0)
				entered[i] = view.id;
	loss_begin();
}

uint64_t
loss_lines(int board)
{
	return atomic_load_explicit(&board_shared(board)[LOSS_LINES], memory_order_relaxed);
}

/* The end of a path tells more than its beginning. */
static const char *
loss_name(const struct log_spec *spec, char *out, size_t size)
{
	const size_t most = BOARD_NAME_MAX - 1;
	size_t       len = strlen(log_spec_print(spec, out, size));

	if (len <= most)
		return out;
	out += len - most;
	memcpy(out, "...", strlen("..."));
	return out;
}

static uint64_t
loss_add(unsigned sink)
{
	if (entries[sink] < 0)
		return 1;
	return atomic_fetch_add(&board_shared(entries[sink])[LOSS_LINES], 1) + 1;
}

/* One of those who find it due at the same time tells it. */
static bool
loss_due(unsigned sink)
{
	uint64_t    now = clock_ns() / 1000000, last;
	board_word *told;

	if (entries[sink] < 0)
		return false;
	told = &board_shared(entries[sink])[LOSS_TOLD];
	last = atomic_load(told);
	return (last == 0 || now - last >= LOSS_SILENCE) &&
	    atomic_compare_exchange_strong(told, &last, now);
}
