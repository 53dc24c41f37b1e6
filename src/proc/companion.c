/* SPDX-License-Identifier: BSD-2-Clause */
/* companion: the other master, while a newly started program goes on for an older one. */
#include "proc/companion.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "config.h"
#include "net/tls.h"
#include "proc/fdtable.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/heirs.h"
#include "proc/message.h"
#include "proc/text.h"
#include "proc/tickets.h"
#include "proc/wait.h"

#define COMPANION_PATIENCE 10000	/* ms that the older one is waited for */
#define COMPANION_FULL        20u	/* ms until it is tried again */

/* In the order in which they are sent. */
enum companion_word {
	COMPANION_WELCOME,
	COMPANION_DESCRIPTORS,
	COMPANION_TICKETS,
	COMPANION_READY,
	COMPANION_HELLO,
	COMPANION_LINE,
	COMPANION_FILES,
	COMPANION_RUNS,		/* or gone */
	COMPANION_QUITS,
	COMPANION_STOP,
	COMPANION_RELOAD,
	COMPANION_WORDS
};

static const char *const words[COMPANION_WORDS] = {
	[COMPANION_WELCOME] = "welcome",
	[COMPANION_DESCRIPTORS] = "descriptors",
	[COMPANION_TICKETS] = "tickets",
	[COMPANION_READY] = "ready",
	[COMPANION_HELLO] = "hello",
	[COMPANION_LINE] = "line",
	[COMPANION_FILES] = "files",
	[COMPANION_RUNS] = "runs",
	[COMPANION_QUITS] = "quits",
	[COMPANION_STOP] = "stop",
	[COMPANION_RELOAD] = "reload",
};

struct companion companion;

static struct {
	int                      fd;
	struct watch             watch;
	struct deadline          retry;
	unsigned                 owed;	/* bits of enum companion_word */
	struct companion_welcome welcome;
	struct fdtable           table;	/* what is sent; owns nothing */
	unsigned                 sent;	/* of it */
	char                     pid_file[PATH_MAX];	/* COMPANION_FILES */
	char                     control[PATH_MAX];
} way = { .fd = -1 };

static const struct companion_ops *ops;

static bool companion_take_first(struct companion_welcome *, bool *ready);
static void companion_came(struct watch *, short what);
static void companion_take(struct message *);
static void companion_take_runs(struct message *, const char *text);
static bool companion_take_descriptors(const struct message *, const char *text);
static void companion_owe(enum companion_word);
static void companion_flush(void);
static void companion_flush_due(struct deadline *);
static bool companion_send(enum companion_word);
static bool companion_send_table(void);
static int  companion_send_runs(struct text *);
static int  companion_send_tickets(struct text *);
static int  companion_send_text(int fd, const struct text *, const int *fds, unsigned count);
static char *companion_text(const struct message *);
static enum companion_word companion_word(const char *text);
static bool companion_field(const char *text, const char *key, char *out, size_t size);
static bool companion_number(const char *text, const char *key, uint64_t *);

void
companion_start(const struct companion_ops *given)
{
	ops = given;
}

/* ------------------------------------------------------------------ the newer */

int
companion_accept(struct companion_welcome *welcome)
{
	const char   *said = getenv(COMPANION_VARIABLE);
	uint64_t      fd;
	int           kind;
	socklen_t     len = sizeof kind;
	struct pollfd p = { .events = POLLIN };
	bool          ready = false;

	if (said == NULL)
		return 0;
	if (!str_number(said, &fd) || fd > INT_MAX ||
	    getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &kind, &len) < 0 || kind != SOCK_SEQPACKET) {
		fprintf(stderr, "weir: %s in the environment is for weir's own use: unset it\n",
		    COMPANION_VARIABLE);
		return -1;
	}
	unsetenv(COMPANION_VARIABLE);
	p.fd = way.fd = (int)fd;
	*welcome = (struct companion_welcome){ 0 };
	if (fdtable_add(&master_fds, FD_COMPANION, "", 0, way.fd) < 0)
		goto fail;
	while (!ready)
		if (poll(&p, 1, COMPANION_PATIENCE) <= 0 || !companion_take_first(welcome, &ready))
			goto fail;
	watch_start(&way.watch, way.fd, POLLIN, companion_came);
	return 1;
fail:
	fprintf(stderr, "weir: the weir that is to be upgraded does not say what it has\n");
	return -1;
}

