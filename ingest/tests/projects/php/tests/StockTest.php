<?php
declare(strict_types=1);

require_once __DIR__ . '/../src/Stock.php';
require_once __DIR__ . '/../src/words.php';

final class StockTest extends PHPUnit\Framework\TestCase
{
    public function testStock(): void
    {
        $stock = new Shop\Stock();
        $stock->add('pen');
        $this->assertTrue($stock->take('pen'));
        $this->assertFalse($stock->take('ink'));
        $this->assertSame('2 pens', Shop\plural(2, 'pen'));
    }
}
