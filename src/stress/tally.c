/* SPDX-License-Identifier: BSD-2-Clause */
/* tally: summing up what the workers have counted. */
#include "stress/tally.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

const char *const fault_words[FAULT_COUNT] = {
#define X(name, word, text) word,
	TALLY_FAULTS(X)
#undef X
};

const char *const fault_texts[FAULT_COUNT] = {
#define X(name, word, text) text,
	TALLY_FAULTS(X)
#undef X
};

/* Up to the histograms a tally is words, but for a state that cannot be summed up. */
#define WORDS (offsetof(struct tally, latency) / sizeof(_Atomic uint64_t))

static void tally_reason_add(struct tally *, const char *text, uint64_t n);
static void tally_reasons_since(struct tally *, const struct tally *earlier);

void
stress_tally_reason(struct tally *t, const char *text)
{
	tally_reason_add(t, text, 1);
}

/* The text is there before the count says so: the parent reads it meanwhile. */
static void
tally_reason_add(struct tally *t, const char *text, uint64_t n)
{
	struct tally_reason *r = t->reasons;
	const char          *others = "other reasons";
	uint64_t             count;

	if (n == 0)
		return;
	for (; (count = atomic_load(&r->count)) != 0; r++) {
		if (r == &t->reasons[TALLY_REASONS - 1] ||
		    strncmp(r->text, text, sizeof r->text - 1) == 0)
			break;
	}
	if (count == 0)
		snprintf(r->text, sizeof r->text, "%s",
		    r == &t->reasons[TALLY_REASONS - 1] ? others : text);
	atomic_store_explicit(&r->count, count + n, memory_order_release);
}

struct tally *
stress_tally_sum(const struct shared *shared, unsigned workers)
{
	struct tally *sum = calloc(1, sizeof *sum);

	if (sum == NULL)
		return NULL;
	for (unsigned w = 0; w < workers; w++) {
		const struct tally     *t = &shared->of[w];
		const _Atomic uint64_t *from = (const _Atomic uint64_t *)t;
		_Atomic uint64_t       *to = (_Atomic uint64_t *)sum;

		for (size_t i = 0; i < WORDS; i++)
			stress_tally_add(&to[i],
			    atomic_load_explicit(&from[i], memory_order_relaxed));
		stress_hist_merge(&sum->latency, &t->latency);
		stress_hist_merge(&sum->raw, &t->raw);
		stress_hist_merge(&sum->connect, &t->connect);
		stress_hist_merge(&sum->handshake, &t->handshake);
		if (w == 0 || atomic_load(&t->least) < atomic_load(&sum->least))
			atomic_store(&sum->least, atomic_load(&t->least));
		if (sum->wrong[0] == '\0')
			memcpy(sum->wrong, t->wrong, sizeof sum->wrong - 1);
		if (sum->tls[0] == '\0')
			memcpy(sum->tls, t->tls, sizeof sum->tls - 1);
		for (unsigned i = 0; i < TALLY_REASONS; i++)
			tally_reason_add(sum, t->reasons[i].text,
			    atomic_load_explicit(&t->reasons[i].count, memory_order_acquire));
	}
	return sum;
}

/* What counts from the beginning, and how many words it is. */
static const struct {
	size_t   at;
	unsigned words;
} ever[] = {
	{ offsetof(struct tally, connected), 1 },
	{ offsetof(struct tally, handshakes), 1 },
	{ offsetof(struct tally, resumed), 1 },
	{ offsetof(struct tally, lost), 1 },
	{ offsetof(struct tally, bytes_in), 1 },
	{ offsetof(struct tally, bytes_out), 1 },
	{ offsetof(struct tally, faults), FAULT_COUNT },
	{ offsetof(struct tally, errnos), TALLY_ERRNOS },
	{ offsetof(struct tally, own), sizeof((struct tally *)0)->own / sizeof(uint64_t) },
};

void
stress_tally_since(struct tally *t, const struct tally *earlier)
{
	for (size_t i = 0; i < sizeof ever / sizeof ever[0]; i++) {
		_Atomic uint64_t *now = (_Atomic uint64_t *)((char *)t + ever[i].at);
		const _Atomic uint64_t *then =
		    (const _Atomic uint64_t *)((const char *)earlier + ever[i].at);

		for (unsigned k = 0; k < ever[i].words; k++)
			atomic_fetch_sub(&now[k], atomic_load(&then[k]));
	}
	stress_hist_since(&t->connect, &t->connect, &earlier->connect);
	stress_hist_since(&t->handshake, &t->handshake, &earlier->handshake);
	tally_reasons_since(t, earlier);
	if (earlier->wrong[0] != '\0')
		t->wrong[0] = '\0';
}

static void
tally_reasons_since(struct tally *t, const struct tally *earlier)
{
	for (unsigned i = 0; i < TALLY_REASONS; i++) {
		for (unsigned k = 0; k < TALLY_REASONS; k++) {
			if (strcmp(t->reasons[i].text, earlier->reasons[k].text) == 0)
				atomic_fetch_sub(&t->reasons[i].count,
				    atomic_load(&earlier->reasons[k].count));
		}
	}
}

void
stress_tally_latencies(const struct shared *shared, unsigned workers, struct hist *all)
{
	memset(all, 0, sizeof *all);
	for (unsigned w = 0; w < workers; w++)
		stress_hist_merge(all, &shared->of[w].latency);
}

void
stress_tally_wipe(struct tally *t)
{
	atomic_store(&t->sent, 0);
	atomic_store(&t->answered, 0);
	atomic_store(&t->due, 0);
	atomic_store(&t->late, 0);
	memset(&t->latency, 0, sizeof t->latency);
	memset(&t->raw, 0, sizeof t->raw);
}

/* What the worker itself has told may be 100 ms old. */
uint64_t
stress_tally_cpu(const struct tally *t)
{
	pid_t           pid = (pid_t)atomic_load(&t->pid);
	clockid_t       clock;
	struct timespec used;

	if (pid == 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
		return atomic_load(&t->cpu);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

uint64_t
stress_tally_errors(const struct tally *t)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		if (i != FAULT_FAILED)
			n += atomic_load_explicit(&t->faults[i], memory_order_relaxed);
	}
	return n;
}
