// Package guarded is what the tests of mutate change.
package guarded

import "errors"

var ErrRefused = errors.New("refused")

type Door struct{ opened int }

func (d *Door) Open(name, key string) error {
	if name == "" || key == "" {
		return ErrRefused
	}
	if len(key) > 8 {
		return ErrRefused
	}
	d.opened++
	return nil
}

func Bound(name, key string) []byte {
	b := append([]byte(nil), byte(len(name)))
	b = append(b, name...)
	return append(b, key...)
}

func Unused(n int) bool { return n < 3 }

func Suite(n int) bool { return n < 3 }