/* False: it has ended, or what it says cannot be used. */
static bool
companion_take_first(struct companion_welcome *w, bool *ready)
{
	struct message         m;
	char                  *text;
	struct tls_ticket_keys keys;
	uint64_t               pid = 0, number = 0, daemon = 0, since = 0;

	if (message_receive(way.fd, &m) != 1 || m.kind != MESSAGE_COMPANION)
		return false;
	text = companion_text(&m);
	switch (companion_word(text)) {
	case COMPANION_WELCOME:
		if (!companion_number(text, "pid", &pid) ||
		    !companion_number(text, "number", &number))
			return false;
		(void)companion_number(text, "daemon", &daemon);
		/* Another one between the two would be taken for this one. */
		if ((pid_t)pid != getppid())
			return false;
		companion.pid = (pid_t)pid;
		w->number = (uint32_t)number;
		w->daemon = daemon != 0;
		companion_field(text, "version", companion.version, sizeof companion.version);
		companion_field(text, "pid_file", w->pid_file, sizeof w->pid_file);
		companion_field(text, "control", w->control, sizeof w->control);
		return true;
	case COMPANION_DESCRIPTORS:
		return companion_take_descriptors(&m, text);
	case COMPANION_TICKETS:
		if (m.size > sizeof keys && companion_number(text, "since", &since)) {
			memcpy(&keys, text + m.size - sizeof keys, sizeof keys);
			tickets_adopt(&keys, since);
			explicit_bzero(&keys, sizeof keys);
		}
		explicit_bzero(text, m.size);
		message_wipe(&m);
		return true;
	case COMPANION_READY:
		*ready = companion.pid != 0;
		return *ready;
	default:
		message_discard(&m);
		return true;
	}
}

static bool
companion_take_descriptors(const struct message *m, const char *text)
{
	size_t first = strlen(words[COMPANION_DESCRIPTORS]) + 1;

	return m->size >= first &&
	    fdtable_decode(&master_fds, text + first, m->size - first, m->fds, m->fd_count) >= 0;
}

/* ------------------------------------------------------------------ the older */

int
companion_begin(int fd, pid_t pid, const struct companion_welcome *welcome, struct fdtable *table)
{
	if (fdtable_add(&master_fds, FD_COMPANION, "", 0, fd) < 0) {
		fdtable_forget(table);
		return -1;
	}
	way.welcome = *welcome;
	way.table = *table;
	companion = (struct companion){ .pid = pid, .newer = true };
	way.fd = fd;
	way.sent = 0;
	watch_start(&way.watch, fd, POLLIN, companion_came);
	way.owed = 1u << COMPANION_WELCOME | 1u << COMPANION_DESCRIPTORS | 1u << COMPANION_READY |
	    1u << COMPANION_RUNS;
	if (tickets_keys() != NULL)
		way.owed |= 1u << COMPANION_TICKETS;
	companion_flush();
	return 0;
}

/* -------------------------------------------------------------------- receiving */

static void
companion_came(struct watch *w, short what)
{
	(void)w;
	(void)what;
	if (!companion_drain())
		ops->ended();
}

bool
companion_drain(void)
{
	struct message m;
	int            got;

	while (way.fd >= 0) {
		got = message_receive(way.fd, &m);
		if (got < 0 && errno == EAGAIN)
			return true;
		if (got == 1 && m.kind == MESSAGE_COMPANION) {
			companion_take(&m);
			continue;
		}
		if (got == 1)
			message_discard(&m);
		if (got == 1 || (got < 0 && errno == EPROTO))
			continue;
		watch_stop(&way.watch);
		return false;
	}
	return true;
}

static void
companion_take(struct message *m)
{
	const char *text = companion_text(m);
	char        pid_file[PATH_MAX] = "", control[PATH_MAX] = "", level[8] = "";

	switch (companion_word(text)) {
	case COMPANION_HELLO:
		companion_field(text, "version", companion.version, sizeof companion.version);
		companion.apart = companion_field(text, "board", level, sizeof level) &&
		    strcmp(level, "another") == 0;
		ops->changed();
		break;
	case COMPANION_LINE:
		if (companion_field(text, "level", level, sizeof level))
			ops->line((enum weir_level)atoi(level), strrchr(text, '\n') + 1);
		break;
	case COMPANION_FILES:
		companion_field(text, "pid_file", pid_file, sizeof pid_file);
		companion_field(text, "control", control, sizeof control);
		ops->files(pid_file, control);
		break;
	case COMPANION_RUNS:
		companion_take_runs(m, text);
		ops->changed();
		return;
	case COMPANION_QUITS:
		companion.quits = true;
		ops->changed();
		break;
	case COMPANION_STOP:
		ops->stop();
		break;
	case COMPANION_RELOAD:
		ops->reload();
		break;
	default:
		break;
	}
	message_discard(m);
}

