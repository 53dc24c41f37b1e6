/* SPDX-License-Identifier: BSD-2-Clause */
/* mode: the list of what weir-stress can do. */
#include "stress/mode.h"

#include <string.h>

static const struct mode *const modes[] = {
	&mode_echo,
	&mode_line,
	&mode_redis,
	&mode_idle,
	&mode_churn,
	&mode_handshake,
	&mode_bulk,
	&mode_slowloris,
	&mode_halfclose,
	&mode_unruly,
};

#define MODES (sizeof modes / sizeof modes[0])

const struct mode *
stress_mode_find(const char *name)
{
	for (unsigned i = 0; i < MODES; i++) {
		if (strcmp(modes[i]->name, name) == 0)
			return modes[i];
	}
	return NULL;
}

const struct mode *
stress_mode_at(unsigned index)
{
	return index < MODES ? modes[index] : NULL;
}
