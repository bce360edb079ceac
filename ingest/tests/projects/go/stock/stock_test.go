package stock

import "testing"

func TestStock(t *testing.T) {
	s := Stock{}
	if s.Add("pen", 1) != nil || !s.Take("pen") || s.Take("ink") {
		t.Fatal("the stock is wrong")
	}
}
