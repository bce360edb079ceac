/* Tests of duration.c. They leave some branches out on purpose: a report with nothing missed shows little. */
#include "duration.h"

#include <assert.h>
#include <string.h>

static void times_are_read(void)
{
    assert(duration_parse("45s") == 45);
    assert(duration_parse("1h30m") == 5400);
    assert(duration_parse("2m2m") == 240);
}

static void broken_times_are_refused(void)
{
    assert(duration_parse("") == -1);
    assert(duration_parse("h") == -1);
    assert(duration_parse("5x") == -1);
}

static void times_are_written(void)
{
    char text[32];

    assert(duration_format(5400, text, sizeof text) == 5);
    assert(strcmp(text, "1h30m") == 0);
    assert(duration_format(0, text, sizeof text) == 2);
    assert(strcmp(text, "0s") == 0);
}

static void times_are_compared(void)
{
    assert(duration_compare("90s", "1m") > 0);
    assert(duration_compare("?", "1m") < 0);
}

int main(void)
{
    times_are_read();
    broken_times_are_refused();
    times_are_written();
    times_are_compared();
    return 0;
}
