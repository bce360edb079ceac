import unittest

from shop.stock import Stock
from shop.text import plural


class ShopTest(unittest.TestCase):
    def test_stock(self):
        stock = Stock()
        stock.add("pen", 2)
        self.assertEqual(stock.take("pen"), "pen")
        self.assertIsNone(stock.take("ink"))
        self.assertEqual(stock.names(), ["pen"])

    def test_text(self):
        self.assertEqual(plural(1, "pen"), "1 pen")
        self.assertEqual(plural(2, "pen"), "2 pens")


if __name__ == "__main__":
    unittest.main()
