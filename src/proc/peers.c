/* SPDX-License-Identifier: BSD-2-Clause */
/* peers: what the board has of them, and what an operator says of one. */
#include "proc/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "proc/control_line.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/table.h"
#include "proc/text.h"
#include "proc/wait.h"
#include "upstream/board.h"
#include "upstream/upstream.h"

/* A line of the table. */
struct peer_row {
	char                upstream[BOARD_NAME_MAX];
	const char         *address;		/* behind it, in the same memory */
	struct peer_account account;
	bool                removed;		/* no configuration that runs has it */
	uint64_t            connections;
	uint64_t            links;
	uint64_t            in_flight;
};

static void peer_row_read(struct peer_row *, const struct board_view *, uint64_t now);
static void peer_row_print_text(const struct peer_row *, struct text *, uint64_t now);
static void peer_row_print_json(const struct peer_row *, struct text *, uint64_t now);
static void peer_row_print_fault(struct text *, const char *fault, uint64_t at, uint64_t now);
static const char *peer_row_state(const struct peer_row *, char *out, size_t size, uint64_t now);
static void peers_complain(const char *upstream, const char *address, struct text *err);
static void peers_align(const struct text *rows, struct text *out);
static bool peers_know(const char *kind, const char *name, bool address);

static const char columns[] =
    "UPSTREAM\tADDRESS\tSTATE\tWEIGHT\tIN-FLIGHT\tLINKS\tSESSIONS\tLIMIT\tSINCE\tLAST ERROR";

static const char *const order_names[] = {
	[PEER_AS_CONFIGURED] = "",
	[PEER_ORDERED_UP] = "up",
	[PEER_ORDERED_DOWN] = "down",
	[PEER_ORDERED_DRAIN] = "drain",
};

/* --------------------------------------------------------------- weir peers */

bool
peers_print(const struct control_line *l, struct text *out, struct text *err)
{
	struct board_view view = { .id = -1 };
	struct text       rows = { 0 };
	struct peer_row   row;
	uint64_t          now = wait_now();
	bool              found = l->upstream == NULL;

	text_add(&rows, "%s\n", columns);
	text_json_open(out, NULL, '[');
	while (board_next(&view)) {
		if (!found && strcmp(view.kind, "upstream") == 0)
			found = strcmp(view.name, l->upstream) == 0;
		if (strcmp(view.kind, "peer") != 0)
			continue;
		peer_row_read(&row, &view, now);
		if (l->upstream != NULL && strcmp(row.upstream, l->upstream) != 0)
			continue;
		if (l->json)
			peer_row_print_json(&row, out, now);
		else
			peer_row_print_text(&row, &rows, now);
	}
	text_json_close(out, ']');
	text_add(out, "\n");
	if (!l->json) {
		text_free(out);
		peers_align(&rows, out);
	}
	out->cut |= rows.cut;
	text_free(&rows);
	if (!found)
		peers_complain(l->upstream, NULL, err);
	return found;
}

static void
peer_row_read(struct peer_row *row, const struct board_view *view, uint64_t now)
{
	const struct generation *g = generation_running();
	char                    *slash;

	strcpy(row->upstream, view->name);
	slash = strchr(row->upstream, '/');
	row->address = slash != NULL ? slash + 1 : "";
	if (slash != NULL)
		*slash = '\0';
	peer_account_read(&row->account, view->id, now);
	row->removed = g != NULL && (view->generations >> g->index & 1) == 0;
	row->connections = board_view_sum(view, PEER_CONNS);
	row->links = board_view_sum(view, PEER_LINKS);
	row->in_flight = board_view_sum(view, PEER_IN_FLIGHT);
}

/* "down by command", "up (backup)" */
static const char *
peer_row_state(const struct peer_row *row, char *out, size_t size, uint64_t now)
{
	const struct peer_account *a = &row->account;
	const char                *state = peer_account_state(a, row->connections), *by = "";
	char                       left[STR_UNIT_MAX], more[STR_UNIT_MAX + 16] = "";

	if (a->gone)
		by = "";		/* whatever was said of it */
	else if (a->order != PEER_AS_CONFIGURED)
		by = " by command";
	else if (a->down && !a->gone)
		by = " as configured";
	else if (a->failed_until > now)
		snprintf(more, sizeof more, ", for %s",
		    str_print_time((a->failed_until - now + 999) / 1000 * 1000, left));
	snprintf(out, size, "%s%s%s%s%s", state, by, more, a->backup ? " (backup)" : "",
	    row->removed ? " (removed)" : "");
	return out;
}

