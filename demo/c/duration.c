#include "duration.h"

#include <stdio.h>

static long unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    default:
        return -1;
    }
}

long duration_parse(const char *text)
{
    long total = 0;

    if (text == NULL || *text == '\0')
        return -1;
    while (*text != '\0') {
        long count = 0;
        int digits = 0;

        while (*text >= '0' && *text <= '9') {
            count = count * 10 + (*text - '0');
            if (count > DURATION_MAX_S)
                return -1;
            digits++;
            text++;
        }
        long unit = unit_seconds(*text);
        if (digits == 0 || unit < 0)
            return -1;
        total += count * unit;
        if (total > DURATION_MAX_S)
            return -1;
        text++;
    }
    return total;
}

int duration_format(long seconds, char *buffer, size_t size_bytes)
{
    static const char units[] = "dhms";
    size_t used = 0;

    for (int i = 0; units[i] != '\0'; i++) {
        long size = unit_seconds(units[i]);
        long count = seconds / size;

        seconds %= size;
        if (count == 0 && !(units[i] == 's' && used == 0))
            continue;
        int written = snprintf(buffer + used, size_bytes - used, "%ld%c", count, units[i]);
        if (written < 0 || (size_t)written >= size_bytes - used)
            return -1;
        used += (size_t)written;
    }
    return (int)used;
}

int duration_compare(const char *a, const char *b)
{
    long left = duration_parse(a);
    long right = duration_parse(b);

    if (left < 0 && right >= 0) {
        return -1;
    } else if (right < 0 && left >= 0) {
        return 1;
    }
    return left < right ? -1 : left > right;
}