/* "runs", generation, index, parcel, seats: "12 13 14"; generation 0: none runs. */
static void
companion_take_runs(struct message *m, const char *text)
{
	static uint32_t seats[MESSAGE_FDS_MAX];
	static char     list[MESSAGE_FDS_MAX * 12];
	uint64_t        number = 0, index = 0, version = 0, seat;
	char           *rest = list, *word;
	unsigned        n = 0;

	companion_number(text, "generation", &number);
	companion_number(text, "index", &index);
	companion_number(text, "parcel", &version);
	companion_field(text, "seats", list, sizeof list);
	while (n < MESSAGE_FDS_MAX && (word = str_word(&rest)) != NULL && str_number(word, &seat))
		seats[n++] = (uint32_t)seat;
	companion.runs = (uint32_t)number;
	companion.ran |= number != 0;
	m->a = (uint32_t)number;
	m->b = (uint32_t)index;
	m->c = (uint32_t)version;
	m->data = seats;
	m->size = n * sizeof *seats;
	if (companion.apart) {
		message_discard(m);
		heirs_disown();
	} else {
		heirs_adopt(m);
	}
}

/* ---------------------------------------------------------------------- sending */

void
companion_greet(void)
{
	companion_owe(COMPANION_HELLO);
}

void
companion_tell_line(enum weir_level level, const char *line)
{
	companion_send_line(way.fd, level, line);
}

void
companion_send_line(int fd, enum weir_level level, const char *line)
{
	struct text text = { 0 };

	if (fd < 0)
		return;
	text_add(&text, "%s\nlevel %d\n%s", words[COMPANION_LINE], (int)level, line);
	/* What one does not read that is stopped, nobody waits for. */
	(void)companion_send_text(fd, &text, NULL, 0);
	text_free(&text);
}

void
companion_tell_files(const char *pid_file, const char *control)
{
	snprintf(way.pid_file, sizeof way.pid_file, "%s", pid_file);
	snprintf(way.control, sizeof way.control, "%s", control);
	companion_owe(COMPANION_FILES);
}

void
companion_tell_runs(void)
{
	companion_owe(COMPANION_RUNS);
}

void
companion_tell_quits(void)
{
	companion_owe(COMPANION_QUITS);
}

void
companion_tell_stop(void)
{
	companion_owe(COMPANION_STOP);
}

void
companion_tell_reload(void)
{
	companion_owe(COMPANION_RELOAD);
}

void
companion_end(void)
{
	watch_stop(&way.watch);
	deadline_clear(&way.retry);
	fdtable_forget(&way.table);
	fdtable_close(&master_fds, FD_COMPANION, "", 0);
	heirs_disown();
	way.fd = -1;
	way.owed = 0;
	companion = (struct companion){ 0 };
}

static void
companion_owe(enum companion_word word)
{
	if (way.fd < 0)
		return;
	way.owed |= 1u << word;
	companion_flush();
}

static void
companion_flush_due(struct deadline *d)
{
	(void)d;
	companion_flush();
}

static void
companion_flush(void)
{
	for (unsigned w = 0; w < COMPANION_WORDS && way.fd >= 0; w++) {
		if ((way.owed & 1u << w) == 0)
			continue;
		if (!companion_send((enum companion_word)w)) {
			deadline_set(&way.retry, COMPANION_FULL, companion_flush_due);
			return;
		}
		way.owed &= ~(1u << w);
	}
}

/* False: there is no room now. One that has ended is told of by its descriptor. */
static bool
companion_send(enum companion_word word)
{
	const struct companion_welcome *w = &way.welcome;
	struct text                     text = { 0 };
	int                             result;

	if (word == COMPANION_DESCRIPTORS)
		return companion_send_table();
	text_add(&text, "%s\n", words[word]);
	if (word == COMPANION_WELCOME)
		text_add(&text,
		    "version %s\npid %d\nnumber %" PRIu32 "\ndaemon %d\npid_file %s\ncontrol %s\n",
		    VERSION, (int)getpid(), w->number, w->daemon, w->pid_file, w->control);
	else if (word == COMPANION_HELLO)
		text_add(&text, "version %s\nboard %s\n", VERSION,
		    companion.apart ? "another" : "same");
	else if (word == COMPANION_FILES)
		text_add(&text, "pid_file %s\ncontrol %s\n", way.pid_file, way.control);
	if (word == COMPANION_RUNS)
		result = companion_send_runs(&text);
	else if (word == COMPANION_TICKETS)
		result = companion_send_tickets(&text);
	else
		result = companion_send_text(way.fd, &text, NULL, 0);
	text_free(&text);
	return result == 0;
}

