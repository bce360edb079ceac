package text

import "testing"

func TestPlural(t *testing.T) {
	if Plural(1, "pen") != "1 pen" || Plural(2, "pen") != "2 pens" {
		t.Fatal("the plural is wrong")
	}
}
