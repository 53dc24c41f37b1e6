/* SPDX-License-Identifier: BSD-2-Clause */
/* answers: what workers say of sessions: gathered, sorted, printed. */
#include "ctl/answers.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "proc/control_line.h"
#include "proc/table.h"
#include "proc/text.h"
#include "proc/wait.h"
#include "session/survey.h"

#define ANSWERS_PATIENCE 10000u		/* ms without a word */
#define ANSWERS_WAIT     300000u	/* ms, until all that are closed have ended */
#define ANSWERS_SPARE    4096u		/* lines beyond the limit that are kept for a while */
#define ANSWERS_OUT      65536u		/* bytes that are printed at a time */

/* What has come of one worker. */
struct answer_source {
	unsigned slot;
	unsigned generation;
	bool     counted;
	bool     ended;
};

struct answer_line {
	uint64_t id;
	char    *text;
};

struct answers {
	const struct answers_request *request;
	struct answer_source         *sources;
	unsigned                      source_count;
	struct answer_line           *lines;
	size_t                        count;
	size_t                        room;
	uint64_t                      meant;
	bool                          short_of_memory;
};

/* Cells of a line. */
enum answer_cell {
	CELL_ID,
	CELL_SERVER,
	CELL_CLIENT,
	CELL_PROXY,
	CELL_AGE,
	CELL_IDLE,
	CELL_IN,
	CELL_OUT,
	CELL_STEP,
	CELL_TLS,
	CELL_PEER,
};

static const char answer_columns[] =
    "SESSION\tSERVER\tCLIENT\tPROXY\tAGE\tIDLE\tIN\tOUT\tSTEP\tTLS\tPEER";

static const char *const answer_keys[SURVEY_COLUMNS] = {
	"session", "server", "client", "proxy", "age_ms", "idle_ms", "bytes_in", "bytes_out",
	"step", "tls", "peer",
};

static bool answers_find_sources(struct answers *, const char *asked);
static bool answers_read(struct answers *);
static bool answers_wait(const struct answers *, uint64_t since);
static void answers_take(struct answers *, char *message);
static void answers_note(struct answers *, char kind, const char *text);
static void answers_add(struct answers *, char *line);
static int  answer_line_compare(const void *, const void *);
static void answers_sort(struct answers *);
static void answers_print_table(const struct answers *);
static void answers_print_json(const struct answers *);
static void answer_line_format(const struct answer_line *, char *out, size_t size);
static void answer_line_print_json(const struct answer_line *, struct text *);
static unsigned answer_line_cut(const struct answer_line *, char *copy, size_t size,
    const char *cells[SURVEY_COLUMNS]);
static void answers_write_out(struct text *, size_t least);
static bool answers_tell_missing(const struct answers *);
static bool answers_tell_unknown(const struct answers *);

int
answers_print(const struct answers_request *request)
{
	struct answers a = { .request = request };
	bool           good = answers_find_sources(&a, request->asked);

	good = good && answers_read(&a);
	answers_sort(&a);
	if (!request->closes && request->json)
		answers_print_json(&a);
	else if (!request->closes)
		answers_print_table(&a);
	else if (!request->quiet)
		printf("%" PRIu64 " session%s %s\n", a.meant, a.meant == 1 ? "" : "s",
		    request->waits && good ? "closed" : "to be closed");
	fflush(stdout);
	good = !answers_tell_missing(&a) && good;
	good = !answers_tell_unknown(&a) && good;
	if (a.short_of_memory)
		fprintf(stderr, "weir: memory is short: not all are here; --limit takes less\n");
	for (size_t i = 0; i < a.count; i++)
		free(a.lines[i].text);
	free(a.lines);
	free(a.sources);
	return good && !a.short_of_memory ? 0 : 1;
}

static bool
answers_find_sources(struct answers *a, const char *asked)
{
	const char *at;
	unsigned    n = 1;

	for (at = asked; *at != '\0'; at++)
		n += *at == ' ';
	if ((a->sources = calloc(n, sizeof *a->sources)) == NULL) {
		a->short_of_memory = true;
		return false;
	}
	for (at = asked; at != NULL && a->source_count < n; at = strchr(at, ' ')) {
		struct answer_source *s = &a->sources[a->source_count];

		at += *at == ' ';
		if (sscanf(at, "%u:%u", &s->slot, &s->generation) == 2)
			a->source_count++;
	}
	return true;
}

