const assert = require("node:assert");
const { Stock } = require("./lib/stock.js");
const { plural } = require("./lib/text.js");

const stock = new Stock();
stock.add("pen");
assert(stock.take("pen"));
assert(!stock.take("ink"));
assert.equal(plural(1, "pen"), "1 pen");
assert.equal(plural(2, "pen"), "2 pens");
