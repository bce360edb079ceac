class Stock
  def initialize
    @items = Hash.new(0)
  end

  def add(name, count = 1)
    raise ArgumentError, "a count is at least 0" if count < 0

    @items[name] += count
  end

  def take(name)
    return false if @items[name].zero?

    @items[name] -= 1
    true
  end

  def total
    sum = 0
    @items.each_value do |count|
      sum += count
    end
    sum
  end
end
