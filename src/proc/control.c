/* SPDX-License-Identifier: BSD-2-Clause */
/* control: the socket on which the master takes commands. */
#include "proc/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "net/sock.h"
#include "proc/caller.h"
#include "proc/control_line.h"
#include "proc/fdtable.h"
#include "proc/fileid.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/inquiry.h"
#include "proc/message.h"
#include "proc/peers.h"
#include "proc/report.h"
#include "proc/text.h"
#include "proc/wait.h"

#define CLIENT_PATIENCE 10000u	/* ms without a step forward */
#define DOOR_PAUSE        100u	/* ms without accepting, when accepting fails */
#define CLIENT_REPORT   65536u	/* bytes of a reload's answer that may wait */
#define CLIENT_LOOK        50u	/* ms, between looks at what it waits for */

struct client {
	bool             used;
	unsigned         slot;
	int              fd;
	struct watch     watch;
	struct deadline  deadline;
	struct deadline  look;		/* at what it waits for */
	struct requester requester;
	struct caller    caller;
	char             line[CONTROL_LINE_MAX + 2];
	char            *written;	/* in it: what follows the command */
	struct peer_place peer;		/* that is to be empty */
	struct inquiry   inquiry;	/* of the workers */
	int              channel;	/* to be sent with the first byte; -1: none is */
	unsigned         length;
	bool             commanded;	/* its line has come */
	bool             gone;		/* it has closed its end: nobody hears an answer */
	bool             until_end;	/* waits for the end of weir */
	bool             finished;	/* closed when all is sent */
	struct text      out;
	size_t           sent;
};

struct aside control_aside = { .what = "control socket" };

static const struct control_ops *ops;
static struct client clients[CONTROL_CLIENTS];
static struct watch  door;
static struct file_id socket_file;
static struct deadline door_shut;	/* while accepting pauses */
static bool          starved;		/* and has been told of */

static int  control_listen(const char *path, const char **step);
static void client_accept(struct watch *, short what);
static void control_pause(int error);
static void control_resume(struct deadline *);
static bool client_may_command(int fd, struct caller *);
static void client_refuse(int fd, const char *why);
static void client_open(struct client *, int fd);
static void client_close(struct client *);
static void client_ready(struct watch *, short what);
static void client_overdue(struct deadline *);
static void client_read(struct client *);
static void client_flush(struct client *);
static void client_finish(struct client *, bool ok);
static void client_begin(struct client *);
static void client_take_line(struct client *, char *end);
static void client_note(const struct client *, const struct control_line *, const char *text);
static void client_command(struct client *, const struct control_line *);
static void client_reload(struct client *, bool force);
static void client_peers(struct client *, const struct control_line *);
static void client_peer(struct client *, const struct control_line *);
static void client_await_peer(struct deadline *);
static void client_sessions(struct client *, const struct control_line *);
static void client_configuration(struct client *);
static void client_inquiry_told(struct inquiry *, const char *failed);
static ssize_t client_send(struct client *);
static void client_print_queue(struct client *);
static void client_requester_line(struct requester *, enum weir_level, const char *);
static void client_requester_done(struct requester *, bool ok);
static void client_answer_text(struct client *, struct text *);

int
control_open(const char *path, const char *place, bool aside, const struct control_ops *control_ops)
{
	const char *step = "memory";
	int         fd = -1;

	if (aside_begin(&control_aside, path, aside) == 0)
		fd = control_listen(control_aside.path, &step);
	if (fd < 0) {
		report_say(WEIR_ERROR, "%s: error: control = %s: %s: %s%s", place, path, step,
		    strerror(errno), errno == EADDRINUSE ? ": another weir answers there" : "");
		return -1;
	}
	file_id_note(&socket_file, control_aside.path);
	if (fdtable_add(&master_fds, FD_CONTROL, "", 0, fd) < 0) {
		report_say(WEIR_ERROR, "%s: error: control = %s: %s", place, path, strerror(errno));
		fd_close(&fd);
		unlink(control_aside.path);
		return -1;
	}
	ops = control_ops;
	watch_start(&door, fd, POLLIN, client_accept);
	return 0;
}

