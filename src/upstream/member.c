/* SPDX-License-Identifier: BSD-2-Clause */
/* member: peers that come and go while weir runs. */
#include "upstream/member.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/loop.h"
#include "net/tls.h"
#include "net/dial.h"
#include "upstream/link.h"
#include "upstream/name.h"
#include "upstream/roster.h"
#include "upstream/upstream.h"

/* What an empty place has for board words: it is `down`, and what is counted is lost. */
static board_word nowhere_shared[BOARD_SHARED] = { [PEER_SETTING] = SETTING_DOWN };
static board_word nowhere_cell[BOARD_FIELDS];

static int  member_put(const struct weir_upstream *, const struct member *, struct member_source);
static bool member_set(const struct weir_upstream *, const struct name *, const struct member *,
    struct member_source, int id, bool joins, uint64_t now);
static void member_begin(board_word *words, bool joins, uint64_t now);
static void member_leave(int id, uint64_t now);
static bool member_is_open(int id);
static void member_set_changed(const struct weir_upstream *);
static void member_look(struct weir_upstream *);
static void member_take(struct weir_peer *, uint64_t setting);
static bool member_bind_all(struct weir_upstream *);
static bool member_bind(struct weir_upstream *, int id, const char *name, uint64_t setting);
static bool member_is_idle(const struct weir_peer *);

static unsigned
member_key(uint64_t setting)
{
	return (unsigned)(setting >> SETTING_KEY_AT & SETTING_KEY);
}

static bool
member_is_there(uint64_t setting)
{
	return (setting & SETTING_MEMBER) != 0 && (setting & SETTING_GONE) == 0;
}

static bool
member_is_fixed(const struct weir_upstream *u, const char *name)
{
	const struct weir_peer *p = upstream_peer(u, name);

	return p != NULL && p->index < u->fixed;
}

int
member_next(const struct weir_upstream *u, int after, char name[BOARD_NAME_MAX], uint64_t *setting)
{
	char prefix[BOARD_NAME_MAX];
	int  end = (int)board_entries();

	snprintf(prefix, sizeof prefix, "%s/", u->name);
	for (int id = after + 1; id < end; id++) {
		if (!board_names(id, &upstream_peer_schema, prefix, name))
			continue;
		*setting = atomic_load(&board_shared(id)[PEER_SETTING]);
		if ((*setting & SETTING_MEMBER) != 0)
			return id;
	}
	return -1;
}

unsigned
member_count(const struct weir_upstream *u, const struct name *line)
{
	char     name[BOARD_NAME_MAX];
	uint64_t setting;
	unsigned count = 0;

	for (int id = -1; (id = member_next(u, id, name, &setting)) >= 0;)
		count += member_is_there(setting) && member_key(setting) == line->key;
	return count;
}

/* ------------------------------------------------------------------ publishing */

int
member_publish(const struct weir_upstream *u, const struct name *line, const struct member *set,
    unsigned count, bool all, struct member_source source, uint64_t now,
    struct member_changes *changes)
{
	static uint8_t listed[BOARD_ENTRIES];
	char           name[BOARD_NAME_MAX];
	uint64_t       setting;
	int            id;
	bool           wanted_all = all, joins = u->fixed > 0;

	joins |= member_next(u, -1, name, &setting) >= 0;
	*changes = (struct member_changes){ 0 };
	memset(listed, 0, sizeof listed);
	for (unsigned i = 0; i < count; i++) {
		if (member_is_fixed(u, addr_print(&set[i].addr, name)))
			continue;	/* it is written there, too */
		if ((id = member_put(u, &set[i], source)) < 0) {
			all = false;
			continue;
		}
		listed[id] = 1;
		changes->came += member_set(u, line, &set[i], source, id, joins, now);
	}
	for (id = -1; (id = member_next(u, id, name, &setting)) >= 0;) {
		if (!member_is_there(setting) || member_key(setting) != line->key)
			continue;
		if (!all || listed[id]) {
			changes->there++;
		} else {
			member_leave(id, now);
			changes->left++;
		}
	}
	if (changes->came > 0 || changes->left > 0)
		member_set_changed(u);
	return all || !wanted_all ? 0 : -1;
}

/* All workers look: at the set, and at what the words say. */
static void
member_set_changed(const struct weir_upstream *u)
{
	board_word *words = board_shared(u->board);

	atomic_fetch_add(&words[UPSTREAM_SET], 1);
	atomic_fetch_add(&words[UPSTREAM_CHANGES], 1);
}

