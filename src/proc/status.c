/* SPDX-License-Identifier: BSD-2-Clause */
/* status: what weir counts, from the board, and who its processes are. */
#include "proc/status.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "config.h"
#include "proc/companion.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/loss.h"
#include "proc/template.h"
#include "proc/text.h"
#include "upstream/board.h"
#include "upstream/naming.h"
#include "upstream/upstream.h"

static void status_print_text(struct text *, uint64_t uptime, bool stopping);
static void status_print_json(struct text *, uint64_t uptime);
static void status_json_companion(struct text *);
static void status_json_generations(struct text *);
static void status_json_workers(struct text *);
static void status_json_keepers(struct text *);
static void status_json_board(struct text *);
static uint64_t status_oldest(const struct post *);
static void status_text_companion(struct text *);
static void status_text_worker(struct text *, const struct post *);
static void status_text_keeper(struct text *, const struct generation *);
static void status_text_naming(struct text *, int upstream);
static void status_text_fields(struct text *, const struct board_view *);
static void status_count_sessions(void);
static void status_add_up(int entry, unsigned field, uint64_t sums[BOARD_SEATS]);
static const char *status_worker_state(const struct post *);
static const char *status_keeper_state(const struct post *);

static const char *const slot_states[] = {
	[BOARD_SLOT_ABSENT] = "absent",
	[BOARD_SLOT_ACCEPTING] = "accepting",
	[BOARD_SLOT_PAUSED] = "paused",
};

/* As status_count_sessions found them; and how many of them are ending. */
static uint64_t sessions[BOARD_SEATS], ending[BOARD_SEATS];

void
status_print(struct text *t, bool json, uint64_t uptime, bool stopping)
{
	status_count_sessions();
	if (json)
		status_print_json(t, uptime);
	else
		status_print_text(t, uptime, stopping);
}

void
status_print_generations(struct text *t)
{
	struct node *n, *following;
	const char  *doing = template_progress();
	char         age[STR_UNIT_MAX];

	status_count_sessions();
	status_text_companion(t);
	list_each(n, following, &generations) {
		const struct generation *g = container_of(n, struct generation, link);
		unsigned                 workers = 0;
		uint64_t                 open = 0;

		for (unsigned i = 0; i < g->post_count; i++) {
			workers += g->posts[i].pid != 0;
			open += sessions[g->posts[i].seat];
		}
		text_add(t, "generation %u: %s", g->number, generation_step_name(g->step));
		if (g->since != 0)
			text_add(t, " (begun %s ago)",
			    str_print_time((wait_now() - g->since) / 1000 * 1000, age));
		text_add(t, ", workers %u, sessions %" PRIu64 ", template %s\n", workers, open,
		    g->template == 0 ? "ended" : "there");
		if (g->step == GENERATION_LOADING && doing != NULL && *doing != '\0')
			text_add(t, "  process %d is %s\n", (int)g->template, doing);
		for (unsigned i = 0; i < g->post_count; i++)
			if (g->posts[i].state != POST_VACANT || g->step == GENERATION_RUNNING)
				status_text_worker(t, &g->posts[i]);
		status_text_keeper(t, g);
	}
}

/* "the older weir: process 4711, version 1.0, generation 3, ends with its last session" */
static void
status_text_companion(struct text *t)
{
	if (companion.pid == 0)
		return;
	text_add(t, "the %s weir: process %d", companion.newer ? "newer" : "older",
	    (int)companion.pid);
	if (companion.version[0] != '\0')
		text_add(t, ", version %s", companion.version);
	if (companion.runs != 0)
		text_add(t, ", generation %u", companion.runs);
	else
		text_add(t, companion.ran ? ", no generation runs" : ", starting");
	text_add(t, "%s\n", companion.quits ? ", ends with its last session" : "");
}

