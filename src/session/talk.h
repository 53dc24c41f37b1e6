/* SPDX-License-Identifier: BSD-2-Clause */
/* talk: a client and its protocol: the steps in which hooks are called. */
#ifndef SESSION_TALK_H
#define SESSION_TALK_H

struct weir_session;

/* STEP_OPEN and STEP_TALK. */
void talk_open(struct weir_session *);
void talk_run(struct weir_session *);

#endif
