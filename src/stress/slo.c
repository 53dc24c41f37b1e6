/* SPDX-License-Identifier: BSD-2-Clause */
/* slo: the search for the highest rate that meets conditions. */
#include "stress/slo.h"

#include <math.h>

#include "stress/outcome.h"
#include "stress/run.h"
#include "stress/text.h"

#define FIRST_RATE 1000.0
#define RATE_MIN   1.0
#define BUSY       0.9		/* of a core: the tester's own limit */

static void tell(const struct slo *, const struct outcome *, bool holds, bool reached);
static double next_rate(const struct slo *);

void
slo_begin(struct slo *s, const struct expect *e, double first)
{
	*s = (struct slo){ .expect = *e, .rate = first > 0 ? first : FIRST_RATE };
}

double
slo_rate(const struct slo *s)
{
	return s->rate;
}

void
slo_tried(struct slo *s, const struct run *run, const struct outcome *o)
{
	bool   holds = expect_holds(&s->expect, o), reached;
	double answered = (double)o->answered * 1e9;

	if (o->interrupted) {
		s->rate = 0;
		return;
	}
	/* At random there may be a few more or fewer than the rate says. */
	reached = answered >= SLO_REACHED * s->rate * (double)o->elapsed -
	    (run->pacing == PACE_POISSON ? 3e9 * sqrt(s->rate * (double)o->elapsed / 1e9) : 0);
	s->tries++;
	if (!run->quiet)
		tell(s, o, holds, reached);
	if (holds && reached) {
		s->good = s->rate;
	} else {
		s->bad = s->rate;
		s->tester = o->busiest >= BUSY;
	}
	s->rate = s->tries >= SLO_TRIES ? 0 : next_rate(s);
}

bool
slo_print(FILE *out, const struct slo *s)
{
	if (s->tries == 0) {
		fputs("No rate has been tried to its end\n", out);
		return false;
	}
	if (s->good == 0) {
		fprintf(out, "No rate was found that holds: not even %s requests a second\n",
		    text_count(s->bad).s);
		return false;
	}
	fprintf(out, "The highest rate that holds: %s requests a second", text_count(s->good).s);
	if (s->bad > 0)
		fprintf(out, "; %s a second do not", text_count(s->bad).s);
	fputc('\n', out);
	if (s->bad > 0 && s->tester)
		fputs("There the tester itself was busy: with more processes (-w) or a machine of "
		      "its own the rate may be higher\n", out);
	return true;
}

/* "    1,000/s  holds   1,000/s reached, p99 1.23ms" */
static void
tell(const struct slo *s, const struct outcome *o, bool holds, bool reached)
{
	double seconds = (double)o->elapsed / 1e9;

	printf("%12s/s  %-6s", text_count(s->rate).s, holds && reached ? "holds" : "fails");
	if (!reached)
		printf("  %s/s reached", text_count(seconds > 0 ? (double)o->answered / seconds : 0).s);
	for (unsigned i = 0; i < s->expect.count; i++) {
		const struct figure *f = &s->expect.of[i].figure;
		char                 text[FIGURE_TEXT_MAX];

		printf("  %s %s", f->name, figure_print(f, figure_value(f, o), text));
	}
	if (o->busiest >= BUSY)
		fputs("  (the tester is busy)", stdout);
	putchar('\n');
	fflush(stdout);
}

/* Three digits are enough: rates that people can type. */
static double
rounded(double rate)
{
	double step = pow(10, floor(log10(rate)) - 2);

	return step > 1 ? round(rate / step) * step : round(rate);
}

static double
next_rate(const struct slo *s)
{
	double rate;

	if (s->bad == 0)
		return s->good * 2;
	if (s->good == 0)
		return s->bad > RATE_MIN ? fmax(rounded(s->bad / 2), RATE_MIN) : 0;
	if (s->bad - s->good <= SLO_GAP * s->good)
		return 0;
	rate = rounded((s->good + s->bad) / 2);
	return rate > s->good && rate < s->bad ? rate : 0;
}
