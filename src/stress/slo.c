/* SPDX-License-Identifier: BSD-2-Clause */
/* slo: the search for the highest rate that meets conditions. */
#include "stress/slo.h"

#include <math.h>

#include "stress/outcome.h"
#include "stress/report.h"
#include "stress/run.h"
#include "stress/text.h"

#define FIRST_RATE 1000.0
#define RATE_MIN   1.0
#define BUSY       0.9		/* of a core: the tester's own limit */

static void tell(FILE *, const struct slo *, const struct slo_try *, bool reached, bool busy);
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
	struct slo_try *t = &s->of[s->tries];
	double          seconds = (double)o->elapsed / 1e9, due = s->rate * seconds;
	bool            reached;

	if (o->interrupted || s->tries == SLO_TRIES) {
		s->rate = 0;
		return;
	}
	/* At random there may be a few more or fewer than the rate says. */
	reached = (double)o->answered >=
	    SLO_REACHED * due - (run->pacing == PACE_POISSON ? 3 * sqrt(due) : 0);
	t->rate = s->rate;
	t->answered = seconds > 0 ? (double)o->answered / seconds : 0;
	t->held = reached && expect_holds(&s->expect, o);
	for (unsigned i = 0; i < s->expect.count; i++)
		t->values[i] = figure_value(&s->expect.of[i].figure, o);
	s->tries++;
	if (!run->quiet)
		tell(report_output(run), s, t, reached, o->busiest >= BUSY);
	if (t->held) {
		s->good = s->rate;
	} else {
		s->bad = s->rate;
		s->tester = o->busiest >= BUSY;
	}
	s->rate = s->tries < SLO_TRIES ? next_rate(s) : 0;
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
		      "its own the rate may be higher\n",
		    out);
	return true;
}

/* "      12,000/s  fails  11,500/s reached  p99 1.23ms" */
static void
tell(FILE *out, const struct slo *s, const struct slo_try *t, bool reached, bool busy)
{
	char text[FIGURE_TEXT_MAX];

	fprintf(out, "%12s/s  %s", text_count(t->rate).s, t->held ? "holds" : "fails");
	if (!reached)
		fprintf(out, "  %s/s reached", text_count(t->answered).s);
	for (unsigned i = 0; i < s->expect.count; i++) {
		const struct figure *f = &s->expect.of[i].figure;

		fprintf(out, "  %s %s", f->name, figure_print(f, t->values[i], text));
	}
	fputs(busy ? "  (the tester is busy)\n" : "\n", out);
	fflush(out);
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
