// Package tested has a test, which may do what it likes.
package tested
