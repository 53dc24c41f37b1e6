/* SPDX-License-Identifier: BSD-2-Clause */
/* main: weir-stress, load and faults for TCP services. */
#include <signal.h>
#include <stdio.h>

#include "base/stdfd.h"
#include "stress/conduct.h"
#include "stress/expect.h"
#include "stress/plan.h"
#include "stress/report.h"
#include "stress/run.h"
#include "stress/serve.h"

int
main(int argc, char **argv)
{
	static struct run    run;
	static struct expect conditions;
	char                 error[EXPECT_ERROR_MAX];
	const char          *text;
	int                  status;

	stdfd_fill("weir-stress");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);	/* EFBIG, which names the file */
	signal(SIGUSR2, SIG_IGN);	/* until it can be answered */
	if (stress_serve_wanted(argc, argv))
		return stress_serve_main(argc, argv);
	status = stress_run_read(&run, argc, argv);
	if (status != 0)
		return status < 0 ? 0 : status;
	text = run.slo != NULL ? run.slo : run.expect;
	if (text != NULL && stress_expect_parse(&conditions, &run, text, error) < 0) {
		fprintf(stderr, "weir-stress: %s: %s\n", run.slo != NULL ? "--slo" : "--expect",
		    error);
		return 2;
	}
	status = stress_plan_check(&run);
	if (status != 0 || run.plan_only)
		return status;
	if (stress_report_try_files(&run) != 0)
		return 2;
	return stress_conduct_run(&run, text != NULL ? &conditions : NULL);
}
