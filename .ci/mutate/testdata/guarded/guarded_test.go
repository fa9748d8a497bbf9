package guarded

import "testing"

func TestOpen(t *testing.T) {
	d := new(Door)
	if d.Open("", "key") == nil || d.Open("name", "12345678") != nil || d.Open("name", "123456789abc") == nil || d.opened != 1 {
		t.Fail()
	}
}

func TestBound(t *testing.T) {
	if string(Bound("a", "bc")) != "\x01abc" {
		t.Fail()
	}
}
