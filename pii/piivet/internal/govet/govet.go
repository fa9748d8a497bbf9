package govet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// A Finding is one diagnostic.
type Finding struct {
	// Rule is the name of the analyzer.
	Rule string `json:"rule"`
	// Package is the import path.
	Package string `json:"package"`
	// File is absolute. Line and Column count from 1 and are 0 if not known.
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Category string `json:"category,omitempty"`
	Message  string `json:"message"`
	// Related are further positions, as "file:line:column: message".
	Related []string `json:"related,omitempty"`
}

// ErrFailed reports that at least one of the packages could not be checked, so that the
// findings may be incomplete. The text of the error is the output of go vet.
var ErrFailed = errors.New("not all packages could be checked")

// A Run describes one run of go vet.
type Run struct {
	// Tool is the path of the executable for -vettool. [Answer] is one of its analyzers.
	Tool string
	// Analyzers are the names of the analyzers to run.
	Analyzers []string
	// Flags are further flags of the tool.
	Flags []string
	// Build are the build flags, such as -tags and -overlay.
	Build []string
	// Patterns name packages as for go list. Without patterns, go vet checks the package
	// in the working directory.
	Patterns []string
	// Dir is the working directory, "" for the working directory of the process.
	Dir string
}

// Findings runs the tool and returns the findings ordered by file and line, each once.
// The error is [ErrFailed] if the tool could not analyze a package: it does not exist,
// does not parse or does not type-check, a pattern matches no package, or an analyzer
// failed. A package whose findings go vet has lost is analyzed again.
func (r Run) Findings(ctx context.Context) ([]Finding, error) {
	findings, missing, err := r.try(ctx)
	if err == nil && len(missing) > 0 {
		r.Flags = append(slices.Clip(r.Flags), "-answer.again="+rand.Text())
		findings, missing, err = r.try(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: no answer for %s", ErrFailed, strings.Join(missing, ", "))
	}
	return unique(findings), nil
}

// try runs go vet once. It returns the findings, and the packages that did not answer.
func (r Run) try(ctx context.Context) (findings []Finding, missing []string, err error) {
	all, err := r.vet(ctx)
	if err != nil {
		return nil, nil, err
	}
	findings, answered := take(all)
	missing, err = r.missing(ctx, answered)
	return findings, missing, err
}

// vet runs go vet and returns its diagnostics.
func (r Run) vet(ctx context.Context) ([]Finding, error) {
	args := append([]string{"vet", "-json", "-vettool=" + r.Tool}, r.Build...)
	for _, name := range append([]string{Answer.Name}, r.Analyzers...) {
		args = append(args, "-"+name)
	}
	args = append(append(args, r.Flags...), r.Patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.Dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("%w: running go vet: %w", ErrFailed, err)
	}
	var findings []Finding
	var said []string
	// A go command that is older than the version in this module's go.mod writes the JSON
	// to standard error.
	for _, stream := range []*bytes.Buffer{&stdout, &stderr} {
		found, rest, err := read(stream.String())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFailed, err)
		}
		findings = append(findings, found...)
		said = append(said, rest...)
	}
	failed := exit != nil
	for _, line := range said {
		failed = failed || strings.Contains(line, "matched no packages")
	}
	if failed {
		return nil, &failure{said}
	}
	for _, line := range said { // such as "go: downloading"
		fmt.Fprintln(os.Stderr, line)
	}
	return findings, nil
}

type failure struct{ said []string }

func (f *failure) Error() string {
	return fmt.Sprintf("%v:\n%s", ErrFailed, strings.Join(f.said, "\n"))
}
func (f *failure) Unwrap() error { return ErrFailed }

// read parses the JSON values in the output of go vet, and returns the other lines as
// well. Lines that begin with "# " are left out: they only name a package.
func read(out string) (findings []Finding, said []string, err error) {
	for out != "" {
		line, rest, _ := strings.Cut(out, "\n")
		if !strings.HasPrefix(line, "{") {
			if line != "" && !strings.HasPrefix(line, "# ") {
				said = append(said, line)
			}
			out = rest
			continue
		}
		dec := json.NewDecoder(strings.NewReader(out))
		var tree map[string]map[string]json.RawMessage
		if err := dec.Decode(&tree); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("go vet's answer is cut off")
			}
			return nil, nil, fmt.Errorf("reading go vet's answer: %w", err)
		}
		out = out[dec.InputOffset():]
		for pkg, results := range tree {
			for rule, result := range results {
				found, err := diagnostics(pkg, rule, result)
				if err != nil {
					return nil, nil, err
				}
				findings = append(findings, found...)
			}
		}
	}
	return findings, said, nil
}

func diagnostics(pkg, rule string, result json.RawMessage) ([]Finding, error) {
	if bytes.HasPrefix(result, []byte("{")) {
		var failed struct{ Error, Err string }
		if err := json.Unmarshal(result, &failed); err != nil {
			return nil, fmt.Errorf("reading go vet's answer: %w", err)
		}
		return nil, fmt.Errorf("%s: %s: %s", pkg, rule, cmp.Or(failed.Error, failed.Err))
	}
	var all []struct {
		Category, Posn, Message string
		Related                 []struct{ Posn, Message string }
	}
	if err := json.Unmarshal(result, &all); err != nil {
		return nil, fmt.Errorf("reading go vet's answer: %w", err)
	}
	path, _, _ := strings.Cut(pkg, " ") // "p [p.test]" is p compiled for its test
	var findings []Finding
	for _, d := range all {
		f := Finding{Rule: rule, Package: path, Category: d.Category, Message: d.Message}
		f.File, f.Line, f.Column = position(d.Posn)
		for _, r := range d.Related {
			f.Related = append(f.Related, r.Posn+": "+r.Message)
		}
		findings = append(findings, f)
	}
	return findings, nil
}

// position parses file:line:column, and file:line. The name of a file may contain colons.
func position(at string) (file string, line, column int) {
	var numbers []int
	for len(numbers) < 2 {
		colon := strings.LastIndexByte(at, ':')
		if colon < 0 {
			break
		}
		n, err := strconv.Atoi(at[colon+1:])
		if err != nil {
			break
		}
		numbers, at = append(numbers, n), at[:colon]
	}
	switch len(numbers) {
	case 1:
		return at, numbers[0], 0
	case 2:
		return at, numbers[1], numbers[0]
	}
	return at, 0, 0
}

// unique sorts findings and drops the duplicates: a finding in a package is usually one
// in its variant for tests as well.
func unique(all []Finding) []Finding {
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column,
			strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message), strings.Compare(a.Package, b.Package))
	})
	return slices.CompactFunc(all, func(a, b Finding) bool {
		return a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Rule == b.Rule && a.Message == b.Message
	})
}
