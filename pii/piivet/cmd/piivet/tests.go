package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/govet"
)

// withoutTests writes a file for the flag -overlay of the go command, and returns its
// path. With this overlay the go command takes the test files of the packages as deleted.
func (c *command) withoutTests(ctx context.Context) (path string, err error) {
	args := []string{"list", "-e", "-json=Dir,TestGoFiles,XTestGoFiles"}
	if c.tags != "" {
		args = append(args, "-tags="+c.tags)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append(args, c.patterns...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: listing packages: %s", govet.ErrFailed, strings.TrimSpace(stderr.String()))
	}
	replace := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p struct {
			Dir                       string
			TestGoFiles, XTestGoFiles []string
		}
		if err := dec.Decode(&p); err != nil {
			return "", fmt.Errorf("%w: listing packages: %w", govet.ErrFailed, err)
		}
		for _, files := range [][]string{p.TestGoFiles, p.XTestGoFiles} {
			for _, name := range files {
				replace[filepath.Join(p.Dir, name)] = ""
			}
		}
	}
	f, err := os.CreateTemp("", "piivet-*.json")
	if err != nil {
		return "", err
	}
	err = json.NewEncoder(f).Encode(map[string]any{"Replace": replace})
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}
