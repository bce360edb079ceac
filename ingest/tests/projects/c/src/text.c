#include "stock.h"

const char *level(int count)
{
    switch (count) {
    case 0:
        return "none";
    case 1:
        return "one";
    default:
        return "many";
    }
}

int never_called(int count)
{
    while (count > 10) {
        count /= 10;
    }
    return count;
}
