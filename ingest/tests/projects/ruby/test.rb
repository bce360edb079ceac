require "simplecov"

SimpleCov.start do
  command_name ENV.fetch("COMMAND_NAME")
  root __dir__
  enable_coverage :branch if ENV["BRANCHES"]
  add_filter "/test.rb"
  formatter SimpleCov::Formatter::SimpleFormatter
end

SimpleCov.at_exit do
  result = SimpleCov.result
  result.format!
  puts "#{result.covered_lines} covered, #{result.missed_lines} missed"
end

require_relative "lib/stock"
require_relative "lib/words"

stock = Stock.new
stock.add("pen")
raise "the stock is wrong" unless stock.take("pen") && !stock.take("ink")
raise "the words are wrong" unless Words.plural(2, "pen") == "2 pens"