static void
peer_row_print_text(const struct peer_row *row, struct text *t, uint64_t now)
{
	const struct peer_account *a = &row->account;
	char                       state[128], weight[48], limit[24] = "-";
	char                       since[STR_UNIT_MAX] = "-";

	snprintf(weight, sizeof weight, "%u", a->weight);
	if (a->weight != a->configured)
		snprintf(weight, sizeof weight, "%u (configured %u)", a->weight, a->configured);
	if (a->max_conns > 0)
		snprintf(limit, sizeof limit, "%" PRIu64, a->max_conns);
	if (a->since != 0 && a->since <= now)
		str_print_time((now - a->since) / 1000 * 1000, since);
	text_add(t,
	    "%s\t%s\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t", row->upstream,
	    row->address, peer_row_state(row, state, sizeof state, now), weight, row->in_flight,
	    row->links, row->connections > row->links ? row->connections - row->links : 0, limit,
	    since);
	/* What its state comes of, or what it was last. */
	if (a->unhealthy || a->fault_at == 0)
		peer_row_print_fault(t, a->unhealthy ? a->check : NULL, a->checked_at, now);
	else
		peer_row_print_fault(t, a->fault, a->fault_at, now);
}

static void
peer_row_print_fault(struct text *t, const char *fault, uint64_t at, uint64_t now)
{
	char ago[STR_UNIT_MAX];

	if (fault == NULL)
		text_add(t, "-\n");
	else
		text_add(t, "%s, %s ago\n", fault,
		    str_print_time(now > at ? (now - at) / 1000 * 1000 : 0, ago));
}

static void
peer_row_print_json(const struct peer_row *row, struct text *t, uint64_t now)
{
	const struct peer_account *a = &row->account;

	text_json_open(t, NULL, '{');
	text_json_string(t, "upstream", row->upstream);
	text_json_string(t, "address", row->address);
	text_json_string(t, "state", peer_account_state(a, row->connections));
	text_json_string(t, "command", order_names[a->order]);
	text_json_number(t, "down", a->down ? 1 : 0);
	text_json_number(t, "backup", a->backup ? 1 : 0);
	text_json_number(t, "removed", row->removed ? 1 : 0);
	text_json_number(t, "weight", a->weight);
	text_json_number(t, "weight_configured", a->configured);
	text_json_number(t, "connections", row->connections);
	text_json_number(t, "links", row->links);
	text_json_number(t, "sessions",
	    row->connections > row->links ? row->connections - row->links : 0);
	text_json_number(t, "in_flight", row->in_flight);
	text_json_number(t, "max_conns", a->max_conns);
	text_json_number(t, "since_ms", a->since != 0 && a->since <= now ? now - a->since : 0);
	text_json_number(t, "failed_ms", a->failed_until > now ? a->failed_until - now : 0);
	text_json_string(t, "error", a->fault_at != 0 ? a->fault : "");
	text_json_number(t, "error_ms",
	    a->fault_at != 0 && a->fault_at <= now ? now - a->fault_at : 0);
	text_json_string(t, "health_check", a->check);
	text_json_number(t, "health_check_ms",
	    a->checked_at != 0 && now > a->checked_at ? now - a->checked_at : 0);
	text_json_close(t, '}');
}

static void
peers_align(const struct text *rows, struct text *out)
{
	struct table table = { .width = { 0 } };
	char        *row, *end;

	for (unsigned pass = 0; pass < 2 && rows->data != NULL; pass++)
		for (row = rows->data; (end = strchr(row, '\n')) != NULL; row = end + 1) {
			*end = '\0';
			if (pass == 0)
				table_measure(&table, row);
			else
				table_print(&table, row, out);
			*end = '\n';
		}
}