/* Its entry, or -1 with errno. */
static int
member_put(const struct weir_upstream *u, const struct member *m, struct member_source source)
{
	char name[BOARD_NAME_MAX], text[ADDR_TEXT_MAX];
	int  id;

	snprintf(name, sizeof name, "%s/%s", u->name, addr_print(&m->addr, text));
	if ((id = board_enter(&upstream_peer_schema, name, source.index)) >= 0)
		atomic_fetch_or(board_users(id), atomic_load(board_users(u->board)));
	return id;
}

/* Whether that says anything new. */
static bool
member_set(const struct weir_upstream *u, const struct name *line, const struct member *m,
    struct member_source source, int id, bool joins, uint64_t now)
{
	const struct weir_peer *model = &line->model;
	board_word             *words = board_shared(id);
	uint64_t                setting = atomic_load(&words[PEER_SETTING]), wanted;

	if (member_is_there(setting) && member_key(setting) != line->key &&
	    name_find(u, member_key(setting)) != NULL)
		return false;		/* another line's */
	wanted = SETTING_MEMBER | SETTING_THERE | (m->weight > 0 ? m->weight : model->weight);
	wanted |= (uint64_t)source.number << SETTING_GENERATION_AT;
	wanted |= (uint64_t)line->key << SETTING_KEY_AT;
	if (m->backup || model->backup)
		wanted |= SETTING_BACKUP;
	if (model->down)
		wanted |= SETTING_DOWN;
	atomic_store(&words[PEER_MOST], model->max_conns);
	if ((uint32_t)wanted == (uint32_t)setting)
		return false;
	if (!member_is_there(setting))
		member_begin(words, joins, now);
	atomic_store(&words[PEER_SETTING], wanted);
	return true;
}

/* Whatever was known of one at this address is of another time. */
static void
member_begin(board_word *words, bool joins, uint64_t now)
{
	static const enum peer_word anew[] = { PEER_FAILS, PEER_FAILED_UNTIL, PEER_FAULT,
		PEER_ORDER, PEER_HEALTH, PEER_CHECKED };

	for (unsigned i = 0; i < sizeof anew / sizeof *anew; i++)
		atomic_store(&words[anew[i]], 0);
	atomic_store(&words[PEER_SINCE], now);
	atomic_store(&words[PEER_RETURNED], joins ? now : 0);
}

static void
member_leave(int id, uint64_t now)
{
	board_word *words = board_shared(id);

	atomic_store(&words[PEER_SINCE], now);
	atomic_fetch_or(&words[PEER_SETTING], SETTING_GONE | SETTING_DOWN);
}

int
member_join(const struct weir_upstream *u, unsigned generation)
{
	char     name[BOARD_NAME_MAX], whole[BOARD_NAME_MAX];
	uint64_t setting;

	for (int id = -1; (id = member_next(u, id, name, &setting)) >= 0;) {
		if (name_find(u, member_key(setting)) == NULL ||
		    (!member_is_there(setting) && !member_is_open(id)))
			continue;
		snprintf(whole, sizeof whole, "%s/%.*s", u->name, (int)sizeof whole / 2, name);
		if (board_enter(&upstream_peer_schema, whole, generation) < 0)
			return -1;
	}
	return 0;
}

/* Whether any worker has something open to it, or on its way. */
static bool
member_is_open(int id)
{
	return board_sum(id, PEER_CONNS) > 0 || board_sum(id, PEER_LINKS) > 0;
}

void
member_sweep(const struct weir_upstream *u, uint64_t now)
{
	char     name[BOARD_NAME_MAX];
	uint64_t setting, since;
	bool     any = false;

	for (int id = -1; (id = member_next(u, id, name, &setting)) >= 0;) {
		since = atomic_load(&board_shared(id)[PEER_SINCE]);
		if ((setting & SETTING_GONE) == 0 || now < since + MEMBER_REST ||
		    member_is_open(id))
			continue;
		atomic_store(board_users(id), 0);
		any = true;
	}
	if (any)
		member_set_changed(u);
}

/* ---------------------------------------------------------------- in a worker */

void
member_vacate(struct weir_peer *p)
{
	p->name[0] = '\0';
	p->weight = 0;
	p->backup = p->listed = false;
	p->board = -1;
	p->cell = nowhere_cell;
	p->shared = nowhere_shared;
	if (p->tls != NULL) {
		tls_session_free(p->tls->session);
		p->tls->session = NULL;
	}
}

/* First those that have left make room, then others come: so the roster and the balancer see
 * the one go before they see another in its place. */
