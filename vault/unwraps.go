package vault

import "github.com/onlyfor/onlyfor/purpose"

// Each time that the key service unwraps keys, an event says so: see
// [audit.Event.Unwraps]. A backend counts the unwraps of a purpose, and the next event of
// the purpose takes the count. So an unwrap that a use of a value had to wait for is in the
// event of that use, and an unwrap whose event was not recorded is in the next one.

// noteUnwraps adds to the unwraps of p that no event has yet.
func (b *backend) noteUnwraps(p purpose.Purpose, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n == 0 {
		return
	}
	if b.unwraps == nil {
		b.unwraps = make(map[purpose.Purpose]int)
	}
	b.unwraps[p] += n
	b.unwrapped.Add(int64(n))
}

// takeUnwraps returns the number of unwraps of p that no event has yet, and begins again
// at 0.
func (b *backend) takeUnwraps(p purpose.Purpose) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.unwraps[p]
	delete(b.unwraps, p)
	b.unwrapped.Add(int64(-n))
	return n
}

// hasUnwraps reports whether there are unwraps of p that no event has yet.
func (b *backend) hasUnwraps(p purpose.Purpose) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unwraps[p] > 0
}
