/*
 * client/summary.h — the last line on standard error: how many messages were acknowledged, of how
 * many. It has one form, whatever the numbers are:
 *
 *     certpost: 2 of 3 messages acknowledged
 *     certpost: 2 of 3 messages acknowledged, interrupted
 *
 * "Of" counts the messages that were given; with --lines, those that were read so far.
 */
#ifndef CLIENT_SUMMARY_H
#define CLIENT_SUMMARY_H

/* One summary per process, because a signal has to find it. Main thread only. */
void summary_set_total(unsigned long total);
void summary_add_total(void);
void summary_add_acknowledged(void);

/* Prints the line. */
void summary_print(void);

/*
 * From now on SIGINT, SIGTERM and SIGHUP print the line and then end the process as the signal
 * does, so that a shell sees 130, 143 or 129. A signal that is ignored stays ignored.
 */
void summary_catch_signals(void);

#endif
