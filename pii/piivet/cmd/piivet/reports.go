package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/adopt"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/govet"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/registry"
)

// writeFindings writes one line a finding, or JSON.
func (c *command) writeFindings(findings []govet.Finding) error {
	for i := range findings {
		findings[i].File = c.relative(findings[i].File)
	}
	if c.json {
		return writeJSON(c.stdout, struct {
			Findings []govet.Finding `json:"findings"`
		}{append([]govet.Finding{}, findings...)})
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(c.stdout, "%s:%d:%d: %s (%s)\n", f.File, f.Line, f.Column, f.Message, f.Rule); err != nil {
			return err
		}
		for _, r := range f.Related {
			if _, err := fmt.Fprintf(c.stdout, "\t%s\n", c.relative(r)); err != nil {
				return err
			}
		}
	}
	return nil
}

// relative returns the path of a file relative to the working directory if the file is
// below it, and the path as it is otherwise.
func (c *command) relative(file string) string {
	if short, err := filepath.Rel(c.dir, file); err == nil && filepath.IsAbs(file) && !strings.HasPrefix(short, "..") {
		return filepath.ToSlash(short)
	}
	return file
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (c *command) runAdopt(ctx context.Context) (int, error) {
	c.tests = false // the fields of tests are not listed, and tests are the last to compile in an adoption
	findings, err := c.findings(ctx, []string{"adopt"}, "-adopt.json")
	if err != nil {
		return 0, err
	}
	var items []adopt.Item
	for _, f := range findings {
		i, err := adopt.Parse(f.Message)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f.Package, err)
		}
		for _, at := range i.Places() {
			*at = c.relative(*at)
		}
		items = append(items, i)
	}
	roots, err := c.modules(ctx)
	if err != nil {
		return 0, err
	}
	for _, root := range roots {
		for _, i := range adopt.ReadSQL(os.DirFS(root)) {
			for _, at := range i.Places() {
				*at = c.relative(filepath.Join(root, *at))
			}
			items = append(items, i)
		}
	}
	r := adopt.NewReport(items)
	if c.json {
		return nothing, writeJSON(c.stdout, r)
	}
	return nothing, r.WriteText(c.stdout)
}

// modules returns the directories of the main modules: one, or all modules of the
// workspace.
func (c *command) modules(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the module: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' || r == '\r' }), nil
}

// register makes the register of the packages.
func (c *command) register(ctx context.Context) (*registry.Registry, error) {
	findings, err := c.findings(ctx, []string{inventory.Analyzer.Name})
	if err != nil {
		return nil, err
	}
	var packages []inventory.Package
	for _, f := range findings {
		p, err := inventory.Parse(f.Message)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Package, err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("%w: no package answered", govet.ErrFailed)
	}
	r := registry.Link(packages)
	r.RelativeTo(c.dir)
	return r, nil
}

func (c *command) runReport(ctx context.Context) (int, error) {
	r, err := c.register(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case c.json:
		return nothing, writeJSON(c.stdout, r)
	case c.html:
		return nothing, r.WriteHTML(c.stdout)
	}
	return nothing, r.WriteText(c.stdout)
}

func (c *command) runUpdate(ctx context.Context) (int, error) {
	r, err := c.register(ctx)
	if err != nil {
		return 0, err
	}
	return nothing, registry.WriteLock(c.update, r.Pairs())
}

func (c *command) runCheck(ctx context.Context) (int, error) {
	// Read the lock file first: if it can't be read, the analysis would be wasted.
	locked, err := registry.ReadLock(c.check)
	if err != nil {
		return 0, err
	}
	r, err := c.register(ctx)
	if err != nil {
		return 0, err
	}
	d := r.Compare(locked)
	if err := d.WriteText(c.stdout, c.check); err != nil {
		return 0, err
	}
	if len(d.New) > 0 {
		return found, nil
	}
	return nothing, nil
}
