//go:build !unix

package witness

// isUnsupported reports whether a file system can't sync a directory. Windows opens no
// directory for writing.
func isUnsupported(error) bool { return true }