static int
companion_send_runs(struct text *text)
{
	struct message           m = { 0 };
	const uint32_t          *seats;
	const struct generation *g = generation_running();

	text_add(text, "generation %" PRIu32 "\n", g == NULL ? 0 : g->number);
	if (!companion.apart && heirs_offer(&m)) {
		seats = m.data;
		text_add(text, "index %" PRIu32 "\nparcel %" PRIu32 "\nseats", m.b, m.c);
		for (unsigned i = 0; i < m.fd_count; i++)
			text_add(text, " %" PRIu32, seats[i]);
		text_add(text, "\n");
	}
	return companion_send_text(way.fd, text, m.fds, m.fd_count);
}

/* Behind the text as they are, which text_add cannot write. */
static int
companion_send_tickets(struct text *text)
{
	char           data[64 + sizeof(struct tls_ticket_keys)];
	struct message m = { .kind = MESSAGE_COMPANION, .data = data };
	int            result;

	text_add(text, "since %" PRIu64 "\n", tickets_since());
	if (tickets_keys() == NULL || text->size > 64)
		return 0;
	memcpy(data, text->data, text->size);
	memcpy(data + text->size, tickets_keys(), sizeof(struct tls_ticket_keys));
	m.size = text->size + sizeof(struct tls_ticket_keys);
	result = message_send(way.fd, &m);
	explicit_bzero(data, sizeof data);
	return result == 0 || errno == EPIPE || errno == ECONNRESET ? 0 : -1;
}

static bool
companion_send_table(void)
{
	static char    data[MESSAGE_DATA_MAX];
	int            fds[MESSAGE_FDS_MAX];
	size_t         word = strlen(words[COMPANION_DESCRIPTORS]) + 1;
	struct message m = { .kind = MESSAGE_COMPANION, .data = data, .fds = fds };
	unsigned       next;

	memcpy(data, words[COMPANION_DESCRIPTORS], word - 1);
	data[word - 1] = '\n';
	while (way.sent < way.table.count) {
		next = way.sent;
		m.size = word +
		    fdtable_encode(&way.table, &next, data + word, sizeof data - word, fds,
			MESSAGE_FDS_MAX, &m.fd_count);
		if (message_send(way.fd, &m) < 0)
			return errno == EPIPE || errno == ECONNRESET;
		way.sent = next;
	}
	fdtable_forget(&way.table);
	return true;
}

/* 0, or -1: there is no room now. */
static int
companion_send_text(int fd, const struct text *text, const int *fds, unsigned count)
{
	const struct message m = { .kind = MESSAGE_COMPANION,
		.data = text->data,
		.size = text->size,
		.fds = fds,
		.fd_count = count };

	if (text->cut)
		return -1;
	return message_send(fd, &m) == 0 || errno == EPIPE || errno == ECONNRESET ||
		errno == EMSGSIZE
	    ? 0
	    : -1;
}

/* ------------------------------------------------------------------------- text */

/* What has come, with an end; valid until the next. */
static char *
companion_text(const struct message *m)
{
	static char text[MESSAGE_DATA_MAX + 1];

	memcpy(text, m->data, m->size);
	text[m->size] = '\0';
	return text;
}

static enum companion_word
companion_word(const char *text)
{
	size_t   len = strcspn(text, "\n");
	unsigned w = 0;

	while (w < COMPANION_WORDS && (strlen(words[w]) != len || memcmp(words[w], text, len) != 0))
		w++;
	return (enum companion_word)w;
}

/* The rest of the line that begins with this key; "" and false: there is none. */
static bool
companion_field(const char *text, const char *key, char *out, size_t size)
{
	size_t      len = strlen(key);
	const char *line = text;

	*out = '\0';
	while ((line = strchr(line, '\n')) != NULL) {
		line++;
		if (strncmp(line, key, len) != 0 || line[len] != ' ')
			continue;
		line += len + 1;
		len = strcspn(line, "\n");
		if (len >= size)
			return false;
		memcpy(out, line, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

static bool
companion_number(const char *text, const char *key, uint64_t *number)
{
	char value[24];

	return companion_field(text, key, value, sizeof value) && str_number(value, number);
}