void
control_look(void)
{
	const char *step;
	struct stat st;
	int         fd;

	if (control_aside.path == NULL || file_id_is_at(&socket_file, control_aside.path))
		return;
	if (lstat(control_aside.path, &st) == 0) {
		log_warn("control socket: something else is at %s now, so commands do not reach "
		    "weir: remove that, and reload (kill -HUP %d)",
		    control_aside.path, (int)getpid());
		return;
	}
	fd = control_listen(control_aside.path, &step);
	if (fd < 0) {
		log_error("control socket: %s was removed, and cannot be made again: %s: %s",
		    control_aside.path, step, strerror(errno));
		return;
	}
	watch_stop(&door);
	deadline_clear(&door_shut);
	fdtable_close(&master_fds, FD_CONTROL, "", 0);
	if (fdtable_add(&master_fds, FD_CONTROL, "", 0, fd) < 0) {
		log_error("control socket: %s", strerror(errno));
		unlink(control_aside.path);
		fd_close(&fd);
		return;
	}
	file_id_note(&socket_file, control_aside.path);
	watch_start(&door, fd, POLLIN, client_accept);
	log_notice("control socket: %s was removed: it has been made again", control_aside.path);
}

static int
control_listen(const char *path, const char **step)
{
	struct listen_spec spec = { .backlog = CONTROL_CLIENTS,
		.mode = 0600,
		.owner = (uid_t)-1,
		.group = (gid_t)-1 };

	*step = "socket";
	if (strlen(path) >= sizeof spec.addr.un.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	spec.addr.un.sun_family = AF_UNIX;
	spec.addr.len = sizeof spec.addr.un;
	snprintf(spec.addr.un.sun_path, sizeof spec.addr.un.sun_path, "%s", path);
	return sock_listen(&spec, step);
}

void
control_close(bool ok)
{
	watch_stop(&door);
	deadline_clear(&door_shut);
	if (fdtable_find(&master_fds, FD_CONTROL, "", 0) >= 0 &&
	    file_id_is_at(&socket_file, control_aside.path))
		unlink(control_aside.path);
	fdtable_close(&master_fds, FD_CONTROL, "", 0);
	aside_end(&control_aside);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *c = &clients[i];

		if (c->used && c->until_end)
			client_finish(c, ok);
		if (c->used)
			client_close(c);
	}
}

static void
client_accept(struct watch *w, short what)
{
	int           fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct caller caller;

	(void)what;
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			control_pause(errno);
		return;
	}
	starved = false;
	if (!client_may_command(fd, &caller)) {
		log_warn("control socket: %s may not command", caller.text);
		client_refuse(fd, "!only root and the user who started weir may command it\n=1\n");
		return;
	}
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (!clients[i].used) {
			memset(&clients[i], 0, sizeof clients[i]);
			clients[i].slot = i;
			clients[i].caller = caller;
			clients[i].channel = -1;
			clients[i].inquiry.client = i;
			client_open(&clients[i], fd);
			return;
		}
	client_refuse(fd, "!too many others command weir right now: try again\n=1\n");
}

/* Out of descriptors or memory: who waits at the door stays there, and the door
 * stays readable. Told once, until a client gets in again. */
static void
control_pause(int error)
{
	if (!starved)
		log_error("control socket: %s: clients have to wait", strerror(error));
	starved = true;
	door.events = 0;
	deadline_set(&door_shut, DOOR_PAUSE, control_resume);
}

static void
control_resume(struct deadline *d)
{
	(void)d;
	door.events = POLLIN;
}

static bool
client_may_command(int fd, struct caller *caller)
{
	return caller_read(caller, fd) == 0 &&
	    (caller->uid == 0 || caller->uid == geteuid());
}

