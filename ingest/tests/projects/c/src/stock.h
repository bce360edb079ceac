#ifndef STOCK_H
#define STOCK_H

static inline int larger(int a, int b)
{
    return a > b ? a : b;
}

int take(int *count, int wanted);
int total(const int *counts, int length);
const char *level(int count);

#endif
