module Words
  def self.plural(count, word)
    if count == 1
      "#{count} #{word}"
    else
      "#{count} #{word}s"
    end
  end

  # :nocov:
  def self.unused
    1
  end
  # :nocov:
end
