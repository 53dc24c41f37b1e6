/* SPDX-License-Identifier: BSD-2-Clause */
/* loop: the event loop of a process, and the only door to libevent. */
#include "net/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define PASS_ENDS_MAX 4u

static struct {
	struct event_base *base;
	struct event       wake;	/* ends a wait when a timer of the wheel is due */
	uint64_t           wake_at;	/* 0: not set */
	struct timer_wheel wheel;
	void             (*fired)(struct timer *);
	struct node        queue;
	void             (*run)(struct task *);
	void             (*pass_end[PASS_ENDS_MAX])(void);
	unsigned           pass_ends;
	char              *scratch;
	size_t             scratch_size;
	bool               stopping;
} loop;

uint64_t loop_clock;

static void run_queue(void);
static void set_wake(void);
static void woken(evutil_socket_t, short, void *);

int
loop_open(size_t scratch, void (*fired)(struct timer *))
{
	struct event_config *config = event_config_new();

	if (config == NULL)
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
	loop_timer_init(&loop.wake, woken, NULL);
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
			event_del(&loop.wake);
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
		set_wake();
		how = EVLOOP_ONCE;
		if (!list_empty(&loop.queue))
			how |= EVLOOP_NONBLOCK;
		loop_clock = 0;
		if (event_base_loop(loop.base, how) < 0)
			return -1;
		run_queue();
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
loop_watch(struct event *e, int fd, short what, event_callback_fn callback, void *argument)
{
	if (event_assign(e, loop.base, fd, (short)(what | EV_PERSIST), callback, argument) < 0)
		return -1;
	return event_add(e, NULL);
}

void
loop_unwatch(struct event *e)
{
	event_del(e);
}

void
loop_timer_init(struct event *e, event_callback_fn callback, void *argument)
{
	evtimer_assign(e, loop.base, callback, argument);
}

void
loop_timer_start(struct event *e, uint64_t ms)
{
	struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

	evtimer_add(e, &tv);
}

void
loop_timer_stop(struct event *e)
{
	evtimer_del(e);
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
run_queue(void)
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
set_wake(void)
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
woken(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	loop.wake_at = 0;
}
