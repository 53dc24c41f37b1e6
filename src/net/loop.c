/* SPDX-License-Identifier: BSD-2-Clause */
/* loop: the event loop of a process, and the only door to libevent. */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/slab.h"

#define PASS_ENDS_MAX 4u
#define LIBRARY_SMALL 16u	/* bytes */

static_assert(sizeof(struct event) <= LOOP_EVENT_SIZE, "an event fits into a watch");
static_assert(_Alignof(struct event) <= 8, "and lies right in it");
static_assert(LOOP_READ == EV_READ && LOOP_WRITE == EV_WRITE && LOOP_EDGE == EV_ET &&
	LOOP_END == EV_CLOSED,
    "they are passed on as they are");
static_assert(_Generic((event_callback_fn)NULL, loop_watch_function *: true, default: false),
	"libevent calls the owner of a watch without a detour");

static struct {
	struct event_base *base;
	struct loop_timer  wake;	/* ends a wait when a timer of the wheel is due */
	uint64_t           wake_at;	/* 0: not set */
	struct timer_wheel wheel;
	void             (*fired)(struct timer *);
	struct node        queue;
	void             (*run)(struct task *);
	void             (*pass_end[PASS_ENDS_MAX])(void);
	unsigned           pass_ends;
	char              *scratch;
	size_t             scratch_size;
	uint64_t           micros;	/* of this pass; 0: not read */
	bool               stopping;
} loop;

uint64_t loop_clock;

/*
 * For every descriptor that was ever watched libevent keeps a few bytes, to the end. malloc
 * would put them between what was allocated at the same time, for a handshake say, and
 * each would hold a page of that when all else is given back. So they have pages of their own.
 */
struct library_piece {
	size_t            size;
	_Alignas(16) char bytes[];
};

static struct slab library_pieces;

static void loop_library_start(void);
static void *loop_library_take(size_t);
static void *loop_library_resize(void *, size_t);
static void loop_library_give(void *);
static void loop_run_queue(void);
static void loop_set_wake(void);
static void loop_woken(void *);
static void loop_timer_fired(evutil_socket_t, short, void *);
static struct event *loop_watch_event(const struct loop_watch *);
static struct event *loop_timer_event(struct loop_timer *);

int
loop_open(size_t scratch, void (*fired)(struct timer *))
{
	struct event_config *config;

	loop_library_start();
	if ((config = event_config_new()) == NULL)
		goto fail;
	/* Nothing in the environment shall choose another backend. */
	if (event_config_set_flag(config,
		EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) < 0 ||
	    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) < 0)
		goto fail;
	loop.base = event_base_new_with_config(config);
	loop.scratch = malloc(scratch);
	if (loop.base == NULL || loop.scratch == NULL)
		goto fail;
	event_config_free(config);
	loop.scratch_size = scratch;
	loop.fired = fired;
	list_init(&loop.queue);
	timer_wheel_init(&loop.wheel, loop_read_clock());
	loop_timer_init(&loop.wake, loop_woken, NULL);
	loop.wake_at = 0;
	return 0;
fail:
	if (config != NULL)
		event_config_free(config);
	loop_close();
	errno = ENOMEM;
	return -1;
}

void
loop_close(void)
{
	if (loop.base != NULL) {
		if (loop.wake_at != 0)
			loop_timer_stop(&loop.wake);
		event_base_free(loop.base);
	}
	free(loop.scratch);
	loop.base = NULL;
	loop.scratch = NULL;
	loop.run = NULL;
	loop.pass_ends = 0;
	loop.stopping = false;
}

int
loop_run(void)
{
	int how;

	while (!loop.stopping) {
		loop_set_wake();
		how = EVLOOP_ONCE;
		if (!list_empty(&loop.queue))
			how |= EVLOOP_NONBLOCK;
		loop_clock = loop.micros = 0;
		if (event_base_loop(loop.base, how) < 0)
			return -1;
		loop_run_queue();
		timer_wheel_run(&loop.wheel, loop_now(), loop.fired);
		for (unsigned i = 0; i < loop.pass_ends; i++)
			loop.pass_end[i]();
	}
	loop.stopping = false;
	return 0;
}

uint64_t
loop_read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	loop_clock = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	return loop_clock;
}

uint64_t
loop_micros(void)
{
	if (loop.micros == 0)
		loop.micros = clock_ns() / 1000;
	return loop.micros;
}

bool
loop_complain(uint64_t *last)
{
	if (*last != 0 && loop_now() - *last < LOOP_SILENCE)
		return false;
	*last = loop_now();
	return true;
}

void
loop_stop(void)
{
	loop.stopping = true;
}

char *
loop_scratch(void)
{
	return loop.scratch;
}

size_t
loop_scratch_size(void)
{
	return loop.scratch_size;
}

