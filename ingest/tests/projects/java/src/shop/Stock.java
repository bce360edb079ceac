package shop;

import java.util.HashMap;
import java.util.Map;

public final class Stock {
    private final Map<String, Integer> items = new HashMap<>();

    public void add(String name, int count) {
        if (count < 0) {
            throw new IllegalArgumentException("a count is at least 0");
        }
        items.merge(name, count, (a, b) -> a + b);
    }

    public boolean take(String name) {
        int count = items.getOrDefault(name, 0);
        if (count == 0 || name.isEmpty()) {
            return false;
        }
        items.put(name, count - 1);
        return true;
    }

    public int total() {
        int total = 0;
        for (int count : items.values()) {
            total += count;
        }
        return total;
    }
}
