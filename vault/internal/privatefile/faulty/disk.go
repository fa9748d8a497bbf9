//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulty

import (
	"slices"
	"sync"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// A Fault is one failure of a disk.
type Fault struct {
	// Nth is the number of the call that fails: 1 is the next call.
	Nth int
	// Err is the error of the call.
	Err error
	// Stays makes all later calls fail too.
	Stays bool
	// Only, if not empty, is the name of the only call that is counted and can fail.
	Only string
	// Late makes the call first and then fails it, as when an answer is lost. Only
	// Changes are counted then.
	Late bool
}

// A Disk fails when a test tells it to. It never waits for the real disk, because the
// files that tests see do not depend on it. Its methods may be called from many
// goroutines at once.
type Disk struct {
	mu    sync.Mutex
	fault Fault
	calls int
	hit   string
}

// Break makes the disk fail from now on as f says.
func (d *Disk) Break(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.calls, d.hit = f, 0, ""
}

// Mend makes all calls work again. It returns the name of the call that failed first,
// or "" if none failed, and the number of calls.
func (d *Disk) Mend() (hit string, calls int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = Fault{}
	return d.hit, d.calls
}

// System returns the calls that use the disk.
func (d *Disk) System() privatefile.System { return System(d.make) }

func (d *Disk) make(call string, do func() error) error {
	fault, now := d.next(call)
	if now && !fault.Late {
		return fault.Err
	}
	var err error
	if call != "sync" && call != "sync directory" {
		err = do()
	}
	if now && err == nil {
		err = fault.Err
	}
	return err
}

// next counts a call, and reports whether it must fail.
func (d *Disk) next(call string) (Fault, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.fault
	if f.Late && !slices.Contains(Changes, call) || f.Only != "" && f.Only != call {
		return f, false
	}
	d.calls++
	now := f.Nth > 0 && (d.calls == f.Nth || f.Stays && d.calls > f.Nth)
	if now && d.hit == "" {
		d.hit = call
	}
	return f, now
}
