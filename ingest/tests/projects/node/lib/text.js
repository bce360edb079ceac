const plurals = { ox: "oxen" };

function plural(count, word) {
  if (count === 1) return `${count} ${word}`;
  return `${count} ${plurals[word] ? plurals[word] : word + "s"}`;
}

function sign(number) {
  switch (Math.sign(number)) {
    case -1:
      return "-";
    default:
      return "+";
  }
}

module.exports = { plural, sign };
