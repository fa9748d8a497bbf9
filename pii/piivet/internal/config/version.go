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

// VersionLine returns the answer to go vet, which runs its tool with -V=full to learn the
// tool's identity. The answer is one line with a hash of the executable and of the file
// of each main module for dir, all modules of a workspace included. go vet uses its cache
// only if the line is unchanged.
//
// A file that can't be read or does not parse is an error. It stops go vet before it
// analyzes a package.
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
		// Lengths come first, so that no two sequences of files have the same encoding.
		for _, part := range [][]byte{[]byte(root), content} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			h.Write(part)
		}
	}
	return fmt.Sprintf("piivet version devel buildID=%x\n", h.Sum(nil)), nil
}
