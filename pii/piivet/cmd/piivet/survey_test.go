package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// services are services with addresses of people: accounts, subscribers of newsletters,
// targets of campaigns.
var services = []string{
	"github.com/knadh/listmonk@v1.1.0",
	"github.com/gophish/gophish@v0.12.1",
	"github.com/netlify/gotrue@v1.0.1",
	"github.com/pocketbase/pocketbase@v0.38.0",
	"github.com/ory/kratos@v1.3.1",
}

// writable lets the go command complete the go.mod of a copy.
var writable = []string{"GOFLAGS=-mod=mod"}

// TestSurvey runs piivet over open-source services that hold e-mail addresses and phone
// numbers, to find out about its findings in code that was not written for it.
//
//	ONLYFOR_SURVEY=all go test -v -timeout 4h -run TestSurvey ./cmd/piivet
//	ONLYFOR_SURVEY=github.com/pocketbase/pocketbase@v0.38.0 ONLYFOR_SURVEY_TIME=1 go test …
//
// For each service it downloads the module through the module proxy, copies it to a
// temporary directory, and there
//
//  1. runs piivet -adopt;
//  2. changes the code as if the service had adopted onlyfor: each read of a field
//     that -adopt lists counts as a value that was just revealed, and each value that
//     is written to such a field as sealed. Then it runs all rules. A person has to
//     judge each finding: is it a leak, or a false alarm?
//  3. with ONLYFOR_SURVEY_TIME, measures piivet against go vet, each with a build cache
//     of its own, empty and then filled.
//
// ONLYFOR_SURVEY_DIR names a directory that keeps the changed copies, for a closer look at
// a finding. A second run with it compiles less.
//
// Packages that can't be compiled are left out, and so are their lines. It runs no code
// of the services. It takes half an hour on two cores, mostly for compiling the
// dependencies of the services, and some gigabytes of disk.
func TestSurvey(t *testing.T) {
	named := os.Getenv("ONLYFOR_SURVEY")
	if named == "" {
		t.Skip("ONLYFOR_SURVEY is not set")
	}
	if named != "all" {
		services = strings.Fields(named)
	}
	dir := os.Getenv("ONLYFOR_SURVEY_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	require.NoError(t, surveyAll(dir, os.Getenv("ONLYFOR_SURVEY_TIME") != ""))
}

func surveyAll(dir string, measure bool) (err error) {
	here, err := output(".", nil, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	here = strings.TrimSpace(here)
	tool := filepath.Join(dir, "piivet")
	if _, err := output(here, nil, "go", "build", "-o", tool, "./cmd/piivet"); err != nil {
		return err
	}
	for _, service := range services {
		s := survey{tool: tool, library: filepath.Join(here, "..", ".."), work: dir}
		if s.dir, err = source(dir, service); err != nil {
			return fmt.Errorf("%s: %w", service, err)
		}
		fmt.Printf("\n== %s\n", service)
		do := s.look
		if measure {
			do = s.measure
		}
		if err := do(context.Background()); err != nil {
			return fmt.Errorf("%s: %w", service, err)
		}
	}
	return nil
}

// source downloads a module and returns the directory of a writable copy.
func source(dir, module string) (string, error) {
	to := filepath.Join(dir, strings.NewReplacer("/", "_", "@", "_").Replace(module))
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	return to, fetch(module, to)
}

func fetch(module, to string) error {
	text, err := output(os.TempDir(), writable, "go", "mod", "download", "-json", module)
	if err != nil {
		return err
	}
	var m struct{ Dir, Error string }
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Dir == "" {
		return errors.New("go mod download says nothing of where it is: " + m.Error)
	}
	if err := os.CopyFS(to, os.DirFS(m.Dir)); err != nil {
		return err
	}
	err = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error { // the cache is read-only
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()|0o200)
	})
	if err != nil {
		return err
	}
	return local(to)
}

// local drops the replacements of a module by directories that the module does not
// include, such as nested modules. Released versions are used in their place.
func local(dir string) error {
	text, err := output(dir, nil, "go", "mod", "edit", "-json")
	if err != nil {
		return err
	}
	var m struct {
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return errors.New("go mod edit -json says nothing that can be read")
	}
	for _, r := range m.Replace {
		if r.New.Version != "" {
			continue // a replacement by another module
		}
		if _, err := os.Stat(filepath.Join(dir, r.New.Path, "go.mod")); err == nil {
			continue
		}
		old := r.Old.Path
		if r.Old.Version != "" {
			old += "@" + r.Old.Version
		}
		if _, err := output(dir, nil, "go", "mod", "edit", "-dropreplace="+old); err != nil {
			return err
		}
	}
	return nil
}

type survey struct{ tool, library, work, dir string }

// packages returns the packages that can be compiled. Some can't, since a module comes
// without its nested modules and without files that its build generates.
func (s survey) packages() ([]string, error) {
	text, err := output(s.dir, writable, "go", "list", "-e", "-export", "-deps", "-f", `{{if .Module}}{{if .Module.Main}}{{if and (not .DepsErrors) (not .Error)}}{{.ImportPath}}{{end}}{{end}}{{end}}`, "./...")
	if err != nil {
		return nil, err
	}
	return strings.Fields(text), nil
}

func (s survey) look(ctx context.Context) error {
	packages, err := s.packages()
	if err != nil {
		return err
	}
	lines, err := s.lines(packages)
	if err != nil {
		return err
	}
	fmt.Printf("%d packages, %d lines of Go without tests\n\n", len(packages), lines)
	report, err := output(s.dir, writable, s.tool, append([]string{"-adopt"}, packages...)...)
	if err != nil {
		return err
	}
	fmt.Println(report)
	reads, err := s.pretend(ctx, packages)
	if err != nil {
		return err
	}
	// Tests need packages that a module comes without, and their findings are left out.
	findings, err := output(s.dir, writable, s.tool, append([]string{"-tests=false"}, packages...)...)
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		return err
	}
	n := strings.Count(findings, "\n")
	fmt.Printf("%s\n%d places read such a field; %d findings, %.2f for 10,000 lines\n", findings, reads, n, float64(n)*1e4/float64(lines))
	return nil
}

// lines returns the number of lines in the files of packages.
func (s survey) lines(packages []string) (int, error) {
	files, err := output(s.dir, writable, "go", append([]string{"list", "-f", `{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}`}, packages...)...)
	if err != nil {
		return 0, err
	}
	n := 0
	for file := range strings.Lines(files) {
		if file = strings.TrimSpace(file); file == "" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		n += strings.Count(string(text), "\n")
	}
	return n, nil
}

func (s survey) measure(ctx context.Context) error {
	packages, err := s.packages()
	if err != nil {
		return err
	}
	fmt.Printf("%d packages\n", len(packages))
	for _, c := range []struct {
		name string
		args []string
	}{{"go vet", []string{"go", "vet"}}, {"piivet", []string{s.tool}}, {"piivet -adopt", []string{s.tool, "-adopt"}}, {"piivet -report", []string{s.tool, "-report"}}} {
		cache, err := os.MkdirTemp(s.work, "cache-")
		if err != nil {
			return err
		}
		for _, state := range []string{"empty", "compiled", "filled"} {
			if state == "compiled" && c.name == "go vet" {
				continue
			}
			start := time.Now()
			_, err := output(s.dir, append([]string{"GOCACHE=" + cache}, writable...), c.args[0], append(c.args[1:], packages...)...)
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return err
			}
			fmt.Printf("%-15s cache %-8s %6.1f s\n", c.name, state, time.Since(start).Seconds())
		}
		os.RemoveAll(cache)
	}
	return nil
}

func output(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return string(text), err
}