/* Until the last worker has closed its end. False: some do not get on with it. */
static bool
answers_read(struct answers *a)
{
	static char message[SURVEY_TEXT + 1];
	uint64_t    since = wait_now();
	ssize_t     n;

	for (;;) {
		if (!answers_wait(a, since))
			return false;
		n = recv(a->request->channel, message, sizeof message - 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return true;
		if (a->request->timeout == 0 && !a->request->waits)
			since = wait_now();
		message[n] = '\0';
		answers_take(a, message);
	}
}

static bool
answers_wait(const struct answers *a, uint64_t since)
{
	struct pollfd p = { .fd = a->request->channel, .events = POLLIN };
	uint64_t      patience = a->request->timeout, waited;
	int           n;

	if (patience == 0)
		patience = a->request->waits ? ANSWERS_WAIT : ANSWERS_PATIENCE;
	do {
		waited = wait_now() - since;
		if (waited >= patience)
			return false;
		n = poll(&p, 1, (int)(patience - waited < INT_MAX ? patience - waited : INT_MAX));
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

static void
answers_take(struct answers *a, char *message)
{
	char kind = *message, *rest = message + 1, *line;

	if (kind == 'M' || kind == 'E') {
		answers_note(a, kind, rest);
		return;
	}
	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			answers_add(a, line);
}

static void
answers_note(struct answers *a, char kind, const char *text)
{
	unsigned slot, generation;
	uint64_t count = 0;
	int      n = sscanf(text, "%u %u %" SCNu64, &slot, &generation, &count);

	for (unsigned i = 0; n >= 2 && i < a->source_count; i++) {
		struct answer_source *s = &a->sources[i];

		if (s->slot != slot || s->generation != generation)
			continue;
		if (kind == 'M' && !s->counted)
			a->meant += count;
		s->counted = true;
		s->ended |= kind == 'E';
	}
}

static void
answers_add(struct answers *a, char *line)
{
	size_t              room = a->room > 0 ? a->room * 2 : 1024;
	struct answer_line *grown, l = { 0, NULL };
	char                id[32];

	snprintf(id, sizeof id, "%.*s", (int)strcspn(line, "\t"), line);
	if (a->request->limit > 0 && a->count >= a->request->limit * 2 + ANSWERS_SPARE)
		answers_sort(a);
	if (a->count == a->room) {
		if ((grown = realloc(a->lines, room * sizeof *grown)) == NULL) {
			a->short_of_memory = true;
			return;
		}
		a->lines = grown;
		a->room = room;
	}
	if (!control_line_read_id(id, &l.id))
		return;
	if ((l.text = strdup(line)) == NULL)
		a->short_of_memory = true;
	else
		a->lines[a->count++] = l;
}

static int
answer_line_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct answer_line *)a)->id, y = ((const struct answer_line *)b)->id;

	return x < y ? -1 : x > y;
}

/* One that has moved meanwhile may have been told of twice. */
static void
answers_sort(struct answers *a)
{
	uint64_t limit = a->request->limit > 0 ? a->request->limit : UINT64_MAX;
	size_t   kept = 0;

	if (a->count == 0)
		return;
	qsort(a->lines, a->count, sizeof *a->lines, answer_line_compare);
	for (size_t i = 0; i < a->count; i++)
		if (kept < limit && (kept == 0 || a->lines[i].id != a->lines[kept - 1].id))
			a->lines[kept++] = a->lines[i];
		else
			free(a->lines[i].text);
	a->count = kept;
}

/* ------------------------------------------------------------------ printing */

static void
answers_print_table(const struct answers *a)
{
	struct table table = { .width = { 0 } };
	struct text  out = { 0 };
	char         row[2048];

	if (a->request->quiet)
		return;
	table_measure(&table, answer_columns);
	for (size_t i = 0; i < a->count; i++) {
		answer_line_format(&a->lines[i], row, sizeof row);
		table_measure(&table, row);
	}
	table_print(&table, answer_columns, &out);
	for (size_t i = 0; i < a->count; i++) {
		answer_line_format(&a->lines[i], row, sizeof row);
		table_print(&table, row, &out);
		answers_write_out(&out, ANSWERS_OUT);
	}
	answers_write_out(&out, 0);
	text_free(&out);
}

