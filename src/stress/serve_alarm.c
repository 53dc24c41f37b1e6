/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_alarm: times to the microsecond. */
#include "stress/serve_alarm.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/loop.h"

static struct {
	struct loop_watch watch;
	struct alarm    **heap;	/* from 1; none is earlier than that at half its index */
	size_t            count;	/* set */
	size_t            owned;	/* set or not */
	size_t            size;
	uint64_t          set;	/* what the timerfd will fire at; 0: it will not */
} alarms;

static void serve_alarm_ready(int, short, void *);
static void serve_alarm_rise(struct alarm *, size_t index);
static void serve_alarm_sink(struct alarm *, size_t index);
static void serve_alarm_put(struct alarm *, size_t index);
static void serve_alarm_set_timer(void);

int
stress_alarm_open(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0)
		return -1;
	alarms.count = alarms.owned = alarms.size = 0;
	alarms.heap = NULL;
	alarms.set = 0;
	if (loop_watch_start(&alarms.watch, fd, LOOP_READ, serve_alarm_ready, NULL) < 0) {
		close(fd);
		return -1;
	}
	return 0;
}

void
stress_alarm_close(void)
{
	int fd = loop_watch_fd(&alarms.watch);

	loop_watch_stop(&alarms.watch);
	close(fd);
	free(alarms.heap);
	alarms.heap = NULL;
}

uint64_t
stress_alarm_clock(void)
{
	return clock_ns() / 1000;
}

int
stress_alarm_init(struct alarm *a, void (*fire)(struct alarm *))
{
	struct alarm **heap;
	size_t         size;

	if (alarms.owned + 1 >= alarms.size) {
		size = alarms.size == 0 ? 64 : 2 * alarms.size;
		heap = realloc(alarms.heap, size * sizeof(struct alarm *));
		if (heap == NULL)
			return -1;
		alarms.heap = heap;
		alarms.size = size;
	}
	alarms.owned++;
	*a = (struct alarm){ .fire = fire };
	return 0;
}

void
stress_alarm_finish(struct alarm *a)
{
	stress_alarm_cancel(a);
	alarms.owned--;
}

void
stress_alarm_set(struct alarm *a, uint64_t at)
{
	if (a->index != 0 && a->at == at)
		return;
	stress_alarm_cancel(a);
	a->at = at;
	serve_alarm_rise(a, ++alarms.count);
	serve_alarm_set_timer();
}

void
stress_alarm_cancel(struct alarm *a)
{
	struct alarm *last;
	size_t        index = a->index;

	if (index == 0)
		return;
	a->index = 0;
	last = alarms.heap[alarms.count--];
	if (last == a)
		return;
	if (index > 1 && last->at < alarms.heap[index / 2]->at)
		serve_alarm_rise(last, index);
	else
		serve_alarm_sink(last, index);
}

static void
serve_alarm_ready(int fd, short what, void *argument)
{
	uint64_t      times, now;
	struct alarm *a;

	(void)what;
	(void)argument;
	if (read(fd, &times, sizeof times) < 0)
		return;
	alarms.set = 0;
	now = stress_alarm_clock();
	/* What is set meanwhile has its turn in another pass. */
	for (size_t n = alarms.count; n > 0 && alarms.count > 0 && alarms.heap[1]->at <= now; n--) {
		a = alarms.heap[1];
		stress_alarm_cancel(a);
		a->fire(a);
	}
	serve_alarm_set_timer();
}

/* One that goes off too early is left as it is: it then finds nothing to do. */
static void
serve_alarm_set_timer(void)
{
	struct itimerspec when = { 0 };
	uint64_t          at;

	if (alarms.count == 0 || (alarms.set != 0 && alarms.set <= alarms.heap[1]->at))
		return;
	at = alarms.heap[1]->at;
	if (at == 0)
		at = 1;		/* 0 would disarm it */
	when.it_value.tv_sec = (time_t)(at / 1000000);
	when.it_value.tv_nsec = (long)(at % 1000000 * 1000);
	if (timerfd_settime(loop_watch_fd(&alarms.watch), TFD_TIMER_ABSTIME, &when, NULL) == 0)
		alarms.set = at;
}

static void
serve_alarm_rise(struct alarm *a, size_t index)
{
	for (; index > 1 && a->at < alarms.heap[index / 2]->at; index /= 2)
		serve_alarm_put(alarms.heap[index / 2], index);
	serve_alarm_put(a, index);
}

static void
serve_alarm_sink(struct alarm *a, size_t index)
{
	size_t next;

	for (; (next = 2 * index) <= alarms.count; index = next) {
		if (next < alarms.count && alarms.heap[next + 1]->at < alarms.heap[next]->at)
			next++;
		if (a->at <= alarms.heap[next]->at)
			break;
		serve_alarm_put(alarms.heap[next], index);
	}
	serve_alarm_put(a, index);
}

static void
serve_alarm_put(struct alarm *a, size_t index)
{
	alarms.heap[index] = a;
	a->index = index;
}
