class Stock {
  constructor() {
    this.items = new Map();
  }

  add(name, count = 1) {
    if (count < 0) {
      throw new RangeError("a count is at least 0");
    }
    this.items.set(name, (this.items.get(name) || 0) + count);
  }

  take(name) {
    const count = this.items.get(name) ?? 0;
    if (count === 0) {
      return false;
    } else {
      this.items.set(name, count - 1);
    }
    return true;
  }
}

function neverCalled(stock) {
  let total = 0;
  for (const count of stock.items.values()) {
    total += count;
  }
  return total;
}

module.exports = { Stock, neverCalled };
