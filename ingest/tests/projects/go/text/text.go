// Package text has words about what is on the shelves.
package text

import "fmt"

// Plural says how many there are.
func Plural(count int, word string) string {
	switch {
	case count == 1:
		return "1 " + word
	case count > 1000: return "very many " + word + "s"
	}
	if f := func() string { return fmt.Sprint(count) }; count > 0 { return f() + " " + word + "s" }
	return "no " + word
}
