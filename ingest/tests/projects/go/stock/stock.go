// Package stock knows what is on the shelves.
package stock

import "errors"

// Stock is a count for each name.
type Stock map[string]int

// Add adds to the count of a name.
func (s Stock) Add(name string, count int) error {
	if count < 0 {
		return errors.New("a count is at least 0")
	}
	s[name] += count
	return nil
}

// Take takes one away.
func (s Stock) Take(name string) bool {
	if s[name] == 0 {
		return false
	}
	s[name]--
	return true
}

// Total is never called.
func (s Stock) Total() int {
	total := 0
	for _, count := range s {
		total += count
	}
	return total
}
