package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/tools/go/analysis"
)

// Of returns the Config of the module of pass, nil if the module has no file. The error
// names the file and the line at fault. A rule returns the error, so that the run fails.
//
// A module with a version, such as one in the module cache, is taken to have no file: it
// is a dependency, and nothing is reported in it.
func Of(pass *analysis.Pass) (*Config, error) {
	if m := pass.Module; m != nil {
		if m.Version != "" {
			return nil, nil
		}
		if m.Dir != "" {
			return load(m.Dir)
		}
	}
	return Load(directory(pass))
}

// directory returns the directory of the package. It takes it from the file names, since
// only go vet makes the directory of the package the working directory.
func directory(pass *analysis.Pass) string {
	for _, file := range pass.Files {
		// Files that cgo generates are elsewhere. A line directive names the original.
		name := pass.Fset.Position(file.Package).Filename
		if filepath.IsAbs(name) && moduleOf(filepath.Dir(name)) != "" {
			return filepath.Dir(name)
		}
	}
	for _, names := range [][]string{pass.OtherFiles, pass.IgnoredFiles} {
		for _, name := range names {
			if filepath.IsAbs(name) {
				return filepath.Dir(name)
			}
		}
	}
	dir, _ := os.Getwd()
	return dir
}

// Load returns the Config of the file beside the go.mod that governs dir, nil if there is
// no such file or no go.mod.
func Load(dir string) (*Config, error) {
	if root := moduleOf(dir); root != "" {
		return load(root)
	}
	return nil, nil
}

// loaded caches the Config of each module. One process may analyze many packages, and may
// outlive a version of the file.
var loaded sync.Map // from directory to state

type state struct {
	changed time.Time
	size    int64
	config  *Config
	err     error
}

func load(root string) (*Config, error) {
	path := filepath.Join(root, Name)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a file", path)
	}
	if s, ok := loaded.Load(root); ok {
		if s := s.(state); s.changed.Equal(info.ModTime()) && s.size == info.Size() {
			return s.config, s.err
		}
	}
	s := state{changed: info.ModTime(), size: info.Size()}
	s.config, s.err = read(root, path)
	loaded.Store(root, s)
	return s.config, s.err
}

func read(root, path string) (*Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := parse(content)
	if err == nil {
		err = c.there(root)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// there checks that the packages of the module at root that c names exist, as far as
// their directories tell. A pattern for a package that was renamed would match nothing,
// without a word.
func (c *Config) there(root string) error {
	module := modulePath(root)
	if module == "" {
		return nil
	}
	var all patterns
	for _, list := range []*patterns{c.purposes, c.reveal} {
		if list != nil {
			all = append(all, *list...)
		}
	}
	for _, b := range c.boundaries {
		all = append(all, b.pattern)
	}
	for _, pattern := range all {
		path := strings.TrimSuffix(pattern, "/...")
		below, ours := strings.CutPrefix(path, module)
		if !ours || below != "" && below[0] != '/' {
			continue
		}
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(below))); err != nil || !info.IsDir() {
			return fmt.Errorf("%q: there is no such directory in module %s", pattern, module)
		}
	}
	return nil
}
