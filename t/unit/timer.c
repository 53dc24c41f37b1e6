/* SPDX-License-Identifier: BSD-2-Clause */
/* timer: the wheel against a simple model, over months of simulated time. */
#include "net/timer.h"

#include "unit/tap.h"

#define TIMERS 300u
#define DAY    UINT64_C(86400000)

/* What the model knows of a timer: the tick at which it must fire, 0 when it is
 * not armed. */
struct subject {
	struct timer timer;
	uint64_t     due;
};

static struct timer_wheel wheel;
static struct subject subjects[TIMERS];
static uint64_t clock_now;
static uint64_t last_due;
static unsigned fired, wrong;

static void
arm(struct subject *s, uint64_t at)
{
	uint64_t due = (at + TIMER_TICK - 1) / TIMER_TICK;

	s->due = due > wheel.tick ? due : wheel.tick + 1;
	timer_arm(&wheel, &s->timer, at);
	wrong += !timer_armed(&s->timer);
}

static void
disarm(struct subject *s)
{
	s->due = 0;
	timer_disarm(&wheel, &s->timer);
	wrong += timer_armed(&s->timer);
}

/* From a millisecond to half a year, short ones as likely as long ones. */
static uint64_t
random_duration(void)
{
	return random_below(UINT64_C(1) << (1 + random_below(34)));
}

static struct subject *
anyone(void)
{
	return &subjects[random_below(TIMERS)];
}

/* What an owner may do while its timer fires. */
static void
fire(struct timer *t)
{
	struct subject *s = container_of(t, struct subject, timer);

	fired++;
	wrong += timer_armed(t) || s->due == 0;
	wrong += t->at > clock_now;			/* early */
	wrong += s->due * TIMER_TICK > clock_now;
	wrong += s->due < last_due;			/* out of order */
	last_due = s->due;
	s->due = 0;
	switch (random_below(4)) {
	case 0:
		arm(s, clock_now + random_duration());
		break;
	case 1:
		arm(anyone(), clock_now + random_duration());
		break;
	case 2:
		disarm(anyone());
		break;
	default:
		break;
	}
}

static void
run(uint64_t now)
{
	clock_now = now;
	last_due = 0;
	timer_wheel_run(&wheel, now, fire);
}

/* After a run none that is armed may be due; returns when the next one is. */
static uint64_t
check(void)
{
	uint64_t next = UINT64_MAX, armed = 0;
	unsigned i;

	for (i = 0; i < TIMERS; i++) {
		wrong += timer_armed(&subjects[i].timer) != (subjects[i].due != 0);
		if (subjects[i].due == 0)
			continue;
		armed++;
		wrong += subjects[i].due <= clock_now / TIMER_TICK;	/* late */
		if (subjects[i].due * TIMER_TICK < next)
			next = subjects[i].due * TIMER_TICK;
	}
	wrong += armed != wheel.count;
	return next;
}

static void
test_jumps(void)
{
	uint64_t next, occupied = 0, start = 123456789;
	int64_t  wait;
	unsigned step, k;

	clock_now = start;
	timer_wheel_init(&wheel, start);
	for (step = 0; step < 20000; step++) {
		for (k = (unsigned)random_below(4); k > 0; k--) {
			if (random_below(4) > 0)
				arm(anyone(), clock_now + random_duration() - random_below(50));
			else
				disarm(anyone());
		}
		run(clock_now + random_duration() / 64);
		next = check();
		wait = timer_wheel_wait(&wheel, clock_now);
		wrong += next == UINT64_MAX ? wait != INT64_MAX : (uint64_t)wait > next - clock_now;
	}
	ok(fired > 2000, "%u timers fired in %u days", fired,
	    (unsigned)((clock_now - start) / DAY));
	is_number(wrong, 0, "none early, none late, none out of order, none lost");
	for (k = 0; k < TIMERS; k++)
		disarm(&subjects[k]);
	is_number(wheel.count, 0, "all are disarmed");
	for (k = 0; k < TIMER_LEVELS; k++)
		occupied |= wheel.occupied[k];
	is_number(occupied, 0, "no slot is taken for occupied");
}