int
loop_watch_start(struct loop_watch *w, int fd, unsigned events, loop_watch_function *happened,
    void *argument)
{
	struct event *e = loop_watch_event(w);

	if (event_assign(e, loop.base, fd, (short)(events | EV_PERSIST), happened, argument) < 0)
		return -1;
	return event_add(e, NULL);
}

void
loop_watch_stop(struct loop_watch *w)
{
	event_del(loop_watch_event(w));
}

int
loop_watch_fd(const struct loop_watch *w)
{
	return event_get_fd(loop_watch_event(w));
}

void
loop_timer_init(struct loop_timer *t, void (*fire)(void *), void *argument)
{
	t->fire = fire;
	t->argument = argument;
	evtimer_assign(loop_timer_event(t), loop.base, loop_timer_fired, t);
}

void
loop_timer_start(struct loop_timer *t, uint64_t ms)
{
	struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

	evtimer_add(loop_timer_event(t), &tv);
}

void
loop_timer_stop(struct loop_timer *t)
{
	evtimer_del(loop_timer_event(t));
}

void
loop_arm(struct timer *t, uint64_t at)
{
	timer_arm(&loop.wheel, t, at);
}

void
loop_disarm(struct timer *t)
{
	if (timer_armed(t))
		timer_disarm(&loop.wheel, t);
}

void
loop_queue(struct task *t)
{
	if (!node_linked(&t->link))
		list_append(&loop.queue, &t->link);
}

void
loop_unqueue(struct task *t)
{
	if (node_linked(&t->link))
		node_unlink(&t->link);
}

void
loop_on_task(void (*run)(struct task *))
{
	loop.run = run;
}

const char *
loop_library_version(void)
{
	return event_get_version();
}

/* It takes them once, before it has allocated anything. */
static void
loop_library_start(void)
{
	if (library_pieces.size != 0)
		return;
	slab_init(&library_pieces, sizeof(struct library_piece) + LIBRARY_SMALL);
	event_set_mem_functions(loop_library_take, loop_library_resize, loop_library_give);
}

static void *
loop_library_take(size_t size)
{
	struct library_piece *p;

	if (size <= LIBRARY_SMALL)
		p = slab_take(&library_pieces);
	else
		p = malloc(sizeof *p + size);
	if (p == NULL)
		return NULL;
	p->size = size;
	return p->bytes;
}

static void *
loop_library_resize(void *bytes, size_t size)
{
	struct library_piece *p, *moved;
	void                 *larger;

	if (bytes == NULL)
		return loop_library_take(size);
	p = container_of(bytes, struct library_piece, bytes);
	if (p->size > LIBRARY_SMALL && size > LIBRARY_SMALL) {
		if ((moved = realloc(p, sizeof *p + size)) == NULL)
			return NULL;
		moved->size = size;
		return moved->bytes;
	}
	if ((larger = loop_library_take(size)) != NULL) {
		memcpy(larger, bytes, size < p->size ? size : p->size);
		loop_library_give(bytes);
	}
	return larger;
}

static void
loop_library_give(void *bytes)
{
	struct library_piece *p;

	if (bytes == NULL)
		return;
	p = container_of(bytes, struct library_piece, bytes);
	if (p->size <= LIBRARY_SMALL)
		slab_give(&library_pieces, p);
	else
		free(p);
}

void
loop_on_pass_end(void (*work)(void))
{
	if (loop.pass_ends == PASS_ENDS_MAX)
		abort();
	loop.pass_end[loop.pass_ends++] = work;
}

/* Runs what is queued now; what is queued meanwhile has its turn in the next
 * pass, so that events come in between. */
static void
loop_run_queue(void)
{
	struct node  due;
	struct node *n;

	if (list_empty(&loop.queue))
		return;
	due = loop.queue;
	due.next->prev = due.prev->next = &due;
	list_init(&loop.queue);
	while ((n = list_first(&due)) != NULL) {
		node_unlink(n);
		loop.run(container_of(n, struct task, link));
	}
}

/* Sees to it that waiting ends when the wheel has something to do. A wake that
 * comes too early is harmless, so it is moved only to an earlier time. */
static void
loop_set_wake(void)
{
	uint64_t now = loop_read_clock();
	int64_t  wait = timer_wheel_wait(&loop.wheel, now);

	if (wait == INT64_MAX)
		return;
	if (loop.wake_at != 0 && loop.wake_at <= now + (uint64_t)wait)
		return;
	loop.wake_at = now + (uint64_t)wait;
	loop_timer_start(&loop.wake, (uint64_t)wait);
}

static void
loop_woken(void *argument)
{
	(void)argument;
	loop.wake_at = 0;
}

static void
loop_timer_fired(evutil_socket_t fd, short what, void *argument)
{
	struct loop_timer *t = argument;

	(void)fd;
	(void)what;
	t->fire(t->argument);
}

static struct event *
loop_watch_event(const struct loop_watch *w)
{
	return (struct event *)(uintptr_t)w->event;
}

static struct event *
loop_timer_event(struct loop_timer *t)
{
	return (struct event *)(void *)t->event;
}
