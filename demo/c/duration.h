#ifndef DURATION_H
#define DURATION_H

#include <stddef.h>

/* Longest time that is accepted, in seconds: 100 days. */
#define DURATION_MAX_S 8640000L

/* Reads a time such as "1h30m" or "45s" and returns it in seconds.
   Returns -1 if the text is empty, has an unknown unit, or is too long a time. */
long duration_parse(const char *text);

/* Writes seconds as "1d2h3m4s", units that are zero left out ("0s" for none).
   Returns the length written, or -1 if the buffer is too small. */
int duration_format(long seconds, char *buffer, size_t size_bytes);

/* Returns a negative number, zero or a positive number as a is shorter than, equal to or longer than b;
   a time that cannot be read is shorter than any other. */
int duration_compare(const char *a, const char *b);

#endif
