package config

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// VersionLine returns what the tool answers when go vet runs it with -V=full to
// learn its identity: one line with a hash of the executable, and of the file of
// each module that is worked on from dir, its own and those of a workspace.
// go vet answers from its cache only if both are what they were.
//
// A file that can't be read or does not parse is an error, which stops go vet
// before it looks at a package.
func VersionLine(executable, dir string) (string, error) {
	h := sha256.New()
	f, err := os.Open(executable)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	roots, err := workspace(dir)
	if err != nil {
		return "", err
	}
	slices.Sort(roots)
	for _, root := range slices.Compact(roots) {
		if _, err := load(root); err != nil {
			return "", err
		}
		content, err := os.ReadFile(filepath.Join(root, Name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return "", err
		}
		// Lengths first, so that two files are never taken for two others.
		for _, part := range [][]byte{[]byte(root), content} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			h.Write(part)
		}
	}
	return fmt.Sprintf("piivet version devel buildID=%x\n", h.Sum(nil)), nil
}
