<?php
declare(strict_types=1);

namespace Shop;

final class Stock
{
    /** @var array<string, int> */
    private array $items = [];

    public function add(string $name, int $count = 1): void
    {
        if ($count < 0) {
            throw new \RangeException('a count is at least 0');
        }
        $this->items[$name] = ($this->items[$name] ?? 0) + $count;
    }

    public function take(string $name): bool
    {
        if (($this->items[$name] ?? 0) === 0) {
            return false;
        }
        $this->items[$name]--;
        return true;
    }

    public function total(): int
    {
        $total = 0;
        foreach ($this->items as $count) {
            $total += $count;
        }
        return $total;
    }
}
