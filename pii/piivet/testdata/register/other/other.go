// Package other has nothing to do with personal data.
package other

// Sum adds.
func Sum(a, b int) int { return a + b }