static void
answers_print_json(const struct answers *a)
{
	struct text out = { 0 };

	text_json_open(&out, NULL, '[');
	for (size_t i = 0; i < a->count; i++) {
		answer_line_print_json(&a->lines[i], &out);
		answers_write_out(&out, ANSWERS_OUT);
	}
	text_json_close(&out, ']');
	text_add(&out, "\n");
	answers_write_out(&out, 0);
	text_free(&out);
}

/* What there is goes out when it is more than that. */
static void
answers_write_out(struct text *t, size_t least)
{
	if (t->size <= least)
		return;
	fwrite(t->data, 1, t->size, stdout);
	t->size = 0;
}

static void
answer_line_format(const struct answer_line *l, char *out, size_t size)
{
	const char *cells[SURVEY_COLUMNS];
	char        copy[2048], times[2][STR_UNIT_MAX];
	uint64_t    ms;
	size_t      used = 0;

	*out = '\0';
	if (answer_line_cut(l, copy, sizeof copy, cells) != SURVEY_COLUMNS)
		return;
	for (unsigned i = 0; i < 2; i++)
		if (str_number(cells[CELL_AGE + i], &ms))
			cells[CELL_AGE + i] = str_print_time(ms < 1000 ? ms : ms / 1000 * 1000,
			    times[i]);
	for (unsigned i = 0; i < SURVEY_COLUMNS && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? "\t" : "",
		    cells[i]);
}

static void
answer_line_print_json(const struct answer_line *l, struct text *t)
{
	const char *cells[SURVEY_COLUMNS];
	char        copy[2048];
	uint64_t    number;

	if (answer_line_cut(l, copy, sizeof copy, cells) != SURVEY_COLUMNS)
		return;
	text_json_open(t, NULL, '{');
	for (unsigned i = 0; i < SURVEY_COLUMNS; i++)
		if (i >= CELL_AGE && i <= CELL_OUT && str_number(cells[i], &number))
			text_json_number(t, answer_keys[i], number);
		else
			text_json_string(t, answer_keys[i],
			    strcmp(cells[i], "-") == 0 ? "" : cells[i]);
	text_json_close(t, '}');
}

/* How many cells there are. */
static unsigned
answer_line_cut(const struct answer_line *l, char *copy, size_t size,
    const char *cells[SURVEY_COLUMNS])
{
	char    *rest = copy, *cell;
	unsigned n = 0;

	snprintf(copy, size, "%s", l->text);
	while (n < SURVEY_COLUMNS && (cell = strsep(&rest, "\t")) != NULL)
		cells[n++] = cell;
	return n;
}

/* ---------------------------------------------------------- what is missing */

static bool
answers_tell_missing(const struct answers *a)
{
	const char *what;
	bool        missing = false;

	for (unsigned i = 0; i < a->source_count; i++) {
		const struct answer_source *s = &a->sources[i];

		if (s->ended)
			continue;
		missing = true;
		if (!s->counted)
			what = "has not told all of its sessions: it has ended, or is busy";
		else if (a->request->waits)
			what = "has sessions yet that are to be closed";
		else
			what = "has not told whether that was all";
		fprintf(stderr, "weir: worker %u (generation %u) %s\n", s->slot, s->generation,
		    what);
	}
	return missing;
}

static bool
answers_tell_unknown(const struct answers *a)
{
	const struct answers_request *r = a->request;
	struct answer_line            wanted = { 0, NULL };
	bool                          unknown = false;

	for (unsigned i = 0; i < r->id_count; i++) {
		wanted.id = r->ids[i];
		if (a->count > 0 &&
		    bsearch(&wanted, a->lines, a->count, sizeof *a->lines, answer_line_compare) !=
			NULL)
			continue;
		unknown = true;
		fprintf(stderr, "weir: there is no session %u.%u: weir sessions has them\n",
		    (unsigned)(r->ids[i] >> 32), (unsigned)r->ids[i]);
	}
	return unknown;
}
