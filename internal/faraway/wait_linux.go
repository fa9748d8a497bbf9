package faraway

import (
	"syscall"
	"time"
)

// waitUntil sleeps in the kernel. Go's own timers wait for whole milliseconds where no
// goroutine runs, so that a round trip of 0.5 ms would take more than 2 ms.
func waitUntil(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		t := syscall.NsecToTimespec(left.Nanoseconds())
		if err := syscall.Nanosleep(&t, nil); err != nil && err != syscall.EINTR {
			time.Sleep(left)
		}
	}
}
