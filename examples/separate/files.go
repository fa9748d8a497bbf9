package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// files keeps KEKs in files. The originals are in a directory that no service can
// read, and each service gets copies of its own KEKs in its own directory.
type files struct{ c *company }

func (f files) own() string { return filepath.Join(f.c.dir, "operator") }

// kek returns a KEK that makes its files when it needs them.
func (f files) kek(context.Context, ...purpose.Purpose) (vault.KEK, error) {
	return vault.LocalKEK(f.own()), nil
}

func (f files) grant(_ context.Context, _ string, g *grant, purposes ...purpose.Purpose) error {
	g.KEKs = filepath.Join(g.Dir, "kek")
	if g.User != 0 {
		g.Operator = f.own()
	}
	if len(purposes) == 0 {
		return nil // without a directory of KEKs
	}
	if err := os.Mkdir(g.KEKs, 0o700); err != nil {
		return err
	}
	paths := []string{g.KEKs}
	for _, p := range purposes {
		file := p.String() + ".kek"
		if err := copyFile(filepath.Join(g.KEKs, file), filepath.Join(f.own(), file), 0o600); err != nil {
			return err
		}
		paths = append(paths, filepath.Join(g.KEKs, file))
	}
	if g.User == 0 {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(g.User), int(g.User)); err != nil {
			return err
		}
	}
	return nil
}

func (files) close() {} // the company's directory is removed as a whole