static void
status_text_peer(struct text *t, const struct board_view *v)
{
	struct peer_account a;
	char                ago[STR_UNIT_MAX];
	uint64_t            now = wait_now();

	peer_account_read(&a, v->id, now);
	text_add(t, "  %-24s %s\n", "state",
	    peer_account_state(&a, board_view_sum(v, PEER_CONNS)));
	if (a.checked_at != 0)
		text_add(t, "  %-24s %s, %s ago\n", "health_check", a.check,
		    str_print_time(
			now > a.checked_at ? (now - a.checked_at) / 1000 * 1000 : 0, ago));
}

static void
status_json_peer(struct text *t, const struct board_view *v)
{
	struct peer_account a;
	uint64_t            now = wait_now();

	peer_account_read(&a, v->id, now);
	text_json_string(t, "state", peer_account_state(&a, board_view_sum(v, PEER_CONNS)));
	text_json_string(t, "health_check", a.check);
	text_json_number(t, "health_check_ms",
	    a.checked_at != 0 && now > a.checked_at ? now - a.checked_at : 0);
}

static void
status_print_text(struct text *t, uint64_t uptime, bool stopping)
{
	const struct generation *g = generation_running();
	struct board_view        view = { .id = -1 };
	char                     kind[BOARD_KIND_MAX] = "";
	char                     age[STR_UNIT_MAX];

	text_add(t, "weir %s, process %d, up %s", VERSION, (int)getpid(),
	    str_print_time(uptime / 1000 * 1000, age));
	if (g != NULL) {
		text_add(t, ", generation %u\n", g->number);
		for (unsigned i = 0; i < g->post_count; i++)
			status_text_worker(t, &g->posts[i]);
		status_text_keeper(t, g);
	} else {
		text_add(t, "%s\n", stopping ? ", stopping" : "");
	}
	status_text_companion(t);
	while (board_next(&view)) {
		if (strcmp(kind, view.kind) != 0)
			text_add(t, "\n");
		strcpy(kind, view.kind);
		text_add(t, "%s %s\n", view.kind, view.name);
		if (strcmp(view.kind, "peer") == 0)
			status_text_peer(t, &view);
		if (strcmp(view.kind, "log") == 0 && loss_lines(view.id) > 0)
			text_add(t, "  %-24s %" PRIu64 "\n", "lines_lost", loss_lines(view.id));
		if (strcmp(view.kind, "upstream") == 0)
			status_text_naming(t, view.id);
		status_text_fields(t, &view);
	}
}

static void
status_print_json(struct text *t, uint64_t uptime)
{
	const struct generation *g = generation_running();

	text_json_open(t, NULL, '{');
	text_json_string(t, "version", VERSION);
	text_json_number(t, "pid", (uint64_t)getpid());
	text_json_number(t, "uptime_ms", uptime);
	text_json_number(t, "generation", g == NULL ? 0 : g->number);
	status_json_companion(t);
	status_json_generations(t);
	status_json_workers(t);
	status_json_keepers(t);
	status_json_board(t);
	text_json_close(t, '}');
	text_add(t, "\n");
}

static void
status_json_companion(struct text *t)
{
	if (companion.pid == 0)
		return;
	text_json_open(t, companion.newer ? "newer" : "older", '{');
	text_json_number(t, "pid", (uint64_t)companion.pid);
	text_json_string(t, "version", companion.version);
	text_json_number(t, "generation", companion.runs);
	text_json_number(t, "quits", companion.quits ? 1 : 0);
	text_json_close(t, '}');
}

static void
status_json_generations(struct text *t)
{
	struct node *n, *following;

	text_json_open(t, "generations", '[');
	list_each(n, following, &generations) {
		const struct generation *g = container_of(n, struct generation, link);

		text_json_open(t, NULL, '{');
		text_json_number(t, "generation", g->number);
		text_json_string(t, "state", generation_step_name(g->step));
		text_json_number(t, "template", (uint64_t)g->template);
		text_json_number(t, "workers", g->post_count);
		text_json_close(t, '}');
	}
	text_json_close(t, ']');
}

