/* SPDX-License-Identifier: BSD-2-Clause */
/* slo: the search for the highest rate that meets conditions. */
#include "stress/slo.h"

#include <math.h>

#include "stress/report.h"
#include "stress/run.h"
#include "stress/tally.h"
#include "stress/text.h"

#define FIRST_RATE 1000.0
#define RATE_MIN   1.0

static void slo_print_try(FILE *, const struct slo *, const struct slo_try *,
    const struct outcome *);
static void slo_print_why(FILE *, const struct slo *, double rate);
static double slo_next_rate(const struct slo *);

void
stress_slo_begin(struct slo *s, const struct expect *e, double first)
{
	*s = (struct slo){ .expect = *e, .rate = first > 0 ? first : FIRST_RATE };
}

void
stress_slo_clear(struct slo *s)
{
	stress_outcome_clear(&s->best);
}

double
stress_slo_rate(const struct slo *s)
{
	return s->rate;
}

static void
slo_keep_best(struct slo *s, struct outcome *o)
{
	stress_outcome_clear(&s->best);
	s->best = *o;
	o->sum = NULL;
}

void
stress_slo_tried(struct slo *s, FILE *out, const struct run *run, struct outcome *o)
{
	struct slo_try *t = &s->of[s->tries++];
	double          seconds = (double)o->elapsed / 1e9;

	t->rate = s->rate;
	t->answered = seconds > 0 ? (double)o->answered / seconds : 0;
	t->reached = stress_outcome_reached(o, run);
	t->busiest = o->busiest;
	t->held = t->reached && stress_expect_holds(&s->expect, o);
	for (unsigned i = 0; i < s->expect.count; i++)
		t->values[i] = stress_figure_value(&s->expect.of[i].figure, o);
	slo_print_try(out, s, t, o);
	if (t->held) {
		s->good = s->rate;
		slo_keep_best(s, o);
	} else {
		s->bad = s->rate;
		s->tester = t->busiest >= OUTCOME_BUSY;
	}
	s->rate = s->tries < SLO_TRIES ? slo_next_rate(s) : 0;
	if (s->rate == 0)
		s->end = s->good > 0 ? SLO_FOUND : SLO_NOTHING;
}

void
stress_slo_give_up(struct slo *s, enum slo_end end)
{
	s->end = end;
}

static void
slo_print_cut_short(FILE *out, const struct slo *s, const struct run *run,
    const struct outcome *last)
{
	if (s->end == SLO_LOST)
		fprintf(out,
		    "The search was cut short at %s requests a second: %s does not answer any "
		    "more\n",
		    stress_text_count(s->rate).s, run->target_name);
	else
		fprintf(out, "The search was cut short at %s requests a second%s\n",
		    stress_text_count(s->rate).s, s->end == SLO_INTERRUPTED ? " by a signal" : "");
	if (s->good > 0)
		fprintf(out,
		    "%s a second have held until then; whether more would is not known\n",
		    stress_text_count(s->good).s);
	else
		fputs("No rate has held until then\n", out);
	if (s->end == SLO_LOST && last->sum != NULL)
		stress_report_faults(out, run, last);
}

void
stress_slo_print(FILE *out, const struct slo *s, const struct run *run, const struct outcome *last)
{
	fputc('\n', out);
	if (s->end > SLO_NOTHING) {
		slo_print_cut_short(out, s, run, last);
		return;
	}
	if (s->good == 0) {
		fprintf(out, "No rate was found that holds: not even %s requests a second",
		    stress_text_count(s->bad).s);
		slo_print_why(out, s, s->bad);
		if (last->sum != NULL)
			stress_report_faults(out, run, last);
		return;
	}
	fprintf(out, "The highest rate that holds: %s requests a second\n",
	    stress_text_count(s->good).s);
	if (s->bad > 0) {
		fprintf(out, "%s a second do not", stress_text_count(s->bad).s);
		slo_print_why(out, s, s->bad);
	}
	if (s->bad > 0 && s->tester)
		fputs("There the tester itself was busy: with more processes (-w) or a machine of "
		      "its own the rate may be higher\n",
		    out);
	fprintf(out, "\nWhat was measured at %s a second:\n", stress_text_count(s->good).s);
	stress_report_print(out, run, &s->best);
}

/* ": 980 were answered; p99 6.20ms" */
static void
slo_print_why(FILE *out, const struct slo *s, double rate)
{
	const struct slo_try *t = NULL;
	const char           *separator = ": ";
	char                  text[FIGURE_TEXT_MAX];

	for (unsigned i = 0; i < s->tries; i++) {
		if (s->of[i].rate == rate)
			t = &s->of[i];
	}
	if (t != NULL && !t->reached) {
		fprintf(out, ": %s were answered", stress_text_count(t->answered).s);
		separator = "; ";
	}
	for (unsigned i = 0; t != NULL && i < s->expect.count; i++) {
		const struct condition *c = &s->expect.of[i];

		if (stress_condition_holds(c, t->values[i]))
			continue;
		fprintf(out, "%s%s %s", separator, c->figure.name,
		    stress_figure_print(&c->figure, t->values[i], text));
		separator = ", ";
	}
	fputc('\n', out);
}

/* "      12,000/s  fails  11,500/s reached  p99 1.23ms  reset 3  tester 43%" */
static void
slo_print_try(FILE *out, const struct slo *s, const struct slo_try *t, const struct outcome *o)
{
	char text[FIGURE_TEXT_MAX];

	fprintf(out, "%12s/s  %s", stress_text_count(t->rate).s, t->held ? "holds" : "fails");
	if (!t->reached)
		fprintf(out, "  %s/s reached", stress_text_count(t->answered).s);
	for (unsigned i = 0; i < s->expect.count; i++) {
		const struct figure *f = &s->expect.of[i].figure;

		fprintf(out, "  %s %s", f->name, stress_figure_print(f, t->values[i], text));
	}
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		uint64_t n = atomic_load(&o->sum->faults[i]);

		if (n > 0)
			fprintf(out, "  %s %s", fault_words[i], stress_text_count((double)n).s);
	}
	fprintf(out, "  tester %.0f%%%s\n", t->busiest * 100,
	    t->busiest >= OUTCOME_BUSY ? " (busy)" : "");
	fflush(out);
}

/* Three digits are enough: rates that people can type. */
static double
slo_round(double rate)
{
	double step = pow(10, floor(log10(rate)) - 2);

	return step > 1 ? round(rate / step) * step : round(rate);
}

static double
slo_next_rate(const struct slo *s)
{
	double rate;

	if (s->bad == 0)
		return s->good * 2;
	if (s->good == 0)
		return s->bad > RATE_MIN ? fmax(slo_round(s->bad / 2), RATE_MIN) : 0;
	if (s->bad - s->good <= SLO_GAP * s->good)
		return 0;
	rate = slo_round((s->good + s->bad) / 2);
	return rate > s->good && rate < s->bad ? rate : 0;
}
