#include "stock.h"

int take(int *count, int wanted)
{
    if (wanted < 0 || wanted > *count) {
        return -1;
    }
    *count -= wanted;
    return wanted;
}

int total(const int *counts, int length)
{
    int sum = 0;
    for (int i = 0; i < length; i++) {
        sum += larger(counts[i], 0);
    }
    return sum;
}