static void
client_refuse(int fd, const char *why)
{
	if (send(fd, why, strlen(why), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control socket: a refusal is not heard: %s", strerror(errno));
	fd_close(&fd);
}

static void
client_open(struct client *c, int fd)
{
	if (fdtable_add(&master_fds, FD_CLIENT, "", c->slot, fd) < 0) {
		log_error("control socket: %s", strerror(errno));
		fd_close(&fd);
		return;
	}
	c->used = true;
	c->fd = fd;
	watch_start(&c->watch, fd, POLLIN, client_ready);
	deadline_set(&c->deadline, CLIENT_PATIENCE, client_overdue);
}

static void
client_close(struct client *c)
{
	report_unwanted(&c->requester);
	deadline_clear(&c->deadline);
	deadline_clear(&c->look);
	inquiry_end(&c->inquiry);
	watch_stop(&c->watch);
	fdtable_close(&master_fds, FD_CLIENT, "", c->slot);
	text_free(&c->out);
	c->used = false;
}

static void
client_ready(struct watch *w, short what)
{
	struct client *c = container_of(w, struct client, watch);

	c->gone = (what & (POLLHUP | POLLERR)) != 0;
	if (c->gone && (what & POLLIN) == 0) {
		client_close(c);
		return;
	}
	if ((what & POLLIN) != 0)
		client_read(c);
	if (c->used && (what & POLLOUT) != 0)
		client_flush(c);
}

static void
client_overdue(struct deadline *d)
{
	struct client *c = container_of(d, struct client, deadline);

	if (c->commanded) {
		client_close(c);
		return;
	}
	c->commanded = true;
	text_add(&c->out, "!no command came: it ends with a newline\n");
	client_finish(c, false);
}

static void
client_read(struct client *c)
{
	char    rest[256], *end;
	ssize_t n;

	if (c->commanded) {
		/* One command is all: what comes behind it is not read as one. */
		n = recv(c->fd, rest, sizeof rest, 0);
		if (n == 0)
			c->watch.events &= (short)~POLLIN;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			client_close(c);
		return;
	}
	n = recv(c->fd, c->line + c->length, sizeof c->line - 1 - c->length, 0);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			client_close(c);
		return;
	}
	c->length += (unsigned)n;
	end = memchr(c->line, '\n', c->length);
	if (end == NULL && c->length < sizeof c->line - 1)
		return;
	c->commanded = true;
	client_take_line(c, end == NULL ? c->line + c->length : end);
}

/* end: of its line, where there is room for a NUL. */
static void
client_take_line(struct client *c, char *end)
{
	static struct control_line l;
	char                       text[512], why[512];
	char                      *tab = memchr(c->line, '\t', (size_t)(end - c->line));
	size_t                     len = (size_t)((tab != NULL ? tab : end) - c->line);

	*end = '\0';
	c->written = tab != NULL ? tab + 1 : end;
	c->line[len] = '\0';
	deadline_clear(&c->deadline);
	str_printable(span_make(c->line, len), text, sizeof text);
	if (!control_line_parse(c->line, len, &l, why, sizeof why)) {
		text_add(&c->out, "!%s", why);
		if (l.command == CONTROL_COMMANDS) {
			text_add(&c->out, "; there are ");
			control_line_print_forms(&c->out);
		}
		text_add(&c->out, "\n");
		client_finish(c, false);
		return;
	}
	/* It was given up, and has been reported as not done. */
	if (c->gone) {
		log_notice("control socket: %s is dropped: whoever asked for it has gone", text);
		client_close(c);
		return;
	}
	client_note(c, &l, text);
	client_command(c, &l);
}

/* Who has changed something, or has looked at what concerns others. */
static void
client_note(const struct client *c, const struct control_line *l, const char *text)
{
	enum weir_level level = WEIR_NOTICE;

	if (l->command == CONTROL_CONFIGURATION || l->command == CONTROL_STATUS ||
	    l->command == CONTROL_GENERATIONS ||
	    l->command == CONTROL_PEERS)
		level = WEIR_DEBUG;
	log_write(level, "command: %s: by %s", text, c->caller.text);
}

static void
client_command(struct client *c, const struct control_line *l)
{
	struct text text = { 0 };

	switch (l->command) {
	case CONTROL_RELOAD:
		client_reload(c, l->force);
		return;
	case CONTROL_UPGRADE:
		c->requester = (struct requester){ .line = client_requester_line,
			.done = client_requester_done };
		text_add(&c->out, "+\n");
		ops->upgrade(&c->requester);
		if (c->used && !c->finished)
			client_flush(c);
		return;
	case CONTROL_STOP:
		c->until_end = true;
		client_begin(c);
		ops->stop();
		return;
	case CONTROL_QUIT:
		ops->quit();
		text_add(&c->out, " accepts no more; ends with its last session\n");
		client_finish(c, true);
		return;
	case CONTROL_REOPEN:
		client_finish(c, ops->reopen(&c->out) == 0);
		return;
	case CONTROL_CONFIGURATION:
		client_configuration(c);
		return;
	case CONTROL_PEERS:
		client_peers(c, l);
		return;
	case CONTROL_PEER:
		client_peer(c, l);
		return;
	case CONTROL_SESSIONS:
	case CONTROL_CLOSE:
		client_sessions(c, l);
		return;
	case CONTROL_STATUS:
		ops->status(&text, l->json);
		break;
	case CONTROL_GENERATIONS:
		ops->generations(&text);
		break;
	case CONTROL_COMMANDS:
		break;		/* control_line_parse has refused it */
	}
	client_answer_text(c, &text);
}

static void
client_reload(struct client *c, bool force)
{
	if (!ops->match(c->written, &c->out)) {
		client_finish(c, false);
		return;
	}
	c->requester = (struct requester){ .line = client_requester_line,
		.done = client_requester_done,
		.forced = force };
	report_wanted(&c->requester);
	client_print_queue(c);
	client_begin(c);
}

static void
client_peers(struct client *c, const struct control_line *l)
{
	struct text text = { 0 }, err = { 0 };

	if (peers_print(l, &text, &err)) {
		client_answer_text(c, &text);
	} else {
		text_add(&c->out, "!%s", err.data);
		client_finish(c, false);
		text_free(&text);
	}
	text_free(&err);
}

static void
client_peer(struct client *c, const struct control_line *l)
{
	struct text err = { 0 };

	if (!peers_find(l, &c->peer, &err)) {
		text_add(&c->out, "!%s", err.data);
		text_free(&err);
		client_finish(c, false);
		return;
	}
	peers_order(l, &c->peer);
	if (!l->wait) {
		client_finish(c, true);
		return;
	}
	client_begin(c);
	if (c->used)
		client_await_peer(&c->look);
}

static void
client_await_peer(struct deadline *d)
{
	struct client *c = container_of(d, struct client, look);

	if (peers_connections(&c->peer) == 0)
		client_finish(c, true);
	else
		deadline_set(&c->look, CLIENT_LOOK, client_await_peer);
}

/* The workers answer, over a channel that goes to the client. */
static void
client_sessions(struct client *c, const struct control_line *l)
{
	if (l->server != NULL && !peers_know_server(l->server)) {
		text_add(&c->out, "!there is no server %s: weir status has them\n", l->server);
		client_finish(c, false);
		return;
	}
	if (l->peer != NULL && !peers_know_address(l->peer)) {
		text_add(&c->out, "!there is no peer %s: weir peers has them\n", l->peer);
		client_finish(c, false);
		return;
	}
	if ((c->channel = inquiry_begin(&c->inquiry, c->slot, l, client_inquiry_told)) < 0) {
		text_add(&c->out, "!error: a channel for the answer: %s\n", strerror(errno));
		client_finish(c, false);
		return;
	}
	text_add(&c->out, ">");
	inquiry_print(&c->inquiry, &c->out);
	text_add(&c->out, "\n");
	inquiry_tell(&c->inquiry);
}

/* As it was read, and what was said since by command. */
static void
client_configuration(struct client *c)
{
	const struct generation *g = generation_running();
	struct text              text = { 0 };
	int                      fd = -1;

	if (!ops->match(c->written, &c->out)) {
		client_finish(c, false);
		return;
	}
	if (g != NULL)
		fd = fcntl(fdtable_find(&master_fds, FD_SNAPSHOT, g->name, 0), F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || fdtable_add(&master_fds, FD_SURVEY, "", 2 * c->slot, fd) < 0) {
		text_add(&c->out, "!error: %s\n",
		    g == NULL ? "no generation runs" : strerror(errno));
		fd_close(&fd);
		client_finish(c, false);
		return;
	}
	c->channel = fd;
	text_add(&c->out, ">%u\n", g->number);
	peers_print_orders(&text);
	client_answer_text(c, &text);
}

static void
client_inquiry_told(struct inquiry *q, const char *failed)
{
	struct client *c = container_of(q, struct client, inquiry);

	if (failed != NULL)
		text_add(&c->out, "!%s\n", failed);
	client_finish(c, failed == NULL);
}

static void
client_answer_text(struct client *c, struct text *text)
{
	char *rest = text->data, *line;

	while (rest != NULL && *rest != '\0') {
		line = strsep(&rest, "\n");
		text_add(&c->out, " %s\n", line);
	}
	if (text->cut)
		text_add(&c->out, "!memory is short\n");
	client_finish(c, !text->cut);
	text_free(text);
}

/* What it asks for takes longer than one waits for a sign of life. */
static void
client_begin(struct client *c)
{
	text_add(&c->out, "+\n");
	client_flush(c);
}

static void
client_finish(struct client *c, bool ok)
{
	text_add(&c->out, "=%d\n", ok ? 0 : 1);
	c->finished = true;
	if (c->out.cut)
		client_close(c);
	else
		client_flush(c);
}

static void
client_flush(struct client *c)
{
	ssize_t n;

	while (c->sent < c->out.size) {
		n = client_send(c);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			client_close(c);
			return;
		}
		if (n < 0) {
			c->watch.events |= POLLOUT;
			if (!deadline_is_set(&c->deadline))
				deadline_set(&c->deadline, CLIENT_PATIENCE, client_overdue);
			return;
		}
		c->sent += (size_t)n;
		deadline_clear(&c->deadline);
	}
	c->watch.events &= (short)~POLLOUT;
	if (c->finished)
		client_close(c);
}

static ssize_t
client_send(struct client *c)
{
	ssize_t n;

	if (c->channel < 0)
		return send(c->fd, c->out.data + c->sent, c->out.size - c->sent,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	n = message_send_byte(c->fd, c->out.data[c->sent], c->channel);
	if (n > 0) {
		inquiry_sent(&c->inquiry);
		c->channel = -1;
	}
	return n;
}

static void
client_print_queue(struct client *c)
{
	const struct generation *building = generation_building();

	if (building != NULL)
		text_add(&c->out,
		    " generation %u is %s: this reload comes after it, or in its place if that "
		    "hangs\n",
		    building->number, generation_step_name(building->step));
}

static void
client_requester_line(struct requester *r, enum weir_level level, const char *text)
{
	struct client *c = container_of(r, struct client, requester);

	if (c->out.size - c->sent > CLIENT_REPORT) {
		client_close(c);	/* it does not read */
		return;
	}
	text_add(&c->out, "%c%s\n", level <= WEIR_WARN ? '!' : ' ', text);
	client_flush(c);
}

static void
client_requester_done(struct requester *r, bool ok)
{
	client_finish(container_of(r, struct client, requester), ok);
}
