//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulty

import (
	"slices"
	"sync"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// A Fault is one thing that goes wrong on a disk.
type Fault struct {
	// Nth is the call that fails: 1 is the next one.
	Nth int
	// Err is what it fails with.
	Err error
	// Stays has all calls after it fail too.
	Stays bool
	// Only has other calls than these neither fail nor be counted.
	Only string
	// Late has the call be made and then fail, as when an answer is lost. Only
	// Changes are counted then.
	Late bool
}

// A Disk fails when it is told to. It never waits for the real disk: what tests
// see of a file does not depend on that. Its methods may be called from many
// goroutines at once.
type Disk struct {
	mu    sync.Mutex
	fault Fault
	calls int
	hit   string
}

// Break has the disk fail from now on as f says.
func (d *Disk) Break(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.calls, d.hit = f, 0, ""
}

// Mend has everything work again. It returns the name of the call that failed
// first, "" if none came to that, and how many calls there were.
func (d *Disk) Mend() (hit string, calls int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = Fault{}
	return d.hit, d.calls
}

// System returns the calls by which the disk is used.
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

// next counts a call, and reports whether it is to fail.
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
