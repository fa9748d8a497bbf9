// Package limit is imported by a suite alone, so it is not changed.
package limit

func Below(n int) bool { return n < 3 }
