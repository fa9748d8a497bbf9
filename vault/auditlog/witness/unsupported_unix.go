//go:build unix

package witness

import (
	"errors"
	"syscall"
)

// isUnsupported reports whether a file system can't sync a directory.
func isUnsupported(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP)
}
