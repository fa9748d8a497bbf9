//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package piitest

import "testing"

// A captureDescriptor does not exist on this system, whose descriptors can't be replaced.
type captureDescriptor struct{}

func newCaptureDescriptors(testing.TB, *Contact) []*captureDescriptor { return nil }

func (*captureDescriptor) restore() {}
func (*captureDescriptor) forward() {}
