#include <stdio.h>

#include "src/stock.h"

int main(int argc, char **argv)
{
    (void)argv;
    int counts[] = {3, -1, 2};
    if (take(&counts[0], 1) != 1 || total(counts, 3) != 4) {
        return 1;
    }
    puts(level(argc > 9 ? 0 : 2));
    return 0;
}