/* There is no such upstream, or (address) no such peer in it. */
static void
peers_complain(const char *upstream, const char *address, struct text *err)
{
	struct board_view view = { .id = -1 };
	struct peer_row   row;
	const char       *name;
	bool              found = false;
	unsigned          told = 0;

	while (board_next(&view))
		found |= strcmp(view.kind, "upstream") == 0 && strcmp(view.name, upstream) == 0;
	if (found)
		text_add(err, "upstream %s has no peer %s; it has", upstream, address);
	else
		text_add(err, "there is no upstream %s; there are", upstream);
	view = (struct board_view){ .id = -1 };
	while (board_next(&view)) {
		if (strcmp(view.kind, found ? "peer" : "upstream") != 0)
			continue;
		name = view.name;
		if (found) {
			peer_row_read(&row, &view, 0);
			name = row.address;
			if (strcmp(row.upstream, upstream) != 0)
				continue;
		}
		if (told++ < 8)
			text_add(err, "%s %s", told > 1 ? "," : "", name);
	}
	text_add(err, "%s\n", told == 0 ? " none" : told > 8 ? " and more: weir peers tells" : "");
}

/* ---------------------------------------------------------------- weir peer */

bool
peers_find(const struct control_line *l, struct peer_place *place, struct text *err)
{
	struct board_view   view = { .id = -1 };
	struct peer_account account;
	char                name[BOARD_NAME_MAX];

	snprintf(name, sizeof name, "%s/%s", l->upstream, l->address);
	*place = (struct peer_place){ -1, -1 };
	while (board_next(&view))
		if (strcmp(view.kind, "upstream") == 0 && strcmp(view.name, l->upstream) == 0)
			place->upstream = view.id;
		else if (strcmp(view.kind, "peer") == 0 && strcmp(view.name, name) == 0)
			place->board = view.id;
	if (place->board >= 0 && place->upstream >= 0) {
		peer_account_read(&account, place->board, wait_now());
		if (!account.gone)
			return true;
		text_add(err, "peer %s of upstream %s has left: its name stands for others now\n",
		    l->address, l->upstream);
		return false;
	}
	peers_complain(l->upstream, l->address, err);
	return false;
}

void
peers_order(const struct control_line *l, const struct peer_place *place)
{
	static const enum peer_order orders[] = {
		[VERB_UP] = PEER_ORDERED_UP,
		[VERB_DOWN] = PEER_ORDERED_DOWN,
		[VERB_DRAIN] = PEER_ORDERED_DRAIN,
	};

	if (l->verb == VERB_WEIGHT)
		peer_order_weight(place->board, place->upstream, l->weight);
	else
		peer_order_state(place->board, place->upstream, orders[l->verb], wait_now());
}

uint64_t
peers_connections(const struct peer_place *place)
{
	return board_sum(place->board, PEER_CONNS);
}

bool
peers_know_address(const char *address)
{
	return peers_know("peer", address, true);
}

bool
peers_know_server(const char *name)
{
	return peers_know("server", name, false);
}

static bool
peers_know(const char *kind, const char *name, bool address)
{
	struct board_view view = { .id = -1 };
	const char       *whole;
	bool              found = false;

	while (board_next(&view)) {
		whole = address ? strchr(view.name, '/') : view.name;
		if (strcmp(view.kind, kind) == 0 && whole != NULL &&
		    strcmp(address ? whole + 1 : whole, name) == 0)
			found = true;
	}
	return found;
}

void
peers_print_orders(struct text *t)
{
	struct board_view          view = { .id = -1 };
	struct peer_row            row;
	const struct peer_account *a = &row.account;

	while (board_next(&view)) {
		if (strcmp(view.kind, "peer") != 0)
			continue;
		peer_row_read(&row, &view, wait_now());
		if (row.removed || (a->order == PEER_AS_CONFIGURED && a->weight == a->configured))
			continue;
		text_add(t, "# weir peer %s %s", row.upstream, row.address);
		if (a->order != PEER_AS_CONFIGURED)
			text_add(t, " %s", order_names[a->order]);
		if (a->order != PEER_AS_CONFIGURED && a->weight != a->configured)
			text_add(t, "\n# weir peer %s %s", row.upstream, row.address);
		if (a->weight != a->configured)
			text_add(t, " weight %u", a->weight);
		text_add(t, "\n");
	}
}
