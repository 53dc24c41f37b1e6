/* SPDX-License-Identifier: BSD-2-Clause */
/* loading: whether the process that loads a configuration gets on with it. */
#include "proc/loading.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "proc/child.h"
#include "proc/template.h"
#include "proc/wait.h"

static void loading_note(struct loading *, const char *doing, uint64_t now);
static enum loading_state loading_judge(uint64_t silence, uint64_t limit);

void
loading_begin(struct loading *l, pid_t pid)
{
	l->pid = pid;
	l->looked = wait_now();
	loading_note(l, "", l->looked);
}

bool
loading_look(struct loading *l, uint64_t limit, char *text, size_t size)
{
	const char        *doing = template_progress();
	uint64_t           now = wait_now(), silence;
	bool               late = now - l->looked > 4 * LOADING_LOOK;
	enum loading_state was = l->state;
	char               time[STR_UNIT_MAX];

	l->looked = now;
	if (doing == NULL)
		return false;
	/* All may have been stopped together. */
	if (late || strncmp(l->doing, doing, sizeof l->doing - 1) != 0)
		loading_note(l, doing, now);
	silence = now - l->since;
	l->state = loading_judge(silence, limit);
	if (l->state == was || l->state == LOADING_GOES_ON)
		return false;
	snprintf(text, size, "process %d, which loads the configuration, has been %s for %s%s%s",
	    (int)l->pid, *doing == '\0' ? "reading it" : doing,
	    str_print_time(silence / 1000 * 1000, time),
	    template_waits_for_system() ? ": do the name servers answer?" : ", and ",
	    template_waits_for_system() ? "" : child_doing(l->pid));
	return true;
}

static void
loading_note(struct loading *l, const char *doing, uint64_t now)
{
	snprintf(l->doing, sizeof l->doing, "%s", doing);
	l->since = now;
	l->state = LOADING_GOES_ON;
}

static enum loading_state
loading_judge(uint64_t silence, uint64_t limit)
{
	if (limit == 0)
		limit = LOADING_LIMIT;
	if (limit < LOADING_NAME_LIMIT && template_waits_for_system())
		limit = LOADING_NAME_LIMIT;
	if (silence >= limit)
		return LOADING_HANGS;
	return silence >= LOADING_SLOW ? LOADING_IS_SLOW : LOADING_GOES_ON;
}
