<?php
declare(strict_types=1);

namespace Shop;

function plural(int $count, string $word): string
{
    if ($count === 1) {
        return "$count $word";
    }
    return "$count {$word}s";
}
