/*
 * client/summary.h — the last line on standard error: how many messages were acknowledged, of how
 * many. It has one form, whatever the numbers are:
 *
 *     certpost: 2 of 3 messages acknowledged
 *     certpost: 2 of 3 messages acknowledged, interrupted
 *     certpost: 9 of 9 messages acknowledged, 2 stored, 7 already there     with --resume
 *     certpost: 3 of 3 messages acknowledged, 1 stored, 2 already there, 2 not compared     =N
 *     certpost: 2 of 5 messages acknowledged, 3 left in the spool           with --spool
 *
 * "Of" counts the messages that were given, with --lines those that were read so far, and with a
 * spool those that were in it. "Stored" is the level at which the others were acknowledged.
 */
#ifndef CLIENT_SUMMARY_H
#define CLIENT_SUMMARY_H

#include <stdbool.h>

/* One summary per process, because a signal has to find it. Main thread only. */
void summary_set_total(unsigned long total);
void summary_add_total(void);
void summary_add_acknowledged(void);
void summary_set_acknowledged(unsigned long acknowledged);

/* From now on the line tells how many of the acknowledged ones the server had before, and of how
 * many of these only the number is known. `level` is static text. */
void summary_set_already_there(unsigned long already_there, unsigned long not_compared,
                               const char *level);

/* From now on the line tells how many are left in the spool. */
void summary_set_spooled(unsigned long spooled);

/* Prints the line. */
void summary_print(void);

/*
 * From now on SIGINT, SIGTERM and SIGHUP print the line and then end the process as the signal
 * does, so that a shell sees 130, 143 or 129. A signal that is ignored stays ignored.
 */
void summary_catch_signals(void);

/*
 * The same for a program that has an end to make: the first signal makes `wake_fd` (an eventfd)
 * readable and adds "interrupted" to the line. The program prints it, and then calls
 * summary_end_interrupted. A second signal prints the line and ends the process at once.
 */
void summary_catch_signals_for(int wake_fd);

/* Whether a first signal has come. */
bool summary_is_interrupted(void);

/* Ends the process as the first signal would have, if there was one. */
void summary_end_interrupted(void);

#endif
