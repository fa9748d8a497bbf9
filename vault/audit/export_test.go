package audit

// Remembered returns the number of reveals that w remembers.
func Remembered(w *Watch) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reveals) != w.order.Len() {
		panic("the map and the list of a watch differ")
	}
	return len(w.reveals)
}