static void
status_json_workers(struct text *t)
{
	struct node *n, *following;

	text_json_open(t, "workers", '[');
	list_each(n, following, &generations) {
		const struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->post_count; i++) {
			const struct post *p = &g->posts[i];

			if (g->step != GENERATION_RUNNING && p->state == POST_VACANT)
				continue;
			text_json_open(t, NULL, '{');
			text_json_number(t, "slot", p->slot);
			text_json_number(t, "generation", g->number);
			text_json_number(t, "pid", (uint64_t)p->pid);
			text_json_string(t, "state", status_worker_state(p));
			text_json_number(t, "silence_ms", watchdog_silence(p));
			text_json_number(t, "sessions", sessions[p->seat]);
			text_json_number(t, "ending", ending[p->seat]);
			text_json_number(t, "oldest_ms", status_oldest(p));
			text_json_close(t, '}');
		}
	}
	text_json_close(t, ']');
}

static void
status_json_keepers(struct text *t)
{
	struct node *n, *following;

	text_json_open(t, "keepers", '[');
	list_each(n, following, &generations) {
		const struct generation *g = container_of(n, struct generation, link);
		const struct post       *p = generation_post(g, POST_KEEPER);

		if (p == NULL || (g->step != GENERATION_RUNNING && p->state == POST_VACANT))
			continue;
		text_json_open(t, NULL, '{');
		text_json_number(t, "generation", g->number);
		text_json_number(t, "pid", (uint64_t)p->pid);
		text_json_string(t, "state", status_keeper_state(p));
		text_json_number(t, "silence_ms", watchdog_silence(p));
		text_json_close(t, '}');
	}
	text_json_close(t, ']');
}

/* {"server": {"web": {"sessions": 3, …}, …}, "peer": …} */
static void
status_json_board(struct text *t)
{
	struct board_view view = { .id = -1 };
	char              kind[BOARD_KIND_MAX] = "";
	enum board_type   type;
	const char       *name, *what;
	uint64_t          since;

	while (board_next(&view)) {
		if (strcmp(kind, view.kind) != 0) {
			if (*kind != '\0')
				text_json_close(t, '}');
			text_json_open(t, view.kind, '{');
		}
		strcpy(kind, view.kind);
		text_json_open(t, view.name, '{');
		if (strcmp(view.kind, "peer") == 0)
			status_json_peer(t, &view);
		if (strcmp(view.kind, "upstream") == 0 && naming_state(view.id, &what, &since))
			text_json_string(t, "names", what);
		if (strcmp(view.kind, "log") == 0)
			text_json_number(t, "lines_lost", loss_lines(view.id));
		for (unsigned f = 0; (name = board_field_name(view.id, f, &type)) != NULL; f++)
			if (board_type_is_shown(type))
				text_json_number(t, name, board_view_sum(&view, f));
		text_json_close(t, '}');
	}
	if (*kind != '\0')
		text_json_close(t, '}');
}

/* How old its oldest session is, in ms, as it last said; 0: it has none. */
static uint64_t
status_oldest(const struct post *p)
{
	uint64_t began = p->pid == 0 ? 0 : board_beat_read(p->seat).oldest, now = wait_now();

	return sessions[p->seat] > 0 && began > 0 && began < now ? now - began : 0;
}

static void
status_text_worker(struct text *t, const struct post *p)
{
	uint64_t silence = watchdog_silence(p), oldest = status_oldest(p);
	char     time[STR_UNIT_MAX];

	if (p->pid == 0) {
		text_add(t, "  worker %u: %s\n", p->slot, status_worker_state(p));
		return;
	}
	text_add(t, "  worker %u: process %d, %s", p->slot, (int)p->pid, status_worker_state(p));
	if (silence > 0)
		text_add(t, " for %s", str_print_time(silence / 1000 * 1000, time));
	text_add(t, ", sessions %" PRIu64, sessions[p->seat]);
	if (ending[p->seat] > 0)
		text_add(t, " (%" PRIu64 " ending)", ending[p->seat]);
	if (oldest > 0)
		text_add(t, ", the oldest begun %s ago",
		    str_print_time(oldest / 1000 * 1000, time));
	text_add(t, "\n");
}

