//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package piitest

import (
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
)

// A captureDescriptor replaces file descriptor 1 or 2. Loggers that were made when the
// program started hold an [os.File] of it.
type captureDescriptor struct {
	number int
	saved  int // another descriptor of the original file
	was    *os.File
	is     *os.File
	out    *sink
}

// newCaptureDescriptors replaces file descriptors 1 and 2 with temporary files.
func newCaptureDescriptors(t testing.TB, c *Contact) []*captureDescriptor {
	t.Helper()
	var all []*captureDescriptor
	for _, number := range []int{syscall.Stdout, syscall.Stderr} {
		if d := newCaptureDescriptor(t, c, number); d != nil {
			all = append(all, d)
		}
	}
	return all
}

// newCaptureDescriptor returns nil for a descriptor that the process does not have, as
// that of a daemon: nothing comes out there.
func newCaptureDescriptor(t testing.TB, c *Contact, number int) *captureDescriptor {
	t.Helper()
	syscall.ForkLock.RLock()
	saved, err := syscall.Dup(number)
	if err == nil {
		syscall.CloseOnExec(saved)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil
	}
	name := "file descriptor " + strconv.Itoa(number)
	f, err := os.CreateTemp(t.TempDir(), "captured")
	if err == nil {
		err = redirect(int(f.Fd()), number)
	}
	if err != nil {
		syscall.Close(saved)
		t.Fatal("piitest: NoLeak can't capture " + name)
	}
	d := &captureDescriptor{number, saved, os.NewFile(uintptr(saved), name), f, c.sink(name)}
	if number == syscall.Stderr {
		// The runtime writes the report of a crash to descriptor 2, and nobody would
		// read the temporary file after that.
		debug.SetCrashOutput(d.was, debug.CrashOptions{})
	}
	return d
}

func (d *captureDescriptor) restore() {
	if d.number == syscall.Stderr {
		debug.SetCrashOutput(nil, debug.CrashOptions{})
	}
	if redirect(d.saved, d.number) != nil {
		panic("piitest: NoLeak can't restore file descriptor " + strconv.Itoa(d.number))
	}
	b, err := os.ReadFile(d.is.Name())
	d.was.Close() // the saved descriptor
	if d.is.Close(); err == nil {
		d.out.add(b)
	}
}

// forward writes the captured output to the original file, whose descriptor is the
// replaced one again.
func (d *captureDescriptor) forward() {
	for _, piece := range d.out.all() {
		for len(piece) > 0 {
			n, err := syscall.Write(d.number, piece)
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return
			}
			piece = piece[n:]
		}
	}
}