/* As a loop does it: sleeps for as long as it is told, and runs. */
static void
test_waits(void)
{
	uint64_t next, before;
	int64_t  wait;
	unsigned step, idle = 0;

	wrong = fired = 0;
	timer_wheel_init(&wheel, clock_now);
	for (step = 0; step < 20000; step++) {
		if (wheel.count < 20)
			arm(anyone(), clock_now + random_duration());
		next = check();
		wait = timer_wheel_wait(&wheel, clock_now);
		before = fired;
		if (wait > 0)
			run(clock_now + (uint64_t)wait - 1);
		wrong += fired != before;	/* there was nothing to do before */
		run(clock_now + (wait > 0));
		if (fired == before)
			idle++;
		else
			wrong += clock_now < next;
	}
	is_number(wrong, 0, "it never sleeps too long");
	ok(idle < fired * TIMER_LEVELS, "and not often for nothing: %u of %u", idle, step);
	for (step = 0; step < TIMERS; step++)
		disarm(&subjects[step]);
}

static uint64_t fired_at[4];

static void
note(struct timer *t)
{
	fired_at[t - &subjects[0].timer] = clock_now;
}

static uint64_t
fires_at(uint64_t from, uint64_t at)
{
	static struct timer t;
	int64_t             wait;

	clock_now = from;
	fired_at[0] = UINT64_MAX;
	timer_wheel_init(&wheel, from);
	memcpy(&subjects[0].timer, &t, sizeof t);
	timer_arm(&wheel, &subjects[0].timer, at);
	while ((wait = timer_wheel_wait(&wheel, clock_now)) != INT64_MAX) {
		clock_now += (uint64_t)wait;
		timer_wheel_run(&wheel, clock_now, note);
	}
	return fired_at[0];
}

static void
test_edges(void)
{
	static const uint64_t spans[] = { 1, 2, 63, 64, 65, 4095, 4096, 4097, 262143, 262144,
		262145, 16777215, 16777216, 16777217, 1073741823, 1073741824, 1073741825,
		5000000000 };
	uint64_t              from, at, offset;
	unsigned              i, late = 0;

	for (i = 0; i < sizeof spans / sizeof spans[0]; i++) {
		for (offset = 0; offset < 70; offset++) {
			from = (spans[i] * 3 + offset) * TIMER_TICK;
			at = from + spans[i] * TIMER_TICK;
			late += fires_at(from, at) != at;
			late += fires_at(from, at - 1) != at;
			late += fires_at(from, at + 1) != at + TIMER_TICK;
		}
	}
	is_number(late, 0, "at the edges of every level each fires in its own tick");
	is_number(fires_at(1000, 0), 1008, "what is past fires in the next tick");
	is_number(fires_at(1000, 1000), 1008, "so does what is due now");
	is_number(fires_at(0, 100 * DAY), 100 * DAY, "later than the wheel reaches");
	is_number(fires_at(0, 365 * DAY), 365 * DAY, "a year");
}

static void
test_simple(void)
{
	struct timer_wheel *w = &wheel;
	struct timer       *t = &subjects[0].timer;

	timer_wheel_init(w, 5000);
	is_number(timer_wheel_wait(w, 5000), INT64_MAX, "nothing to wait for");
	ok(!timer_armed(t), "a timer of zeros is not armed");
	timer_disarm(w, t);
	is_number(w->count, 0, "disarming it does nothing");
	timer_arm(w, t, 6000);
	timer_arm(w, t, 5100);
	is_number(w->count, 1, "armed again it is still one timer");
	is_number(timer_wheel_wait(w, 5000), 104, "a tick's time to wait");
	is_number(timer_wheel_wait(w, 5200), 0, "none when it is due already");
	fired_at[0] = 0;
	clock_now = 5103;
	timer_wheel_run(w, 5103, note);
	is_number(fired_at[0], 0, "not before its tick");
	clock_now = 5000;
	timer_wheel_run(w, 5000, note);
	is_number(fired_at[0], 0, "a clock that goes back does no harm");
	clock_now = 5104;
	timer_wheel_run(w, 5104, note);
	is_number(fired_at[0], 5104, "but in it");
	timer_arm(w, t, UINT64_MAX);
	ok(timer_armed(t) && timer_wheel_wait(w, 5104) < INT64_MAX, "the end of time can be armed");
	timer_wheel_run(w, 1000 * DAY, note);
	ok(timer_armed(t), "and does not come");
	timer_disarm(w, t);
}

int
main(void)
{
	test_simple();
	test_edges();
	test_jumps();
	test_waits();
	return done_testing();
}