static void
status_text_keeper(struct text *t, const struct generation *g)
{
	const struct post *p = generation_post(g, POST_KEEPER);
	char               time[STR_UNIT_MAX];

	if (p == NULL || (g->step != GENERATION_RUNNING && p->state == POST_VACANT))
		return;
	text_add(t, "  keeper: ");
	if (p->pid != 0)
		text_add(t, "process %d, ", (int)p->pid);
	text_add(t, "%s", status_keeper_state(p));
	if (watchdog_silence(p) > 0)
		text_add(t, " for %s", str_print_time(watchdog_silence(p) / 1000 * 1000, time));
	text_add(t, "\n");
}

/* "names: the name servers do not answer, for 12s" */
static void
status_text_naming(struct text *t, int upstream)
{
	const char *what;
	uint64_t    since, now = wait_now();
	char        time[STR_UNIT_MAX];

	if (!naming_state(upstream, &what, &since))
		return;
	text_add(t, "  %-24s %s, for %s\n", "names", what,
	    str_print_time(now > since ? (now - since) / 1000 * 1000 : 0, time));
}

/* What is open now, and what has been counted at all. */
static void
status_text_fields(struct text *t, const struct board_view *v)
{
	enum board_type type;
	const char     *name;
	uint64_t        sum;

	for (unsigned f = 0; (name = board_field_name(v->id, f, &type)) != NULL; f++) {
		sum = board_type_is_shown(type) ? board_view_sum(v, f) : 0;
		if (sum > 0 || type == BOARD_GAUGE)
			text_add(t, "  %-24s %" PRIu64 "\n", name, sum);
	}
}

/* All servers' gauges of that name, for each seat: walked once a command, since
 * many generations may be alive. */
static void
status_count_sessions(void)
{
	struct board_view view = { .id = -1 };
	const char       *name;

	memset(sessions, 0, sizeof sessions);
	memset(ending, 0, sizeof ending);
	while (board_next(&view)) {
		if (strcmp(view.kind, "server") != 0)
			continue;
		for (unsigned f = 0; (name = board_field_name(view.id, f, NULL)) != NULL; f++)
			if (strcmp(name, "sessions") == 0)
				status_add_up(view.id, f, sessions);
			else if (strcmp(name, "ending") == 0)
				status_add_up(view.id, f, ending);
	}
}

static void
status_add_up(int entry, unsigned field, uint64_t sums[BOARD_SEATS])
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		const struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->post_count; i++) {
			unsigned seat = g->posts[i].seat;

			if (seat != 0)
				sums[seat] += atomic_load_explicit(
				    &board_cell(entry, seat)[field], memory_order_relaxed);
		}
	}
}

/* A worker that serves says itself whether it accepts. */
static const char *
status_worker_state(const struct post *p)
{
	unsigned state;

	if (watchdog_silence(p) > 0)
		return "not answering";
	if (p->state != POST_SERVING)
		return post_state_name(p->state);
	if (p->generation->step != GENERATION_RUNNING)
		return "retiring";
	state = board_slot_get(p->slot, NULL);
	if (state >= sizeof slot_states / sizeof *slot_states)
		state = BOARD_SLOT_ABSENT;
	return slot_states[state];
}

/* Two may be alive for a moment: one of them works. */
static const char *
status_keeper_state(const struct post *p)
{
	uint32_t number;
	bool     works = board_slot_get(BOARD_KEEPER, &number) == BOARD_SLOT_ACCEPTING;

	if (watchdog_silence(p) > 0)
		return "not answering";
	if (p->state != POST_SERVING)
		return post_state_name(p->state);
	if (p->generation->step != GENERATION_RUNNING)
		return "retiring";
	return works && number == p->generation->number ? "working" : "standing by";
}