void
member_follow(struct weir_upstream *u, uint64_t now)
{
	const struct weir_balancer *b = u->balancer->balancer;
	uint64_t                    set;

	if (u->line_count == 0)
		return;
	set = atomic_load_explicit(&u->shared[UPSTREAM_SET], memory_order_acquire);
	if (set == u->set_seen && !u->set_late)
		return;
	u->set_seen = set;
	member_look(u);
	upstream_rename(u);
	if (u->roster != NULL)
		roster_renew(u, now);
	u->set_late = !member_bind_all(u);
	upstream_rename(u);
	if (u->roster == NULL)
		return;			/* a keeper picks nobody */
	roster_renew(u, now);
	if (u->chosen && b->change != NULL)
		b->change(u);
}

static void
member_look(struct weir_upstream *u)
{
	char              name[BOARD_NAME_MAX];
	uint64_t          setting;
	struct weir_peer *p;

	for (unsigned i = u->fixed; i < u->peer_count; i++)
		u->peers[i].listed = false;
	for (int id = -1; (id = member_next(u, id, name, &setting)) >= 0;)
		if ((p = upstream_peer(u, name)) != NULL && p->board == id) {
			p->listed = member_is_there(setting);
			member_take(p, setting);
		}
	for (unsigned i = u->fixed; i < u->peer_count; i++) {
		p = &u->peers[i];
		if (p->board < 0 || p->listed || !member_is_idle(p))
			continue;
		atomic_store(&p->cell[PEER_ALLOWED], 0);
		atomic_store(&p->cell[PEER_STARVES], 0);
		member_vacate(p);
	}
}

/* What the set says of it. */
static void
member_take(struct weir_peer *p, uint64_t setting)
{
	p->weight = p->listed ? (unsigned)(setting & SETTING_WEIGHT) : 0;
	p->backup = (setting & SETTING_BACKUP) != 0;
}

/* Whether this worker has nothing to do with it any more. */
static bool
member_is_idle(const struct weir_peer *p)
{
	return p->in_flight == 0 && (p->pool == NULL || p->pool->count == 0) &&
	    atomic_load(&p->cell[PEER_CONNS]) == 0 && atomic_load(&p->cell[PEER_ARRIVING]) == 0 &&
	    atomic_load(&p->cell[PEER_LINKS]) == 0;
}

/* Those that have left, too, while somebody has sessions there: these may come here. False:
 * some have to wait for a place. */
static bool
member_bind_all(struct weir_upstream *u)
{
	char     name[BOARD_NAME_MAX];
	uint64_t setting;
	bool     all = true;

	for (int id = -1; (id = member_next(u, id, name, &setting)) >= 0;)
		if (upstream_peer(u, name) == NULL && name_find(u, member_key(setting)) != NULL &&
		    (member_is_there(setting) || member_is_open(id)))
			all &= member_bind(u, id, name, setting);
	if (!all && loop_complain(&u->complained_late))
		log_warn("upstream %s: connections to peers that have left take all places: others "
			 "that have come have to wait (resolve_peers)",
		    u->name);
	return all;
}

static bool
member_bind(struct weir_upstream *u, int id, const char *name, uint64_t setting)
{
	const struct name          *line = name_find(u, member_key(setting));
	const struct weir_balancer *b = u->balancer->balancer;
	struct weir_peer           *p = NULL;
	struct addr                 addr;
	uint64_t                    allowed;

	for (unsigned i = u->fixed; i < u->peer_count && p == NULL; i++)
		if (u->peers[i].board < 0)
			p = &u->peers[i];
	if (p == NULL)
		return false;
	/* What makes no sense somebody has written over: it is not for this worker. */
	if (strlen(name) >= sizeof p->name || addr_parse(&addr, name, NULL) != NULL)
		return true;
	strcpy(p->name, name);
	p->addr = addr;
	p->place = line->model.place;
	p->host = line->model.host;
	p->max_conns = line->model.max_conns;
	p->max_fails = line->model.max_fails;
	p->fail_timeout = line->model.fail_timeout;
	p->board = id;
	p->cell = board_cell(id, u->seat);
	p->shared = board_shared(id);
	p->listed = member_is_there(setting);
	member_take(p, setting);
	if (p->memory != NULL)
		memset(p->memory, 0, b->peer_size);
	if (p->tls != NULL)
		*p->tls = *line->model.tls;
	allowed = p->max_conns > 0 && p->max_conns < u->pool_size ? p->max_conns : u->pool_size;
	if (p->pool != NULL)
		atomic_store(&p->cell[PEER_ALLOWED], allowed);
	return true;
}
